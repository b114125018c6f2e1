"""The events table: the audit log, and the source for readers that resume.

Old events are removed. The newest removed event is replaced by a `resync`, which a reader that
resumes before that gets first.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import structs, to_builtins
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)

from prism.kit.events import RESYNC, Event, RecordedEvent
from prism.kit.tables import Utc, metadata

EVENTS_AT_ONCE = 500
KEPT_FOR, KEPT_MOST = timedelta(days=7), 100_000
ARCHIVED_MOST = 2_000_000  # about 700 MB in SQLite, with its indexes

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("actor", String, nullable=False, index=True),
    Column("subject", String, nullable=False, index=True),
    Column("data", JSON, nullable=False),
    sqlite_autoincrement=True,  # an id is never used twice, not even after a deletion
)
# For the audit log: events that streams no longer have.
archive = Table(
    "archived_events",
    metadata,
    *(
        Column(
            column.name,
            column.type,
            primary_key=column.primary_key,
            nullable=False,
            index=column.index,
        )
        for column in events.columns
    ),
)
PASSING = ("instance_progress", "notices_changed", RESYNC)  # not actions of a user
CONTINUE_IDS = text("SELECT setval(pg_get_serial_sequence('events', 'id'), :id)")
NEWEST = select(func.coalesce(func.max(events.c.id), 0))
AFTER = (
    select(events)
    .where(events.c.id > bindparam("after"))
    .order_by(events.c.id)
    .limit(EVENTS_AT_ONCE)
)
ADD = events.insert()


def record(connection: Connection, events: Sequence[Event], at: datetime) -> int:
    """Store events, in the transaction that they are about; the id of the last one."""
    rows = [_row(event, at) for event in events]
    if len(rows) == 1:
        key = connection.execute(ADD, rows[0]).inserted_primary_key
        assert key is not None, "the database gives it"
        return int(key.id)
    connection.execute(ADD, rows)
    return newest(connection)


def record_at(connection: Connection, event: Event, at: datetime, id: int) -> None:
    """Store an event with a given id; later ids continue after it."""
    connection.execute(ADD, [{**_row(event, at), "id": id}])
    if connection.dialect.name == "postgresql":
        connection.execute(CONTINUE_IDS, {"id": id})


def newest(connection: Connection) -> int:
    """The id of the last event; it changes with everything that a reader can see."""
    return int(connection.execute(NEWEST).scalar_one())


def newest_at(connection: Connection) -> datetime | None:
    """When the last event was recorded; None without events."""
    at: datetime | None = connection.execute(select(func.max(events.c.at))).scalar()
    return at


def after(connection: Connection, id: int) -> list[RecordedEvent]:
    """The next events after that id, at most one page."""
    return [RecordedEvent(**row._mapping) for row in connection.execute(AFTER, {"after": id})]


def prune(
    connection: Connection,
    now: datetime,
    most: int = KEPT_MOST,
    most_archived: int = ARCHIVED_MOST,
) -> int:
    """Remove events older than a week or beyond the newest `most`; return their number.

    Readers that resume do not get them; the archive keeps the newest `most_archived`.
    """
    old = select(func.max(events.c.id)).where(events.c.at < now - KEPT_FOR)
    beyond = select(events.c.id).order_by(events.c.id.desc()).offset(most).limit(1)
    ends = (connection.execute(query).scalar_one_or_none() for query in (old, beyond))
    if not (end := max((id or 0 for id in ends), default=0)):
        return 0
    removed = select(events).where(events.c.id <= end, events.c.event.not_in(PASSING))
    names = [column.name for column in events.columns]
    connection.execute(archive.insert().from_select(names, removed))
    _prune_archive(connection, most_archived)
    resync = {"event": RESYNC, "actor": "prism", "subject": "events", "data": {}}
    connection.execute(update(events).where(events.c.id == end).values(**resync))
    return connection.execute(delete(events).where(events.c.id < end)).rowcount


def _prune_archive(connection: Connection, most: int) -> None:
    oldest, newest_id = connection.execute(
        select(func.min(archive.c.id), func.max(archive.c.id))
    ).one()
    if oldest is None or newest_id - oldest < most:
        return  # without a count of the rows: ids are at least one apart
    beyond = select(archive.c.id).order_by(archive.c.id.desc()).offset(most).limit(1)
    if (end := connection.execute(beyond).scalar_one_or_none()) is not None:
        connection.execute(delete(archive).where(archive.c.id <= end))


def _row(event: Event, at: datetime) -> dict[str, Any]:
    data = to_builtins(structs.asdict(event))
    head = {"event": event.event, "at": at, "actor": data.pop("actor")}
    return {**head, "subject": data.pop("subject"), "data": data}
