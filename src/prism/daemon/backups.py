"""Backs up and restores the database: `python -m prism.daemon.backups`.

A backup is one file: a tar of the database and a manifest, which contains the kind of database,
the time and the hash of the content. SQLite's online backup copies the database even while a
daemon runs. From PostgreSQL, which other programs may use too, `pg_dump` copies only Prism's
tables. A restore requires that no daemon runs. It keeps the present state in a file beside it,
refuses an incomplete backup, and is atomic: at each moment, the whole state is either old or
restored.
"""

import argparse
import ctypes
import errno
import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from prism import __version__
from prism.daemon.answer import print_answer
from prism.daemon.database_lock import hold_database
from prism.daemon.dump_listing import selection, tables_of
from prism.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from prism.kit.clock import WallClock
from prism.settings import Settings

MANIFEST, CONTENT = "manifest.json", {"sqlite": "state.db", "postgresql": "state.dump"}
FORMAT = 2  # a PostgreSQL dump of format 1 may contain tables of other programs
BACKUP_CHUNK = 2**20
VERSIONS = "alembic_version"
TABLES_QUERY = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
SCHEMA = "SELECT current_schema()"
RENAME_NOREPLACE, AT_FDCWD = 1, -100
LOCKED_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
OTHERS = (
    "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name LIKE 'prism %'"
)


class BackupInvalid(Invalid, code="BACKUP_INVALID"):
    """The backup cannot be restored here."""


class DaemonRuns(Conflict, code="DAEMON_RUNS"):
    """A daemon uses the state."""


def create(settings: Settings, target: Path) -> dict[str, Any]:
    """Write a backup into a new file; returns its manifest."""
    if target.exists():
        raise Conflict(f"{target} already exists", remediation="Choose another file name")
    url = make_url(settings.database)
    kind = url.get_backend_name()
    with (
        _writing(target.parent),
        tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder,
    ):
        content = Path(folder) / CONTENT[kind]
        (_dump if kind == "postgresql" else _copy)(url, content)
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "version": __version__,
            "made_at": WallClock().now().isoformat(timespec="seconds"),
            "bytes": content.stat().st_size,
            "sha256": _hash(content),
        }
        draft = Path(folder) / "backup.tar"
        _pack(draft, manifest, content)
        _publish(draft, target)
    return {"file": str(target), **manifest}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn an error of the place of a backup into a problem that names it."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise _cannot_write(folder, error.strerror or error) from error


def _publish(draft: Path, target: Path) -> None:
    """Give a draft its name atomically; never replaces another file."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # the file system has no links, as on a memory stick
        _rename(draft, target)
    _sync(target.parent)


def _rename(draft: Path, target: Path) -> None:
    """Rename a file; raise `FileExistsError` if the new name is taken."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    paths = AT_FDCWD, os.fsencode(draft), AT_FDCWD, os.fsencode(target)
    if rename is not None and not rename(*paths, RENAME_NOREPLACE):
        return
    if rename is not None and ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    # Without either, an empty file reserves the name until the draft replaces it.
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    draft.replace(target)


def restore(settings: Settings, source: Path) -> dict[str, Any]:
    """Replace the state by a backup; returns its manifest, and the file of the previous state."""
    url = make_url(settings.database)
    kind = url.get_backend_name()
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Beside the SQLite file, which may not be on the home's disk, so that renaming is atomic.
    state = Path(url.database or "") if kind == "sqlite" else settings.folder / CONTENT["sqlite"]
    state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    prefix = f"{state.name}.restore-"
    with exclusive(settings):
        _sweep(state.parent, prefix)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=state.parent) as folder:
            content = Path(folder) / CONTENT[kind]
            manifest = _unpack(source, kind, content)
            if kind == "sqlite":
                previous = _exchange(state, content)
            else:
                previous = _load(url, settings.folder, content, only_prism=manifest["format"] > 1)
            return {"file": str(source), "kept": previous and str(previous), **manifest}


def _sweep(beside: Path, prefix: str) -> None:
    """Remove the folders of killed restores; the caller holds the locks."""
    pattern = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")  # as `tempfile` names them
    for entry in beside.iterdir():
        if pattern.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)


def _copy(url: URL, target: Path) -> None:
    file = Path(url.database or "")
    if not file.exists():
        raise NotFound(f"There is no database {file}", remediation="No backup was made")
    try:
        with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(target)) as copy:
            now.backup(copy)
    except sqlite3.Error as error:
        # SQLite does not say which of the two files it could not use.
        _require_intact(file)
        raise _cannot_write(target.parent.parent, error) from error
    if (verdict := _check(target, "quick_check")) != "ok":
        _require_intact(file)
        raise _cannot_write(target.parent.parent, f"what was written reads as: {verdict}")


def _require_intact(file: Path) -> None:
    """Raise if the present database is damaged or cannot be read."""
    if (verdict := _check(file, "quick_check")) != "ok":
        raise Unavailable(
            f"{file} is damaged, so no backup was made",
            details=verdict,
            remediation="Restore an older backup: `prism restore FILE`",
        )


def _check(file: Path, pragma: str) -> str:
    """The first finding of SQLite's check of a file, `ok` if it is intact, or why it failed."""
    try:
        with closing(sqlite3.connect(file)) as database:
            [[verdict]] = database.execute(f"PRAGMA {pragma}(1)").fetchall()
    except sqlite3.Error as error:
        return str(error)
    return str(verdict)


def _cannot_write(folder: Path, why: object) -> Unavailable:
    """The problem with the place of a backup; the database is not concerned."""
    return Unavailable(
        f"The backup could not be written to {folder}",
        details=f"{why}; the database itself is intact",
        remediation="Free space there, or name a file on another disk: `prism backup FILE`",
    )


def _exchange(file: Path, content: Path) -> Path | None:
    if (verdict := _check(content, "integrity_check")) != "ok":
        raise BackupInvalid(details=verdict)
    _sync(content)
    previous = file.with_name(f"{file.name}.before-restore-{_stamp()}")
    existed = file.exists()
    if existed:
        _keep_copy(file, previous)
    content.replace(file)
    _sync(file.parent)
    return previous if existed else None


def _keep_copy(file: Path, copy: Path) -> None:
    """Keep a complete copy of a database under a second name; the first name stays.

    The log of a damaged database cannot be written into it, so the log is kept too.
    """
    logs = [file.with_name(file.name + log) for log in ("-wal", "-shm")]
    try:
        _checkpoint(file)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise _cannot_keep(file, error) from error
        for log in filter(Path.exists, logs):
            shutil.copyfile(log, copy.with_name(copy.name + log.name.removeprefix(file.name)))
    try:
        os.link(file, copy)
    except OSError:  # the file system has no links
        shutil.copyfile(file, copy)
    _sync(copy)
    _sync(copy.parent)
    for log in logs:  # SQLite would use it for the restored database
        log.unlink(missing_ok=True)


def _checkpoint(file: Path) -> None:
    """Write the log of a SQLite database into its file."""
    with closing(sqlite3.connect(file)) as old:
        old.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        [[is_busy, *_]] = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if is_busy:
        raise _in_use(file)


def _in_use(file: Path) -> DaemonRuns:
    return DaemonRuns(
        details=f"another program has {file} open",
        remediation="End it, then try again: `prism daemon stop`",
    )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is damaged; else it is locked, or its disk is full or unreadable.

    SQLITE_ERROR is damage too: SQLite reports it for a header of an unknown format.
    """
    is_bad_header = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR
    return is_bad_header or not isinstance(error, sqlite3.OperationalError)


def _cannot_keep(file: Path, error: sqlite3.DatabaseError) -> Problem:
    """The problem if the database seems intact but cannot be completed now."""
    if error.sqlite_errorcode & 0xFF in LOCKED_CODES:
        return _in_use(file)
    return Unavailable(
        f"The old database {file} cannot be kept, so nothing was restored",
        details=str(error),
        remediation="Free space on its disk, or see that it can be read and written, then try "
        "again; or move the file away first",
    )


def _stamp() -> str:
    """The time, and a random part for backups of the same second."""
    return f"{WallClock().now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _sync(path: Path) -> None:
    """Sync a file or folder; some file systems answer EINVAL for a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _dump(url: URL, target: Path) -> None:
    """Dump Prism's tables, and what belongs to them; other programs may have tables there, too."""
    tables = _existing_tables(url, _own_tables())
    if not tables:
        raise NotFound("There is nothing of Prism in that database")
    _dump_tables(url, target, tables)


def _dump_tables(url: URL, target: Path, tables: Sequence[str]) -> None:
    named = [f'--table="{table}"' for table in tables]
    how = ("--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
    _run("pg_dump", url, *how, *named)


def _own_tables() -> set[str]:
    """Every table that this version of Prism makes."""
    from prism.daemon import app  # noqa: PLC0415  cold start: only PostgreSQL needs it
    from prism.kit.tables import metadata  # noqa: PLC0415  cold start: the same

    assert app.__name__, "whatever has a table is imported with it"
    return {VERSIONS, *metadata.tables}


def _existing_tables(url: URL, names: Collection[str]) -> list[str]:
    return sorted({str(table) for table in _first_column(url, TABLES_QUERY)} & set(names))


def _first_column(url: URL, statement: str) -> list[Any]:
    """The first column of a query's result."""
    engine = create_engine(url)
    try:
        with engine.connect() as sql:
            return list(sql.execute(text(statement)).scalars())
    except SQLAlchemyError as error:
        raise Unavailable("The database does not answer", details=str(error)) from error
    finally:
        engine.dispose()


def _load(url: URL, folder: Path, content: Path, *, only_prism: bool) -> Path | None:
    """Restore a dump; `only_prism` means that it holds no tables of other programs."""
    if clients := _first_column(url, OTHERS):
        raise DaemonRuns(
            details=f"connected: {', '.join(sorted(set(clients)))}",
            remediation="End it, also on other machines: `prism daemon stop`",
        )
    [schema] = _first_column(url, SCHEMA)
    listing = _run("pg_restore", None, "--list", "--verbose", content)
    own, dumped = _own_tables(), tables_of(listing, schema)
    tables = dumped if only_prism else dumped & own
    if not tables:
        raise BackupInvalid(details=f"it has no table of Prism's for the schema {schema}")
    chosen = content.with_name("chosen")
    chosen.write_text("\n".join([*selection(listing, schema, tables), ""]))
    how = ("--no-owner", "--no-privileges", f"--use-list={chosen}", f"--file={content}.sql")
    _run("pg_restore", None, *how, content)
    replaced = _existing_tables(url, own | tables)
    dump = folder / f"before-restore-{_stamp()}.dump" if replaced else None
    if dump is not None:
        _dump_tables(url, dump, replaced)
        _sync(dump)
    _replace(url, replaced, Path(f"{content}.sql"))
    return dump


def _replace(url: URL, tables: Sequence[str], script: Path) -> None:
    """Drop tables and run a script, in one transaction: if it fails, nothing has changed."""
    names = ", ".join(f'"{table}"' for table in tables)
    first = ["--command", f"DROP TABLE {names}"] if tables else []
    how = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
    _run("psql", url, *how, *first, "--file", script)


def _run(program: str, url: URL | None, *words: object) -> str:
    """Run one of PostgreSQL's client programs; returns its output.

    The password is passed in the environment, not in the arguments. Without a URL, no server is
    used.
    """
    if shutil.which(program) is None:
        raise Unavailable(
            f"`{program}` is not installed", remediation="Install PostgreSQL's client programs"
        )
    environ = os.environ | ({} if url is None else _environment(url))
    process = subprocess.run(
        [program, *map(str, words)], env=environ, capture_output=True, text=True, check=False
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["it says nothing"]
        raise Unavailable(f"`{program}` failed, and nothing was changed", details=lines[0])
    return process.stdout


def _environment(url: URL) -> dict[str, str]:
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    named = {
        "PGHOST": query.get("host") or url.host,
        "PGPORT": query.get("port") or (str(url.port) if url.port else None),
        "PGUSER": url.username,
        "PGPASSWORD": url.password or query.get("password"),
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode"),
    }
    return {name: str(value) for name, value in named.items() if value}


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Keep daemons away from a home and its database; raises `DaemonRuns`."""
    with (settings.folder / "daemon.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DaemonRuns(remediation="End it first: `prism daemon stop`") from None
        with hold_database(settings.database, settings.folder):
            yield


def _pack(draft: Path, manifest: dict[str, Any], content: Path) -> None:
    encoded = json.dumps(manifest, indent=1).encode()
    with draft.open("xb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        head = tarfile.TarInfo(MANIFEST)
        head.size, head.mode = len(encoded), 0o600
        tar.addfile(head, io.BytesIO(encoded))
        tar.add(content, content.name)
    _sync(draft)


def _unpack(source: Path, kind: str, content: Path) -> dict[str, Any]:
    try:
        with tarfile.open(source) as tar:
            member = tar.extractfile(MANIFEST)
            manifest: dict[str, Any] = json.load(member) if member else {}
            if manifest.get("kind") != kind:
                raise BackupInvalid(
                    details=f"it is of {manifest.get('kind')}, but this daemon uses {kind}",
                    remediation="Set PRISM_DATABASE_URL to such a database, or unset it",
                )
            if manifest.get("format") not in range(1, FORMAT + 1):
                raise BackupInvalid(
                    details=f"its format is {manifest.get('format')}, and this Prism reads 1 to "
                    f"{FORMAT}",
                    remediation="Restore it with the version of Prism that made it",
                )
            if (packed := tar.extractfile(content.name)) is None:
                raise BackupInvalid(details="it has no database in it")
            _write_content(packed, source, content)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise BackupInvalid(details=f"{source}: {error}") from error
    if _hash(content) != manifest.get("sha256"):
        raise BackupInvalid(details=f"{source} is damaged: the hash of its content differs")
    return manifest


def _write_content(packed: IO[bytes], source: Path, content: Path) -> None:
    try:
        with content.open("xb") as file:
            for chunk in _pieces(packed, source):
                file.write(chunk)
    except OSError as error:
        raise Unavailable(
            f"{content.parent.parent} has no room for the backup, so nothing was restored",
            details=error.strerror or str(error),
            remediation="Free space on the disk of the database, then try again",
        ) from error


def _pieces(packed: IO[bytes], source: Path) -> Iterator[bytes]:
    try:
        while chunk := packed.read(BACKUP_CHUNK):
            yield chunk
    except OSError as error:
        raise Unavailable(
            f"{source} cannot be read, so nothing was restored",
            details=error.strerror or str(error),
            remediation="Copy the backup to another disk, then try again",
        ) from error


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(words: Sequence[str] | None = None) -> int:
    """Back up or restore; prints the result or the error as JSON."""
    parser = argparse.ArgumentParser(prog="prism.daemon.backups")
    parser.add_argument("verb", choices=("backup", "restore"))
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args(words)
    act = create if arguments.verb == "backup" else restore
    return print_answer(arguments.verb, lambda: act(Settings.load(), arguments.file.absolute()))


if __name__ == "__main__":
    sys.exit(main())
