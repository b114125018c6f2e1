"""EFS: one each, a mount target in every zone that needs one, and NFS for workspaces alone."""

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.storage.model import StorageObserved
from prism.storage.ports import StorageRefused
from tests.aws_double.asked import order
from tests.providers.aws.storage.world import HERE, SHARED, THERE, tags_of


def shown(place, machine):
    return place.attached(machine, SHARED.key, "all")


def targets(place, id):
    return place.efs.describe_mount_targets(FileSystemId=id)["MountTargets"]


def group(place):
    wanted = [{"Name": "group-name", "Values": ["prism-efs"]}]
    [it] = place.ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    return it


def test_a_file_system_is_encrypted_and_says_whose_it_is(place):
    assert place.volumes.create(SHARED).seen is StorageObserved.MAKING
    assert place.volumes.create(SHARED).key == "volume_2"
    [it] = place.every_share()
    tags = tags_of(it)
    assert it["Encrypted"]
    assert (tags["Name"], tags["prism:id"], tags["prism:kind"], tags["prism:user"]) == (
        "all",
        "volume_2",
        "efs",
        "ada",
    )
    place.pass_time()
    seen = place.disk("volume_2")
    assert (seen.seen, seen.used_bytes, seen.zone) == (StorageObserved.THERE, 6144, None)


def test_those_of_others_are_not_ours(place):
    place.efs.create_file_system(CreationToken="theirs")
    place.pass_time()
    assert place.volumes.survey().disks == []
    with pytest.raises(StorageRefused):
        place.volumes.attach(place.every_share()[0]["FileSystemId"], place.machine(), "all")


def test_machines_of_two_zones_share_one(place):
    id = place.made(SHARED)
    here, there = place.machine(HERE), place.machine(THERE)
    shown(place, here)
    shown(place, there)
    assert place.disk("volume_2").attached == {here, there}
    found = {it["AvailabilityZoneName"]: it["IpAddress"] for it in targets(place, id)}
    assert set(found) == {HERE, THERE}
    told = [it for it in place.machines.told if it[1] == "share"]
    assert told == [
        (here, "share", id, found[HERE], "all"),
        (there, "share", id, found[THERE], "all"),
    ]


def test_only_the_groups_of_workspaces_come_in_and_only_by_nfs(place):
    id = place.made(SHARED)
    network = place.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for name in ("one", "two"):
        said = {"GroupName": name, "Description": name, "VpcId": network}
        made = place.ec2.create_security_group(**said)["GroupId"]
        place.pass_time()
        wish = order(Placement={"AvailabilityZone": HERE}, SecurityGroupIds=[made])
        machine = place.ec2.run_instances(**wish)["Instances"][0]["InstanceId"]
        place.pass_time()
        shown(place, machine)
    place.pass_time()
    rules = group(place)["IpPermissions"]
    assert {(it["IpProtocol"], it["FromPort"], it["ToPort"]) for it in rules} == {
        ("tcp", 2049, 2049)
    }
    assert [it["CidrIp"] for rule in rules for it in rule["IpRanges"]] == []
    assert len([pair for rule in rules for pair in rule["UserIdGroupPairs"]]) == 2
    said = place.efs.describe_mount_target_security_groups
    [target] = targets(place, id)
    assert said(MountTargetId=target["MountTargetId"])["SecurityGroups"] == [
        group(place)["GroupId"]
    ]
    assert tags_of(group(place))["prism:managed"] == "true"


def test_a_mount_target_that_takes_its_time_is_waited_for(place):
    place.made(SHARED)
    place.aws.rules = build({"times": {"file_system": 60}})
    machine = place.machine()
    with pytest.raises(Unavailable, match="prism-efs was made and is not visible yet"):
        place.volumes.attach(place.disk("volume_2").id, machine, "all")
    place.pass_time()
    for _ in range(3):
        place.volumes.attach(place.disk("volume_2").id, machine, "all")
    it = place.disk("volume_2")
    assert (it.attached, it.unmounted, place.machines.told) == ({machine}, {machine}, [])
    place.pass_time(60)
    shown(place, machine)
    assert len(targets(place, it.id)) == 1


def test_a_machine_leaves_and_the_others_stay(place):
    id = place.made(SHARED)
    first, second = place.machine(), place.machine()
    for machine in (first, second):
        shown(place, machine)
    place.detached(first, "volume_2")
    assert place.disk("volume_2").attached == {second}
    assert (place.machines.shown[first], list(place.machines.shown[second])) == ({}, [id])
    place.ec2.terminate_instances(InstanceIds=[second])
    place.detached(second, "volume_2")
    assert not any(key.startswith("prism:at:") for key in tags_of(place.every_share()[0]))


def test_its_mount_targets_go_before_it(place):
    id = place.made(SHARED)
    for zone in (HERE, THERE):
        machine = place.machine(zone)
        shown(place, machine)
        place.detached(machine, "volume_2")
    place.volumes.delete(id)
    assert place.disk("volume_2").seen is StorageObserved.THERE, (
        "it is still there, and asked again"
    )
    for _ in range(2):
        place.pass_time()
        place.volumes.delete(id)
    place.pass_time()
    assert (place.every_share(), place.disk("volume_2")) == ([], None)
    place.volumes.delete(id)


def test_whoever_it_belongs_to_is_read_back_although_efs_takes_no_such_letters(place):
    """EFS API Reference, "Tag": letters, digits, blanks and _.:/=+-@."""
    owner = "Ada O'Neil <ada@example.org>"
    place.volumes.create(replace(SHARED, owner=owner, project="R&D (2026)"))
    place.pass_time()
    known = place.disk("volume_2").known
    assert (known.owner, known.project) == (owner, "R&D (2026)")


def elsewhere(place):
    """A machine in another VPC, in a zone that has no mount target yet."""
    network = place.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = place.ec2.create_subnet(
        VpcId=network, CidrBlock="10.9.0.0/24", AvailabilityZone=THERE
    )["Subnet"]["SubnetId"]
    wish = order({"prism:managed": "true"}, SubnetId=subnet)
    id = place.ec2.run_instances(**wish)["Instances"][0]["InstanceId"]
    place.pass_time()
    return id


def test_a_second_vpc_is_refused_with_the_reason(place):
    """EFS User Guide, "Creating mount targets": in one VPC at a time."""
    place.made(SHARED)
    shown(place, place.machine(HERE))
    id = place.disk(SHARED.key).id
    before = tags_of(place.every_share()[0])
    with pytest.raises(StorageRefused, match="EFS reaches one VPC at a time"):
        place.volumes.attach(id, elsewhere(place), "all")
    assert tags_of(place.every_share()[0]) == before, "nothing is begun"
    assert len(targets(place, id)) == 1
