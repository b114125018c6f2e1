"""Snapshots of volumes and root disks, and volumes that are restored from them."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.storage.offer import AwsStorageOffer
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import StorageRefused
from tests.providers.aws.storage.world import HERE, KEPT, ORDER, SHARED, THERE, tags_of

BACK = replace(ORDER, key="volume_9", name="back")  # by its key, it is made in another zone


def test_snapshot_has_tags_and_progress(aws_parts):
    aws_parts.aws.rules = build({"times": {"snapshot": 10}})
    source = aws_parts.made()
    snapshot = aws_parts.volumes.snapshot(KEPT, source)
    assert (snapshot.observed, snapshot.key) == (StorageObserved.MAKING, "snapshot_1")
    aws_parts.pass_time(5)
    assert (aws_parts.copy().progress, aws_parts.copy().used_bytes) == (50, None)
    aws_parts.pass_time(5)
    copy = aws_parts.copy()
    assert (copy.observed, copy.progress, copy.used_bytes) == (
        StorageObserved.THERE,
        100,
        10 * 2**30,
    )
    tags = tags_of(aws_parts.every_copy()[0])
    identity = (tags["prism:id"], tags["prism:name"], tags["prism:source"], tags["prism:user"])
    assert identity == ("snapshot_1", "kept", "data", "ada")


def test_repeated_snapshot_request_returns_the_same_snapshot(aws_parts):
    source = aws_parts.made()
    first = aws_parts.volumes.snapshot(KEPT, source)
    aws_parts.pass_time()
    assert aws_parts.volumes.snapshot(KEPT, source).id == first.id
    assert len(aws_parts.every_copy()) == 1


@pytest.mark.parametrize("do", ["lost", "late"])
def test_repeated_snapshot_request_waits_until_ec2_lists_the_first(aws_parts, do):
    """EC2 Developer Guide, "Eventual consistency"; CreateSnapshot takes no token."""
    aws_parts.aws.rules = build({"times": {"unseen": 3}})
    source = aws_parts.made()
    aws_parts.aws.fault(action="CreateSnapshot", do=do)
    with contextlib.suppress(Unavailable):
        aws_parts.volumes.snapshot(KEPT, source)
    with pytest.raises(Unavailable, match="not visible yet"):
        aws_parts.volumes.snapshot(KEPT, source)
    aws_parts.pass_time()
    assert aws_parts.volumes.snapshot(KEPT, source).key == "snapshot_1"
    assert len(aws_parts.every_copy()) == 1


def test_two_snapshots_of_a_volume_within_seconds_are_both_made(aws_parts):
    """EC2 refuses a second snapshot of a volume within 15 seconds; Prism repeats the call."""
    aws_parts.aws.rules = build({"times": {"snapshot_again": 15}})
    source = aws_parts.made()
    aws_parts.cloud._sleep = aws_parts.pass_time
    first = aws_parts.volumes.snapshot(KEPT, source)
    second = aws_parts.volumes.snapshot(replace(KEPT, key="snapshot_2", name="again"), source)
    aws_parts.pass_time()
    assert {copy["SnapshotId"] for copy in aws_parts.every_copy()} == {first.id, second.id}
    outcomes = [call.outcome for call in aws_parts.aws.calls if call.action == "CreateSnapshot"]
    assert "SnapshotCreationPerVolumeRateExceeded" in outcomes


def test_snapshot_of_an_st1_volume_waits_for_the_previous_snapshot(aws_parts):
    """EC2 makes one snapshot of an st1 volume at a time; this is no quota to raise."""
    aws_parts.aws.rules = build({"times": {"snapshot": 60}})
    cold = replace(ORDER, volume_type="st1", size_gb=125, iops=None, throughput=None)
    source = aws_parts.made(cold)
    first = aws_parts.volumes.snapshot(KEPT, source)
    again = replace(KEPT, key="snapshot_2", name="again")
    aws_parts.cloud._sleep = aws_parts.pass_time
    assert aws_parts.volumes.snapshot(again, source).id != first.id
    outcomes = [call.outcome for call in aws_parts.aws.calls if call.action == "CreateSnapshot"]
    assert outcomes.count("ok") == 2
    assert "ConcurrentSnapshotLimitExceeded" in outcomes


def test_refused_snapshot_can_be_requested_again_at_once(aws_parts):
    source = aws_parts.made()
    aws_parts.aws.fault(
        action="CreateSnapshot", do="error", code="SnapshotLimitExceeded", status=400
    )
    with pytest.raises(StorageRefused):
        aws_parts.volumes.snapshot(KEPT, source)
    assert aws_parts.volumes.snapshot(KEPT, source).key == "snapshot_1"


def test_duplicate_snapshot_of_a_request_is_listed_and_not_deleted(aws_parts):
    """Prism deletes nothing because of a duplicate key, and lists everything that costs."""
    source = aws_parts.made()
    aws_parts.aws.fault(action="CreateSnapshot", do="twice")
    aws_parts.volumes.snapshot(KEPT, source)
    aws_parts.pass_time()
    copy = aws_parts.copy()
    [other] = [copy for copy in aws_parts.volumes.survey().copies if copy.key != "snapshot_1"]
    assert {copy["SnapshotId"] for copy in aws_parts.every_copy()} == {copy.id, other.id}
    assert (copy.removed_by, other.key) == (None, other.id)
    assert other.removed_by == (
        f"aws ec2 delete-snapshot --region us-east-1 --snapshot-id {other.id}"
    )
    assert "DeleteSnapshot" not in [call.action for call in aws_parts.aws.calls]


def test_foreign_snapshot_with_copied_tags_is_not_deleted(aws_parts):
    """EBS User Guide, "Copy an Amazon EBS snapshot": tags may be copied, the volume id is not."""
    volume, other = aws_parts.made(), aws_parts.made(replace(ORDER, key="volume_7", name="other"))
    ours = aws_parts.kept(volume)
    tags = [{"ResourceType": "snapshot", "Tags": aws_parts.every_copy()[0]["Tags"]}]
    theirs = aws_parts.ec2.create_snapshot(VolumeId=other, TagSpecifications=tags)["SnapshotId"]
    aws_parts.pass_time(3600)
    later = aws_parts.ec2.create_snapshot(VolumeId=volume, TagSpecifications=tags)["SnapshotId"]
    aws_parts.pass_time()
    copies = aws_parts.volumes.survey().copies
    assert {copy.id for copy in copies if not copy.removed_by} == {ours}
    assert {copy.id for copy in copies if copy.removed_by} == {theirs, later}
    assert {copy["SnapshotId"] for copy in aws_parts.every_copy()} == {ours, theirs, later}
    aws_parts.volumes.delete_snapshot(ours)
    aws_parts.pass_time()
    assert {copy["SnapshotId"] for copy in aws_parts.every_copy()} == {theirs, later}


def test_delete_snapshot_deletes_only_the_named_snapshot(aws_parts):
    source = aws_parts.made()
    aws_parts.aws.fault(action="CreateSnapshot", do="twice")
    aws_parts.volumes.snapshot(KEPT, source)
    aws_parts.pass_time()
    copy = aws_parts.copy().id
    aws_parts.volumes.delete_snapshot(copy)
    aws_parts.volumes.delete_snapshot(copy)
    aws_parts.pass_time()
    [left] = aws_parts.every_copy()
    assert left["SnapshotId"] != copy
    assert aws_parts.copy().id == left["SnapshotId"], "the other snapshot can still be recovered"


def test_snapshot_of_a_machine_is_of_its_root_disk(aws_parts):
    machine = aws_parts.machine()
    [root] = aws_parts.ec2.describe_volumes()["Volumes"]
    aws_parts.kept(machine)
    assert aws_parts.every_copy()[0]["VolumeId"] == root["VolumeId"]


def test_restored_volume_is_moved_to_the_zone_of_its_machine(aws_parts):
    aws_parts.made()
    machine = aws_parts.machine(HERE)
    copy = aws_parts.kept(aws_parts.attached(machine))
    aws_parts.volumes.restore(BACK, copy)
    assert aws_parts.volumes.restore(BACK, copy).key == "volume_9"
    aws_parts.pass_time()
    id = aws_parts.attached(aws_parts.machine(THERE), "volume_9", "back")
    [volume] = [volume for volume in aws_parts.every_volume() if volume["VolumeId"] == id]
    assert (volume["AvailabilityZone"], volume["SnapshotId"], volume["Encrypted"]) == (
        THERE,
        copy,
        True,
    )
    assert len(aws_parts.every_volume()) == 2


def test_restored_volume_is_attached_only_to_a_machine_that_has_booted(aws_parts):
    copy = aws_parts.kept(aws_parts.made())
    aws_parts.volumes.restore(BACK, copy)
    aws_parts.pass_time()
    machine = aws_parts.machine()
    aws_parts.volumes.attach(
        aws_parts.disk("volume_9").id, machine, "back"
    )  # it is made again in this zone
    aws_parts.pass_time()
    id = aws_parts.disk("volume_9").id
    aws_parts.machines.silent.add(machine)
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(id, machine, "back")
    aws_parts.ec2.stop_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    with pytest.raises(Unavailable, match="has to run"):
        aws_parts.volumes.attach(id, machine, "back")
    assert aws_parts.disk("volume_9").attached == frozenset()
    aws_parts.machines.silent.clear()
    aws_parts.ec2.start_instances(InstanceIds=[machine])
    aws_parts.pass_time()
    aws_parts.attached(machine, "volume_9", "back")
    assert aws_parts.machines.commands[-1][-1] == "copy"
    aws_parts.detached(machine, "volume_9")
    aws_parts.attached(machine, "volume_9", "back")
    assert aws_parts.machines.commands[-1][-1] == "old"


@pytest.mark.parametrize("source", ["vol-0123456789abcdef0", "i-0123456789abcdef0"])
def test_snapshot_or_restore_of_a_missing_source_is_refused(aws_parts, source):
    with pytest.raises(StorageRefused, match="nothing left"):
        aws_parts.volumes.snapshot(KEPT, source)
    with pytest.raises(StorageRefused):
        aws_parts.volumes.restore(BACK, "snap-0123456789abcdef0")
    assert aws_parts.every_volume() == []


def test_snapshot_of_a_file_system_is_refused_naming_aws_backup(aws_parts):
    with pytest.raises(StorageRefused, match="AWS Backup"):
        aws_parts.volumes.snapshot(KEPT, aws_parts.made(SHARED))
    unasked: Any = None
    terms = AwsStorageOffer("aws:1:us-east-1", "us-east-1", unasked)
    assert [bool(terms.no_copies(kind)) for kind in (VolumeKind.EFS, VolumeKind.EBS)] == [
        True,
        False,
    ]
    with pytest.raises(StorageRefused, match="AWS Backup"):
        aws_parts.volumes.restore(
            replace(BACK, kind=VolumeKind.EFS), aws_parts.kept(aws_parts.made())
        )


class DateWithCallbacks(datetime):
    """A time that calls functions when something is first added to it."""

    callbacks: list[Callable[[], object]]

    def __add__(self, length):
        while self.callbacks:
            self.callbacks.pop()()
        return datetime.fromisoformat(self.isoformat()) + length


def test_concurrent_snapshot_request_is_still_known(aws_parts):
    """A thread forgets old requests while another one makes a snapshot."""
    aws_parts.aws.rules = build({"times": {"unseen": 3}})
    source, snapshots = aws_parts.made(), aws_parts.volumes._copies
    at = DateWithCallbacks.fromisoformat(aws_parts.aws.clock.now().isoformat())
    at.callbacks = [lambda: snapshots.snapshot(KEPT, source)]
    snapshots._asked["snapshot_9"] = at
    snapshots._wait_until_visible(replace(KEPT, key="snapshot_2"))
    with pytest.raises(Unavailable, match="not visible yet"):
        snapshots.snapshot(KEPT, source)
