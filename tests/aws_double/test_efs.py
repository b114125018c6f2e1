"""EFS file systems. `test_idempotency.py` tests their creation token."""

import pytest

from tests.aws_double.boto import refusal_message, refused, set_rules


def created(aws, efs, **more):
    id = efs.create_file_system(CreationToken=more.pop("token", "a"), **more)["FileSystemId"]
    aws.clock.advance(1)
    return id


def subnets(ec2):
    return [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]


def state(efs, id):
    return efs.describe_file_systems(FileSystemId=id)["FileSystems"][0]["LifeCycleState"]


def test_file_system_is_creating_then_available(aws, efs):
    """creating, then available; described by id and by creation token.

    DescribeFileSystems
    https://docs.aws.amazon.com/efs/latest/ug/API_DescribeFileSystems.html
    """
    set_rules(aws, times={"file_system": 5})
    tags = [{"Key": "Name", "Value": "data"}]
    id = efs.create_file_system(CreationToken="a", Encrypted=True, Tags=tags)["FileSystemId"]
    assert state(efs, id) == "creating"
    aws.clock.advance(5)
    [now] = efs.describe_file_systems(CreationToken="a")["FileSystems"]
    assert (now["LifeCycleState"], now["Encrypted"], now["Name"]) == ("available", True, "data")
    assert now["Tags"] == tags
    assert efs.describe_file_systems(CreationToken="b")["FileSystems"] == []


def test_mount_target_requires_an_available_file_system(aws, efs, ec2):
    """IncorrectFileSystemLifeCycleState; SubnetNotFound; FileSystemNotFound.

    CreateMountTarget
    https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    """
    set_rules(aws, times={"file_system": 5})
    id = efs.create_file_system(CreationToken="a")["FileSystemId"]
    at = {"FileSystemId": id, "SubnetId": subnets(ec2)[0]}
    refused("IncorrectFileSystemLifeCycleState", efs.create_mount_target, **at)
    aws.clock.advance(5)
    refused(
        "SubnetNotFound",
        efs.create_mount_target,
        FileSystemId=id,
        SubnetId="subnet-0123456789abcdef0",
    )
    unknown = {**at, "FileSystemId": "fs-0123456789abcdef0"}
    refused("FileSystemNotFound", efs.create_mount_target, **unknown)
    target = efs.create_mount_target(**at)
    assert target["LifeCycleState"] == "creating"
    aws.clock.advance(5)
    [now] = efs.describe_mount_targets(FileSystemId=id)["MountTargets"]
    assert (now["LifeCycleState"], now["IpAddress"]) == ("available", target["IpAddress"])


def test_second_mount_target_in_a_zone_is_refused(aws, efs, ec2):
    """MountTargetConflict for a second one in the same Availability Zone.

    CreateMountTarget
    https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    """
    id, [first, second, *_] = created(aws, efs), subnets(ec2)
    efs.create_mount_target(FileSystemId=id, SubnetId=first)
    again = {"FileSystemId": id, "SubnetId": first}
    refused("MountTargetConflict", efs.create_mount_target, **again)
    efs.create_mount_target(FileSystemId=id, SubnetId=second)
    assert efs.describe_file_systems()["FileSystems"][0]["NumberOfMountTargets"] == 2


def test_mount_target_has_the_default_or_given_security_groups(aws, efs, ec2):
    """Given at creation, changed later; without any, the VPC's default one.

    ModifyMountTargetSecurityGroups
    https://docs.aws.amazon.com/efs/latest/ug/API_ModifyMountTargetSecurityGroups.html
    """
    id = created(aws, efs)
    at = {"FileSystemId": id, "SubnetId": subnets(ec2)[0]}
    refused(
        "SecurityGroupNotFound",
        efs.create_mount_target,
        **at,
        SecurityGroups=["sg-0123456789abcdef0"],
    )
    target = efs.create_mount_target(**at)["MountTargetId"]
    [default] = efs.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"]
    assert default.startswith("sg-")
    mine = ec2.create_security_group(GroupName="nfs", Description="2049")["GroupId"]
    efs.modify_mount_target_security_groups(MountTargetId=target, SecurityGroups=[mine])
    answer = efs.describe_mount_target_security_groups(MountTargetId=target)
    assert answer["SecurityGroups"] == [mine]


def test_delete_file_system_requires_deleted_mount_targets(aws, efs, ec2):
    """FileSystemInUse, until its mount targets are deleted.

    DeleteFileSystem
    https://docs.aws.amazon.com/efs/latest/ug/API_DeleteFileSystem.html
    """
    id = created(aws, efs)
    target = efs.create_mount_target(FileSystemId=id, SubnetId=subnets(ec2)[0])["MountTargetId"]
    aws.clock.advance(1)
    refused("FileSystemInUse", efs.delete_file_system, FileSystemId=id)
    efs.delete_mount_target(MountTargetId=target)
    refused("FileSystemInUse", efs.delete_file_system, FileSystemId=id)
    aws.clock.advance(1)
    refused("MountTargetNotFound", efs.describe_mount_targets, MountTargetId=target)
    efs.delete_file_system(FileSystemId=id)
    assert state(efs, id) == "deleting"
    aws.clock.advance(1)
    refused("FileSystemNotFound", efs.describe_file_systems, FileSystemId=id)


def test_file_system_tags_are_added_and_removed(aws, efs):
    """TagResource, UntagResource, ListTagsForResource.

    TagResource
    https://docs.aws.amazon.com/efs/latest/ug/API_TagResource.html
    """
    id = created(aws, efs, Tags=[{"Key": "a", "Value": "1"}])
    efs.tag_resource(ResourceId=id, Tags=[{"Key": "b", "Value": "2"}])
    efs.untag_resource(ResourceId=id, TagKeys=["a"])
    assert efs.list_tags_for_resource(ResourceId=id)["Tags"] == [{"Key": "b", "Value": "2"}]


@pytest.mark.parametrize("value", ["ada <a@b.c>", "it's", "a;b", "(x)", "R&D"])
def test_file_system_tag_with_other_characters_is_refused(efs, value):
    """Tag: Value, Pattern ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$.

    https://docs.aws.amazon.com/efs/latest/ug/API_Tag.html
    """
    bad = [{"Key": "Name", "Value": value}]
    refused("BadRequest", efs.create_file_system, CreationToken="t", Tags=bad)
    fine = [{"Key": "Name", "Value": "ü 1_.:/=+-@"}]
    id = efs.create_file_system(CreationToken="t", Tags=fine)["FileSystemId"]
    refused("BadRequest", efs.tag_resource, ResourceId=id, Tags=bad)


def test_mount_target_in_a_second_vpc_is_refused(aws, ec2, efs):
    """You can create mount targets in only one VPC, one for each Availability Zone.

    https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    """
    id = efs.create_file_system(CreationToken="t")["FileSystemId"]
    aws.clock.advance(1)
    first = next(subnet for subnet in ec2.describe_subnets()["Subnets"])
    efs.create_mount_target(FileSystemId=id, SubnetId=first["SubnetId"])
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    other = ec2.create_subnet(
        VpcId=network, CidrBlock="10.9.0.0/24", AvailabilityZone="us-east-1b"
    )
    wish = {"FileSystemId": id, "SubnetId": other["Subnet"]["SubnetId"]}
    assert "same VPC" in refusal_message("MountTargetConflict", efs.create_mount_target, **wish)
