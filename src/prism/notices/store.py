"""The tables of notices, of what waits to be sent, and of webhooks, and all SQL about them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    and_,
    delete,
    func,
    select,
    text,
    update,
)

from prism.costs.store import segments
from prism.kit.db import Tx
from prism.kit.reconcile import NEVER_DUE
from prism.kit.tables import Utc, leased, metadata, partial_index, select_struct, structs_of
from prism.notices.model import (
    MAIL,
    Delivery,
    EndingMember,
    Notice,
    Preferences,
    Queue,
    Webhook,
    WebhookNotFound,
)
from prism.projects.store import member_ends, projects
from prism.workspaces.store import LIVE, workspaces

notices = Table(
    "notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("person", String, nullable=False),  # in lower case
    Column("kind", String, nullable=False),
    Column("project", String),
    Column("title", String, nullable=False),
    Column("text", String, nullable=False),
    Column("command", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("read_at", Utc),
    Index("notices_once", "person", "key", unique=True),
)
queues = Table(  # a row of the mail loop or the webhook loop
    "notice_queues",
    metadata,
    Column("id", String, primary_key=True),  # a webhook's id, or `mail:` and the person
    Column("person", String, nullable=False, index=True),
    Column("channel", String, nullable=False),
    Column("digest", String),
    Column("digest_at", Utc),
    Column("sent_at", Utc),
    Column("failures", Integer, nullable=False),
    Column("failing_since", Utc),
    Column("problem", String),
    *leased("notice_queues"),
)
deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("notice", String, ForeignKey("notices.id", ondelete="CASCADE"), primary_key=True),
    Column("queue", String, ForeignKey("notice_queues.id", ondelete="CASCADE"), primary_key=True),
    Column("queued_at", Utc, nullable=False),
    Column("digest", String),
    Column("done_at", Utc),
    Column("problem", String),
    partial_index("notice_deliveries_waiting", "queue", where=text("done_at IS NULL")),
)
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False, index=True),
    Column("url", String, nullable=False),
    Column("secret", String, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("paused_at", Utc),
    Column("parent", String, index=True),  # the token or session that made it
)
preferences = Table(
    "notice_preferences",
    metadata,
    Column("person", String, primary_key=True),
    Column("chosen", JSON, nullable=False),
)
acts = Table(  # how many notices to a person one other person has caused in a day
    "notice_acts",
    metadata,
    Column("person", String, primary_key=True),
    Column("actor", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("count", Integer, nullable=False),
)
progress = Table(  # how far events were read, and the last week that people were told about
    "notice_progress",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
SELECT_NOTICES = select_struct(notices, Notice)
SELECT_QUEUES = select_struct(queues, Queue)
SELECT_WEBHOOKS = select_struct(webhooks, Webhook).order_by(webhooks.c.id)
SELECT_DELIVERIES = select_struct(deliveries, Delivery)
WAITING = deliveries.c.done_at.is_(None)


# -------------------------------------------------------------------- notices


def add(tx: Tx, notice: Notice) -> bool:
    """Add a notice; False if the person has one about the same."""
    if is_known(tx.sql, notice.person, notice.key):
        return False
    tx.sql.execute(notices.insert().values(**msgspec.structs.asdict(notice)))
    return True


def count_act(tx: Tx, person: str, actor: str, kind: str, day: str) -> int:
    """Count one more notice that `actor` causes; how many of that day there are with it."""
    a = acts.c
    row = and_(a.person == person, a.actor == actor, a.kind == kind, a.day == day)
    if not tx.sql.execute(update(acts).where(row).values(count=a.count + 1)).rowcount:
        fields = {"person": person, "actor": actor, "kind": kind, "day": day}
        tx.sql.execute(acts.insert().values(**fields, count=1))
    return int(tx.sql.execute(select(a.count).where(row)).scalar_one())


def is_known(sql: Connection, person: str, key: str) -> bool:
    """Whether a person has a notice about the same."""
    same = select(notices.c.id).where(notices.c.person == person, notices.c.key == key)
    return sql.execute(same).first() is not None


def change_title(tx: Tx, person: str, key: str, title: str) -> None:
    """Say something newer in a notice, which is unread again."""
    of = and_(notices.c.person == person, notices.c.key == key)
    tx.sql.execute(update(notices).where(of).values(title=title, read_at=None))


def known_keys(sql: Connection, prefix: str) -> set[tuple[str, str]]:
    """The notices whose key begins with `prefix`, as (person, key)."""
    rows = select(notices.c.person, notices.c.key).where(
        notices.c.key.startswith(prefix, autoescape=True)
    )
    return {(person, key) for person, key in sql.execute(rows)}


def of_person(
    sql: Connection, person: str, *, project: str | None, unread: bool, limit: int
) -> list[Notice]:
    """The newest notices of a person; with `project`, those about it only."""
    query = SELECT_NOTICES.where(_of(person, project))
    if unread:
        query = query.where(notices.c.read_at.is_(None))
    newest = query.order_by(notices.c.at.desc(), notices.c.id.desc()).limit(limit)
    return structs_of(sql, Notice, newest)


def unread(sql: Connection, person: str, project: str | None) -> int:
    """How many notices a person has not read."""
    condition = and_(_of(person, project), notices.c.read_at.is_(None))
    return int(
        sql.execute(select(func.count()).select_from(notices).where(condition)).scalar_one()
    )


def mark_read(
    tx: Tx, person: str, project: str | None, ids: Collection[str] | None, at: datetime
) -> int:
    """Mark notices of a person as read; None means all."""
    condition = and_(_of(person, project), notices.c.read_at.is_(None))
    if ids is not None:
        condition = and_(condition, notices.c.id.in_([*ids]))
    return tx.sql.execute(update(notices).where(condition).values(read_at=at)).rowcount


def prune(tx: Tx, before: datetime) -> None:
    """Delete notices from before then, and what was to be sent of them."""
    old = select(notices.c.id).where(notices.c.at < before)
    tx.sql.execute(delete(deliveries).where(deliveries.c.notice.in_(old)))
    tx.sql.execute(delete(notices).where(notices.c.at < before))
    tx.sql.execute(delete(acts).where(acts.c.day < f"{before:%Y-%m-%d}"))


def _of(person: str, project: str | None) -> ColumnElement[bool]:
    is_own = notices.c.person == person
    return is_own if project is None else and_(is_own, notices.c.project == project)


# ---------------------------------------------------------- what is to be sent


def queue_of(sql: Connection, id: str) -> Queue | None:
    """The queue with that id."""
    return next(iter(structs_of(sql, Queue, SELECT_QUEUES.where(queues.c.id == id))), None)


def mail_queue(person: str) -> str:
    """The id of the queue of a person's mail."""
    return f"{MAIL}:{person}"


def enqueue(
    tx: Tx,
    notice: Notice,
    queue: str,
    channel: str,
    due_at: datetime,
    *,
    queued_at: datetime | None = None,
) -> None:
    """Let a notice be sent by a queue; one that fails now is not tried sooner because of it.

    One that still changes waits until `queued_at`.
    """
    before = tx.sql.execute(
        select(queues.c.due_at, queues.c.failures).where(queues.c.id == queue)
    ).first()
    if before is None:
        row = {"id": queue, "person": notice.person, "channel": channel, "failures": 0}
        tx.sql.execute(queues.insert().values(**row, due_at=due_at, attempts=0))
    elif not before.failures and due_at < before.due_at:
        tx.sql.execute(update(queues).where(queues.c.id == queue).values(due_at=due_at))
    row = {"notice": notice.id, "queue": queue, "queued_at": queued_at or notice.at}
    tx.sql.execute(deliveries.insert().values(**row))


def waiting(sql: Connection, queue: str, limit: int | None = None) -> list[Delivery]:
    """What a queue has not sent yet, in the order of its notices."""
    condition = and_(deliveries.c.queue == queue, WAITING)
    query = SELECT_DELIVERIES.where(condition).order_by(
        deliveries.c.queued_at, deliveries.c.notice
    )
    return structs_of(sql, Delivery, query.limit(limit))


def seal(tx: Tx, queue: str, digest: str, notice_ids: Sequence[str]) -> None:
    """Put these waiting notices into one mail, which is not changed any more."""
    condition = and_(deliveries.c.queue == queue, deliveries.c.notice.in_([*notice_ids]))
    tx.sql.execute(update(deliveries).where(condition).values(digest=digest))


def of_digest(sql: Connection, queue: str, digest: str) -> list[Notice]:
    """The notices in one mail, the oldest first."""
    chosen = select(deliveries.c.notice).where(
        deliveries.c.queue == queue, deliveries.c.digest == digest
    )
    query = SELECT_NOTICES.where(notices.c.id.in_(chosen))
    return structs_of(sql, Notice, query.order_by(notices.c.at, notices.c.id))


def by_id(sql: Connection, id: str) -> Notice:
    """The notice with that id, which must exist."""
    [notice] = structs_of(sql, Notice, SELECT_NOTICES.where(notices.c.id == id))
    return notice


def done(
    tx: Tx,
    queue: str,
    at: datetime,
    *,
    digest: str | None = None,
    notice: str | None = None,
    problem: str | None = None,
) -> None:
    """Record that a mail or a notice was sent, or (with `problem`) never can be."""
    which = deliveries.c.digest == digest if digest is not None else deliveries.c.notice == notice
    condition = and_(deliveries.c.queue == queue, which, WAITING)
    tx.sql.execute(update(deliveries).where(condition).values(done_at=at, problem=problem))


def update_queue(tx: Tx, id: str, /, **values: Any) -> None:
    """Change these columns of a queue."""
    tx.sql.execute(update(queues).where(queues.c.id == id).values(**values))


def waiting_counts(sql: Connection) -> dict[str, int]:
    """How many notices wait in each queue that has some."""
    query = select(deliveries.c.queue, func.count()).where(WAITING).group_by(deliveries.c.queue)
    return {queue: int(count) for queue, count in sql.execute(query)}


# ------------------------------------------------------------------- webhooks


def webhooks_of(sql: Connection, person: str | None) -> list[Webhook]:
    """The webhooks of a person, or (None) of everybody."""
    query = SELECT_WEBHOOKS
    if person is not None:
        query = query.where(webhooks.c.person == person)
    return structs_of(sql, Webhook, query)


def made_with(sql: Connection, id: str) -> list[Webhook]:
    """The webhooks that were made with a token, or in a session."""
    return structs_of(sql, Webhook, SELECT_WEBHOOKS.where(webhooks.c.parent == id))


def find_webhook(sql: Connection, id: str) -> Webhook | None:
    """The webhook with that id, if there is one."""
    query = SELECT_WEBHOOKS.where(webhooks.c.id == id)
    return next(iter(structs_of(sql, Webhook, query)), None)


def webhook_not_found(id: str) -> WebhookNotFound:
    """The problem if there is no such webhook."""
    return WebhookNotFound(
        f"Webhook {id!r} not found", remediation="Use `prism webhook list` to see webhooks"
    )


def host_of(url: str) -> str:
    """The host of a webhook, which is all that is shown: paths and queries may be secret."""
    return urlsplit(url).netloc.rpartition("@")[2]


def add_webhook(tx: Tx, webhook: Webhook) -> None:
    """Add a webhook, with an empty queue."""
    tx.sql.execute(webhooks.insert().values(**msgspec.structs.asdict(webhook)))
    row = {"id": webhook.id, "person": webhook.person, "channel": "webhook", "failures": 0}
    tx.sql.execute(queues.insert().values(**row, due_at=NEVER_DUE, attempts=0))


def pause_webhook(tx: Tx, id: str, at: datetime | None) -> None:
    """Send nothing to a webhook any more; None means: again."""
    tx.sql.execute(update(webhooks).where(webhooks.c.id == id).values(paused_at=at))


def remove_webhook(tx: Tx, id: str) -> None:
    """Delete a webhook, with what waits for it."""
    tx.sql.execute(delete(webhooks).where(webhooks.c.id == id))
    tx.sql.execute(delete(deliveries).where(deliveries.c.queue == id))
    tx.sql.execute(delete(queues).where(queues.c.id == id))


# ------------------------------------------------------ preferences, progress


def preferences_of(sql: Connection, person: str) -> Preferences:
    """What a person has chosen."""
    query = select(preferences.c.chosen).where(preferences.c.person == person)
    chosen = sql.execute(query).scalar()
    return Preferences() if chosen is None else msgspec.convert(chosen, Preferences)


def all_preferences(sql: Connection) -> dict[str, Preferences]:
    """What each person has chosen who has chosen something."""
    rows = sql.execute(select(preferences.c.person, preferences.c.chosen))
    return {person: msgspec.convert(chosen, Preferences) for person, chosen in rows}


def put_preferences(tx: Tx, person: str, chosen: Preferences) -> None:
    """Replace what a person has chosen."""
    tx.sql.execute(delete(preferences).where(preferences.c.person == person))
    row = {"person": person, "chosen": msgspec.to_builtins(chosen)}
    tx.sql.execute(preferences.insert().values(**row))


def progress_of(sql: Connection, name: str) -> str | None:
    """How far a work has come; None if it has not begun."""
    return sql.execute(select(progress.c.value).where(progress.c.name == name)).scalar()


def set_progress(tx: Tx, name: str, value: str) -> None:
    """Record how far a work has come."""
    changed = update(progress).where(progress.c.name == name).values(value=value)
    if not tx.sql.execute(changed).rowcount:
        tx.sql.execute(progress.insert().values(name=name, value=value))


# -------------------------------------------------------------- what is seen


def ending_members(sql: Connection, now: datetime, until: datetime) -> list[EndingMember]:
    """The members whose membership ends between these times, the next one first."""
    ends = member_ends.c
    query = (
        select(
            ends.project,
            projects.c.name.label("project_name"),
            *(ends.email, ends.until, ends.at_end, ends.to),
        )
        .join(projects, projects.c.id == ends.project)
        .where(ends.until > now, ends.until <= until)
        .order_by(ends.until, ends.email)
    )
    return structs_of(sql, EndingMember, query)


def expiring(sql: Connection, start: datetime, end: datetime) -> Sequence[Any]:
    """The living workspaces that expire between two times."""
    w = workspaces.c
    columns = (w.id, w.name, w.owner, w.project, w.expires_at, w.launched_at)
    query = select(*columns).where(LIVE, w.expires_at > start, w.expires_at <= end)
    return sql.execute(query).all()


def segments_between(sql: Connection, start: int, end: int) -> Sequence[Any]:
    """The charges for compute, and the savings, in a period, with their owners."""
    s = segments.c
    within = and_(s.began < end, func.coalesce(s.ended, end) > start)
    columns = (s.owner, s.project, s.name, s.kind, s.amount, s.hours, s.began, s.ended, s.counted)
    query = select(*columns).where(within, s.kind.in_(("compute", "asleep")))
    return sql.execute(query).all()
