"""Transactions: one per request or reconciliation, one writer at a time, on both databases.

    with db.write() as tx:
        tx.sql.execute(...)
        tx.happened(WorkspaceAsked(...))   # a row of the same transaction

Leaving the block commits, and only then are listeners called. If the commit fails, leaving
the block raises, so no code after it can report success.

A block inside a block is part of the outer transaction: it commits with it, or not at all. If
an error leaves the inner block, its changes and events are undone, even if the outer one goes on.

A database that is away, full, damaged or busy raises `DatabaseUnavailable`, which is answered
with 503; `troubles` reports it until some time after it has ended. No request waits for longer
than `patience` seconds. Writers and readers have separate connections, so reads go on while
writers wait.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from prism.kit import journal
from prism.kit.clock import Clock
from prism.kit.database import versions
from prism.kit.database.database_faults import (
    RESTORE_HINT,
    DatabaseDamaged,
    DatabaseFull,
    DatabaseLost,
    DatabaseMigrated,
    DatabaseUnavailable,
    diagnose,
)
from prism.kit.database.no_copy_on_write import keep_index_in_place
from prism.kit.events import Bus, Event, RecordedEvent

ONE_WRITER = text("SELECT pg_advisory_xact_lock(8947)")
CURRENT_REVISION = text("SELECT version_num FROM alembic_version")
NOTIFY = text("NOTIFY prism")
HOLDER = text(
    "SELECT a.application_name, coalesce(a.state, 'unknown'),"
    " extract(epoch FROM clock_timestamp() - a.xact_start)"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.objid = 8947 AND l.granted AND a.pid <> pg_backend_pid()"
)
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 4000",  # pages; one that is written twice before is copied once
)
WRITE_TIMEOUT = 10.0  # seconds that a request waits for the database
PROBLEM_SECONDS = 30.0  # seconds for which a problem is reported after it occurred last
CACHED = 32 * 2**10  # KiB of the file that the writer keeps: sums of a large pool read many pages
LARGEST_CHECKED = 64 * 2**20  # bytes of a file that a start checks whole
LONG_WAIT = 2.0  # seconds that a writer waits before that is reported


class Tx:
    """An open transaction and its events."""

    def __init__(self, sql: Connection) -> None:
        self.sql = sql
        self.events: list[Event] = []
        self.rows: dict[str, Any] = {}
        """The changed rows by id, if the code that changes them keeps them here."""
        self.newest = 0
        """The id of its last event, once it has committed."""

    def happened(self, event: Event) -> None:
        """Record an event, to be announced once this commits."""
        self.events.append(event)


CURRENT_TX: ContextVar[Tx | None] = ContextVar("CURRENT_TX", default=None)
# How many transactions of this process wrote a table, by the database's URL and its name.
WRITTEN: Counter[tuple[str, str]] = Counter()


class Database:
    """The engines, and the only place that commits."""

    def __init__(self, url: str, clock: Clock, bus: Bus, patience: float = WRITE_TIMEOUT) -> None:
        self.bus = bus
        self.patience = patience
        self.shared = not url.startswith("sqlite")
        self.url = url
        self.identity: Callable[[Connection], bool] | None = None
        """Whether a connection leads to the database of this daemon; set once that is known."""
        self.revision: str | None = None
        """The revision of the tables that this program writes; set once it has migrated them."""
        self.full: Callable[[], object] = lambda: None
        """Called when the disk is full, to free space for the next attempt."""
        self.committed: list[Callable[[Tx | None], object]] = []
        """Called after each commit with events, before it is announced, to update caches.

        With the transaction, unless another daemon has committed.
        """
        self._clock = clock
        self._newest, self._lock = 0, threading.Lock()
        self._problems: dict[bool, tuple[float, DatabaseUnavailable]] = {}  # by whether it wrote
        self._table_buses: dict[str, Bus] = {}  # of tables that somebody has listened to
        self._queue: dict[object, float] = {}  # since when each writer waits for its turn
        opened = _postgres if self.shared else _sqlite
        self.writer, self._readers = opened(url, patience)
        self._file = None if self.shared else self.writer.url.database
        self._inode: int | None = None
        self._closed = False
        for engine in (self.writer, self._readers):
            event.listen(engine.pool, "checkin", self._checked_in)
            event.listen(engine, "connect", lambda *_: self._note_inode())
        event.listen(self.writer, "after_execute", versions.note)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Open the transaction; commit it with its events, then call the listeners."""
        if (outer := CURRENT_TX.get()) is not None:
            event_count, rows = len(outer.events), dict(outer.rows)
            try:
                # The answer is made within the outer block, so errors must be translated here.
                with self._translate_errors(writing=True), outer.sql.begin_nested():
                    yield outer
            except BaseException:
                del outer.events[event_count:]
                outer.rows = rows
                versions.forget_read(outer.sql)
                raise
            return
        self._check_file()
        with self._track_errors(writing=True), self._turn() as connection:
            tx = Tx(connection)
            CURRENT_TX.set(tx)
            try:
                yield tx
            finally:
                # Not a token: a middleware enters and leaves this block in two contexts.
                CURRENT_TX.set(None)
            versions.renew(connection)
            if tx.events:
                newest = journal.record(connection, tx.events, self._clock.now())
                if self.shared:
                    connection.execute(NOTIFY)
        if tx.events:
            tx.newest = newest
            self._remember(newest)
            self.announce(tx)

    @contextmanager
    def _turn(self) -> Iterator[Connection]:
        """The transaction of the one writer, once earlier writers have ended."""
        ticket, tables = object(), set[str]()
        self._queue[ticket] = time.monotonic()
        try:
            with self.writer.begin() as connection:
                if self.shared:
                    # One writer makes ids grow in commit order, so a reader that resumes misses
                    # nothing, and makes check-then-write (a budget, a claim) safe as it stands.
                    # It must be READ COMMITTED: a snapshot taken before the lock would be stale.
                    connection.execute(ONE_WRITER)
                    self._require_revision(connection)
                self._queue.pop(ticket)
                versions.forget(connection, tables)
                yield connection
        finally:
            self._queue.pop(ticket, None)
            with self._lock:  # also after an error: a failed commit may have been done
                WRITTEN.update((self.url, table) for table in tables)
            for table in tables:
                if (bus := self._table_buses.get(table)) is not None:
                    bus.notify()

    def _require_revision(self, connection: Connection) -> None:
        """Raise if a newer daemon has migrated the database, which waits for writers, too.

        This program does not know what the newer one needs in each row.
        """
        if self.revision is None:
            return
        if (at := connection.execute(CURRENT_REVISION).scalar_one_or_none()) != self.revision:
            raise DatabaseMigrated(
                details=f"it is at revision {at}, and this daemon writes {self.revision}",
                remediation="Try again at the newer daemon, and replace this one by its version",
            )

    @contextmanager
    def _track_errors(self, *, writing: bool) -> Iterator[None]:
        """Report a problem with the database until it has worked again."""
        with self._translate_errors(writing=writing):
            yield
        if not self.lost:
            self._problems.pop(writing, None)

    @contextmanager
    def _translate_errors(self, *, writing: bool) -> Iterator[None]:
        """Raise a problem with the database in place of the driver's error."""
        try:
            yield
        except DatabaseUnavailable as away:
            self._problems[writing] = time.monotonic(), away
            raise
        except SQLAlchemyError as error:
            if (problem := diagnose(error, writing=writing)) is None:
                raise
            self._problems[writing] = time.monotonic(), problem
            if isinstance(problem, DatabaseFull):
                self.full()
            raise problem from error

    def written(self, table: Table) -> int | None:
        """How often a table was written so far; None if another daemon may write too."""
        return None if self.shared else WRITTEN[self.url, table.name]

    @contextmanager
    def listening(self, table: Table, callback: Callable[[], object]) -> Iterator[None]:
        """Call `callback` after each commit that may have changed the table.

        Of another daemon's commits only those with events are known, whatever they changed.
        """
        bus = self.bus if self.shared else self._table_buses.setdefault(table.name, Bus())
        with bus.listening(callback):
            yield

    @property
    def lost(self) -> bool:
        """Whether the last check found another database than the one whose content is cached."""
        return any(isinstance(why, DatabaseLost) for _, why in tuple(self._problems.values()))

    def look(self) -> None:
        """Check that the database answers and is the same; raises `DatabaseUnavailable`."""
        self._check_file()
        newest = self._newest  # before the read, which would not show a commit of a moment later
        with self.read() as sql:
            is_current = journal.newest(sql) >= newest
            if not is_current or (self.identity is not None and not self.identity(sql)):
                raise DatabaseLost(
                    details="it was restored or replaced while the daemon ran",
                    remediation="Restart the daemon: `prism daemon stop`, then any command",
                )
        if self.lost:
            self._problems.clear()

    def check(self) -> None:
        """Check a whole SQLite file, unless it is large; raises `DatabaseDamaged`."""
        if self._file is None or os.path.getsize(self._file) > LARGEST_CHECKED:
            return
        with self.read() as sql:
            verdict = sql.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if verdict != "ok":
                raise DatabaseDamaged(details=f"{self._file}: {verdict}", remediation=RESTORE_HINT)

    def _note_inode(self) -> None:
        """Remember the inode of the file."""
        if self._file is not None and self._inode is None:
            self._inode = os.stat(self._file).st_ino

    def _check_file(self) -> None:
        """Raise if the file was removed or replaced: what is written to it would be lost."""
        if self._file is None or self._inode is None:
            return
        try:
            is_replaced = os.stat(self._file).st_ino != self._inode
        except OSError:
            is_replaced = True
        if is_replaced:
            details = f"{self._file} was removed or replaced while the daemon ran"
            away = DatabaseLost(details=details, remediation=RESTORE_HINT)
            self._problems[False] = time.monotonic(), away
            raise away

    def troubles(self) -> list[str]:
        """The problems of the database, now or some seconds ago; asks the database."""
        holder = None
        try:
            self.look()
            if self.shared:
                with self.read() as sql:
                    holder = sql.execute(HOLDER).first()
        except DatabaseUnavailable as away:
            self._problems[False] = time.monotonic(), away
        now = time.monotonic()
        recent = [why for at, why in tuple(self._problems.values()) if now - at < PROBLEM_SECONDS]
        texts = list(dict.fromkeys(f"{why.message.rstrip('.')}: {why.details}" for why in recent))
        waiting = max((now - since for since in tuple(self._queue.values())), default=0.0)
        if waiting > LONG_WAIT:
            note = f"; {holder[0]} ({holder[1]}) holds it for {holder[2]:.0f} s" if holder else ""
            texts.append(f"changes wait for {waiting:.0f} s for their turn{note}")
        return texts

    def announce(self, tx: Tx | None = None) -> None:
        """Call the listeners for new events: those of `tx`, or another daemon's."""
        for refresh in self.committed:
            refresh(tx)
        self.bus.notify()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent read, which waits for no writer and cannot write."""
        if (outer := CURRENT_TX.get()) is not None:
            with self._translate_errors(writing=False):
                yield outer.sql  # a read within a transaction sees what it has written
            return
        with self._track_errors(writing=False), self._readers.begin() as connection:
            versions.forget(connection, set())
            yield connection

    def versions(self, sql: Connection) -> versions.TopicVersions | None:
        """The versions that a read sees; None within a transaction, which has none yet."""
        return None if CURRENT_TX.get() is not None else versions.current(sql)

    def events_after(self, id: int) -> list[RecordedEvent]:
        """The next page of events."""
        with self.read() as connection:
            return journal.after(connection, id)

    def newest_event(self) -> int:
        """The id of the last event."""
        if self._newest and not self.shared:  # no other daemon can have written one
            return self._newest
        with self.read() as connection:
            newest = journal.newest(connection)
        self._remember(newest)
        return newest

    def _remember(self, newest: int) -> None:
        with self._lock:  # commits are in order, the threads that return from them are not
            self._newest = max(self._newest, newest)

    def close(self) -> None:
        """Close every connection; one that is in use closes at the end of its block."""
        self._closed = True
        self.writer.dispose()
        self._readers.dispose()

    def _checked_in(self, raw: Any, record: Any) -> None:
        if self._closed and raw is not None:
            record.invalidate()


def _postgres(url: str, patience: float) -> tuple[Engine, Engine]:
    from prism.kit.database.postgres import engine, reading, writing  # noqa: PLC0415  cold start: psycopg

    pool = {"pool_pre_ping": True, "pool_timeout": patience}
    writer = engine(url, writing(patience), pool_size=4, max_overflow=8, **pool)
    readers = engine(url, reading(patience), pool_size=4, max_overflow=8, **pool)
    steady = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return writer, readers.execution_options(**steady)


def _sqlite(url: str, patience: float) -> tuple[Engine, Engine]:
    if path := make_url(url).database:
        keep_index_in_place(path)
    waiting = {"timeout": patience, "check_same_thread": False}
    # The file is this daemon's own: what waits here waits for this daemon's other writers.
    pool = {"pool_timeout": patience * 3, "connect_args": waiting}
    writer = create_engine(url, pool_size=1, max_overflow=0, **pool)
    readers = create_engine(url, pool_size=8, **pool)
    for engine, opening in ((writer, "BEGIN IMMEDIATE"), (readers, "BEGIN")):
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", lambda c, opening=opening: c.exec_driver_sql(opening))
    event.listen(writer, "connect", lambda raw, _: raw.execute(f"PRAGMA cache_size = -{CACHED}"))
    event.listen(readers, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON"))
    return writer, readers


def _prepare(raw: Any, _: Any) -> None:
    raw.isolation_level = None  # sqlite3 would begin deferred transactions by itself
    for pragma in PRAGMAS:
        raw.execute(f"PRAGMA {pragma}")
