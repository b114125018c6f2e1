"""Versions of tables, which tell whether a cache of their content is current.

A table may belong to a topic (`info=topic("ledger")`). Every transaction that changes one of its
rows gives the topic a new version, in the same transaction. A cache of something that was computed
from these tables stores the versions, too: while a read finds the same versions, the tables have
not changed, whichever daemon writes them. Versions are random: a counter that is rolled back would
assign the same number again to another change.

A large table can also have a version for each of its parts, such as the rows of a project: its
writer calls `change_part`, and `VersionedParts` reads only the changed parts again.

Within a transaction there are no versions, since its own changes have none yet: everything is
computed again. `once` reads a topic once in a transaction, until the transaction changes it.
"""

import secrets
from collections.abc import Callable, Collection, Hashable, Mapping
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Column, Connection, String, Table, bindparam, select, update

from prism.kit.tables import metadata

TopicVersions = Mapping[str, str]
Value = TypeVar("Value")
PART_PREFIX = "part "  # what the version of a part is called: this and its name
MANY = 100  # parts that are read by name; of more, all are read
TOPICS = "prism_topics"  # what a connection has changed in its transaction
WRITTEN_TABLES_KEY = "prism_tables"  # of which tables it may have changed rows
READ_VERSIONS_KEY = "prism_read"  # what it has read in it, by topics

versions = Table(
    "versions",
    metadata,
    Column("topic", String, primary_key=True),
    Column("word", String, nullable=False),
)

VERSIONS = select(versions)
RENEW = update(versions).where(versions.c.topic == bindparam("of"))


def topic(name: str | None) -> dict[str, Any]:
    """The `info` of a table whose changes invalidate caches of a topic.

    Or the execution options of a statement that changes another topic than its table's, or none.
    """
    return {"topic": name}


def current(sql: Connection) -> TopicVersions:
    """The version of each topic that has ever changed."""
    return {name: version for name, version in sql.execute(VERSIONS).all()}


def change_part(sql: Connection, name: str) -> None:
    """Give a part a new version, since this transaction changes its rows."""
    sql.info.setdefault(TOPICS, set()).add(PART_PREFIX + name)


def note(
    sql: Connection, statement: Any, _many: Any, _params: Any, options: Any, result: Any
) -> None:
    """Remember which topics a statement has changed; a listener of `after_execute`."""
    if not getattr(statement, "is_dml", False):
        return
    sql.info.setdefault(WRITTEN_TABLES_KEY, set()).add(statement.table.name)
    if result.rowcount != 0:
        name = options["topic"] if "topic" in options else statement.table.info.get("topic")
        if name:
            sql.info.setdefault(TOPICS, set()).add(name)
            read: dict[tuple[str, ...], object] = sql.info.get(READ_VERSIONS_KEY, {})
            for topics in [topics for topics in read if name in topics]:
                del read[topics]


def forget(sql: Connection, tables: set[str]) -> None:
    """Begin a transaction, whose written tables are added to `tables`."""
    sql.info.pop(TOPICS, None)
    sql.info[WRITTEN_TABLES_KEY] = tables
    forget_read(sql)


def forget_read(sql: Connection) -> None:
    """Forget what `once` has read, after an undo. A lost connection has no `info`."""
    if not sql.invalidated:
        sql.info.pop(READ_VERSIONS_KEY, None)


def once(
    sql: Connection, topics: tuple[str, ...], key: Hashable, make: Callable[[], Value]
) -> Value:
    """Read these topics by `make`, once in a transaction until it changes one of them.

    Nothing else can change them: there is one writer, and a reader sees one snapshot.
    """
    read = sql.info.setdefault(READ_VERSIONS_KEY, {}).setdefault(topics, {})
    if key not in read:
        read[key] = make()
    value: Value = read[key]
    return value


def renew(sql: Connection) -> None:
    """Before a commit, give each changed topic a new version."""
    for name in sorted(sql.info.pop(TOPICS, ())):
        version = secrets.token_hex(8)
        if not sql.execute(RENEW, {"of": name, "word": version}).rowcount:
            sql.execute(versions.insert(), {"topic": name, "word": version})


class VersionedValue(Generic[Value]):
    """The newest computed value, and its version."""

    def __init__(self, *topics: str) -> None:
        self._topics, self._lock = topics, Lock()
        self._now: tuple[Hashable, Value] | None = None

    def get(self, versions: TopicVersions, make: Callable[[], Value], *more: Hashable) -> Value:
        """The value for this version and for `more`, which it also depends on."""
        key = (*(versions.get(name, "") for name in self._topics), *more)
        with self._lock:
            if self._now is not None and self._now[0] == key:
                return self._now[1]
        value = make()
        with self._lock:
            self._now = (key, value)
        return value


class PartValue(Protocol):
    """What was computed from one part; true from `now` until before `until`.

    `counted` is until when all running things of the part count; null if that differs.
    """

    now: int
    until: int

    def moved(self, counted: int, now: int) -> Any:
        """The same if all running things now count until `counted`; null if that is not enough."""


Part = TypeVar("Part", bound=PartValue)
Bounds = Mapping[str, tuple[int, int]]


class VersionedParts(Generic[Part]):
    """The newest value of each part of some tables; computed again for what has changed.

    A survey changes one column of every running thing, mostly to the same moment: then values are
    only moved to that moment.
    """

    def __init__(self, whole: str, counted: str) -> None:
        """The topic of the tables, and that of the column."""
        self._whole, self._counted, self._lock = whole, counted, Lock()
        self._now: tuple[Hashable, TopicVersions, Mapping[str, Part]] | None = None

    def get(
        self,
        versions: TopicVersions,
        now: int,
        make: Callable[[Collection[str] | None], Mapping[str, Part]],
        bounds: Callable[[], Bounds],
        *more: Hashable,
    ) -> Mapping[str, Part]:
        """The value of each part; `make` computes those of these parts, or of all.

        `bounds` reads from when until when running things of each part count, and `more` is what
        all values depend on.
        """
        with self._lock:
            before = self._now
        if before is None or before[0] != more:
            values = make(None)
        else:
            was = before[1]
            news = {name for name, version in versions.items() if was.get(name) != version}
            values = self._updated(before[2], news, now, make, bounds)
        with self._lock:
            self._now = more, versions, values
        return values

    def _updated(
        self,
        before: Mapping[str, Part],
        news: Collection[str],
        now: int,
        make: Callable[[Collection[str] | None], Mapping[str, Part]],
        bounds: Callable[[], Bounds],
    ) -> Mapping[str, Part]:
        """The values after these topics have changed."""
        changed = {name.removeprefix(PART_PREFIX) for name in news if name.startswith(PART_PREFIX)}
        if self._whole in news and not changed:  # it is not known which part
            return make(None)
        values = {
            name: part
            for name, part in before.items()
            if name not in changed and part.now <= now < part.until
        }
        if self._counted in news:
            values = _moved(values, bounds(), now)
        if not (stale := (changed | before.keys()) - values.keys()):
            return values
        return make(None) if len(stale) > MANY else {**values, **make(stale)}


def _moved(values: Mapping[str, Part], bounds: Bounds, now: int) -> dict[str, Part]:
    """The values of which it is enough to move them to where their bounds are now."""
    moved: dict[str, Part] = {}
    for name, value in values.items():
        first, last = bounds.get(name, (0, 0))
        new = value.moved(first, now) if first == last else None
        if new is not None:
            moved[name] = new
    return moved
