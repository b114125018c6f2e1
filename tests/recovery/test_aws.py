"""A whole daemon on the double of AWS after the loss of its database: the tags have the facts."""

import os

import boto3
import pytest

from aws_double.rulebook import build as build_rules
from prism.daemon.app import build
from prism.kit.tables import metadata
from prism.providers.aws.compute.console import Console
from prism.settings import Settings
from tests.aws_policies import FOLDER
from tests.aws_setup import PROPAGATED, set_up
from tests.conftest import Http
from tests.rows import every_workspace
from tests.waiting import eventually

TTL = 8


@pytest.fixture
def aws(aws_with_short_dial):
    return aws_with_short_dial


@pytest.fixture
def start_daemon(aws, tmp_path, operator_type):
    """Starts a daemon of a home, on a database of its own."""
    daemons = []

    def make(database="first", home="home", user="ada", **profile):
        folder = tmp_path / home
        folder.mkdir(exist_ok=True)
        settings = Settings(
            home=str(folder), user=user, database_url=f"sqlite:///{tmp_path}/{database}.db"
        )
        daemon = build(settings, clock=aws.clock)
        daemons.append(daemon)
        metadata.create_all(daemon.db.writer)
        daemon.profiles.first_start({})
        operator = operator_type(daemon)
        order = {"name": "lab", "provider": "aws", "region": "us-east-1", **profile}
        operator.post("profiles", 201, **order)
        operator.post("profiles/switch", 200, profile_name=order["name"])
        return operator

    yield make
    for daemon in daemons:
        daemon.close()


def wait_for_states(operator, aws, **states):
    """Advances the clock and reconciles until the workspaces have these states."""

    def condition():
        aws.clock.advance(5)
        operator.daemon.settle()
        return operator.states() == states

    eventually(condition, 120)


def launch(operator, name, **more):
    answer = Http(operator.daemon.app).launch(name, size="S", ttl_hours=TTL, **more)
    assert answer.status_code == 201, answer.text


@pytest.fixture
def lost_machines(start_daemon, aws):
    """A running and a stopped machine, and a daemon with a new database."""
    daemon = start_daemon()
    launch(daemon, "runs", storage={"ebs_volume_size": 33})
    launch(daemon, "off", spot=True)
    wait_for_states(daemon, aws, runs="running", off="running")
    daemon.post("instances/off/stop", 200)
    wait_for_states(daemon, aws, runs="running", off="stopped")
    before = {workspace["name"]: workspace for workspace in daemon.get("instances")}
    after = start_daemon("second")
    after.before = before
    after.daemon.settle()
    return after


def test_workspaces_are_recovered_from_their_tags(lost_machines, aws):
    launched = sum(call.action == "RunInstances" for call in aws.calls)
    assert {orphan["name"] for orphan in lost_machines.orphans()} == {"runs", "off"}
    assert all(orphan["key_here"] for orphan in lost_machines.orphans())
    recovery = lost_machines.recover()
    assert sorted(workspace["name"] for workspace in recovery["recovered"]) == ["off", "runs"]
    notes = {note for workspace in recovery["recovered"] for note in workspace["notes"]}
    assert notes == {"it has the present version of its template"}
    wait_for_states(lost_machines, aws, runs="running", off="stopped")
    vary = {
        "progress",
        "stage",
        "current_spend",
        "idle",
        "launch_progress",
        "last_request",
        "launched_by",
    }
    for workspace in lost_machines.get("instances"):
        was = lost_machines.before[workspace["name"]]
        assert {k: v for k, v in workspace.items() if k not in vary} == {
            k: v for k, v in was.items() if k not in vary
        }
    rows = {entry.name: entry for entry in every_workspace(lost_machines.daemon.db)}
    assert (rows["runs"].root_gb, rows["off"].spot, rows["runs"].spot) == (33, True, False)
    assert sum(call.action == "RunInstances" for call in aws.calls) == launched
    assert len(aws.machines()) == 2


def test_orphan_has_its_price_and_its_ledger_starts_at_its_last_start(lost_machines, aws):
    aws.clock.advance(3600)
    runs, off = sorted(lost_machines.orphans(), key=lambda orphan: orphan["name"], reverse=True)
    assert (runs["instance_type"], runs["hourly_rate"]) == ("t3.medium", 0.0416)
    assert runs["cost_so_far"] == pytest.approx(0.0416, abs=0.005)
    assert off["cost_so_far"] is None
    assert runs["place"] == "aws:123456789012:us-east-1"
    lost_machines.recover()
    lost_machines.daemon.settle()
    history = lost_machines.get("costs/current")
    assert history, "the costs are booked"
    spent = lost_machines.daemon.costs
    with lost_machines.daemon.db.read() as sql:
        spends = spent.spends(sql)
    [row] = [entry for entry in every_workspace(lost_machines.daemon.db) if entry.name == "runs"]
    assert spends[row.id] / 1e6 == pytest.approx(0.0416, abs=0.01)


def test_terminated_orphan_is_no_longer_listed(lost_machines, aws):
    id = lost_machines.before["off"]["id"]
    lost_machines.post(f"orphans/{id}/terminate", 200, confirm="DELETE")
    wait_for_states(lost_machines, aws, off="terminated")
    assert {machine["id"]: machine["state"] for machine in aws.machines()}[id] == "terminated"
    assert [orphan["name"] for orphan in lost_machines.orphans()] == ["runs"]


def test_orphans_without_a_local_key_are_recovered_only_by_their_owner(
    lost_machines, start_daemon, aws
):
    eve = start_daemon("third", home="elsewhere", user="eve")
    eve.daemon.settle()
    assert not any(orphan["key_here"] for orphan in eve.orphans())
    assert eve.recover()["recovered"] == []
    ada = start_daemon("fourth", home="new-laptop", user="ada")
    ada.daemon.settle()
    assert len(ada.recover()["recovered"]) == 2, "a user can recover own launches"


def test_recovery_creates_a_missing_profile_with_its_old_name(start_daemon, aws):
    daemon = start_daemon(name="grant")
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    after = start_daemon("second", name="other")
    after.daemon.settle()
    [workspace] = after.recover()["recovered"]
    assert "its profile did not exist: 'grant' was created" in workspace["notes"]
    profile = next(profile for profile in after.get("profiles") if profile["name"] == "grant")
    assert (profile["provider"], profile["region"]) == ("aws", "us-east-1")
    wait_for_states(after, aws, mine="running")


def test_orphan_without_a_prism_key_is_listed_and_can_be_adopted(start_daemon, aws, lost_machines):
    ec2 = boto3.client("ec2")
    id = lost_machines.before["runs"]["id"]
    tags = ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]["Tags"]
    keep = {"Name", "prism:managed"}
    ec2.delete_tags(
        Resources=[id], Tags=[{"Key": tag["Key"]} for tag in tags if tag["Key"] not in keep]
    )
    aws.clock.advance(PROPAGATED)
    lost_machines.daemon.settle()
    [orphan] = [orphan for orphan in lost_machines.orphans() if orphan["id"] == id]
    assert (orphan["name"], orphan["owner"], orphan["template"]) == ("runs", None, None)
    tested_orphan = lost_machines.post(f"orphans/{id}/adopt", 201)
    assert tested_orphan["name"] == "runs"
    assert any("it had no owner" in note for note in tested_orphan["notes"])
    lost_machines.daemon.settle()
    assert lost_machines.states()["runs"] == "running"
    lost_machines.post("instances/runs/terminate", 200, confirm="DELETE")
    wait_for_states(lost_machines, aws, runs="terminated")


def test_machine_terminated_outside_prism_is_failed_within_one_survey(start_daemon, aws):
    daemon = start_daemon()
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    [machine] = daemon.get("instances")
    boto3.client("ec2").terminate_instances(InstanceIds=[machine["id"]])
    aws.clock.advance(30)
    calls_before = sum(call.action == "DescribeInstances" for call in aws.calls)
    daemon.daemon.settle()
    [now] = daemon.get("instances")
    assert (now["state"], now["failure"]["code"]) == ("failed", "MACHINE_VANISHED")
    assert sum(call.action == "DescribeInstances" for call in aws.calls) <= calls_before + 2
    assert daemon.orphans() == [], "a terminated machine is not an orphan"


def test_machine_without_its_tags_keeps_running_and_gets_them_back(start_daemon, aws):
    set_up(aws)
    daemon = start_daemon()
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    [machine] = daemon.get("instances")
    boto3.client("ec2").delete_tags(Resources=[machine["id"]])
    for _ in range(2):
        aws.clock.advance(1800)
        daemon.daemon.settle()
    [now] = daemon.get("instances")
    assert (now["state"], now["failure"], now["id"]) == ("running", None, machine["id"])
    [real] = aws.machines()
    assert (real["tags"]["prism:managed"], real["tags"]["prism:name"]) == ("true", "mine")
    hour = 0.0416 + 0.005 + 52 * 0.08 / 720  # a t3.medium, its address and its disk

    def costs_one_hour():
        # A survey in which the machine did not answer over SSH in time does not count.
        aws.clock.advance(5)
        daemon.daemon.settle()
        with daemon.daemon.db.read() as sql:
            [spent] = daemon.daemon.costs.spends(sql).values()
        return spent / 1e6 == pytest.approx(hour, abs=0.005)

    eventually(costs_one_hour, 60)


@pytest.mark.slow  # `providers/aws/compute/test_lifecycle.py` has the fault
def test_lost_memory_after_hibernation_is_shown_and_recorded(start_daemon, aws, monkeypatch):
    read = Console.read  # its cache lasts a real second, in which a machine of the double boots
    monkeypatch.setattr(Console, "read", lambda self, id, fresh=0.0: read(self, id, 0.0))
    aws.rules = build_rules({"sleepless": "prism:name=mine"})
    daemon = start_daemon()
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    daemon.post("instances/mine/hibernate", 200)
    wait_for_states(daemon, aws, mine="hibernated")
    daemon.post("instances/mine/resume", 200)
    wait_for_states(daemon, aws, mine="running")
    [now] = daemon.get("instances")
    assert now["failure"]["code"] == "MEMORY_LOST"
    assert "its memory is lost, its disk is kept" in now["failure"]["message"]
    with daemon.daemon.db.read() as sql:
        events = [str(row) for row in sql.exec_driver_sql("select * from events")]
    assert [row for row in events if "MEMORY_LOST" in row and "instance_" in row]


def tag_calls(aws):
    actions = {"CreateTags", "DeleteTags"}
    return sum(call.action in actions for call in aws.calls)


def test_launch_without_a_role_records_and_shows_that_it_cannot_hibernate(start_daemon, aws):
    """The note is in an event and wherever idleness is shown, not only in a log."""
    set_up(aws)
    aws.rules = build_rules({"denied": ["iam:PassRole"]})
    daemon = start_daemon()
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    [note_event] = [
        fact for fact in daemon.daemon.db.events_after(0) if fact.event == "instance_note"
    ]
    [now] = daemon.get("instances")
    for note in (
        note_event.data["note"],
        daemon.get("instances/mine")["idle"]["note"],
        now["idle"]["note"],
    ):
        assert "cannot hibernate by itself" in note
        assert "`prism aws setup`" in note
    aws.rules = build_rules({})
    launch(daemon, "next")
    wait_for_states(daemon, aws, mine="running", next="running")
    assert (
        len([fact for fact in daemon.daemon.db.events_after(0) if fact.event == "instance_note"])
        == 2
    )


@pytest.mark.slow  # `providers/aws/compute/test_lifecycle.py` has the fault
def test_instance_that_hangs_while_stopping_is_reported_and_can_be_forced(start_daemon, aws):
    aws.rules = build_rules({"stuck": [{"state": "stopping"}]})
    daemon = start_daemon()
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    daemon.post("instances/mine/stop", 200)
    wait_for_states(daemon, aws, mine="stopping")
    for _ in range(3):
        aws.clock.advance(5 * 60)
        daemon.daemon.settle()
    [now] = daemon.get("instances")
    assert (now["state"], now["failure"]["code"]) == ("stopping", "STOP_HANGS")
    assert "`prism stop mine`" in now["failure"]["message"]
    [failure_event] = [
        fact for fact in daemon.daemon.db.events_after(0) if fact.event == "instance_failure"
    ]
    assert failure_event.data["failure"]["code"] == "STOP_HANGS"
    stops_before = sum(call.action == "StopInstances" for call in aws.calls)
    daemon.daemon.settle()
    assert sum(call.action == "StopInstances" for call in aws.calls) == stops_before, (
        "only a request forces the stop"
    )
    daemon.post("instances/mine/stop", 200)
    wait_for_states(daemon, aws, mine="stopped")
    assert sum(call.action == "StopInstances" for call in aws.calls) == stops_before + 1
    assert daemon.get("instances")[0]["failure"] is None


def test_changes_since_the_launch_are_written_to_the_tags_once(start_daemon, aws):
    daemon = start_daemon()
    for name in ("bees", "reef"):
        daemon.post("projects", 201, name=name)
    launch(daemon, "mine", project="bees")
    wait_for_states(daemon, aws, mine="running")
    daemon.daemon.settle()
    before = tag_calls(aws)
    daemon.daemon.settle()
    assert tag_calls(aws) == before, "unchanged tags are not written"
    daemon.post("instances/mine/move", 200, project="reef")
    daemon.daemon.settle()
    assert tag_calls(aws) == before + 1
    more = daemon.http("POST", "/api/v1/instances/mine/extend", json={"hours": 5})
    assert more.status_code == 204, more.text
    daemon.post("idle/instances/mine/configure", 200, profile="batch")
    daemon.daemon.settle()
    [now] = daemon.get("instances")
    [row] = every_workspace(daemon.daemon.db)
    aws.clock.advance(PROPAGATED)
    after = start_daemon("second")
    after.post("projects", 201, name="reef")
    after.daemon.settle()
    after.recover()
    [again] = every_workspace(after.daemon.db)
    assert (again.project_name, again.idle_profile) == ("reef", "batch")
    assert again.expires_at == row.expires_at
    answer = boto3.client("ec2").describe_instances(InstanceIds=[now["id"]])
    tags = {tag["Key"]: tag["Value"] for tag in answer["Reservations"][0]["Instances"][0]["Tags"]}
    assert tags["prism:project"] == "reef"


def test_volumes_and_snapshots_are_recovered_from_their_tags(start_daemon, aws):
    daemon = start_daemon()
    launch(daemon, "mine")
    wait_for_states(daemon, aws, mine="running")
    for kind in ({"type": "ebs", "size_gb": 12}, {"type": "efs"}):
        daemon.post("storage/volumes/create", 201, name=kind["type"], **kind)

    def wait_for(operator, at):
        def condition():
            aws.clock.advance(5)
            operator.daemon.settle()
            return at(operator)

        eventually(condition, 120)

    def ids(operator):
        volumes = operator.get("storage/volumes")
        return {v["volume_id"] for v in volumes["ebs_volumes"] if v["state"] == "available"} | {
            v["filesystem_id"] for v in volumes["efs_volumes"] if v["state"] == "available"
        }

    wait_for(daemon, lambda operator: len(ids(operator)) == 2)
    daemon.post("snapshots", 201, name="copy", volume="ebs")
    wait_for(daemon, lambda operator: operator.get("snapshots")[0]["state"] == "completed")
    before = ids(daemon)
    after = start_daemon("second")
    wait_for(after, lambda one: len(one.get("orphans")["storage"]) == 3)
    orphans_by_kind = {orphan["kind"]: orphan for orphan in after.get("orphans")["storage"]}
    assert (orphans_by_kind["ebs"]["size_gb"], orphans_by_kind["ebs"]["owner"]) == (12, "ada")
    assert orphans_by_kind["ebs"]["monthly_cost"] == pytest.approx(0.96)
    taken = {resource["name"] for resource in after.recover()["storage"]}
    assert taken == {"ebs", "efs", "copy"}
    wait_for(after, lambda operator: ids(operator) == before)
    [copy] = after.get("snapshots")
    assert (copy["source"], copy["source_type"], copy["size_gb"]) == ("ebs", "volume", 12)


def test_copies_with_the_same_tags_are_orphans_and_outlive_their_originals(start_daemon, aws):
    """AWS Backup Developer Guide, "Copy tags during a restore"."""
    daemon, ec2 = start_daemon(), boto3.client("ec2")
    launch(daemon, "mine")
    daemon.post("storage/volumes/create", 201, name="data", type="ebs", size_gb=10)
    wait_for_states(daemon, aws, mine="running")
    [original] = aws.machines()
    [described] = ec2.describe_instances(InstanceIds=[original["id"]])["Reservations"]
    [instance] = described["Instances"]
    answer = ec2.run_instances(
        ImageId=instance["ImageId"],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": instance["Tags"]}],
    )
    machine_copy = answer["Instances"][0]["InstanceId"]
    for _ in range(3):  # unused storage is observed every two minutes
        aws.clock.advance(150)
        daemon.daemon.settle()
    [volume] = daemon.get("storage/volumes")["ebs_volumes"]
    [disk] = ec2.describe_volumes(VolumeIds=[volume["volume_id"]])["Volumes"]
    backup = ec2.create_snapshot(VolumeId=disk["VolumeId"])["SnapshotId"]
    aws.clock.advance(150)
    disk_copy = ec2.create_volume(
        AvailabilityZone=disk["AvailabilityZone"],
        SnapshotId=backup,
        TagSpecifications=[{"ResourceType": "volume", "Tags": disk["Tags"]}],
    )["VolumeId"]
    daemon.post("instances/mine/terminate", 200, confirm="DELETE")
    daemon.http("DELETE", "/api/v1/storage/volumes/data")
    for _ in range(20):
        aws.clock.advance(150)
        daemon.daemon.settle()
    assert [orphan["id"] for orphan in daemon.orphans()] == [machine_copy]
    [stored] = daemon.get("orphans")["storage"]
    assert (stored["id"], disk_copy in stored["removed_by"]) == (disk_copy, True)
    states = {machine["id"]: machine["state"] for machine in aws.machines()}
    assert states.get(original["id"], "terminated") == "terminated"
    assert states[machine_copy] == "running"
    assert ec2.describe_volumes(VolumeIds=[disk_copy])["Volumes"]
    left = {skipped["id"]: skipped["why"] for skipped in daemon.recover()["left"]}
    assert "has the tags of mine" in left[machine_copy]
    assert disk_copy in left[disk_copy]


def test_duplicate_snapshot_of_one_request_is_listed_with_its_price_and_command(start_daemon, aws):
    """`CreateSnapshot` has no idempotency token, so a repeated call makes two snapshots."""
    daemon = start_daemon()
    daemon.post("storage/volumes/create", 201, name="data", type="ebs", size_gb=10)

    def wait_until(holds):
        for _ in range(20):  # unused storage is observed every two minutes
            aws.clock.advance(150)
            daemon.daemon.settle()
            if answer := holds():
                return answer
        raise AssertionError("it never came about")

    wait_until(lambda: daemon.get("storage/volumes")["ebs_volumes"][0]["state"] == "available")
    aws.fault(action="CreateSnapshot", do="twice")
    daemon.post("snapshots", 201, name="copy", volume="data")
    wait_until(lambda: daemon.get("snapshots")[0]["state"] == "completed")
    [row] = daemon.get("snapshots")
    [second] = wait_until(lambda: daemon.get("orphans")["storage"])
    assert (second["kind"], second["size_gb"]) == ("snapshot", 10)
    assert second["id"] != row["snapshot_id"]
    assert second["monthly_cost"] == pytest.approx(0.5)
    command = f"aws ec2 delete-snapshot --region us-east-1 --snapshot-id {second['id']}"
    assert second["removed_by"] == command
    [left] = daemon.recover()["left"]
    assert (left["id"], command in left["why"]) == (second["id"], True)
    assert [snapshot["name"] for snapshot in daemon.get("snapshots")] == ["copy"]
    boto3.client("ec2").delete_snapshot(SnapshotId=second["id"])
    wait_until(lambda: not daemon.get("orphans")["storage"])
    assert [snapshot["snapshot_id"] for snapshot in daemon.get("snapshots")] == [
        row["snapshot_id"]
    ]


def test_storage_without_tags_is_not_missing_and_changes_are_denied_on_purpose(start_daemon, aws):
    daemon = start_daemon()
    daemon.post("storage/volumes/create", 201, name="data", type="ebs", size_gb=10)

    def observe(times=1):
        for _ in range(times):
            aws.clock.advance(150)
            daemon.daemon.settle()

    def volume():
        return daemon.get("storage/volumes")["ebs_volumes"][0]

    observe(3)
    daemon.post("snapshots", 201, name="copy", volume="data")
    observe(3)
    [copy] = daemon.get("snapshots")
    assert (volume()["state"], copy["state"]) == ("available", "completed")
    ids = [volume()["volume_id"], copy["snapshot_id"]]
    boto3.client("ec2").delete_tags(Resources=ids)
    observe(5)
    [copy] = daemon.get("snapshots")
    assert (volume()["state"], volume()["failure"]) == ("available", None)
    assert (copy["state"], copy["failure"]) == ("completed", None)
    assert daemon.get("orphans")["storage"] == []
    daemon.http("DELETE", "/api/v1/storage/volumes/data")
    daemon.http("DELETE", "/api/v1/snapshots/copy")
    observe(5)
    if FOLDER in os.environ:  # the daily policy forbids to delete resources without a tag of Prism
        assert "has no tags of Prism" in volume()["failure"]["message"]
        return
    assert boto3.client("ec2").describe_volumes(VolumeIds=[])["Volumes"] == []
    assert boto3.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
