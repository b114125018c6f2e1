"""Data that the holder of the daily policy cannot read: snapshots, images, others' machines.

Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2": each
resource of a request is judged by itself, among them the image and the snapshots of RunInstances.
"""

import pytest

from prism.providers.aws.account.policy import PolicyLimits, policy
from tests.aws_double.boto import ACCOUNT, client, disk, order, refused

ADA = {"aws:PrincipalTag/prism:user": "ada", "aws:username": "ada-iam"}
OURS = {"prism:managed": "true", "prism:user": "ada"}
KINDS = ("instance", "volume", "network-interface")


def bound(aws, **limits):
    """Limit all calls by the printed policy."""
    return aws.bind(policy(account=ACCOUNT, limits=PolicyLimits(**limits)), principal=ADA)


def launch(tags=OURS, **more):
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    kinds = [{"ResourceType": kind, "Tags": listed} for kind in KINDS]
    return {**order(**more), "TagSpecifications": kinds}


def tagged(kind, tags=OURS):
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed}]


@pytest.fixture
def ec2(aws):
    aws.reset()
    return client(aws, "ec2")


@pytest.fixture
def secret(ec2, aws):
    """A snapshot of somebody's volume."""
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8)["VolumeId"]
    aws.clock.advance(5)
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    aws.clock.advance(5)
    return volume, snapshot


@pytest.fixture
def aws(stopped_aws):
    return stopped_aws


def test_launch_from_a_published_image_is_allowed(aws, ec2):
    bound(aws)
    assert ec2.run_instances(**launch())["Instances"]


def test_disk_of_a_launch_cannot_be_made_of_a_snapshot(aws, ec2, secret):
    bound(aws)
    disks = [disk(8, "/dev/sdf", SnapshotId=secret[1])]
    refused("UnauthorizedOperation", ec2.run_instances, **launch(BlockDeviceMappings=disks))


def test_private_image_of_the_account_cannot_be_launched(aws, ec2):
    id = ec2.run_instances(**order())["Instances"][0]["InstanceId"]
    aws.clock.advance(60)
    image = ec2.create_image(InstanceId=id, Name="private")["ImageId"]
    aws.clock.advance(60)
    bound(aws)
    refused("UnauthorizedOperation", ec2.run_instances, **launch(ImageId=image))


def test_volume_cannot_be_made_of_a_snapshot_of_others(aws, ec2, secret):
    """The tags of the request are keys of the request, also where the snapshot is judged."""
    bound(aws)
    request = {"AvailabilityZone": "us-east-1a", "TagSpecifications": tagged("volume")}
    refused("UnauthorizedOperation", ec2.create_volume, SnapshotId=secret[1], **request)
    assert ec2.create_volume(Size=1, **request)["VolumeId"]


def test_snapshot_cannot_be_taken_of_a_volume_of_others(aws, ec2, secret):
    bound(aws)
    request = {"VolumeId": secret[0], "TagSpecifications": tagged("snapshot")}
    refused("UnauthorizedOperation", ec2.create_snapshot, **request)


def test_user_data_of_machines_cannot_be_read(aws, ec2):
    id = ec2.run_instances(**launch())["Instances"][0]["InstanceId"]
    bound(aws)
    refused(
        "UnauthorizedOperation",
        ec2.describe_instance_attribute,
        InstanceId=id,
        Attribute="userData",
    )


# ------------------------------------------------------------------ limits of the printed policy
@pytest.mark.parametrize("own", ["tag", "username"])
def test_holder_with_own_machines_only_changes_them(aws, ec2, own):
    mine = {"prism:managed": "true", "prism:user": "ada" if own == "tag" else "ada-iam"}
    foreign = {"prism:managed": "true", "prism:user": "eve"}
    theirs = ec2.run_instances(**launch(foreign))["Instances"][0]["InstanceId"]
    aws.clock.advance(60)
    bound(aws, own_machines=own)
    refused("UnauthorizedOperation", ec2.run_instances, **launch(foreign))
    own_id = ec2.run_instances(**launch(mine))["Instances"][0]["InstanceId"]
    aws.clock.advance(60)
    for verb in (ec2.stop_instances, ec2.terminate_instances):
        refused("UnauthorizedOperation", verb, InstanceIds=[theirs])
    refused("UnauthorizedOperation", ec2.get_console_output, InstanceId=theirs)
    refused(
        "UnauthorizedOperation",
        ec2.create_tags,
        Resources=[theirs],
        Tags=[{"Key": "prism:user", "Value": "ada"}],
    )
    change = {"InstanceId": theirs, "UserData": {"Value": b"x"}}
    refused("UnauthorizedOperation", ec2.modify_instance_attribute, **change)
    assert ec2.stop_instances(InstanceIds=[own_id])["StoppingInstances"]


def test_holder_without_that_option_can_change_every_machine(aws, ec2):
    """docs/aws.md says so in plain words."""
    foreign = {"prism:managed": "true", "prism:user": "eve"}
    theirs = ec2.run_instances(**launch(foreign))["Instances"][0]["InstanceId"]
    aws.clock.advance(60)
    bound(aws)
    assert ec2.stop_instances(InstanceIds=[theirs])["StoppingInstances"]


def test_types_limit_launches_and_starts(aws, ec2):
    id = ec2.run_instances(**launch(InstanceType="c6i.large"))["Instances"][0]["InstanceId"]
    aws.clock.advance(60)
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(60)
    bound(aws, types=("t3.*",))
    assert ec2.run_instances(**launch(InstanceType="t3.small"))["Instances"]
    refused("UnauthorizedOperation", ec2.run_instances, **launch(InstanceType="c6i.large"))
    refused("UnauthorizedOperation", ec2.start_instances, InstanceIds=[id])


def test_regions_limit_changes_and_not_reads(aws):
    bound(aws, regions=("us-west-2",))
    east, west = client(aws, "ec2"), client(aws, "ec2", "us-west-2")
    assert east.describe_instances()["Reservations"] == []
    size = {"Size": 1, "TagSpecifications": tagged("volume")}
    refused("UnauthorizedOperation", east.create_volume, AvailabilityZone="us-east-1a", **size)
    assert west.create_volume(AvailabilityZone="us-west-2a", **size)["VolumeId"]


def test_vpcs_limit_launches_and_groups(aws, ec2):
    [default] = ec2.describe_vpcs()["Vpcs"]
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = ec2.describe_subnets()["Subnets"]
    subnet = next(item["SubnetId"] for item in subnets if item["VpcId"] == default["VpcId"])
    group = {"GroupName": "g", "Description": "d", "TagSpecifications": tagged("security-group")}
    bound(aws, vpcs=(other,))
    refused("UnauthorizedOperation", ec2.run_instances, **launch(SubnetId=subnet))
    refused("UnauthorizedOperation", ec2.create_security_group, VpcId=default["VpcId"], **group)
    assert ec2.create_security_group(VpcId=other, **group)["GroupId"]
