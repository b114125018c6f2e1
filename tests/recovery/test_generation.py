"""An older database is put back: it is noticed, said, and nothing is destroyed on its word."""

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from prism.kit.tables import metadata
from prism.recovery.generation import Written, read, why_behind
from tests.conftest import HOME, Http
from tests.optional import not_none

TERMINATE = {"confirm": "DELETE"}


@pytest.mark.parametrize(
    ("written", "newest", "new", "why"),
    [
        (None, 0, True, None),
        (None, 7, False, None),
        (Written("a", 7), 7, False, None),
        (Written("a", 7), 9, False, None),
        (Written("a", 7), 6, False, "older"),
        (Written("b", 7), 99, False, "other"),
        (Written("b", 7), 0, True, "new"),
    ],
)
def test_what_the_file_beside_the_machines_says(written, newest, new, why):
    assert why_behind(written, "a", newest, new=new) == why


@pytest.fixture
def world(make_daemon, url, copy_database, clock):
    """One home whose database can be kept and put back."""
    (HOME / "workspaces" / "generation.json").unlink(missing_ok=True)
    return World(make_daemon, url, copy_database, clock)


class World:
    def __init__(self, make_daemon, url, copied, clock):
        self.clock = clock
        self.make_daemon, self.url, self.copied = make_daemon, url, copied
        self.daemon = None

    def start(self):
        if self.daemon:
            self.daemon.close()
        self.daemon = self.make_daemon()
        self.daemon.generation.begin()
        self.http = Http(self.daemon.app)
        self.settle()
        return self

    def settle(self):
        for _ in range(3):
            self.clock.advance(seconds=5)
            not_none(self.daemon).settle()

    def keep(self):
        if self.url.startswith("sqlite"):
            source, target = sqlite3.connect(self.file), sqlite3.connect(f"{self.file}.kept")
            with contextlib.closing(source), contextlib.closing(target):
                source.backup(target)
        else:
            not_none(self.daemon).db.close()
            self.copied("copy", to="kept")
            self.start()

    def put_back(self):
        not_none(self.daemon).close()
        self.daemon = None
        if self.url.startswith("sqlite"):
            for log in ("-wal", "-shm"):
                self.file.with_name(self.file.name + log).unlink(missing_ok=True)
            self.file.with_name("state.db.kept").rename(self.file)
        else:
            self.copied("kept")
        return self.start()

    @property
    def file(self):
        return Path(self.url.removeprefix("sqlite:///"))

    def post(self, path, **body):
        return self.http("POST", f"/api/v1/{path}", json=body)

    def get(self, path):
        answer = self.http("GET", f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def volume(self, name="data"):
        return self.get(f"storage/volumes/{name}")

    def status(self):
        return self.get("daemon/status")

    def newest(self):
        return not_none(self.daemon).db.newest_event()


@pytest.mark.postgres
def test_a_volume_that_the_older_database_takes_for_free_is_kept(world, disks):
    world.start().http.launch("one")
    world.post("storage/volumes/create", type="ebs", name="data", size_gb=8)
    world.settle()
    world.keep()
    world.http.launch("two")
    world.settle()
    world.post("storage/volumes/data/attach", instance="two")
    world.settle()
    assert world.volume()["attached_instance"] == "two"
    two = world.get("instances/two")["id"]
    newest = world.newest()
    world.put_back()
    status = world.status()
    assert status["status"] == "degraded"
    assert "older than the machines" in status["reasons"][0]
    assert world.newest() > newest, "no event number is given twice"
    assert (world.volume()["state"], world.volume()["attached_instance"]) == ("in-use", two)
    assert (
        world.http("DELETE", "/api/v1/storage/volumes/data").json()["error"]["code"]
        == "DATABASE_OLDER"
    )
    refused = world.post("instances/one/terminate", **TERMINATE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "DATABASE_OLDER")
    recovery = world.post("recover").json()
    assert [workspace["name"] for workspace in recovery["recovered"]] == ["two"]
    assert "prism recover --accept" in recovery["database"]
    assert world.status()["status"] == "degraded", "nobody has decided yet"
    assert world.post("recover", dry_run=True, accept=True).status_code == 200
    assert world.status()["status"] == "degraded", "a dry run decides nothing"
    assert "accepted" in world.post("recover", accept=True).json()["database"]
    assert world.status()["status"] == "healthy"
    world.settle()
    assert world.volume()["attached_instance"] == "two"
    refused = world.http("DELETE", "/api/v1/storage/volumes/data")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "IN_USE")
    world.post("storage/volumes/data/detach")
    world.settle()
    assert world.volume()["state"] == "available"
    [thing] = disks.disks.values()
    assert thing.attached == set()
    assert world.post("instances/one/terminate", **TERMINATE).status_code == 200
    world.settle()


def test_machines_are_told_what_the_older_database_makes_of_idleness(world, cloud):
    world.start().http.launch("one")
    world.settle()
    [machine] = cloud.survey()
    world.keep()
    world.post("idle/instances/one/configure", profile="gpu")
    world.settle()
    assert cloud.rule(machine.id).profile == "gpu"
    world.put_back()
    world.post("recover", accept=True)
    world.settle()
    assert cloud.rule(machine.id).profile == "standard"


@pytest.mark.parametrize("ttl_hours", [None, 4])
def test_machines_are_told_when_they_expire_by_the_older_database(world, cloud, ttl_hours):
    """Also where it knows of no end, as it did before it was older."""
    options = {} if ttl_hours is None else {"ttl_hours": ttl_hours}
    world.start().http.launch("one", **options)
    world.settle()
    [machine] = cloud.survey()
    until = cloud.expiry(machine.id)
    world.keep()
    world.post("instances/one/extend", hours=24)
    world.settle()
    assert cloud.expiry(machine.id) != until
    world.put_back()
    world.post("recover", accept=True)
    world.settle()
    assert cloud.expiry(machine.id) == until


def test_a_machine_that_was_resized_after_the_older_database_costs_what_it_is(world, cloud):
    world.start().http.launch("one")
    world.settle()
    world.keep()
    world.post("instances/one/stop")
    world.settle()
    assert world.post("instances/one/resize", instance_type="t3.xlarge").status_code == 200
    world.settle()
    world.post("instances/one/start")
    world.settle()
    world.put_back()
    assert world.get("instances/one")["instance_type"] == "t3.xlarge", "before anybody has decided"


def test_what_the_older_database_was_about_to_do_waits_for_the_decision(world, disks, cloud):
    world.start().http.launch("one")
    world.post("storage/volumes/create", type="ebs", name="data", size_gb=8)
    world.settle()
    world.post("storage/volumes/data/attach", instance="one")
    world.settle()
    cloud.faults.down = disks.faults.down = True
    world.post("instances/one/stop")
    world.post("storage/volumes/data/detach")
    world.keep()
    cloud.faults.down = disks.faults.down = False
    world.settle()
    world.post("instances/one/start")
    world.settle()
    world.put_back()
    calls = list(cloud.calls)
    world.settle()
    assert world.status()["status"] == "degraded"
    assert not [
        call for call in cloud.calls[len(calls) :] if call.startswith(("stop", "terminate"))
    ]
    world.post("recover", accept=True)
    world.settle()
    assert world.get("instances/one")["state"] == "stopped"


def test_the_decision_outlives_a_restart_and_so_does_its_lack(world):
    world.start().http.launch("one")
    world.settle()
    world.keep()
    world.http.launch("two")
    world.settle()
    world.put_back()
    world.start()
    assert world.status()["status"] == "degraded"
    world.post("recover", accept=True)
    world.start()
    assert world.status()["status"] == "healthy"


def test_a_new_database_in_a_used_home_says_so_and_hinders_nothing(world):
    world.start().http.launch("one")
    world.settle()
    seen = world.newest()
    world.daemon.close()
    with world.daemon.db.writer.begin() as sql:
        for table in reversed(metadata.sorted_tables):
            sql.execute(table.delete())
    world.start()
    assert "used with another one before" in " ".join(world.status()["reasons"])
    assert world.newest() > seen
    recovery = world.post("recover").json()
    assert [workspace["name"] for workspace in recovery["recovered"]] == ["one"], recovery
    assert world.status()["status"] == "healthy"
    world.settle()
    assert world.post("instances/one/terminate", **TERMINATE).status_code == 200


def test_the_file_follows_each_change(world):
    world.start().http.launch("one")
    written = read(HOME / "workspaces" / "generation.json")
    assert not_none(written).event == world.newest()


def test_a_torn_file_beside_the_machines_claims_nothing(world):
    world.start().http.launch("one")
    (HOME / "workspaces" / "generation.json").write_text('{"database": "a", "ev')
    world.start()
    assert world.status()["status"] == "healthy"


def test_of_two_commits_at_once_the_file_keeps_the_later_one(world, monkeypatch):
    """A number that went back would be given to another event after a restore."""
    generation = world.start().daemon.generation
    first_asked, go_on, numbers = threading.Event(), threading.Event(), iter([101, 102])

    def newest():
        number = next(numbers)
        if number == 101:
            first_asked.set()
            go_on.wait(120)
        return number

    monkeypatch.setattr(world.daemon.db, "newest_event", newest)
    first, second = (threading.Thread(target=generation.follow) for _ in range(2))
    first.start()
    first_asked.wait(120)
    second.start()
    second.join(1)  # it may have to wait for the first one
    go_on.set()
    first.join()
    second.join()
    assert not_none(read(HOME / "workspaces" / "generation.json")).event == 102
