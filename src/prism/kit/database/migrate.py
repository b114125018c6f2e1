"""Brings a database to the schema of this version.

The migrations are a folder of Alembic. Its files are named by their revisions, which
count up: `0001_foundation.py`. Importing Alembic costs a start 0.2 s, so Alembic's row in
the database is compared with the newest file first.

All migrations run in one transaction, and two daemons never migrate a database at the
same time. A SQLite file that is not empty is copied before.
"""

import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, inspect

from prism.errors import Conflict
from prism.kit.db import CURRENT_REVISION, ONE_WRITER


class DatabaseNewer(Conflict, code="DATABASE_NEWER"):
    """A newer version of Prism has used the database."""


def upgrade(url: str, folder: Path) -> None:
    """Migrate the database, which may be empty, to the newest revision of the folder."""
    engine, known = _engine(url), revisions(folder)
    try:
        with engine.connect() as connection:
            old = _revision(connection, known) != known[-1]
        if old:
            _migrate(engine, folder, known)
    finally:
        engine.dispose()


def revisions(folder: Path) -> list[str]:
    """All revisions that this version of Prism knows, the oldest first."""
    return sorted(file.stem.partition("_")[0] for file in folder.glob("versions/[0-9]*.py"))


def _migrate(engine: Engine, folder: Path, known: list[str]) -> None:
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    with ExitStack() as undo:
        with engine.begin() as connection:
            if file is None:
                connection.execute(ONE_WRITER)
            at = _revision(connection, known)
            if file and at:
                undo.callback(_restore, _copy(Path(file), known[-1]), Path(file))
            if at != known[-1]:  # else another daemon was faster
                _run(connection, folder)
        undo.pop_all()


def _run(connection: Connection, folder: Path) -> None:
    from alembic import command  # noqa: PLC0415  cold start: most starts have nothing to do
    from alembic.config import Config  # noqa: PLC0415  cold start

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, "head")


def _revision(connection: Connection, known: list[str]) -> str | None:
    """The revision of the database; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    at: str | None = connection.execute(CURRENT_REVISION).scalar_one_or_none()
    if at is not None and at not in known:
        raise DatabaseNewer(
            details=f"it is at revision {at}, and this Prism knows {known[-1]} at most",
            remediation="Start the version of Prism that used it last, or a newer one",
        )
    return at


def _copy(file: Path, revision: str) -> Path:
    copy = file.with_name(f"{file.name}.before-{revision}")
    os.close(os.open(copy, os.O_CREAT, 0o600))
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _restore(copy: Path, file: Path) -> None:
    for log in ("-wal", "-shm"):  # they belong to the file that is replaced
        file.with_name(file.name + log).unlink(missing_ok=True)
    copy.replace(file)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        from prism.kit.database import postgres  # noqa: PLC0415  cold start: psycopg

        limits = postgres.DatabaseTimeouts(lock=30, statement=600, idle=60)
        return postgres.engine(url, limits, poolclass=NullPool)
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _set_up_sqlite(raw: sqlite3.Connection, _: object) -> None:
    raw.isolation_level = None  # sqlite3 would commit before each change of a table
    # A commit writes whole pages, and a launch changes few bytes in each of many. It holds for a
    # new file only: an existing one keeps its page size.
    raw.execute("PRAGMA page_size = 1024")
    raw.execute("PRAGMA busy_timeout = 30000")
