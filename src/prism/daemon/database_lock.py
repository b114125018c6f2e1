"""Locks a SQLite file for one daemon at a time, also across homes.

The lock of a home does not help if the `PRISM_DATABASE_URL` of two homes names the same file:
each daemon would take over the other's rows. The lock is a separate file, because SQLite loses
its locks on a database when any descriptor of it is closed.
"""

import fcntl
import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url

from prism.errors import Conflict


class DatabaseInUse(Conflict, code="DATABASE_IN_USE"):
    """A daemon of another home uses this SQLite file."""


@contextmanager
def hold_database(url: str, home: Path) -> Iterator[None]:
    """Lock a SQLite file; `DatabaseInUse` names the home that holds it. PostgreSQL is shared."""
    parts = make_url(url)
    is_file = parts.get_backend_name() == "sqlite" and parts.database not in {None, "", ":memory:"}
    file = Path(parts.database or "").resolve()
    if not is_file or not file.parent.is_dir():
        yield
        return
    with file.with_name(f"{file.name}.lock").open("a+b", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(file, os.pread(lock.fileno(), 4096, 0)) from None
        lock.truncate(0)
        with suppress(OSError):  # a full disk must not keep a daemon from starting
            lock.write(os.fsencode(home.absolute()))
        try:
            yield
        finally:
            lock.truncate(0)


def earlier_locations(url: str) -> list[str]:
    """The locations in a SQLite file, read before it is migrated; none in any other database."""
    parts = make_url(url)
    file = Path(parts.database or "")
    if parts.get_backend_name() != "sqlite" or not file.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as sql:
            rows = sql.execute("SELECT place FROM workspaces UNION SELECT place FROM volumes")
            return [str(location) for (location,) in rows]
    except sqlite3.Error:  # another version's tables; the migration says what is wrong
        return []


def _in_use(file: Path, holder: bytes) -> DatabaseInUse:
    """The problem, with the command that ends the other daemon; `holder` is the lock's content."""
    home = os.fsdecode(holder)
    is_known = home.startswith("/") and home.isprintable()
    stop = (
        f"`PRISM_HOME={shlex.quote(home)} prism daemon stop`"
        if is_known
        else "`prism daemon stop`, with PRISM_HOME set to its home"
    )
    owner = f"its home is {home}; " if is_known else ""
    return DatabaseInUse(
        f"A daemon of another home uses {file}",
        details=f"{owner}several daemons can share a PostgreSQL database, but not a SQLite file",
        remediation="Unset PRISM_DATABASE_URL, so that this home has a database of its own; or "
        f"end the other one: {stop}",
    )
