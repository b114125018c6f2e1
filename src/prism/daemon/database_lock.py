"""A SQLite file belongs to one daemon at a time, whichever home that runs in.

The lock of a home does not tell two homes whose `PRISM_DATABASE_URL` names one file. Each would
take the other's work for its own. It is a file of its own: SQLite loses its locks on a database
when any descriptor of it is closed.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import make_url

from prism.errors import Conflict


class DatabaseInUse(Conflict, code="DATABASE_IN_USE"):
    """A daemon of another home uses this SQLite file."""


@contextmanager
def hold_database(url: str, home: Path) -> Iterator[None]:
    """Lock a SQLite file, or say in `DatabaseInUse` which home holds it; PostgreSQL is shared."""
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


def _in_use(file: Path, holder: bytes) -> DatabaseInUse:
    """What is wrong, and how to end the other daemon; `holder` is what the lock's file says."""
    home = os.fsdecode(holder)
    is_known = home.startswith("/") and home.isprintable()
    stop = (
        f"`PRISM_HOME={shlex.quote(home)} prism daemon stop`"
        if is_known
        else "`prism daemon stop`, with PRISM_HOME set to its home"
    )
    held = f"its home is {home}; " if is_known else ""
    return DatabaseInUse(
        f"A daemon of another home uses {file}",
        details=f"{held}several daemons can share a PostgreSQL database, but not a SQLite file",
        remediation="Unset PRISM_DATABASE_URL, so that this home has a database of its own; or "
        f"end the other one: {stop}",
    )
