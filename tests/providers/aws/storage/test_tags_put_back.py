"""A volume, file system or snapshot whose tags were removed does not count as gone.

A survey filters by tags; what it lacks is described by its id before it counts as gone.
"""

import pytest
from msgspec.structs import replace

from prism.providers.aws.account.policy import policy
from prism.storage.model import StorageObserved, VolumeElsewhere, VolumeKind
from prism.storage.ports import FindsStorageById
from tests.aws_policies import by_an_administrator
from tests.providers.aws.storage.test_disks import other_zone
from tests.providers.aws.storage.world import HERE, KEPT, ORDER, tags_of

SHARE = replace(ORDER, key="volume_2", name="shared", kind=VolumeKind.EFS)


def strip(place, id):
    """Remove every tag, as at the console."""
    if id.startswith("fs-"):
        keys = [tag["Key"] for tag in place.efs.describe_file_systems()["FileSystems"][0]["Tags"]]
        place.efs.untag_resource(ResourceId=id, TagKeys=keys)
    else:
        place.ec2.delete_tags(Resources=[id])
    place.pass_time()


def test_aws_volumes_find_storage_by_id(aws_parts):
    assert isinstance(aws_parts.volumes, FindsStorageById)


@by_an_administrator
@pytest.mark.parametrize("order", [ORDER, SHARE], ids=["ebs", "efs"])
def test_untagged_volume_is_found_by_its_id_and_tagged_again(aws_parts, order):
    id = aws_parts.made(order)
    strip(aws_parts, id)
    assert aws_parts.disk(order.key) is None
    volume = aws_parts.volumes.find(id, order)
    assert (volume.id, volume.key, volume.observed) == (id, order.key, StorageObserved.THERE)
    aws_parts.pass_time()
    again = aws_parts.disk(order.key)
    assert (again.id, again.known.name, again.known.project) == (id, order.name, order.project)


@by_an_administrator
def test_untagged_snapshot_is_found_by_its_id_and_tagged_again(aws_parts):
    id = aws_parts.kept(aws_parts.made())
    strip(aws_parts, id)
    assert aws_parts.copy() is None
    snapshot = aws_parts.volumes.find_snapshot(id, KEPT)
    assert (snapshot.id, snapshot.key, snapshot.observed) == (id, KEPT.key, StorageObserved.THERE)
    aws_parts.pass_time()
    assert aws_parts.copy().id == id


def test_find_returns_none_for_unknown_ids(aws_parts):
    for id in ("vol-0123456789abcdef0", "fs-0123456789abcdef0"):
        assert aws_parts.volumes.find(id, ORDER) is None
    assert aws_parts.volumes.find_snapshot("snap-0123456789abcdef0", KEPT) is None


@by_an_administrator
def test_used_volume_without_tags_is_not_replaced_in_another_zone(aws_parts):
    """Without the tag of its first machine it would count as empty, and be replaced."""
    id = aws_parts.attached(aws_parts.machine(HERE)) if aws_parts.made() else ""
    strip(aws_parts, id)
    aws_parts.volumes.find(id, ORDER)
    aws_parts.ec2.detach_volume(VolumeId=id)
    aws_parts.pass_time()
    with pytest.raises(VolumeElsewhere):
        aws_parts.volumes.attach(id, aws_parts.machine(other_zone(aws_parts)), "data")
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id]


@pytest.mark.parametrize("removed", ["prism:used", "prism:mounted"])
def test_used_volume_without_one_tag_is_not_replaced_in_another_zone(aws_parts, removed):
    aws_parts.made()
    id = aws_parts.attached(aws_parts.machine(HERE))
    aws_parts.ec2.detach_volume(VolumeId=id)
    aws_parts.ec2.delete_tags(Resources=[id], Tags=[{"Key": removed}])
    aws_parts.pass_time()
    with pytest.raises(VolumeElsewhere):
        aws_parts.volumes.attach(id, aws_parts.machine(other_zone(aws_parts)), "data")
    assert [volume["VolumeId"] for volume in aws_parts.every_volume()] == [id]


@by_an_administrator  # except for the caller that the test binds
def test_untagged_storage_is_found_even_if_tagging_is_denied(aws_parts, caplog):
    """The daily policy does not allow tagging a resource without a tag of Prism."""
    id, copy = aws_parts.made(), None
    copy = aws_parts.kept(id)
    strip(aws_parts, id)
    strip(aws_parts, copy)
    caller = aws_parts.aws.bind(policy(account="123456789012"), "prism")
    assert aws_parts.volumes.find(id, ORDER).observed is StorageObserved.THERE
    assert aws_parts.volumes.find_snapshot(copy, KEPT).observed is StorageObserved.THERE
    assert {action for action, _ in caller.denied} == {"ec2:CreateTags"}
    assert caplog.text.count("cannot be written again") == 2


def test_tags_changed_by_others_are_kept(aws_parts):
    id = aws_parts.made()
    aws_parts.ec2.delete_tags(Resources=[id], Tags=[{"Key": "prism:id"}])
    aws_parts.ec2.create_tags(Resources=[id], Tags=[{"Key": "Name", "Value": "theirs"}])
    aws_parts.pass_time()
    aws_parts.volumes.find(id, ORDER)
    aws_parts.pass_time()
    [volume] = aws_parts.every_volume()
    assert (tags_of(volume)["Name"], tags_of(volume)["prism:id"]) == ("theirs", ORDER.key)
