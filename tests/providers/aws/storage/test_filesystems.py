"""EFS: made once, with a mount target in each zone in use, and NFS only for workspaces."""

import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.storage.model import StorageObserved
from prism.storage.ports import StorageRefused
from tests.aws_double.boto import order
from tests.providers.aws.storage.world import HERE, SHARED, THERE, tags_of


def attach_share(place, machine):
    return place.attached(machine, SHARED.key, "all")


def targets(place, id):
    return place.efs.describe_mount_targets(FileSystemId=id)["MountTargets"]


def group(place):
    filters = [{"Name": "group-name", "Values": ["prism-efs"]}]
    [group] = place.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    return group


def test_file_system_is_encrypted_and_tagged(aws_parts):
    assert aws_parts.volumes.create(SHARED).observed is StorageObserved.MAKING
    assert aws_parts.volumes.create(SHARED).key == "volume_2"
    [share] = aws_parts.every_share()
    tags = tags_of(share)
    assert share["Encrypted"]
    assert (tags["Name"], tags["prism:id"], tags["prism:kind"], tags["prism:user"]) == (
        "all",
        "volume_2",
        "efs",
        "ada",
    )
    aws_parts.pass_time()
    seen = aws_parts.disk("volume_2")
    assert (seen.observed, seen.used_bytes, seen.zone) == (StorageObserved.THERE, 6144, None)


def test_foreign_file_systems_are_ignored(aws_parts):
    aws_parts.efs.create_file_system(CreationToken="theirs")
    aws_parts.pass_time()
    assert aws_parts.volumes.survey().disks == []
    with pytest.raises(StorageRefused):
        aws_parts.volumes.attach(
            aws_parts.every_share()[0]["FileSystemId"], aws_parts.machine(), "all"
        )


def test_machines_of_two_zones_share_one_file_system(aws_parts):
    id = aws_parts.made(SHARED)
    machine, other_machine = aws_parts.machine(HERE), aws_parts.machine(THERE)
    attach_share(aws_parts, machine)
    attach_share(aws_parts, other_machine)
    assert aws_parts.disk("volume_2").attached == {machine, other_machine}
    addresses = {
        target["AvailabilityZoneName"]: target["IpAddress"] for target in targets(aws_parts, id)
    }
    assert set(addresses) == {HERE, THERE}
    commands = [message for message in aws_parts.machines.commands if message[1] == "share"]
    assert commands == [
        (machine, "share", id, addresses[HERE], "all"),
        (other_machine, "share", id, addresses[THERE], "all"),
    ]


def test_mount_target_allows_only_nfs_from_groups_of_workspaces(aws_parts):
    id = aws_parts.made(SHARED)
    network = aws_parts.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for name in ("one", "two"):
        request = {"GroupName": name, "Description": name, "VpcId": network}
        created = aws_parts.ec2.create_security_group(**request)["GroupId"]
        aws_parts.pass_time()
        wish = order(Placement={"AvailabilityZone": HERE}, SecurityGroupIds=[created])
        machine = aws_parts.ec2.run_instances(**wish)["Instances"][0]["InstanceId"]
        aws_parts.pass_time()
        attach_share(aws_parts, machine)
    aws_parts.pass_time()
    rules = group(aws_parts)["IpPermissions"]
    assert {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in rules} == {
        ("tcp", 2049, 2049)
    }
    assert [iprange["CidrIp"] for rule in rules for iprange in rule["IpRanges"]] == []
    assert len([pair for rule in rules for pair in rule["UserIdGroupPairs"]]) == 2
    request = aws_parts.efs.describe_mount_target_security_groups
    [target] = targets(aws_parts, id)
    assert request(MountTargetId=target["MountTargetId"])["SecurityGroups"] == [
        group(aws_parts)["GroupId"]
    ]
    assert tags_of(group(aws_parts))["prism:managed"] == "true"


def test_attach_waits_for_a_slow_mount_target(aws_parts):
    aws_parts.made(SHARED)
    aws_parts.aws.rules = build({"times": {"file_system": 60}})
    machine = aws_parts.machine()
    with pytest.raises(Unavailable, match="prism-efs was made and is not visible yet"):
        aws_parts.volumes.attach(aws_parts.disk("volume_2").id, machine, "all")
    aws_parts.pass_time()
    for _ in range(3):
        aws_parts.volumes.attach(aws_parts.disk("volume_2").id, machine, "all")
    disk = aws_parts.disk("volume_2")
    assert (disk.attached, disk.unmounted, aws_parts.machines.commands) == (
        {machine},
        {machine},
        [],
    )
    aws_parts.pass_time(60)
    attach_share(aws_parts, machine)
    assert len(targets(aws_parts, disk.id)) == 1


def test_detach_of_one_machine_keeps_the_others_attached(aws_parts):
    id = aws_parts.made(SHARED)
    first, second = aws_parts.machine(), aws_parts.machine()
    for machine in (first, second):
        attach_share(aws_parts, machine)
    aws_parts.detached(first, "volume_2")
    assert aws_parts.disk("volume_2").attached == {second}
    assert (
        aws_parts.machines.shown[first],
        list(aws_parts.machines.shown[second]),
    ) == ({}, [id])
    aws_parts.ec2.terminate_instances(InstanceIds=[second])
    aws_parts.detached(second, "volume_2")
    assert not any(key.startswith("prism:at:") for key in tags_of(aws_parts.every_share()[0]))


def test_mount_targets_are_deleted_before_their_file_system(aws_parts):
    id = aws_parts.made(SHARED)
    for zone in (HERE, THERE):
        machine = aws_parts.machine(zone)
        attach_share(aws_parts, machine)
        aws_parts.detached(machine, "volume_2")
    aws_parts.volumes.delete(id)
    assert aws_parts.disk("volume_2").observed is StorageObserved.THERE, (
        "it exists until its mount targets are deleted"
    )
    for _ in range(2):
        aws_parts.pass_time()
        aws_parts.volumes.delete(id)
    aws_parts.pass_time()
    assert (aws_parts.every_share(), aws_parts.disk("volume_2")) == ([], None)
    aws_parts.volumes.delete(id)


def test_owner_with_characters_that_efs_forbids_is_read_back(aws_parts):
    """EFS API Reference, "Tag": letters, digits, blanks and _.:/=+-@."""
    owner = "Ada O'Neil <ada@example.org>"
    aws_parts.volumes.create(replace(SHARED, owner=owner, project="R&D (2026)"))
    aws_parts.pass_time()
    known = aws_parts.disk("volume_2").known
    assert (known.owner, known.project) == (owner, "R&D (2026)")


def machine_in_another_vpc(place):
    """A machine in another VPC, in a zone that has no mount target yet."""
    network = place.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = place.ec2.create_subnet(
        VpcId=network, CidrBlock="10.9.0.0/24", AvailabilityZone=THERE
    )["Subnet"]["SubnetId"]
    wish = order({"prism:managed": "true"}, SubnetId=subnet)
    id = place.ec2.run_instances(**wish)["Instances"][0]["InstanceId"]
    place.pass_time()
    return id


def test_attach_from_a_second_vpc_is_refused_with_the_reason(aws_parts):
    """EFS User Guide, "Creating mount targets": in one VPC at a time."""
    aws_parts.made(SHARED)
    attach_share(aws_parts, aws_parts.machine(HERE))
    id = aws_parts.disk(SHARED.key).id
    before = tags_of(aws_parts.every_share()[0])
    with pytest.raises(StorageRefused, match="EFS reaches one VPC at a time"):
        aws_parts.volumes.attach(id, machine_in_another_vpc(aws_parts), "all")
    assert tags_of(aws_parts.every_share()[0]) == before, "no tag was changed"
    assert len(targets(aws_parts, id)) == 1
