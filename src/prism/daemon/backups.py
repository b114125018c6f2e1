"""Keeping the state itself, and putting it back: `python -m prism.daemon.backups`.

A backup is one file: a tar of the database and a manifest, which says of what it is, when it was
made, and what its content hashes to. SQLite is copied by its own online backup, so a daemon may
go on meanwhile; PostgreSQL by `pg_dump`. Putting back needs that no daemon runs. What is there
is kept beside it until the new content is in place, and nothing is put back that is not whole.
"""

import argparse
import fcntl
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from prism import __version__
from prism.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from prism.kit.clock import WallClock
from prism.settings import Settings

MANIFEST, CONTENT = "manifest.json", {"sqlite": "state.db", "postgresql": "state.dump"}
FORMAT = 1
PIECE = 2**20
OTHERS = text(
    "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name LIKE 'prism %'"
)


class BackupInvalid(Invalid, code="BACKUP_INVALID"):
    """That is no backup that can be put back here."""


class DaemonRuns(Conflict, code="DAEMON_RUNS"):
    """The state cannot be put back while a daemon works with it."""


def create(settings: Settings, target: Path) -> dict[str, Any]:
    """Write a backup into a file that does not exist yet; what it says of itself."""
    if target.exists():
        raise Conflict(f"{target} already exists", remediation="Name a file that does not")
    url = make_url(settings.database)
    kind = url.get_backend_name()
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder:
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
        os.link(draft, target)  # whole and at once, and never over another
    return {"file": str(target), **manifest}


def restore(settings: Settings, source: Path) -> dict[str, Any]:
    """Put a backup back in place of the state; where what was there is kept."""
    url = make_url(settings.database)
    kind = url.get_backend_name()
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Beside a SQLite file, which may be on another disk than the home: renaming is at once.
    beside = Path(url.database or "").parent if kind == "sqlite" else settings.folder
    beside.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _nobody_else(settings.folder), tempfile.TemporaryDirectory(dir=beside) as folder:
        content = Path(folder) / CONTENT[kind]
        manifest = _unpack(source, kind, content)
        if kind == "sqlite":
            kept = _exchange(Path(url.database or ""), content)
        else:
            kept = _load(url, settings.folder, content)
    return {"file": str(source), "kept": kept and str(kept), **manifest}


def _copy(url: URL, target: Path) -> None:
    file = Path(url.database or "")
    if not file.exists():
        raise NotFound(f"There is no database {file}", remediation="Nothing was kept")
    try:
        with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(target)) as kept:
            now.backup(kept)
            [[said]] = kept.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise Unavailable(
            f"{file} is damaged, so no backup was made",
            details=said,
            remediation="Put an older one back: `prism restore FILE`",
        )


def _exchange(file: Path, content: Path) -> Path | None:
    with closing(sqlite3.connect(content)) as new:
        [[said]] = new.execute("PRAGMA integrity_check(1)").fetchall()
    if said != "ok":
        raise BackupInvalid(details=said)
    stamp = WallClock().now().strftime("%Y%m%dT%H%M%S")
    kept = file.with_name(f"{file.name}.before-restore-{stamp}")
    existed = file.exists()
    for log in ("", "-wal", "-shm"):  # they belong together
        part = file.with_name(file.name + log)
        if part.exists():
            part.rename(kept.with_name(kept.name + log))
    content.replace(file)
    return kept if existed else None


def _dump(url: URL, target: Path) -> None:
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def _load(url: URL, folder: Path, content: Path) -> Path:
    engine = create_engine(url)
    try:
        with engine.connect() as sql:
            others = list(sql.execute(OTHERS).scalars())
        if others:
            raise DaemonRuns(
                details=f"connected: {', '.join(sorted(set(others)))}",
                remediation="End it, also on other machines: `prism daemon stop`",
            )
        stamp = WallClock().now().strftime("%Y%m%dT%H%M%S")
        kept = folder / f"before-restore-{stamp}.dump"
        _dump(url, kept)
        _empty_of_ours(url)
        _run("pg_restore", url, "--no-owner", "--no-privileges", "--single-transaction", content)
    finally:
        engine.dispose()
    return kept


def _empty_of_ours(url: URL) -> None:
    """Drop every table that Prism has made there, also newer ones than the backup knows."""
    engine = create_engine(url)
    try:
        with engine.begin() as sql:
            named = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            for table in sql.execute(text(named)).scalars().all():
                sql.exec_driver_sql(f'DROP TABLE IF EXISTS "{table}" CASCADE')
    finally:
        engine.dispose()


def _run(program: str, url: URL, *words: object) -> None:
    """Run one of PostgreSQL's own; the password stands in its environment, not in its words."""
    if shutil.which(program) is None:
        raise Unavailable(
            f"`{program}` is not here", remediation="Install PostgreSQL's client programs"
        )
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    named = {
        "PGHOST": query.get("host") or url.host,
        "PGPORT": query.get("port") or (str(url.port) if url.port else None),
        "PGUSER": url.username,
        "PGPASSWORD": url.password or query.get("password"),
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode"),
    }
    environ = os.environ | {name: str(value) for name, value in named.items() if value}
    goal = ["--dbname", str(url.database)] if program == "pg_restore" else []
    done = subprocess.run(
        [program, *goal, *map(str, words)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise Unavailable(f"`{program}` failed", details=lines[0])


@contextmanager
def _nobody_else(folder: Path) -> Iterator[None]:
    with (folder / "daemon.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DaemonRuns(remediation="End it first: `prism daemon stop`") from None
        yield


def _pack(draft: Path, manifest: dict[str, Any], content: Path) -> None:
    said = json.dumps(manifest, indent=1).encode()
    with draft.open("xb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        head = tarfile.TarInfo(MANIFEST)
        head.size, head.mode = len(said), 0o600
        tar.addfile(head, io.BytesIO(said))
        tar.add(content, content.name)
    with draft.open("rb") as whole:
        os.fsync(whole.fileno())


def _unpack(source: Path, kind: str, content: Path) -> dict[str, Any]:
    try:
        with tarfile.open(source) as tar:
            said = tar.extractfile(MANIFEST)
            manifest: dict[str, Any] = json.load(said) if said else {}
            if manifest.get("kind") != kind:
                raise BackupInvalid(
                    details=f"it is of {manifest.get('kind')}, and the state is kept in {kind}",
                    remediation="Set PRISM_DATABASE_URL to such a database, or unset it",
                )
            if (packed := tar.extractfile(content.name)) is None:
                raise BackupInvalid(details="it has no database in it")
            with content.open("xb") as file:
                shutil.copyfileobj(packed, file, PIECE)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise BackupInvalid(details=f"{source}: {error}") from error
    if _hash(content) != manifest.get("sha256"):
        raise BackupInvalid(details=f"{source} is damaged: its content has another hash")
    return manifest


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(words: Sequence[str] | None = None) -> int:
    """Do one of the two; prints what was done as JSON, or what stood in the way."""
    parser = argparse.ArgumentParser(prog="prism.daemon.backups")
    parser.add_argument("verb", choices=("backup", "restore"))
    parser.add_argument("file", type=Path)
    asked = parser.parse_args(words)
    os.umask(0o077)  # it holds all that Prism knows
    try:
        act = create if asked.verb == "backup" else restore
        sys.stdout.write(json.dumps(act(Settings.load(), asked.file.absolute())) + "\n")
    except (Problem, OSError, SQLAlchemyError) as error:
        problem = error if isinstance(error, Problem) else Unavailable(details=str(error))
        said = {"message": problem.message, "details": problem.details, "code": problem.code}
        sys.stdout.write(json.dumps({"error": said | {"hint": problem.remediation}}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
