"""Homes that are moved, copied and restored elsewhere, with real daemons and commands."""

import contextlib
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from prism.providers.local.location import location_of
from prism.recovery.homes import (
    CLAIM_LIFETIME,
    HomeClaim,
    HomePlace,
    HomeServedElsewhere,
    is_ours,
    is_served,
)
from tests.conftest import HOME, Http
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.project.home import Home
from tests.waiting import eventually

LAUNCH = {"name": "mine", "template": "plain-shell"}
HERE, THERE = HomePlace("/a", "m", "one"), HomePlace("/b", "m", "one")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE_THEN, THERE_THEN = HomeClaim(HERE, "x", NOW), HomeClaim(THERE, "x", NOW)
LATE = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("location", "claim", "folders", "shared", "ours"),
    [
        ("local:m:/a", None, False, True, True),  # an older Prism wrote it here
        ("local:m:/old", None, True, False, True),  # moved while an older Prism served it
        ("local:m:/old", None, False, False, False),  # restored from another home's backup
        ("local:1", HERE_THEN, True, True, True),  # the identity was lost
        ("local:1", THERE_THEN, True, False, True),  # a copy with a database of its own
        ("local:1", THERE_THEN, True, True, False),  # a copy that shares the database
        ("local:1", HERE_THEN, False, False, False),
    ],
)
def test_rows_are_adopted_only_with_their_folders(location, claim, folders, shared, ours):
    assert ours is is_ours(location, "local:m:/a", claim, HERE, has_folders=folders, shared=shared)


def test_home_is_served_while_its_daemon_repeats_its_claim():
    assert is_served(HERE_THEN, NOW, shared=True)
    assert not is_served(HERE_THEN, LATE, shared=True)
    assert not is_served(HERE_THEN, NOW, shared=False), "a SQLite file has one daemon"
    assert not is_served(None, NOW, shared=True)


@pytest.fixture
def served_elsewhere(make_daemon, clock):
    """The daemon of a home, and that of a home elsewhere whose daemon has one workspace."""
    present, location = make_daemon(), location_of(HOME / "elsewhere")
    elsewhere = make_daemon(
        {location: MemoryCompute(clock)},
        disks_by_location={location: MemoryVolumes(clock)},
        home=str(HOME / "elsewhere"),
    )
    for daemon in (present, elsewhere):
        daemon.homes.begin()
    answer = Http(elsewhere.app)("POST", "/api/v1/instances/launch", json=LAUNCH)
    assert answer.status_code < 300, answer.text
    elsewhere.settle()
    return present, elsewhere


def unreachable(daemon):
    daemon.db.announce()  # as at a notification of the database
    [workspace] = Http(daemon.app)("GET", "/api/v1/instances").json()
    return workspace["unreachable"]


@pytest.mark.postgres
def test_rows_are_unreachable_while_the_daemon_of_their_home_does_not_run(served_elsewhere, clock):
    present, elsewhere = served_elsewhere
    if not present.db.shared:
        pytest.skip("only daemons on PostgreSQL share a database")
    assert present.homes.refresh() and unreachable(present) is None
    clock.advance(seconds=CLAIM_LIFETIME.total_seconds())
    assert present.homes.refresh() and str(HOME / "elsewhere") in unreachable(present)
    refused = Http(present.app)("POST", "/api/v1/instances/mine/stop")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "UNREACHABLE")
    assert elsewhere.homes.refresh() and present.homes.refresh()
    assert unreachable(present) is None
    assert Http(present.app)("POST", "/api/v1/instances/mine/stop").status_code == 200


@pytest.mark.postgres
def test_copy_on_a_shared_database_is_refused_while_the_original_is_served(make_daemon, clock):
    original, copy = make_daemon(), make_daemon(home=str(HOME / "copy"))
    if not original.db.shared:
        pytest.skip("only daemons on PostgreSQL share a database")
    original.homes.begin()
    with pytest.raises(HomeServedElsewhere, match=str(HOME)):
        copy.homes.begin()
    make_daemon().homes.begin()  # the same home, after a crash
    clock.advance(seconds=CLAIM_LIFETIME.total_seconds())
    copy.homes.begin()
    assert copy.homes.refresh()
    assert not original.homes.refresh(), "the daemon that lost the claim ends"


@pytest.mark.postgres
def test_home_whose_daemon_has_ended_is_served_elsewhere_at_once(served_elsewhere, make_daemon):
    """As a container that is replaced: the same home, on another computer."""
    present, original = served_elsewhere
    if not present.db.shared:
        pytest.skip("only daemons on PostgreSQL share a database")
    [location] = original.homes._locations()
    moved = make_daemon(
        {location: MemoryCompute(present.clock)},
        disks_by_location={location: MemoryVolumes(present.clock)},
        home=str(HOME / "moved"),
    )
    with pytest.raises(HomeServedElsewhere):
        moved.homes.begin()
    original.homes.release()
    assert present.homes.refresh() and unreachable(present) is None, "the next daemon comes soon"
    moved.homes.begin()
    original.homes.release()  # which changes nothing: it holds the home no more
    with pytest.raises(HomeServedElsewhere):
        original.homes.begin()


class MovableHome(Home):
    """A home that can be moved and copied."""

    def at(self, folder):
        """This home in another folder."""
        other = MovableHome.__new__(MovableHome)
        other.folder = folder
        other.environ = self.environ | {"PRISM_HOME": str(folder)}
        return other

    def moved(self, folder):
        """This home after `mv`, once the supervisors have noticed it."""
        shutil.move(self.folder, folder)
        eventually(lambda: not self.processes(), 60)
        return self.at(folder)

    def copied(self, folder):
        """A copy of this home."""
        subprocess.run(["cp", "-a", self.folder, folder], check=True)
        return self.at(folder)

    def state_of(self, name):
        return {line["name"]: line for line in self.cli_json("list")}[name]["state"]


@pytest.fixture
def home(tmp_path):
    home = MovableHome(tmp_path / "home")
    yield home
    for folder in tmp_path.iterdir():
        home.at(folder).clear()


def write(home, text):
    """Writes into the volume, as a program of the workspace."""
    command = f"echo {text} > volumes/data/text && readlink volumes/data"
    done = home.cli("exec", "mine", "--", "sh", "-c", command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def texts(home):
    return [file.read_text().strip() for file in home.folder.glob("storage/volumes/*/data/text")]


def launch(home):
    home.cli_json("volume", "create", "data", "--size", "1")
    home.cli_json("launch", "plain-shell", "mine", "--volume", "data")
    eventually(lambda: home.cli_json("volume", "show", "data")["state"] == "in-use", 60)
    write(home, "original")


def deleted(home, volume):
    """Whether the volume is deleted now; it is refused until the volume is detached."""
    return home.cli("volume", "delete", volume, "--yes").returncode == 0


@pytest.mark.timeout(280)
def test_moved_home_keeps_its_workspaces_and_a_copy_never_writes_into_the_original(home, tmp_path):
    with home.run_daemon():
        launch(home)
    moved = home.moved(tmp_path / "moved")
    with moved.run_daemon():
        eventually(lambda: moved.state_of("mine") == "stopped", 60)
        assert moved.cli_json("daemon", "status")["reasons"] == []
        assert moved.cli_json("start", "mine")["state"] == "running"
        assert write(moved, "moved").startswith(str(moved.folder))
        moved.cli_json("stop", "mine")
    copy = moved.copied(tmp_path / "copy")
    refused = copy.cli("list")
    assert refused.returncode
    assert f"{copy.folder} is a copy of {moved.folder}" in (copy.folder / "daemon.log").read_text()
    assert copy.cli_json("new-identity")["home"] == str(copy.folder)
    with copy.run_daemon(), moved.run_daemon():
        assert location_of(copy.folder) != location_of(moved.folder)
        assert copy.cli_json("start", "mine")["state"] == "running"
        assert moved.cli_json("start", "mine")["state"] == "running"
        assert write(copy, "copy").startswith(str(copy.folder))
        assert (texts(moved), texts(copy)) == (["moved"], ["copy"])
        for each in (copy, moved):
            each.cli_json("terminate", "mine", "--yes")
            eventually(partial(deleted, each, "data"))
        assert (texts(moved), texts(copy)) == ([], [])


@pytest.mark.timeout(280)
def test_rows_of_a_home_that_nobody_serves_are_unreachable_until_they_are_adopted(home, tmp_path):
    with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
        launch(home)
        home.cli_json("backup", str(tmp_path / "backup"))
        home.cli_json("terminate", "mine", "--yes")
    (tmp_path / "new").mkdir()
    new = home.at(tmp_path / "new")
    new.cli_json("restore", str(tmp_path / "backup"), "--yes")
    location = location_of(home.folder)
    with new.run_daemon(PRISM_LOCAL_PRICES="aws"):
        before = new.cli_json("show", "mine")
        assert str(home.folder) in before["unreachable"]
        status = new.cli_json("daemon", "status")
        assert status["status"] == "degraded"
        assert "1 workspace, 1 volume unreachable" in status["reasons"][0]
        assert status["active_instances"] == 0
        for words in (
            ["start", "mine"],
            ["stop", "mine"],
            ["terminate", "mine", "--yes"],
            ["extend", "mine", "4h"],
            ["volume", "detach", "data"],
            ["volume", "delete", "data", "--yes"],
            ["snapshot", "create", "s", "--volume", "data"],
            ["launch", "plain-shell", "second", "--volume", "data"],
            ["exec", "mine", "true"],
            ["files", "ls", "mine"],
        ):
            done = new.cli(*words)
            assert done.returncode, words
            assert "is unreachable" in done.stderr, (words, done.stderr)
        assert f"prism recover --adopt-home {location}" in new.cli("stop", "mine").stderr
        listed = new.cli("list")
        assert "unreachable" in listed.stdout and "running" not in listed.stdout
        doctor = new.cli("doctor")
        assert "1 workspace, 1 volume unreachable" in doctor.stdout + doctor.stderr
        assert new.cli_json("show", "mine")["current_spend"] == before["current_spend"]
        month = {line["kind"]: line for line in open_costs(new)}
        assert not month, "nothing is charged for what nobody serves"

        assert new.cli("recover", "--adopt-home", "local:unknown").returncode
        new.cli_json("recover", "--adopt-home", location, "--dry-run")
        assert new.cli_json("show", "mine")["unreachable"]
        new.cli_json("recover", "--adopt-home", location)
        eventually(lambda: new.state_of("mine") == "failed", 60)
        new.cli_json("terminate", "mine", "--yes")
        assert new.cli_json("daemon", "status")["status"] == "healthy"


def open_costs(home):
    """The open segments of the ledger."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(home.folder / "state.db")) as sql:
        rows = sql.execute("SELECT kind FROM segments WHERE ended IS NULL")
        return [{"kind": kind} for (kind,) in rows]


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_home_of_an_older_prism_keeps_its_rows_also_after_it_was_moved(home, tmp_path):
    """Its rows name the computer and the path, and it has no identity."""
    import sqlite3

    from prism.providers.local.location import earlier_location

    with home.run_daemon():
        launch(home)
        home.cli_json("stop", "mine")
    moved = home.moved(tmp_path / "moved")
    for machine in (location_machine(), "another-computer"):
        for file in moved.folder.glob("home.json"):
            file.unlink()
        with contextlib.closing(sqlite3.connect(moved.folder / "state.db")) as sql:
            sql.execute("DELETE FROM homes")
            for table in ("workspaces", "volumes"):
                place = earlier_location(machine, home.folder)
                sql.execute(f"UPDATE {table} SET place = ?", (place,))
            sql.commit()
        with moved.run_daemon():
            assert moved.cli_json("daemon", "status")["reasons"] == []
            assert moved.cli_json("start", "mine")["state"] == "running"
            write(moved, machine)
            moved.cli_json("stop", "mine")
    assert texts(moved) == ["another-computer"]


def location_machine():
    from prism.providers.local.location import machine_of_this

    return machine_of_this()


@pytest.mark.timeout(120)
def test_linked_homes_are_one_home(home, tmp_path):
    """A link of the person's own leads to the home, or lies on the way to it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    home.folder.rmdir()
    home.folder.symlink_to(disk)
    (tmp_path / "parent").symlink_to(tmp_path)
    linked = home.at(tmp_path / "parent" / "home")
    with home.run_daemon():
        launch(linked)
        assert write(home, "linked").startswith(str(disk))
        assert linked.cli_json("daemon", "status")["status"] == "healthy"
        doctor = linked.cli("doctor")
        assert "not yours" not in doctor.stdout + doctor.stderr
        home.cli_json("terminate", "mine", "--yes")
    if os.geteuid() == 0:
        os.lchown(home.folder, 12345, 12345)
        refused = home.cli("list")
        assert refused.returncode and "link of another user" in refused.stderr, refused.stderr


PACKAGED = """\
name: {name}
description: A shell with one program
package_manager: pip
packages: {{pip: ["{package}"]}}
"""


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_programs_of_packages_run_after_the_home_was_moved(home, tmp_path):
    """One workspace has an environment of its own, the other shares a tree of packages."""
    (home.folder / "templates").mkdir()
    for name, package in {"own": "pygments; python_version > '3'", "tree": "pygments"}.items():
        text = PACKAGED.format(name=name, package=package)
        (home.folder / "templates" / f"{name}.yaml").write_text(text)
    with home.run_daemon():
        for name in ("own", "tree"):
            home.cli_json("launch", name, name)
            home.cli_json("stop", name)
    for place in ("moved", "moved-again"):
        home = home.moved(tmp_path / place)
        with home.run_daemon():
            for name in ("own", "tree"):
                home.cli_json("start", name)
                done = home.cli("exec", name, "--", "pygmentize", "-V")
                assert done.returncode == 0, (place, name, done.stderr)
                home.cli_json("stop", name)
        assert not (tmp_path / "home").exists(), "nothing is written where the home was"
