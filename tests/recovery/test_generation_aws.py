"""An older database is restored, and only the tags of machines on AWS show that it is older."""

import contextlib
import sqlite3

import boto3
import pytest

from prism.daemon.app import build
from prism.kit.tables import metadata
from prism.providers.aws.api.actions import reads
from prism.settings import Settings
from tests.conftest import Http
from tests.optional import not_none
from tests.waiting import eventually

GENERATION = "prism:generation"
TERMINATE = {"confirm": "DELETE"}


@pytest.fixture
def world(aws_with_short_dial, tmp_path, operator_type):
    world = AwsWorld(aws_with_short_dial, tmp_path, operator_type)
    yield world
    world.end()


class AwsWorld:
    """A daemon whose database can be backed up, and restored in a new home."""

    def __init__(self, aws, folder, operator):
        self.aws, self.folder, self.operator_type = aws, folder, operator
        self.number, self.daemon = 0, None

    def start(self):
        """In a new home, so that no generation is stored on this computer."""
        self.end()
        self.number += 1
        home = self.folder / f"home{self.number}"
        home.mkdir()
        settings = Settings(home=str(home), user="ada", database_url=f"sqlite:///{self.file}")
        self.daemon = build(settings, clock=self.aws.clock)
        metadata.create_all(self.daemon.db.writer)
        self.daemon.generation.begin()
        self.daemon.profiles.first_start({})
        self.desk = self.operator_type(self.daemon)
        if not any(profile["name"] == "lab" for profile in self.desk.get("profiles")):
            self.desk.post("profiles", 201, name="lab", provider="aws", region="us-east-1")
            self.desk.post("profiles/switch", 200, profile_name="lab")
        return self

    def end(self):
        if self.daemon:
            self.daemon.close()
            self.daemon = None

    @property
    def file(self):
        return self.folder / "state.db"

    def back_up(self):
        source, target = sqlite3.connect(self.file), sqlite3.connect(self.folder / "kept")
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)

    def restore(self):
        self.end()
        for log in ("-wal", "-shm"):
            self.file.with_name(self.file.name + log).unlink(missing_ok=True)
        (self.folder / "kept").rename(self.file)
        return self.start()

    def settle(self, times=1, seconds=5):
        for _ in range(times):
            self.aws.clock.advance(seconds)
            not_none(self.daemon).settle()

    def until(self, holds):
        def settled():
            self.settle()
            return holds()

        eventually(settled, 120)

    def launch(self, name):
        answer = Http(not_none(self.daemon).app).launch(name, size="S", template="Plain Shell")
        assert answer.status_code == 201, answer.text
        self.until(lambda: self.desk.states()[name] == "running")

    def volume(self):
        return self.desk.get("storage/volumes/data")

    def make_volume(self):
        self.desk.post("storage/volumes/create", 201, type="ebs", name="data", size_gb=8)
        self.until(lambda: self.volume()["state"] == "available")

    def status(self):
        return self.desk.get("daemon/status")

    def refused(self, method, path, **body):
        answer = self.desk.http(method, f"/api/v1/{path}", json=body or None)
        return answer.status_code, answer.json()["error"]["code"]

    @property
    def ec2(self):
        """A client of the account without Prism."""
        return boto3.client("ec2", region_name="us-east-1")

    def tags(self, id):
        tags = self.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [id]}])["Tags"]
        return {tag["Key"]: tag["Value"] for tag in tags}

    def attached(self, id):
        which = [
            {"Name": "volume-id", "Values": [id]}
        ]  # by id it is an error until EC2 shows the volume
        return any(
            volume["Attachments"] for volume in self.ec2.describe_volumes(Filters=which)["Volumes"]
        )

    def snapshot_names(self):
        snapshots = self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        tags = ({tag["Key"]: tag["Value"] for tag in snapshot["Tags"]} for snapshot in snapshots)
        return {tag["prism:name"] for tag in tags}

    def destructive_calls(self, since):
        done = [call.action for call in self.aws.calls[since:]]
        return [
            text for text in done if text.startswith(("Terminate", "Stop", "Delete", "Detach"))
        ]


def test_older_database_on_aws_is_detected_by_tags_and_deletes_nothing(world):
    world.start().launch("one")
    world.make_volume()
    first_id = world.desk.get("instances/one")["id"]
    world.desk.post("instances/one/stop", 200)
    world.back_up()  # the stop was requested, and not carried out yet
    world.until(lambda: world.desk.states()["one"] == "stopped")
    world.desk.post("instances/one/start", 200)
    world.until(lambda: world.desk.states()["one"] == "running")
    world.launch("two")
    world.desk.post("storage/volumes/data/attach", 200, instance="two")
    world.until(lambda: world.attached(world.volume()["volume_id"]))
    world.settle(2)
    newest, calls = world.daemon.db.newest_event(), len(world.aws.calls)
    world.restore().settle(3)
    status = world.status()
    assert status["status"] == "degraded"
    assert "older than the machines" in " ".join(status["reasons"])
    assert world.daemon.db.newest_event() > newest, "no event number is used twice"
    assert world.refused("DELETE", "storage/volumes/data") == (409, "DATABASE_OLDER")
    refused = world.refused("POST", "instances/one/terminate", **TERMINATE)
    assert refused == (409, "DATABASE_OLDER")
    assert world.destructive_calls(calls) == []
    assert {machine["id"]: machine["state"] for machine in world.aws.machines()}[
        first_id
    ] == "running"
    recovery = world.desk.recover()
    assert [workspace["name"] for workspace in recovery["recovered"]] == ["two"]
    assert "prism recover --accept" in recovery["database"]
    world.settle(3)
    assert world.destructive_calls(calls) == [], "the older database is not accepted yet"
    assert "continues with this database" in world.desk.recover(accept=True)["database"]
    assert world.status()["reasons"] == []
    world.until(lambda: world.desk.states() == {"one": "stopped", "two": "running"})
    world.start().settle(3)
    assert world.status()["reasons"] == [], "the acceptance is stored"


@pytest.mark.slow  # `test_generation.py` has a volume that the older database takes for free
def test_storage_requests_to_an_older_database_lose_no_data(world):
    """It shows an attached volume as free, keeps a deleted snapshot, and lacks a new one."""
    world.start().launch("one")
    world.make_volume()
    world.desk.post("snapshots", 201, name="early", volume="data")
    world.until(lambda: world.desk.get("snapshots/early")["state"] == "completed")
    world.settle(2)
    world.back_up()
    world.settle(1, seconds=60)  # EC2 makes one snapshot of a volume in 15 seconds
    world.desk.post("snapshots", 201, name="late", volume="data")
    world.until(lambda: world.desk.get("snapshots/late")["state"] == "completed")
    world.launch("two")
    world.desk.post("storage/volumes/data/attach", 200, instance="two")
    world.until(lambda: world.attached(world.volume()["volume_id"]))
    assert world.desk.http("DELETE", "/api/v1/snapshots/early").status_code == 200
    world.until(lambda: world.snapshot_names() == {"late"})
    data = world.volume()["volume_id"]
    two = world.desk.get("instances/two")["id"]
    world.restore()
    world.until(lambda: world.status()["reasons"])
    calls = len(world.aws.calls)
    for method, path in (("DELETE", "storage/volumes/data"), ("DELETE", "snapshots/early")):
        assert world.refused(method, path) == (409, "DATABASE_OLDER")
    refused = world.refused("POST", "storage/volumes/data/attach", instance="one")
    assert refused == (409, "IN_USE"), "the observed attachment counts"
    world.desk.post("storage/volumes/create", 201, type="ebs", name="more", size_gb=8)
    world.desk.post("snapshots", 201, name="now", instance="one")
    world.desk.post("snapshots/early/restore", name="again")
    world.desk.post("storage/volumes/data/detach", 200)
    world.settle(3)
    changed = [call.action for call in world.aws.calls[calls:] if not reads(call.action)]
    assert set(changed) <= {"CreateTags"}, "AWS is changed only after the database is accepted"
    assert world.attached(data)
    recovered = {resource["name"] for resource in world.desk.recover()["storage"]}
    assert recovered == {"late"}
    world.desk.recover(accept=True)
    world.until(lambda: world.desk.get("storage/volumes/more")["state"] == "available")
    world.until(lambda: world.desk.get("snapshots/now")["state"] == "completed")
    world.settle(3)
    done = [call.action for call in world.aws.calls[calls:]]
    lost = ("Terminate", "Stop", "Delete")
    # Deleted tags: machines without an expiry are updated once more.
    assert not [text for text in done if text.startswith(lost) and text != "DeleteTags"]
    assert world.volume()["volume_id"] == data
    assert {machine["id"] for machine in world.aws.machines()} >= {two}
    assert world.snapshot_names() == {"late", "now"}


def test_provider_is_not_called_before_the_first_survey_of_a_restored_database(world):
    world.start().launch("one")
    world.back_up()
    world.launch("two")
    world.settle(2)
    world.restore()
    calls = len(world.aws.calls)
    assert world.status()["reasons"] == [], "no survey has run yet"
    world.desk.post("instances/one/terminate", 200, **TERMINATE)
    world.settle(3)
    assert "older than the machines" in " ".join(world.status()["reasons"])
    assert world.destructive_calls(calls) == []


@pytest.mark.slow  # machines tell it in the same way
def test_older_database_is_detected_by_the_tags_of_volumes(world):
    world.start().make_volume()
    world.back_up()
    world.desk.post("snapshots", 201, name="kept", volume="data")
    world.until(lambda: world.desk.get("snapshots/kept")["state"] == "completed")
    world.settle(3, seconds=1000)
    world.restore()
    world.until(lambda: world.status()["reasons"])
    assert "older than the machines" in " ".join(world.status()["reasons"])


def test_generation_tags_are_written_only_after_changes_of_their_location(world):
    world.start().launch("one")
    world.make_volume()
    world.settle(5, seconds=60)
    calls = len(world.aws.calls)
    world.desk.post("projects", 201, name="thesis")  # does not concern this location
    world.settle(5, seconds=60)
    actions = {call.action for call in world.aws.calls[calls:]}
    assert "DescribeInstances" in actions
    assert all(map(reads, actions)), actions
    [machine] = world.aws.machines()
    assert world.tags(machine["id"])[GENERATION]
    world.start().settle(3)
    assert world.status()["reasons"] == []


def test_generation_tags_of_another_prism_are_ignored_and_unchanged(world, tmp_path):
    world.start().launch("one")
    world.settle(3)
    [machine] = world.aws.machines()
    theirs = world.tags(machine["id"])[GENERATION]
    world.end()
    world.file.rename(tmp_path / "others")
    world.start().launch("two")
    world.settle(3)
    assert world.status()["reasons"] == []
    assert world.tags(machine["id"])[GENERATION] == theirs


def test_generation_tag_moves_to_another_machine_after_a_termination(world):
    world.start().launch("one")
    world.launch("two")
    world.settle(2)
    [carrier] = [
        machine["id"]
        for machine in world.aws.machines()
        if GENERATION in world.tags(machine["id"])
    ]
    world.ec2.terminate_instances(InstanceIds=[carrier])
    world.back_up()
    world.settle(4)
    left = [machine["id"] for machine in world.aws.machines() if machine["state"] == "running"]
    assert all(world.tags(id).get(GENERATION) for id in left)
