"""Translates errors of database drivers into problems; a pure function.

SQLite identifies an error by its name, PostgreSQL by its SQLSTATE. An error of the statement, such
as a violated constraint, is not a problem of the database and is not translated.
"""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from prism.errors import Conflict, Unavailable

RETRY_HINT = "Try again in some seconds; if it lasts: `prism doctor`"
RESTORE_HINT = (
    "Stop the daemon (`prism daemon stop`) and restore a backup: `prism restore FILE`. Without "
    "a backup, move the database away; the next start makes a new one, and `prism recover` "
    "restores the workspaces"
)
CONNECT_HINT = "Start the database, or correct PRISM_DATABASE_URL; `prism doctor` checks it"


class DatabaseUnavailable(Unavailable, code="DATABASE_UNAVAILABLE"):
    """The database does not answer."""


class DatabaseBusy(DatabaseUnavailable, code="DATABASE_BUSY"):
    """Another program keeps the database busy."""


class DatabaseMigrated(DatabaseUnavailable, code="DATABASE_MIGRATED"):
    """A newer version of Prism has changed the tables of the database."""


class DatabaseFull(DatabaseUnavailable, code="DATABASE_FULL"):
    """The disk of the database is full."""


class DatabaseReadOnly(DatabaseUnavailable, code="DATABASE_READ_ONLY"):
    """The database cannot be written."""


class DatabaseDamaged(DatabaseUnavailable, code="DATABASE_DAMAGED"):
    """The database is damaged."""


class DatabaseLost(DatabaseUnavailable, code="DATABASE_LOST"):
    """The database is not the one that this daemon was started with."""


class DatabaseNotUnicode(Conflict, code="DATABASE_NOT_UNICODE"):
    """The database cannot hold every text, because its encoding is not UTF-8."""


Kind = type[DatabaseUnavailable]
HINTS: dict[Kind, str] = {
    DatabaseUnavailable: CONNECT_HINT,
    DatabaseBusy: RETRY_HINT,
    DatabaseFull: "Free space on its disk (`prism clean`, if that is the home's); try again",
    DatabaseReadOnly: "Make the database writable again; `prism doctor` checks it",
    DatabaseDamaged: RESTORE_HINT,
    DatabaseLost: RESTORE_HINT,
}
# By the beginning of SQLite's name for an error; the extended names are longer.
SQLITE: dict[str, Kind] = {
    "SQLITE_BUSY": DatabaseBusy,
    "SQLITE_LOCKED": DatabaseBusy,
    "SQLITE_FULL": DatabaseFull,
    "SQLITE_IOERR": DatabaseUnavailable,
    "SQLITE_CANTOPEN": DatabaseUnavailable,
    "SQLITE_PERM": DatabaseUnavailable,
    "SQLITE_PROTOCOL": DatabaseBusy,
    "SQLITE_READONLY": DatabaseReadOnly,
    "SQLITE_CORRUPT": DatabaseDamaged,
    "SQLITE_NOTADB": DatabaseDamaged,
}
# By SQLSTATE, the longest beginning that fits; two characters are a class of states.
POSTGRES: dict[str, Kind] = {
    "08": DatabaseUnavailable,
    "25006": DatabaseReadOnly,  # a standby, since the server was switched
    "25P03": DatabaseBusy,  # the server ended a transaction that we held for too long
    "28": DatabaseUnavailable,
    "3D000": DatabaseLost,
    "40": DatabaseBusy,
    "42P01": DatabaseLost,  # no such table
    "53": DatabaseBusy,
    "53100": DatabaseFull,
    "55P03": DatabaseBusy,  # lock_timeout
    "57": DatabaseUnavailable,
    "57014": DatabaseBusy,  # statement_timeout
    "58": DatabaseUnavailable,
    "58030": DatabaseUnavailable,
    "XX001": DatabaseDamaged,
    "XX002": DatabaseDamaged,
}


def diagnose(error: SQLAlchemyError, *, writing: bool) -> DatabaseUnavailable | None:
    """The problem of the database; None if the error is one of the statement.

    If a reader tries to write, that is a bug; if a writer cannot write, that is a problem.
    """
    if isinstance(error, PoolTimeout):
        return _problem(DatabaseBusy, "every connection to it is in use")
    if not isinstance(error, DBAPIError):
        return None
    kind = _kind(error)
    if kind is None or (kind is DatabaseReadOnly and not writing):
        return None
    return _problem(kind, _first_line(error))


def _kind(error: DBAPIError) -> Kind | None:
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _sqlite_kind(original)
    state = getattr(original, "sqlstate", None)
    if state is None:  # the connection failed before the server could say anything
        is_lost = isinstance(error, OperationalError | InterfaceError)
        return DatabaseUnavailable if is_lost else None
    fits = [known for known in POSTGRES if state.startswith(known)]
    return POSTGRES[max(fits, key=len)] if fits else None


def _sqlite_kind(error: sqlite3.Error) -> Kind | None:
    name: str = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_ERROR" and str(error).startswith("no such table"):
        return DatabaseLost
    return next((kind for known, kind in SQLITE.items() if name.startswith(known)), None)


def _first_line(error: DBAPIError) -> str:
    """The driver's first line; it names hosts and tables, never a password."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def _problem(kind: Kind, details: str) -> DatabaseUnavailable:
    return kind(details=details, remediation=HINTS[kind])
