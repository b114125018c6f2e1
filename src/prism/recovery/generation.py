"""Whether the database has every change of the machines, or is older than they are.

`generation.json` is beside the machines and says which database changed them last, and the number
of the last event of that database. A database whose number is smaller was restored from a backup:
it does not know what was launched, attached or destroyed since. Until the operator has decided,
Prism destroys and stops nothing because of that database. Event numbers continue after those that
were used before, so no number is used twice.
"""

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import JSON, Column, Connection, String, Table, select, update

from prism.errors import Conflict
from prism.kit import journal
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.events import Event
from prism.kit.tables import Utc, metadata
from prism.recovery import store
from prism.storage import store as storage
from prism.workspaces import store as workspaces

Why = Literal["older", "other", "new"]
SIZE = 256  # bytes of the file: it is written in place, also on a full disk
DECIDE = (
    "Restore a newer backup with `prism restore FILE`; or see what exists with `prism orphans`, "
    "and continue with this database: `prism recover --accept`"
)
identity = Table(
    "database_identity",
    metadata,
    Column("id", String, primary_key=True),
    Column("created_at", Utc, nullable=False),
    Column("behind", JSON(none_as_null=True)),
)


class DatabaseOlder(Conflict, code="DATABASE_OLDER"):
    """The database is older than the machines, so nothing is destroyed because of it."""


class DatabaseFoundBehind(Event, frozen=True, kw_only=True):
    """A daemon has started with a database that is older than the machines."""

    event: ClassVar[str] = "database_found_behind"
    why: Why
    newest: int
    known: int


class DatabaseAccepted(Event, frozen=True, kw_only=True):
    """The operator continues with a database that is older than the machines."""

    event: ClassVar[str] = "database_accepted"
    why: Why


class WrittenGeneration(Struct, frozen=True):
    """The database that changed the machines last, and its last event then."""

    database: str
    event: int


class DatabaseLag(Struct, frozen=True):
    """How a database is behind the machines: its own last event, and that at the machines."""

    why: Why
    newest: int
    known: int
    since: datetime

    @property
    def words(self) -> str:
        """The difference as a sentence."""
        if self.why == "older":
            gap = f"its last event is {self.newest}, but event {self.known} changed the machines"
            return f"the database is older than the machines: {gap}"
        if self.why == "other":
            return "these machines were last used with another database"
        return "the database is new, but these machines were used with another one before"


def why_behind(
    written: WrittenGeneration | None, database: str, newest: int, *, new: bool
) -> Why | None:
    """How the database is behind, from the file beside the machines; None if it is not."""
    if written is None:
        return None
    if written.database != database:
        return "new" if new else "other"
    return "older" if newest < written.event else None


class DatabaseGeneration:
    """The file beside the machines, compared with the database of this daemon."""

    def __init__(
        self, db: Database, clock: Clock, folder: Path, accepted: Callable[[Tx], None]
    ) -> None:
        """`accepted` is called before the operator's decision to continue is written."""
        self._db, self._clock, self._path = db, clock, folder / "generation.json"
        self._accepted = accepted
        self._database, self._writing = "", threading.Lock()
        self.behind: DatabaseLag | None = None

    def begin(self) -> None:
        """Compare both at a start; from then on the file follows the database."""
        written, now = read(self._path), self._clock.now()
        with self._db.write() as tx:
            row = tx.sql.execute(select(identity)).first()
            newest = journal.newest(tx.sql)
            self._database = str(row.id) if row else secrets.token_hex(16)
            if row is None:
                tx.sql.execute(identity.insert().values(id=self._database, created_at=now))
            self.behind = _stored_behind(tx.sql)
            new = row is None and _is_empty(tx.sql)
            why = why_behind(written, self._database, newest, new=new)
            if why and written:
                self._record_behind(tx, DatabaseLag(why, newest, written.event, whole(now)))
        self._db.identity = self._is_same_database
        self._db.committed.append(self.follow)
        self.follow()

    def follow(self, _: object = None) -> None:
        """Write the database's present event; read a decision that another daemon stored."""
        with self._writing:
            if self.behind is not None:
                with self._db.read() as sql:
                    self.behind = _stored_behind(sql)
        # Several threads commit: who comes later must not write a smaller number. What cannot be
        # written now is written at the next change.
        with self._writing, contextlib.suppress(OSError):
            text = json.dumps({"database": self._database, "event": self._db.newest_event()})
            try:
                file = self._open()
            except FileNotFoundError:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = self._open()
            try:
                os.pwrite(file, text.encode().ljust(SIZE), 0)
            finally:
                os.close(file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)

    @property
    def begun(self) -> bool:
        """Whether the database is known."""
        return bool(self._database)

    @property
    def text(self) -> str:
        """The text that is written on machines and volumes now."""
        return f"{self._database} {self._db.newest_event()}"

    def compare(self, texts: Iterable[str], *, first: bool) -> None:
        """Compare the database with the texts on machines and volumes of a location.

        Other installations may use this location with their own databases, so only texts of this
        database count. At a `first` look, another daemon may have found the difference before.
        """
        known = max(
            (event for text in texts if (event := self._event_of(text)) is not None), default=0
        )
        if not first and known <= self._db.newest_event():
            return
        with self._db.write() as tx:
            if self.behind is None:
                self.behind = _stored_behind(tx.sql)
            newest = journal.newest(tx.sql)
            if newest < known:
                self._record_behind(
                    tx, DatabaseLag("older", newest, known, whole(self._clock.now()))
                )

    def ours(self, keys: Collection[str]) -> set[str]:
        """The keys that have a row."""
        with self._db.read() as sql:
            return {*keys} & (store.known(sql) | store.known_storage(sql).keys())

    def is_paused(self, requested_at: datetime | None = None) -> bool:
        """Whether a request of that time must wait; without a time, whether any must.

        A request after the start of the daemon need not: its author sees the present state.
        """
        behind = self.behind
        if behind is None or behind.why == "new":
            return False
        return requested_at is None or requested_at <= behind.since

    def refuse(self) -> None:
        """Raise if nothing may be destroyed now."""
        if self.behind is not None and self.is_paused():
            raise DatabaseOlder(details=self.behind.words, remediation=DECIDE)

    def reasons(self) -> list[str]:
        """The reasons for the daemon's status."""
        return [f"{self.behind.words}. {DECIDE}"] if self.behind else []

    def accept(self, actor: str) -> DatabaseLag | None:
        """Continue with this database; returns how it was behind."""
        with self._db.write() as tx:
            behind = _stored_behind(tx.sql)
            if behind is not None:
                tx.sql.execute(update(identity).values(behind=None))
                event = DatabaseAccepted(actor=actor, subject="database", why=behind.why)
                tx.happened(event)
                self._accepted(tx)
        with self._writing:  # after other threads that still read the old state
            self.behind = None
        return behind

    def _record_behind(self, tx: Tx, behind: DatabaseLag) -> None:
        if self.behind is None or self.behind.why == "new":
            self.behind = behind
            tx.sql.execute(update(identity).values(behind=msgspec.to_builtins(behind)))
        fact = DatabaseFoundBehind(
            actor="prism",
            subject="database",
            why=behind.why,
            newest=behind.newest,
            known=behind.known,
        )
        if behind.known >= behind.newest:
            journal.record_at(tx.sql, fact, self._clock.now(), behind.known + 1)
        else:
            tx.happened(fact)

    def _event_of(self, text: str) -> int | None:
        """The event number in a text; None if another database wrote it."""
        database, _, event = text.partition(" ")
        return int(event) if database == self._database and event.isdecimal() else None

    def _is_same_database(self, sql: Connection) -> bool:
        """Whether the connection is to the database that this daemon was started with."""
        return bool(sql.execute(select(identity.c.id)).scalar() == self._database)


def read(path: Path) -> WrittenGeneration | None:
    """The file beside the machines; None if it is missing or incomplete."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=WrittenGeneration)
    except (OSError, msgspec.MsgspecError):
        return None


def _is_empty(sql: Connection) -> bool:
    """Whether the database has no workspace, volume or snapshot."""
    tables = (workspaces.workspaces, storage.volumes, storage.snapshots)
    return not any(sql.execute(select(table.c.id).limit(1)).first() for table in tables)


def _stored_behind(sql: Connection) -> DatabaseLag | None:
    stored = sql.execute(select(identity.c.behind)).scalar()
    return None if stored is None else msgspec.convert(stored, DatabaseLag, strict=False)
