"""Somebody removes the tags of a volume, file system or snapshot: it is not gone.

A survey goes by tags; what it does not show is asked for by its id before it is called gone.
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
        keys = [it["Key"] for it in place.efs.describe_file_systems()["FileSystems"][0]["Tags"]]
        place.efs.untag_resource(ResourceId=id, TagKeys=keys)
    else:
        place.ec2.delete_tags(Resources=[id])
    place.pass_time()


def test_it_is_asked_for_by_its_id(place):
    assert isinstance(place.volumes, FindsStorageById)


@by_an_administrator
@pytest.mark.parametrize("order", [ORDER, SHARE], ids=["ebs", "efs"])
def test_a_volume_is_found_and_gets_its_tags_back(place, order):
    id = place.made(order)
    strip(place, id)
    assert place.disk(order.key) is None
    found = place.volumes.find(id, order)
    assert (found.id, found.key, found.seen) == (id, order.key, StorageObserved.THERE)
    place.pass_time()
    again = place.disk(order.key)
    assert (again.id, again.known.name, again.known.project) == (id, order.name, order.project)


@by_an_administrator
def test_a_snapshot_is_found_and_gets_its_tags_back(place):
    id = place.kept(place.made())
    strip(place, id)
    assert place.copy() is None
    found = place.volumes.find_snapshot(id, KEPT)
    assert (found.id, found.key, found.seen) == (id, KEPT.key, StorageObserved.THERE)
    place.pass_time()
    assert place.copy().id == id


def test_what_is_not_there_is_not_there(place):
    for id in ("vol-0123456789abcdef0", "fs-0123456789abcdef0"):
        assert place.volumes.find(id, ORDER) is None
    assert place.volumes.find_snapshot("snap-0123456789abcdef0", KEPT) is None


@by_an_administrator
def test_a_volume_whose_tags_were_removed_is_never_made_anew_elsewhere(place):
    """Without the tag of its first machine it would count as empty, and be replaced."""
    id = place.attached(place.machine(HERE)) if place.made() else ""
    strip(place, id)
    place.volumes.find(id, ORDER)
    place.ec2.detach_volume(VolumeId=id)
    place.pass_time()
    with pytest.raises(VolumeElsewhere):
        place.volumes.attach(id, place.machine(other_zone(place)), "data")
    assert [it["VolumeId"] for it in place.every_volume()] == [id]


@pytest.mark.parametrize("removed", ["prism:used", "prism:mounted"])
def test_one_tag_less_does_not_make_a_volume_empty(place, removed):
    place.made()
    id = place.attached(place.machine(HERE))
    place.ec2.detach_volume(VolumeId=id)
    place.ec2.delete_tags(Resources=[id], Tags=[{"Key": removed}])
    place.pass_time()
    with pytest.raises(VolumeElsewhere):
        place.volumes.attach(id, place.machine(other_zone(place)), "data")
    assert [it["VolumeId"] for it in place.every_volume()] == [id]


@by_an_administrator  # but for what it binds itself
def test_one_whose_tags_may_not_be_put_back_is_not_gone_either(place, caplog):
    """The daily policy has no right to tag what nothing shows to be Prism's."""
    id, copy = place.made(), None
    copy = place.kept(id)
    strip(place, id)
    strip(place, copy)
    caller = place.aws.bind(policy(account="123456789012"), "prism")
    assert place.volumes.find(id, ORDER).seen is StorageObserved.THERE
    assert place.volumes.find_snapshot(copy, KEPT).seen is StorageObserved.THERE
    assert {action for action, _ in caller.denied} == {"ec2:CreateTags"}
    assert caplog.text.count("goes on without its tags") == 2


def test_what_others_have_written_stays(place):
    id = place.made()
    place.ec2.delete_tags(Resources=[id], Tags=[{"Key": "prism:id"}])
    place.ec2.create_tags(Resources=[id], Tags=[{"Key": "Name", "Value": "theirs"}])
    place.pass_time()
    place.volumes.find(id, ORDER)
    place.pass_time()
    [it] = place.every_volume()
    assert (tags_of(it)["Name"], tags_of(it)["prism:id"]) == ("theirs", ORDER.key)
