"""Volumes and snapshots with the tags of a row that are not the row's.

AWS Backup Developer Guide, "Copy tags during a restore": what is restored gets the tags of the
original.
"""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from prism.errors import Unavailable
from prism.recovery.storage_scanner import _is_unknown
from prism.storage.model import Snapshot, StorageObserved, Volume, VolumeKind
from prism.storage.ports import SurveyPart
from prism.storage.survey import LazySurvey
from tests.aws_policies import by_an_administrator
from tests.optional import not_none
from tests.providers.aws.storage.world import HERE, KEPT, ORDER, SHARED, THERE, tags_of

PLACE = "aws:1:us-east-1"
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def restored(aws_parts, id):
    """A copy of a volume, restored with its tags; the original's data is in a snapshot."""
    [volume] = aws_parts.ec2.describe_volumes(VolumeIds=[id])["Volumes"]
    backup = aws_parts.ec2.create_snapshot(VolumeId=id)["SnapshotId"]
    aws_parts.pass_time()
    copy = aws_parts.ec2.create_volume(
        AvailabilityZone=volume["AvailabilityZone"],
        SnapshotId=backup,
        TagSpecifications=[{"ResourceType": "volume", "Tags": volume["Tags"]}],
    )["VolumeId"]
    aws_parts.pass_time()
    return copy


def volume_row(id, kind=VolumeKind.EBS):
    return Volume(
        id=ORDER.key if kind is VolumeKind.EBS else SHARED.key,
        name="data",
        kind=kind,
        owner="ada",
        location=PLACE,
        created_at=NOW,
        observed=StorageObserved.THERE,
        disk_id=id,
    )


def survey(aws_parts):
    return LazySurvey({PLACE: aws_parts.volumes})


def orphans(aws_parts, part, row):
    key, id = row.id, row.disk_id if isinstance(row, Volume) else row.copy_id
    listed = survey(aws_parts).everything(PLACE, part, {key: id})
    return [item for item in listed if _is_unknown(item, {key: id})]


@pytest.mark.parametrize("used", [True, False])
def test_deletion_of_a_volume_keeps_its_twin(aws_parts, used):
    id = aws_parts.made()
    if used:
        machine = aws_parts.machine(HERE)
        id = aws_parts.attached(machine)
        aws_parts.detached(machine)
    copy = restored(aws_parts, id)
    assert not_none(aws_parts.disk()).id == id
    aws_parts.volumes.delete(id)
    aws_parts.pass_time()
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [copy]


def test_twin_of_a_volume_is_an_orphan_with_the_command_that_removes_it(aws_parts):
    id = aws_parts.made()
    copy, row = restored(aws_parts, id), volume_row(id)
    assert not_none(survey(aws_parts).disk(row)).id == id
    [orphan] = orphans(aws_parts, SurveyPart.EBS, row)
    command = f"aws ec2 delete-volume --region us-east-1 --volume-id {copy}"
    assert (orphan.id, orphan.key, orphan.removed_by) == (copy, copy, command)


def test_twin_does_not_take_the_place_of_a_volume_that_is_gone(aws_parts):
    id = aws_parts.made()
    copy, row = restored(aws_parts, id), volume_row(id)
    aws_parts.ec2.delete_volume(VolumeId=id)
    aws_parts.pass_time()
    assert survey(aws_parts).disk(row) is None
    [orphan] = orphans(aws_parts, SurveyPart.EBS, row)
    assert (orphan.id, orphan.key) == (copy, copy)
    aws_parts.volumes.delete(id)
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [copy]


@by_an_administrator
def test_volume_without_tags_is_found_by_its_id_and_not_replaced_by_its_twin(aws_parts):
    id = aws_parts.made()
    copy, row = restored(aws_parts, id), volume_row(id)
    aws_parts.ec2.delete_tags(Resources=[id])
    aws_parts.pass_time()
    assert not_none(survey(aws_parts).disk(row)).id == id
    assert [orphan.id for orphan in orphans(aws_parts, SurveyPart.EBS, row)] == [copy]


def test_volume_that_replaces_an_empty_one_in_another_zone_is_the_rows(aws_parts):
    """Between the two calls of a move there are two volumes of the row."""
    id = aws_parts.made()
    [volume] = aws_parts.every_volume()
    zone = THERE if volume["AvailabilityZone"] == HERE else HERE
    machine = aws_parts.machine(zone)
    aws_parts.aws.fault(action="DeleteVolume", do="drop", times=None)
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(id, machine, "data")
    aws_parts.pass_time()
    assert len(aws_parts.every_volume()) == 2
    assert orphans(aws_parts, SurveyPart.EBS, volume_row(id)) == []
    aws_parts.aws.rules = replace(aws_parts.aws.rules, faults=())
    aws_parts.ec2.delete_volume(VolumeId=id)
    aws_parts.pass_time()
    moved = not_none(survey(aws_parts).disk(volume_row(id)))
    assert (moved.id != id, moved.replaces) == (True, id)
    assert orphans(aws_parts, SurveyPart.EBS, volume_row(id)) == []


def test_deletion_between_the_calls_of_a_move_deletes_both_volumes(aws_parts):
    id = aws_parts.made()
    [volume] = aws_parts.every_volume()
    machine = aws_parts.machine(THERE if volume["AvailabilityZone"] == HERE else HERE)
    aws_parts.aws.fault(action="DeleteVolume", do="drop", times=None)
    with pytest.raises(Unavailable):
        aws_parts.volumes.attach(id, machine, "data")
    aws_parts.aws.rules = replace(aws_parts.aws.rules, faults=())
    aws_parts.pass_time()
    copy = restored(aws_parts, id)
    aws_parts.volumes.delete(id)
    aws_parts.pass_time()
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [copy]


def test_copy_of_a_volume_whose_row_is_gone_stays_a_twin(aws_parts):
    id = aws_parts.made()
    copy = restored(aws_parts, id)
    aws_parts.volumes.delete(id)
    aws_parts.pass_time()
    [listed] = aws_parts.volumes.survey().disks
    assert (listed.id, listed.key, listed.removed_by is None) == (copy, copy, False)


def test_volume_that_prism_restores_is_no_twin(aws_parts):
    snapshot = aws_parts.kept(aws_parts.made())
    second = replace(ORDER, key="volume_9", name="again")
    aws_parts.volumes.restore(second, snapshot)
    aws_parts.pass_time()
    assert not_none(aws_parts.disk("volume_9")).removed_by is None
    aws_parts.attached(aws_parts.machine(HERE), "volume_9", "again")
    assert not_none(aws_parts.disk("volume_9")).removed_by is None


def test_twin_of_a_file_system_is_an_orphan(aws_parts):
    """A restored file system has another creation token."""
    id = aws_parts.made(SHARED)
    [system] = aws_parts.every_share()
    aws_parts.efs.create_file_system(CreationToken="restored", Tags=system["Tags"])
    aws_parts.pass_time()
    [copy] = {system["FileSystemId"] for system in aws_parts.every_share()} - {id}
    row = volume_row(id, VolumeKind.EFS)
    assert not_none(survey(aws_parts).disk(row)).id == id
    [orphan] = orphans(aws_parts, SurveyPart.EFS, row)
    assert (orphan.id, orphan.key) == (copy, copy)
    assert copy in not_none(orphan.removed_by)


def test_twin_does_not_take_the_place_of_a_snapshot_that_is_gone(aws_parts):
    id = aws_parts.kept(aws_parts.made())
    [snapshot] = aws_parts.every_copy()
    copy = aws_parts.ec2.create_snapshot(
        VolumeId=snapshot["VolumeId"],
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": snapshot["Tags"]}],
    )["SnapshotId"]
    assert tags_of(snapshot)["prism:id"] == KEPT.key
    aws_parts.pass_time()
    row = Snapshot(
        id=KEPT.key,
        name="kept",
        owner="ada",
        location=PLACE,
        created_at=NOW,
        observed=StorageObserved.THERE,
        copy_id=id,
        source="volume",
        source_id=ORDER.key,
        source_name="data",
        kind=VolumeKind.EBS,
        size_gb=10,
        volume_type="gp3",
    )
    assert not_none(survey(aws_parts).copy(row)).id == id
    assert [item.id for item in orphans(aws_parts, SurveyPart.SNAPSHOTS, row)] == [copy]
    aws_parts.ec2.delete_snapshot(SnapshotId=id)
    aws_parts.pass_time()
    assert survey(aws_parts).copy(row) is None
    assert [item.id for item in orphans(aws_parts, SurveyPart.SNAPSHOTS, row)] == [copy]
