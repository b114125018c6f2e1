"""A damaged or missing database, backups, and unusual homes, with a real daemon."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, select, text

from prism.daemon import backups
from prism.daemon.app import build
from prism.daemon.backups import BackupInvalid, DaemonRuns
from prism.daemon.main import only_one
from prism.errors import Conflict, Unavailable
from prism.recovery.generation import identity
from prism.settings import Settings
from tests.daemon.test_main import Daemon
from tests.disks import mounted
from tests.waiting import eventually

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATUS, LIST = "/api/v1/daemon/status", "/api/v1/instances"
LOCK = "state.db.lock"
PRISM = Path(sys.executable).with_name("prism")


@pytest.fixture
def daemon(tmp_path):
    return Daemon(tmp_path / "home")


def cli(daemon, *words):
    return subprocess.run([PRISM, *words], env=daemon.environ, capture_output=True, text=True)


def status_of(daemon):
    """The status of a daemon that was started a second time, whose log has an older `ready`."""
    ask = lambda: json.loads(daemon.ask("GET", STATUS)[1])  # noqa: E731
    return eventually(ask, 20, (OSError, ValueError, KeyError))


def refusal(answer):
    status, body = answer
    error = json.loads(body)["error"]
    return status, error["code"], error["remediation"]


def damage_page(file, at):
    """Overwrite a page of the file, as a bad disk does."""
    with file.open("r+b") as raw:
        raw.seek(at)
        raw.write(os.urandom(4096))


def test_daemon_refuses_to_start_if_the_file_is_no_database(daemon):
    daemon.home.mkdir()
    (daemon.home / "state.db").write_bytes(b"not a database" * 1000)
    run = daemon.run()
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error: The database is damaged" in run.stderr
    assert "prism restore" in run.stderr
    assert "prism recover" in run.stderr
    assert "prism restore" in cli(daemon, "doctor").stdout


@pytest.mark.parametrize(
    "seed", [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)]]
)
def test_daemon_refuses_to_start_with_a_damaged_page(daemon, seed):
    with daemon.running():
        pass
    with contextlib.closing(sqlite3.connect(daemon.home / "state.db")) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = [row[0] for row in file.execute("SELECT rootpage FROM sqlite_master ORDER BY 1")]
    damage_page(daemon.home / "state.db", (roots[seed * 7 % len(roots)] - 1) * 4096)
    run = daemon.run()
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error: The database is damaged" in run.stderr


def test_removed_database_file_is_reported_and_not_recreated(daemon):
    with daemon.running():
        assert daemon.ask("GET", LIST) == (200, b"[]")
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (daemon.home / name).unlink()
        status = json.loads(daemon.ask("GET", STATUS)[1])
        assert status["status"] == "degraded"
        assert "removed or replaced" in " ".join(status["reasons"])
        answer = daemon.ask("POST", f"{LIST}/mine/stop")
        assert answer[0] in {404, 503}
        code, name, way = refusal(daemon.ask("GET", LIST))
        assert (code, name) == (503, "DATABASE_LOST")
        assert "prism restore" in way
    assert "Traceback" not in daemon.log
    with daemon.running():
        assert "the database is new" in " ".join(status_of(daemon)["reasons"])


# ------------------------------------------------------------------ backups
@pytest.fixture
def settings(empty_database_url, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Settings(home=str(home), database_url=empty_database_url)


def write_identity(settings, word):
    engine = create_engine(settings.database)
    with engine.begin() as sql:
        identity.create(sql, checkfirst=True)
        sql.execute(identity.delete())
        sql.execute(identity.insert().values(id=word, created_at=NOW))
    engine.dispose()


def read_identity(settings):
    engine = create_engine(settings.database)
    with engine.connect() as sql:
        word = sql.execute(select(identity.c.id)).scalar()
    engine.dispose()
    return word


def test_restore_replaces_the_database_and_backs_up_the_previous_one(settings, tmp_path):
    write_identity(settings, "before")
    backup_file = backups.create(settings, tmp_path / "one.backup")
    assert backup_file["kind"] in settings.database
    write_identity(settings, "after")
    back = backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "before"
    assert Path(back["kept"]).exists()
    with pytest.raises(Conflict):
        backups.create(settings, tmp_path / "one.backup")


def test_two_restores_within_a_second_back_up_to_different_files(settings, tmp_path):
    words = ["first", "second", "third"]
    for word in words:
        write_identity(settings, word)
        backups.create(settings, tmp_path / f"{word}.backup")
    files = [backups.restore(settings, tmp_path / f"{word}.backup")["kept"] for word in words[:2]]
    assert read_identity(settings) == "second"
    assert len({*files}) == 2
    if settings.database.startswith("sqlite"):
        for file, word in zip(files, ["third", "first"], strict=True):
            assert (
                read_identity(Settings(home=settings.home, database_url=f"sqlite:///{file}"))
                == word
            )


@pytest.fixture
def stick(tmp_path):
    """A full disk."""
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    (tmp_path / "stick").mkdir()
    with mounted(tmp_path / "stick", "size=16k") as stick:
        (stick / "rest").write_bytes(bytes(2**14))
        yield stick


def test_backup_to_a_full_disk_names_that_disk_and_not_the_database(settings, stick):
    write_identity(settings, "before")
    with pytest.raises(Unavailable) as failure:
        backups.create(settings, stick / "one.backup")
    if settings.database.startswith("sqlite"):
        assert failure.value.message == f"The backup could not be written to {stick}"
        assert "the database itself is intact" in failure.value.details
    assert "damaged" not in failure.value.message
    assert "restore" not in failure.value.remediation.lower()
    assert os.listdir(stick) == ["rest"], "no part of it stays"


@pytest.mark.parametrize("place", ["missing/folder", "file/below"])
def test_backup_to_a_folder_that_does_not_exist_names_the_folder(settings, tmp_path, place):
    write_identity(settings, "before")
    (tmp_path / "file").touch()
    target = tmp_path / place / "one.backup"
    with pytest.raises(Unavailable, match=re.escape(f"could not be written to {target.parent}")):
        backups.create(settings, target)


def test_restore_on_a_full_disk_says_so_and_changes_nothing(tmp_path, stick):
    (tmp_path / "home").mkdir()
    usual = Settings(home=str(tmp_path / "home"), database_url=f"sqlite:///{tmp_path}/state.db")
    write_identity(usual, "before")
    backups.create(usual, tmp_path / "one.backup")
    small = Settings(home=usual.home, database_url=f"sqlite:///{stick}/state.db")
    with pytest.raises(Unavailable, match="has no room for the backup") as failure:
        backups.restore(small, tmp_path / "one.backup")
    assert "disk of the database" in failure.value.remediation
    assert "state.db" not in os.listdir(stick)
    assert read_identity(usual) == "before"


def test_backup_that_cannot_be_read_is_told_apart_from_a_damaged_one(tmp_path):
    class BadDisk(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(Unavailable, match=r"one\.backup cannot be read"):
        backups._write_content(BadDisk(), tmp_path / "one.backup", tmp_path / "content")


def test_backup_and_restore_work_on_a_file_system_without_hard_links(
    settings, tmp_path, monkeypatch
):
    """A USB stick has none."""

    def refused(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    write_identity(settings, "before")
    file = tmp_path / "one.backup"
    monkeypatch.setattr(os, "link", refused)
    backups.create(settings, file)
    with pytest.raises(Conflict):
        backups.create(settings, file)
    write_identity(settings, "after")
    backup_file = backups.restore(settings, file)["kept"]
    assert read_identity(settings) == "before"
    assert Path(backup_file).exists()


def test_backup_and_restore_ignore_tables_of_other_programs(settings, tmp_path):
    """Other programs may use the same PostgreSQL."""
    if settings.database.startswith("sqlite"):
        pytest.skip("the file is Prism's alone")
    engine = create_engine(settings.database)
    write_identity(settings, "before")
    with engine.begin() as sql:
        sql.execute(text("CREATE TABLE theirs (word VARCHAR)"))
        sql.execute(text("INSERT INTO theirs VALUES ('early')"))
    backups.create(settings, tmp_path / "one.backup")
    write_identity(settings, "after")
    with engine.begin() as sql:
        sql.execute(text("INSERT INTO theirs VALUES ('late')"))
        sql.execute(text("CREATE TABLE newer AS SELECT * FROM theirs"))
    back = backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "before"
    with engine.connect() as sql:
        for table in ("theirs", "newer"):
            words = sql.execute(text(f"SELECT word FROM {table}")).scalars()
            assert sorted(words) == ["early", "late"]
    engine.dispose()
    assert Path(back["kept"]).exists()


def test_failed_restore_leaves_postgresql_unchanged(settings, tmp_path):
    """Another program's view uses a table, so that it cannot be replaced."""
    if settings.database.startswith("sqlite"):
        pytest.skip("its file is exchanged as a whole")
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    write_identity(settings, "after")
    engine = create_engine(settings.database)
    with engine.begin() as sql:
        sql.execute(text(f"CREATE VIEW theirs AS SELECT id FROM {identity.name}"))
    with pytest.raises(Unavailable, match="nothing was changed") as refused:
        backups.restore(settings, tmp_path / "one.backup")
    assert identity.name in refused.value.details
    assert read_identity(settings) == "after"
    with engine.begin() as sql:
        assert sql.execute(text("SELECT id FROM theirs")).scalar() == "after"
        sql.execute(text("DROP VIEW theirs"))
    engine.dispose()
    backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "before"


KILLED_AT = """
import os, pathlib, sys
from prism.daemon import backups
owner, name, when, *words = sys.argv[1:]
owner = {"os": os, "Path": pathlib.Path}[owner]
real = getattr(owner, name)

def killed(*given, **named):
    if when == "after":
        real(*given, **named)
    os.kill(os.getpid(), 9)

if os.environ.get("WITHOUT_LINKS"):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")
    os.link = link
setattr(owner, name, killed)
backups.main(words)
"""


def run_until_killed(step, *words, **environ):
    """Run a backup or restore in a process that is killed at a call; return its exit code."""
    command = [sys.executable, "-c", KILLED_AT, *step, *map(str, words)]
    return subprocess.run(command, env=os.environ | environ, capture_output=True).returncode


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(("os", "link", "before"), "after", marks=pytest.mark.slow),
        (("os", "link", "after"), "after"),
        pytest.param(("Path", "unlink", "before"), "after", marks=pytest.mark.slow),
        pytest.param(("Path", "unlink", "after"), "after", marks=pytest.mark.slow),
        (("Path", "replace", "before"), "after"),
        (("Path", "replace", "after"), "before"),
    ],
)
def test_killed_restore_is_complete_or_has_no_effect(tmp_path, step, expected):
    """The old database exists until the rename, and the restored one from then on."""
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    write_identity(settings, "after")
    ended = run_until_killed(step, "restore", tmp_path / "one.backup", PRISM_HOME=settings.home)
    assert ended == -signal.SIGKILL
    assert (settings.folder / "state.db").is_file()
    assert read_identity(settings) == expected
    left = [path for path in settings.folder.iterdir() if path.is_dir()]
    assert [leftover.name.rpartition("-")[0] for leftover in left] == ["state.db.restore"]
    backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "before"
    assert not [path for path in settings.folder.iterdir() if path.is_dir()]


def test_backup_without_hard_links_appears_only_when_complete(tmp_path):
    """No step exists between the empty and the complete file."""
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    step, file = ("Path", "replace", "before"), tmp_path / "one.backup"
    ended = run_until_killed(step, "backup", file, PRISM_HOME=settings.home, WITHOUT_LINKS="1")
    assert (ended, file.stat().st_size > 0) == (0, True)
    backups.restore(settings, file)
    assert read_identity(settings) == "before"


def test_backup_without_hard_links_does_not_overwrite_a_new_file(settings, tmp_path, monkeypatch):
    """Another program creates a file of that name at the last moment."""
    file = tmp_path / "one.backup"

    def refused(*_, **__):
        file.write_text("theirs")
        raise OSError(errno.EPERM, "Operation not permitted")

    write_identity(settings, "before")
    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(FileExistsError):
        backups.create(settings, file)
    assert file.read_text() == "theirs"


def test_backup_and_restore_work_if_folders_cannot_be_synced(settings, tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    write_identity(settings, "before")
    monkeypatch.setattr(os, "fsync", fsync)
    backups.create(settings, tmp_path / "one.backup")
    write_identity(settings, "after")
    backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "before"


@pytest.mark.parametrize(
    ("error", "is_folder"), [(errno.EINVAL, False), (errno.EIO, True), (errno.EIO, False)]
)
def test_restore_fails_without_effect_if_fsync_fails(tmp_path, monkeypatch, error, is_folder):
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    write_identity(settings, "after")

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) is is_folder:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=os.strerror(error)):
        backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "after"


@pytest.fixture
def locked_database(tmp_path):
    """A database whose last change is only in its WAL, locked by another program."""
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    with contextlib.closing(sqlite3.connect(settings.folder / "state.db")) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute(f"UPDATE {identity.name} SET id = 'after'")
        other.commit()
        yield settings, other


def test_restore_refuses_a_locked_database_without_effect(locked_database, tmp_path):
    settings, other = locked_database
    before = sorted(path.name for path in settings.folder.iterdir())
    log = (settings.folder / "state.db-wal").read_bytes()
    with pytest.raises(DaemonRuns, match="uses the state"):
        backups.restore(settings, tmp_path / "one.backup")
    assert (settings.folder / "state.db-wal").read_bytes() == log
    assert set(before) >= {path.name for path in settings.folder.iterdir()} - {"daemon.lock", LOCK}
    assert other.execute(f"SELECT id FROM {identity.name}").fetchall() == [("after",)]
    other.close()
    assert read_identity(settings) == "after"
    backups.restore(settings, tmp_path / "one.backup")
    assert read_identity(settings) == "before"


def test_restore_fails_if_the_wal_cannot_be_checkpointed(tmp_path, monkeypatch):
    """The disk is full during the checkpoint of the WAL."""
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    write_identity(settings, "after")
    file, real = str(settings.folder / "state.db"), sqlite3.connect

    class FullDisk(sqlite3.Connection):
        def execute(self, statement, *args):
            if "wal_checkpoint" in statement:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(statement, *args)

    def connect(path, *args, **named):
        return real(path, *args, **named | ({"factory": FullDisk} if str(path) == file else {}))

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(Unavailable) as refused:
        backups.restore(settings, tmp_path / "one.backup")
    monkeypatch.undo()
    assert "disk is full" in refused.value.details
    assert read_identity(settings) == "after"
    assert not [path for path in settings.folder.iterdir() if "before-restore" in path.name]


def test_restore_backs_up_changes_that_are_only_in_the_wal(tmp_path):
    """A killed daemon leaves its last changes only in the WAL."""
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    file = settings.folder / "state.db"
    program = f"""
import os, sqlite3
db = sqlite3.connect({str(file)!r})
db.execute("PRAGMA journal_mode = WAL")
db.execute("UPDATE {identity.name} SET id = 'after'")
db.commit()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert (settings.folder / "state.db-wal").stat().st_size
    backup_file = backups.restore(settings, tmp_path / "one.backup")["kept"]
    assert read_identity(settings) == "before"
    assert (
        read_identity(Settings(home=settings.home, database_url=f"sqlite:///{backup_file}"))
        == "after"
    )


def test_restore_backs_up_a_damaged_database_unchanged(tmp_path):
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    parts = {"": b"not a database" * 1000, "-wal": b"nor a log" * 1000}
    for log, content in parts.items():
        (settings.folder / f"state.db{log}").write_bytes(content)
    backup_file = Path(backups.restore(settings, tmp_path / "one.backup")["kept"])
    assert read_identity(settings) == "before"
    assert backup_file.read_bytes() == parts[""]


@pytest.mark.parametrize(
    ("at", "content"),
    [(0, b"not a database"), (47, b"\x09"), (100, b"\xe2" * 3000)],
    ids=["magic", "schema format", "first page"],
)
def test_restore_replaces_a_database_with_any_kind_of_damage(tmp_path, at, content):
    """SQLite reports an unknown schema format as OperationalError, like a lock."""
    settings = Settings(home=str(tmp_path / "home"))
    settings.folder.mkdir()
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    file = settings.folder / "state.db"
    with file.open("r+b") as raw:
        raw.seek(at)
        raw.write(content)
    damaged = file.read_bytes()
    backup_file = Path(backups.restore(settings, tmp_path / "one.backup")["kept"])
    assert read_identity(settings) == "before"
    assert backup_file.read_bytes() == damaged


def test_sqlite_file_is_used_by_one_daemon_across_homes(tmp_path):
    first, second = Daemon(tmp_path / "a" / "home"), Daemon(tmp_path / "b" / "home")
    for daemon in (first, second):
        daemon.home.mkdir(parents=True)
    shared = {"PRISM_DATABASE_URL": f"sqlite:///{first.home}/state.db"}
    file = tmp_path / "one.backup"
    with first.running():
        refused = second.run(**shared)
        assert refused.returncode == 1
        assert "A daemon of another home uses" in refused.stderr
        assert "PRISM_DATABASE_URL" in refused.stderr
        assert f"`PRISM_HOME={first.home} prism daemon stop`" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert cli(first, "backup", str(file)).returncode == 0
        second.environ |= shared
        refused = cli(second, "restore", str(file), "--yes")
        assert refused.returncode == 1
        assert "A daemon of another home uses" in refused.stderr
        assert first.ask("GET", LIST) == (200, b"[]")
    with second.running():
        assert second.ask("GET", LIST)[0] == 200


def test_damaged_backup_is_rejected_without_effect(settings, tmp_path):
    write_identity(settings, "before")
    file = tmp_path / "one.backup"
    backups.create(settings, file)
    write_identity(settings, "after")
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        at = tar.getmembers()[1].offset_data + 64
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for bad in (whole[:at], flipped, b"", b"x" * 5000):
        file.write_bytes(bad)
        with pytest.raises(BackupInvalid):
            backups.restore(settings, file)
    assert read_identity(settings) == "after"


def test_restore_works_for_a_database_on_another_disk(tmp_path):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    with tempfile.TemporaryDirectory(dir=shared) as disk:
        url = f"sqlite:///{disk}/state.db"
        settings = Settings(home=str(tmp_path / "home"), database_url=url)
        settings.folder.mkdir()
        write_identity(settings, "before")
        backups.create(settings, tmp_path / "one.backup")
        write_identity(settings, "after")
        backups.restore(settings, tmp_path / "one.backup")
        assert read_identity(settings) == "before"


def test_restore_is_refused_while_the_home_is_locked(settings, tmp_path):
    write_identity(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    with only_one(settings.folder), pytest.raises(DaemonRuns):
        backups.restore(settings, tmp_path / "one.backup")


def test_backup_command_works_with_a_daemon_and_restore_only_without(daemon, tmp_path):
    file = tmp_path / "kept.backup"
    with daemon.running():
        creation = cli(daemon, "project", "create", "first")
        assert creation.returncode == 0, creation.stderr
        backup = cli(daemon, "backup", str(file))
        assert (backup.returncode, backup.stdout.strip()) == (0, str(file)), backup.stderr
        assert oct(file.stat().st_mode)[-3:] == "600"
        assert cli(daemon, "project", "create", "second").returncode == 0
        refused = cli(daemon, "restore", str(file), "--yes")
        assert refused.returncode == 1
        assert "prism daemon stop" in refused.stderr
    back = cli(daemon, "restore", str(file), "--yes")
    assert back.returncode == 0, back.stderr
    with daemon.running():
        assert "older than the machines" in " ".join(status_of(daemon)["reasons"])
        names = [load["name"] for load in json.loads(daemon.ask("GET", "/api/v1/projects")[1])]
        assert names == ["first"]
        assert "older than the machines" in cli(daemon, "doctor").stdout
        assert cli(daemon, "recover", "--accept").returncode == 0
        assert json.loads(daemon.ask("GET", STATUS)[1])["status"] == "healthy"


# ------------------------------------------------------------------ odd homes
ODD = [
    "a?x=1",
    "a%41",
    "aA",
    "a b",
    "a#b",
    "a&b;c",
    "a'b\"c",
    "a$HOME",
    "ä→ü",
    "a%",
    "%3F",
    "a\\b",
]


def test_each_home_with_special_characters_has_its_own_database(tmp_path):
    homes = [Daemon(tmp_path / name / "home") for name in ODD]
    for number, home in enumerate(homes):
        home.home.mkdir(parents=True)
        write_identity(Settings(home=str(home.home)), f"home {number}")
    for number, home in enumerate(homes):
        assert read_identity(Settings(home=str(home.home))) == f"home {number}"
        assert (home.home / "state.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ODD)


@pytest.mark.parametrize("name", ["a?x%41 #b", pytest.param("ä'\"$(x)", marks=pytest.mark.slow)])
def test_daemon_runs_in_a_home_with_special_characters(tmp_path, name):
    daemon = Daemon(tmp_path / name)
    with daemon.running():
        assert daemon.ask("GET", LIST) == (200, b"[]")
        assert cli(daemon, "list").returncode == 0
        assert (daemon.home / "state.db").is_file()
        assert "SQLite" in cli(daemon, "doctor").stdout
    assert {path.name for path in tmp_path.iterdir()} == {name, "log"}


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x7fb", os.fsdecode(b"a\xffb")])
def test_home_with_control_characters_or_invalid_utf8_is_rejected(tmp_path, name):
    run = Daemon(tmp_path / name).run()
    assert run.returncode == 1
    assert "PRISM_HOME" in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_read_model_is_loaded_before_the_first_request(tmp_path):
    daemon = build(Settings(home=str(tmp_path)), {})
    statements = []
    event.listen(
        daemon.db._readers, "before_cursor_execute", lambda *call: statements.append(call[2])
    )
    try:
        daemon.prepare()
        assert any("FROM workspaces" in statement for statement in statements)
        statements.clear()
        assert daemon.read_model.pages.body == b"[]"
        assert not statements
    finally:
        daemon.close()
