"""One thought, one transaction; one writer at a time, on both databases.

    with db.write() as tx:
        tx.sql.execute(...)
        tx.happened(WorkspaceAsked(...))   # a row of the same transaction

Leaving the block commits; only then are listeners told. A commit that fails raises in
the block's place, so whoever answers afterwards cannot answer yes.

A block inside a block is part of the outer thought: it commits with it, or not at all. What
leaves the inner block by an error is undone, facts included, even where the outer one goes on.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text

from prism.kit import journal
from prism.kit.clock import Clock
from prism.kit.events import Bus, Event, Recorded
from prism.kit.tables import metadata

ONE_WRITER = text("SELECT pg_advisory_xact_lock(8947)")
NOTIFY = text("NOTIFY prism")


class Tx:
    """An open transaction and the facts it will make true."""

    def __init__(self, sql: Connection) -> None:
        self.sql = sql
        self.events: list[Event] = []

    def happened(self, event: Event) -> None:
        """Record a fact, to be told once this commits."""
        self.events.append(event)


CURRENT: ContextVar[Tx | None] = ContextVar("CURRENT", default=None)


class Database:
    """The engines, and the only place that commits."""

    def __init__(self, url: str, clock: Clock, bus: Bus) -> None:
        self.bus = bus
        self.shared = not url.startswith("sqlite")
        self.url = url
        self.committed: list[Callable[[], object]] = []
        """Called after each commit with facts, before it is told: state kept in memory."""
        self._clock = clock
        self._newest, self._lock = 0, threading.Lock()
        self.writer, self._readers = _postgres(url) if self.shared else _sqlite(url)
        self._closed = False
        for engine in (self.writer, self._readers):
            event.listen(engine.pool, "checkin", self._back)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Open the transaction; commit it with its facts, then tell."""
        if (outer := CURRENT.get()) is not None:
            told = len(outer.events)
            try:
                with outer.sql.begin_nested():
                    yield outer
            except BaseException:
                del outer.events[told:]
                raise
            return
        newest = 0
        with self.writer.begin() as connection:
            if self.shared:
                # One writer makes ids grow in commit order, so a reader that resumes misses
                # nothing, and makes check-then-write (a budget, a claim) safe as it stands.
                # It must be READ COMMITTED: a snapshot taken before the lock would be stale.
                connection.execute(ONE_WRITER)
            tx = Tx(connection)
            CURRENT.set(tx)
            try:
                yield tx
            finally:
                # Not a token: a middleware enters and leaves this block in two contexts.
                CURRENT.set(None)
            if tx.events:
                newest = journal.record(connection, tx.events, self._clock.now())
                if self.shared:
                    connection.execute(NOTIFY)
        if newest:
            self._remember(newest)
            self.tell()

    def tell(self) -> None:
        """Say that there are new facts, ours or another daemon's."""
        for refresh in self.committed:
            refresh()
        self.bus.ring()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent look that waits for no writer and cannot write."""
        if (outer := CURRENT.get()) is not None:
            yield outer.sql  # what this thought has written so far is part of its look
            return
        with self._readers.begin() as connection:
            yield connection

    def facts_after(self, id: int) -> list[Recorded]:
        """The next page of facts."""
        with self.read() as connection:
            return journal.after(connection, id)

    @property
    def known_fact(self) -> int | None:
        """The id of the last fact, if no other daemon can have written one."""
        return None if self.shared else self._newest or None

    def newest_fact(self) -> int:
        """The id of the last fact."""
        if known := self.known_fact:
            return known
        with self.read() as connection:
            newest = journal.newest(connection)
        self._remember(newest)
        return newest

    def create_tables(self) -> None:
        """Make the schema without its history, for tests."""
        with self.writer.begin() as connection:
            metadata.create_all(connection)

    def _remember(self, newest: int) -> None:
        with self._lock:  # commits are in order, the threads that return from them are not
            self._newest = max(self._newest, newest)

    def close(self) -> None:
        """Let go of every connection; one that is in use ends with its block."""
        self._closed = True
        self.writer.dispose()
        self._readers.dispose()

    def _back(self, raw: Any, record: Any) -> None:
        if self._closed and raw is not None:
            record.invalidate()


def _postgres(url: str) -> tuple[Engine, Engine]:
    engine = create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=16)
    steady = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return engine, engine.execution_options(**steady)


def _sqlite(url: str) -> tuple[Engine, Engine]:
    waiting = {"timeout": 30, "check_same_thread": False}
    writer = create_engine(url, pool_size=1, max_overflow=0, connect_args=waiting)
    readers = create_engine(url, pool_size=8, connect_args=waiting)
    for engine, opening in ((writer, "BEGIN IMMEDIATE"), (readers, "BEGIN")):
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", lambda c, opening=opening: c.exec_driver_sql(opening))
    event.listen(readers, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON"))
    return writer, readers


def _prepare(raw: Any, _: Any) -> None:
    raw.isolation_level = None  # sqlite3 would open deferred transactions behind our back
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        raw.execute(f"PRAGMA {pragma}")
