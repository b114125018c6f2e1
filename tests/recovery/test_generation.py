"""A restored older database is detected and reported, and deletes nothing until it is accepted."""

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from prism.kit.tables import metadata
from prism.recovery import generation as generation_module
from prism.recovery.generation import WrittenGeneration, read, why_behind
from tests.conftest import HOME, Http
from tests.optional import not_none

TERMINATE = {"confirm": "DELETE"}


@pytest.mark.parametrize(
    ("written", "newest", "new", "why"),
    [
        (None, 0, True, None),
        (None, 7, False, None),
        (WrittenGeneration("a", 7), 7, False, None),
        (WrittenGeneration("a", 7), 9, False, None),
        (WrittenGeneration("a", 7), 6, False, "older"),
        (WrittenGeneration("b", 7), 99, False, "other"),
        (WrittenGeneration("b", 7), 0, True, "new"),
    ],
)
def test_generation_file_tells_whether_the_database_is_older_or_another(written, newest, new, why):
    assert why_behind(written, "a", newest, new=new) == why


@pytest.fixture
def world(make_daemon, url, copy_database, clock):
    """A home whose database can be backed up and restored."""
    (HOME / "workspaces" / "generation.json").unlink(missing_ok=True)
    return RestorableDaemon(make_daemon, url, copy_database, clock)


class RestorableDaemon:
    def __init__(self, make_daemon, url, copy_database, clock):
        self.clock = clock
        self.make_daemon, self.url, self.copy_database = make_daemon, url, copy_database
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

    def back_up(self):
        if self.url.startswith("sqlite"):
            source, target = sqlite3.connect(self.file), sqlite3.connect(f"{self.file}.kept")
            with contextlib.closing(source), contextlib.closing(target):
                source.backup(target)
        else:
            not_none(self.daemon).db.close()
            self.copy_database("copy", to="kept")
            self.start()

    def restore(self):
        not_none(self.daemon).close()
        self.daemon = None
        if self.url.startswith("sqlite"):
            for log in ("-wal", "-shm"):
                self.file.with_name(self.file.name + log).unlink(missing_ok=True)
            self.file.with_name("state.db.kept").rename(self.file)
        else:
            self.copy_database("kept")
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
def test_volume_that_the_older_database_shows_as_free_is_not_deleted(world, disks):
    world.start().http.launch("one")
    world.post("storage/volumes/create", type="ebs", name="data", size_gb=8)
    world.settle()
    world.back_up()
    world.http.launch("two")
    world.settle()
    world.post("storage/volumes/data/attach", instance="two")
    world.settle()
    assert world.volume()["attached_instance"] == "two"
    two = world.get("instances/two")["id"]
    newest = world.newest()
    world.restore()
    status = world.status()
    assert status["status"] == "degraded"
    assert "older than the machines" in status["reasons"][0]
    assert world.newest() > newest, "no event number is used twice"
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
    assert world.status()["status"] == "degraded", "the older database is not accepted yet"
    assert world.post("recover", dry_run=True, accept=True).status_code == 200
    assert world.status()["status"] == "degraded", "a dry run does not accept the database"
    assert "continues with this database" in world.post("recover", accept=True).json()["database"]
    assert world.status()["status"] == "healthy"
    world.settle()
    assert world.volume()["attached_instance"] == "two"
    refused = world.http("DELETE", "/api/v1/storage/volumes/data")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "IN_USE")
    world.post("storage/volumes/data/detach")
    world.settle()
    assert world.volume()["state"] == "available"
    [disk] = disks.disks.values()
    assert disk.attached == set()
    assert world.post("instances/one/terminate", **TERMINATE).status_code == 200
    world.settle()


def test_older_database_sets_the_idle_rules_of_machines_once_accepted(world, cloud):
    world.start().http.launch("one")
    world.settle()
    [machine] = cloud.survey()
    world.back_up()
    world.post("idle/instances/one/configure", profile="gpu")
    world.settle()
    assert cloud.rule(machine.id).profile == "gpu"
    world.restore()
    world.post("recover", accept=True)
    world.settle()
    assert cloud.rule(machine.id).profile == "standard"


@pytest.mark.parametrize("ttl_hours", [None, 4])
def test_older_database_sets_the_expiry_of_machines_once_accepted(world, cloud, ttl_hours):
    """Also if the older database has no expiry for the machine."""
    options = {} if ttl_hours is None else {"ttl_hours": ttl_hours}
    world.start().http.launch("one", **options)
    world.settle()
    [machine] = cloud.survey()
    until = cloud.expiry(machine.id)
    world.back_up()
    world.post("instances/one/extend", hours=24)
    world.settle()
    assert cloud.expiry(machine.id) != until
    world.restore()
    world.post("recover", accept=True)
    world.settle()
    assert cloud.expiry(machine.id) == until


def test_machine_resized_after_the_backup_has_its_observed_type(world, cloud):
    world.start().http.launch("one")
    world.settle()
    world.back_up()
    world.post("instances/one/stop")
    world.settle()
    assert world.post("instances/one/resize", instance_type="t3.xlarge").status_code == 200
    world.settle()
    world.post("instances/one/start")
    world.settle()
    world.restore()
    assert world.get("instances/one")["instance_type"] == "t3.xlarge", (
        "also before the database is accepted"
    )


def test_pending_work_of_an_older_database_waits_until_it_is_accepted(world, disks, cloud):
    world.start().http.launch("one")
    world.post("storage/volumes/create", type="ebs", name="data", size_gb=8)
    world.settle()
    world.post("storage/volumes/data/attach", instance="one")
    world.settle()
    cloud.faults.down = disks.faults.down = True
    world.post("instances/one/stop")
    world.post("storage/volumes/data/detach")
    world.back_up()
    cloud.faults.down = disks.faults.down = False
    world.settle()
    world.post("instances/one/start")
    world.settle()
    world.restore()
    calls = list(cloud.calls)
    world.settle()
    assert world.status()["status"] == "degraded"
    assert not [
        call for call in cloud.calls[len(calls) :] if call.startswith(("stop", "terminate"))
    ]
    waiting = world.get("instances/one")["waiting"]
    assert "older than the machines" in waiting
    assert "`prism recover --accept`" in waiting
    assert (world.volume()["state"], world.volume()["waiting"]) == ("detaching", waiting)
    world.post("snapshots", name="copy", volume="data")
    assert world.get("snapshots/copy")["waiting"] == waiting
    assert world.get("storage/volumes")["ebs_volumes"][0]["waiting"] == waiting
    world.post("recover", accept=True)
    world.settle()
    assert (world.volume()["state"], world.volume()["waiting"]) == ("available", None)
    assert world.get("snapshots/copy")["waiting"] is None
    assert world.get("instances/one")["state"] == "stopped"
    assert world.get("instances/one")["waiting"] is None


def test_accepting_an_older_database_survives_a_restart(world):
    world.start().http.launch("one")
    world.settle()
    world.back_up()
    world.http.launch("two")
    world.settle()
    world.restore()
    world.start()
    assert world.status()["status"] == "degraded"
    world.post("recover", accept=True)
    world.start()
    assert world.status()["status"] == "healthy"


def test_new_database_in_a_used_home_is_reported_and_works(world):
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


def test_generation_file_has_the_newest_event(world):
    world.start().http.launch("one")
    written = read(HOME / "workspaces" / "generation.json")
    assert not_none(written).event == world.newest()


def test_damaged_generation_file_is_ignored(world):
    world.start().http.launch("one")
    (HOME / "workspaces" / "generation.json").write_text('{"database": "a", "ev')
    world.start()
    assert world.status()["status"] == "healthy"


def test_generation_file_keeps_the_later_of_two_concurrent_commits(world, monkeypatch):
    """A lower number would be given to another event after a restore."""
    generation = world.start().daemon.generation
    first_started, go_on, numbers = threading.Event(), threading.Event(), iter([101, 102])

    def newest():
        number = next(numbers)
        if number == 101:
            first_started.set()
            go_on.wait(120)
        return number

    monkeypatch.setattr(world.daemon.db, "newest_event", newest)
    first, second = (threading.Thread(target=generation.follow) for _ in range(2))
    first.start()
    first_started.wait(120)
    second.start()
    second.join(1)  # it may have to wait for the first one
    go_on.set()
    first.join()
    second.join()
    assert not_none(read(HOME / "workspaces" / "generation.json")).event == 102


def test_thread_that_reads_the_state_before_a_decision_does_not_undo_it(world, monkeypatch):
    generation = world.start().daemon.generation
    generation.compare([f"{generation._database} 999999"], first=True)
    accepting = threading.Thread(target=generation.accept, args=("ada",))
    read, interruptions = generation_module._stored_behind, iter([accepting.start])

    def read_before_the_decision(sql):
        behind = read(sql)
        next(interruptions, lambda: None)()
        if threading.current_thread() is not accepting:
            accepting.join(0.2)  # it waits for this thread
        return behind

    monkeypatch.setattr(generation_module, "_stored_behind", read_before_the_decision)
    generation.follow()
    accepting.join()
    assert generation.behind is None
