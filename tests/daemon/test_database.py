"""The database's file goes bad under a real daemon: what happened is said, with a way out."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from prism.daemon import backups
from prism.daemon.backups import BackupInvalid, DaemonRuns
from prism.daemon.main import only_one
from prism.errors import Conflict
from prism.settings import Settings
from tests.daemon.test_main import Daemon
from tests.waiting import eventually

STATUS, LIST = "/api/v1/daemon/status", "/api/v1/instances"
PRISM = Path(sys.executable).with_name("prism")


@pytest.fixture
def daemon(tmp_path):
    return Daemon(tmp_path / "home")


def cli(daemon, *words):
    return subprocess.run([PRISM, *words], env=daemon.environ, capture_output=True, text=True)


def status_of(daemon):
    """Of one that was started a second time: its log says `ready` of the first, too."""
    ask = lambda: json.loads(daemon.ask("GET", STATUS)[1])  # noqa: E731
    return eventually(ask, 20, (OSError, ValueError, KeyError))


def refusal(answer):
    status, body = answer
    error = json.loads(body)["error"]
    return status, error["code"], error["remediation"]


def damage(file, at):
    """Overwrite a page of it, as a bad disk does."""
    with file.open("r+b") as raw:
        raw.seek(at)
        raw.write(os.urandom(4096))


def test_a_file_that_is_no_database_stops_the_start_with_a_way_out(daemon):
    daemon.home.mkdir()
    (daemon.home / "state.db").write_bytes(b"not a database" * 1000)
    run = daemon.run()
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error: The database is damaged" in run.stderr
    assert "prism restore" in run.stderr
    assert "prism recover" in run.stderr
    assert "prism restore" in cli(daemon, "doctor").stdout


@pytest.mark.parametrize("seed", range(3))
def test_a_page_that_is_damaged_is_found_at_the_start(daemon, seed):
    with daemon.running():
        pass
    with contextlib.closing(sqlite3.connect(daemon.home / "state.db")) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = [row[0] for row in file.execute("SELECT rootpage FROM sqlite_master ORDER BY 1")]
    damage(daemon.home / "state.db", (roots[seed * 7 % len(roots)] - 1) * 4096)
    run = daemon.run()
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error: The database is damaged" in run.stderr


def test_a_file_that_is_removed_under_a_daemon_is_said_and_not_made_anew(daemon):
    with daemon.running():
        assert daemon.ask("GET", LIST) == (200, b"[]")
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (daemon.home / name).unlink()
        status = json.loads(daemon.ask("GET", STATUS)[1])
        assert status["status"] == "degraded"
        assert "removed or exchanged" in " ".join(status["reasons"])
        made = daemon.ask("POST", f"{LIST}/mine/stop")
        assert made[0] in {404, 503}
        code, name, way = refusal(daemon.ask("GET", LIST))
        assert (code, name) == (503, "DATABASE_LOST")
        assert "prism restore" in way
    assert "Traceback" not in daemon.log
    with daemon.running():
        assert "the database is new" in " ".join(status_of(daemon)["reasons"])


# ------------------------------------------------------------------ backups
@pytest.fixture
def settings(empty, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Settings(home=str(home), database_url=empty)


def say(settings, word):
    engine = create_engine(settings.database)
    with engine.begin() as sql:
        sql.execute(text("CREATE TABLE IF NOT EXISTS said (word VARCHAR)"))
        sql.execute(text("DELETE FROM said"))
        sql.execute(text("INSERT INTO said VALUES (:word)"), {"word": word})
    engine.dispose()


def said(settings):
    engine = create_engine(settings.database)
    with engine.connect() as sql:
        found = sql.execute(text("SELECT word FROM said")).scalar()
    engine.dispose()
    return found


def test_what_was_kept_is_put_back_and_what_was_there_is_kept(settings, tmp_path):
    say(settings, "before")
    made = backups.create(settings, tmp_path / "one.backup")
    assert made["kind"] in settings.database
    say(settings, "after")
    back = backups.restore(settings, tmp_path / "one.backup")
    assert said(settings) == "before"
    assert Path(back["kept"]).exists()
    with pytest.raises(Conflict):
        backups.create(settings, tmp_path / "one.backup")


def test_a_backup_that_is_damaged_changes_nothing(settings, tmp_path):
    say(settings, "before")
    file = tmp_path / "one.backup"
    backups.create(settings, file)
    say(settings, "after")
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        at = tar.getmembers()[1].offset_data + 64
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for bad in (whole[:at], flipped, b"", b"x" * 5000):
        file.write_bytes(bad)
        with pytest.raises(BackupInvalid):
            backups.restore(settings, file)
    assert said(settings) == "after"


def test_a_database_on_another_disk_than_the_home_is_put_back(tmp_path):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    with tempfile.TemporaryDirectory(dir=shared) as disk:
        url = f"sqlite:///{disk}/state.db"
        settings = Settings(home=str(tmp_path / "home"), database_url=url)
        settings.folder.mkdir()
        say(settings, "before")
        backups.create(settings, tmp_path / "one.backup")
        say(settings, "after")
        backups.restore(settings, tmp_path / "one.backup")
        assert said(settings) == "before"


def test_nothing_is_put_back_under_a_daemon(settings, tmp_path):
    say(settings, "before")
    backups.create(settings, tmp_path / "one.backup")
    with only_one(settings.folder), pytest.raises(DaemonRuns):
        backups.restore(settings, tmp_path / "one.backup")


def test_by_the_command_while_a_daemon_runs_and_after_it(daemon, tmp_path):
    file = tmp_path / "kept.backup"
    with daemon.running():
        made = cli(daemon, "project", "create", "first")
        assert made.returncode == 0, made.stderr
        kept = cli(daemon, "backup", str(file))
        assert (kept.returncode, kept.stdout.strip()) == (0, str(file)), kept.stderr
        assert oct(file.stat().st_mode)[-3:] == "600"
        assert cli(daemon, "project", "create", "second").returncode == 0
        refused = cli(daemon, "restore", str(file), "--yes")
        assert refused.returncode == 1
        assert "prism daemon stop" in refused.stderr
    back = cli(daemon, "restore", str(file), "--yes")
    assert back.returncode == 0, back.stderr
    with daemon.running():
        assert "older than the world" in " ".join(status_of(daemon)["reasons"])
        names = [it["name"] for it in json.loads(daemon.ask("GET", "/api/v1/projects")[1])]
        assert names == ["first"]
        assert "older than the world" in cli(daemon, "doctor").stdout
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


def test_each_home_has_a_database_of_its_own_whatever_its_name(tmp_path):
    homes = [Daemon(tmp_path / name / "home") for name in ODD]
    for number, home in enumerate(homes):
        home.home.mkdir(parents=True)
        say(Settings(home=str(home.home)), f"home {number}")
    for number, home in enumerate(homes):
        assert said(Settings(home=str(home.home))) == f"home {number}"
        assert (home.home / "state.db").is_file()
    assert sorted(it.name for it in tmp_path.iterdir()) == sorted(ODD)


@pytest.mark.parametrize("name", ["a?x%41 #b", "ä'\"$(x)"])
def test_a_daemon_lives_in_a_home_with_an_odd_name(tmp_path, name):
    daemon = Daemon(tmp_path / name)
    with daemon.running():
        assert daemon.ask("GET", LIST) == (200, b"[]")
        assert cli(daemon, "list").returncode == 0
        assert (daemon.home / "state.db").is_file()
        assert "SQLite" in cli(daemon, "doctor").stdout
    assert {it.name for it in tmp_path.iterdir()} == {name, "log"}


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x7fb", os.fsdecode(b"a\xffb")])
def test_a_home_that_not_every_program_can_name_is_refused_at_the_start(tmp_path, name):
    run = Daemon(tmp_path / name).run()
    assert run.returncode == 1
    assert "PRISM_HOME" in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []
