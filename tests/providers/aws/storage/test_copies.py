"""Snapshots of volumes and root disks, and what is made of them."""

import contextlib
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


def test_a_snapshot_says_whose_it_is_and_how_far(place):
    place.aws.rules = build({"times": {"snapshot": 10}})
    source = place.made()
    made = place.volumes.snapshot(KEPT, source)
    assert (made.seen, made.key) == (StorageObserved.MAKING, "snapshot_1")
    place.pass_time(5)
    assert (place.copy().progress, place.copy().used_bytes) == (50, None)
    place.pass_time(5)
    it = place.copy()
    assert (it.seen, it.progress, it.used_bytes) == (StorageObserved.THERE, 100, 10 * 2**30)
    tags = tags_of(place.every_copy()[0])
    told = (tags["prism:id"], tags["prism:name"], tags["prism:source"], tags["prism:user"])
    assert told == ("snapshot_1", "kept", "data", "ada")


def test_who_asks_twice_gets_the_same(place):
    source = place.made()
    first = place.volumes.snapshot(KEPT, source)
    place.pass_time()
    assert place.volumes.snapshot(KEPT, source).id == first.id
    assert len(place.every_copy()) == 1


@pytest.mark.parametrize("do", ["lost", "late"])
def test_who_asks_again_before_ec2_lists_the_first_makes_no_second(place, do):
    """EC2 Developer Guide, "Eventual consistency"; CreateSnapshot takes no token."""
    place.aws.rules = build({"times": {"unseen": 3}})
    source = place.made()
    place.aws.fault(action="CreateSnapshot", do=do)
    with contextlib.suppress(Unavailable):
        place.volumes.snapshot(KEPT, source)
    with pytest.raises(Unavailable, match="not visible yet"):
        place.volumes.snapshot(KEPT, source)
    place.pass_time()
    assert place.volumes.snapshot(KEPT, source).key == "snapshot_1"
    assert len(place.every_copy()) == 1


def test_two_copies_of_one_volume_within_seconds_are_both_made(place):
    """EC2 makes one in 15 seconds of a volume, and refuses the next: it is asked for again."""
    place.aws.rules = build({"times": {"snapshot_again": 15}})
    source = place.made()
    place.cloud._sleep = place.pass_time
    first = place.volumes.snapshot(KEPT, source)
    second = place.volumes.snapshot(replace(KEPT, key="snapshot_2", name="again"), source)
    place.pass_time()
    assert {it["SnapshotId"] for it in place.every_copy()} == {first.id, second.id}
    asked = [it.outcome for it in place.aws.calls if it.action == "CreateSnapshot"]
    assert "SnapshotCreationPerVolumeRateExceeded" in asked


def test_a_snapshot_while_the_last_one_is_under_way_waits_for_it(place):
    """Of an st1 volume EC2 makes one at a time: that is no quota that somebody has to raise."""
    place.aws.rules = build({"times": {"snapshot": 60}})
    cold = replace(ORDER, volume_type="st1", size_gb=125, iops=None, throughput=None)
    source = place.made(cold)
    first = place.volumes.snapshot(KEPT, source)
    again = replace(KEPT, key="snapshot_2", name="again")
    place.cloud._sleep = place.pass_time
    assert place.volumes.snapshot(again, source).id != first.id
    outcomes = [it.outcome for it in place.aws.calls if it.action == "CreateSnapshot"]
    assert outcomes.count("ok") == 2
    assert "ConcurrentSnapshotLimitExceeded" in outcomes


def test_one_that_was_refused_is_asked_for_at_once(place):
    source = place.made()
    place.aws.fault(action="CreateSnapshot", do="error", code="SnapshotLimitExceeded", status=400)
    with pytest.raises(StorageRefused):
        place.volumes.snapshot(KEPT, source)
    assert place.volumes.snapshot(KEPT, source).key == "snapshot_1"


def test_of_two_that_one_request_has_made_one_counts_and_the_other_is_shown(place):
    """Nothing is deleted for carrying the key of another, and nothing is paid for unseen."""
    source = place.made()
    place.aws.fault(action="CreateSnapshot", do="twice")
    place.volumes.snapshot(KEPT, source)
    place.pass_time()
    kept = place.copy()
    [other] = [it for it in place.volumes.survey().copies if it.key != "snapshot_1"]
    assert {it["SnapshotId"] for it in place.every_copy()} == {kept.id, other.id}
    assert (kept.removed_by, other.key) == (None, other.id)
    assert other.removed_by == (
        f"aws ec2 delete-snapshot --region us-east-1 --snapshot-id {other.id}"
    )
    assert "DeleteSnapshot" not in [it.action for it in place.aws.calls]


def test_a_copy_that_somebody_made_with_its_tags_is_theirs(place):
    """EBS User Guide, "Copy an Amazon EBS snapshot": tags may be copied, the volume id is not."""
    volume, other = place.made(), place.made(replace(ORDER, key="volume_7", name="other"))
    ours = place.kept(volume)
    tags = [{"ResourceType": "snapshot", "Tags": place.every_copy()[0]["Tags"]}]
    theirs = place.ec2.create_snapshot(VolumeId=other, TagSpecifications=tags)["SnapshotId"]
    place.pass_time(3600)
    later = place.ec2.create_snapshot(VolumeId=volume, TagSpecifications=tags)["SnapshotId"]
    place.pass_time()
    shown = place.volumes.survey().copies
    assert {it.id for it in shown if not it.removed_by} == {ours}
    assert {it.id for it in shown if it.removed_by} == {theirs, later}
    assert {it["SnapshotId"] for it in place.every_copy()} == {ours, theirs, later}
    place.volumes.delete_snapshot(ours)
    place.pass_time()
    assert {it["SnapshotId"] for it in place.every_copy()} == {theirs, later}


def test_only_the_one_that_is_named_is_deleted(place):
    source = place.made()
    place.aws.fault(action="CreateSnapshot", do="twice")
    place.volumes.snapshot(KEPT, source)
    place.pass_time()
    kept = place.copy().id
    place.volumes.delete_snapshot(kept)
    place.volumes.delete_snapshot(kept)
    place.pass_time()
    [left] = place.every_copy()
    assert left["SnapshotId"] != kept
    assert place.copy().id == left["SnapshotId"], "whoever has lost its row may take it back"


def test_the_root_disk_of_a_machine_can_be_kept(place):
    machine = place.machine()
    [root] = place.ec2.describe_volumes()["Volumes"]
    place.kept(machine)
    assert place.every_copy()[0]["VolumeId"] == root["VolumeId"]


def test_a_volume_is_restored_where_it_is_needed(place):
    place.made()
    here = place.machine(HERE)
    kept = place.kept(place.attached(here))
    place.volumes.restore(BACK, kept)
    assert place.volumes.restore(BACK, kept).key == "volume_9"
    place.pass_time()
    id = place.attached(place.machine(THERE), "volume_9", "back")
    [it] = [it for it in place.every_volume() if it["VolumeId"] == id]
    assert (it["AvailabilityZone"], it["SnapshotId"], it["Encrypted"]) == (THERE, kept, True)
    assert len(place.every_volume()) == 2


def test_a_restored_one_goes_only_to_a_machine_that_has_booted(place):
    kept = place.kept(place.made())
    place.volumes.restore(BACK, kept)
    place.pass_time()
    machine = place.machine()
    place.volumes.attach(place.disk("volume_9").id, machine, "back")  # it is made anew here
    place.pass_time()
    id = place.disk("volume_9").id
    place.machines.silent.add(machine)
    with pytest.raises(Unavailable):
        place.volumes.attach(id, machine, "back")
    place.ec2.stop_instances(InstanceIds=[machine])
    place.pass_time()
    with pytest.raises(Unavailable, match="has to be on"):
        place.volumes.attach(id, machine, "back")
    assert place.disk("volume_9").attached == frozenset()
    place.machines.silent.clear()
    place.ec2.start_instances(InstanceIds=[machine])
    place.pass_time()
    place.attached(machine, "volume_9", "back")
    assert place.machines.told[-1][-1] == "copy"
    place.detached(machine, "volume_9")
    place.attached(machine, "volume_9", "back")
    assert place.machines.told[-1][-1] == "old"


@pytest.mark.parametrize("source", ["vol-0123456789abcdef0", "i-0123456789abcdef0"])
def test_what_is_not_there_cannot_be_kept(place, source):
    with pytest.raises(StorageRefused, match="nothing left"):
        place.volumes.snapshot(KEPT, source)
    with pytest.raises(StorageRefused):
        place.volumes.restore(BACK, "snap-0123456789abcdef0")
    assert place.every_volume() == []


def test_a_file_system_has_no_snapshots_and_the_way_out_is_told(place):
    with pytest.raises(StorageRefused, match="AWS Backup"):
        place.volumes.snapshot(KEPT, place.made(SHARED))
    unasked: Any = None
    terms = AwsStorageOffer("aws:1:us-east-1", "us-east-1", unasked)
    assert [bool(terms.no_copies(it)) for it in (VolumeKind.EFS, VolumeKind.EBS)] == [True, False]
    with pytest.raises(StorageRefused, match="AWS Backup"):
        place.volumes.restore(replace(BACK, kind=VolumeKind.EFS), place.kept(place.made()))
