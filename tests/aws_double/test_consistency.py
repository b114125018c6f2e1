"""Eventual consistency, which is on by default.

Amazon EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API"; IAM User Guide,
"Troubleshoot IAM: changes that I make are not always immediately visible".
"""

import json

import pytest

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from aws_double.rules import Rules
from tests.aws_double.boto import (
    client,
    described_instance,
    instance_ids,
    launch_instance,
    order,
    refused,
    set_rules,
    state,
)

SLOW = {"unseen": 3, "tags": 3, "states": 3, "iam": 3, "profile": 6}
TAG = [{"Key": "Name", "Value": "new"}]
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def slow_aws(aws):
    set_rules(aws, times=SLOW)
    return aws


def tags_of(ec2, id):
    return {tag["Key"]: tag["Value"] for tag in described_instance(ec2, id).get("Tags", [])}


def group(ec2):
    return ec2.create_security_group(GroupName="g", Description="g")["GroupId"]


def test_eventual_consistency_is_on_by_default():
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    times = Rules().times
    for name in ("unseen", "tags", "states", "iam", "profile"):
        assert max(getattr(times, name)) > 0, name
    assert build({}).times == times
    with AwsDouble(seed=3) as double:
        double.clock.stop()
        ec2 = client(double, "ec2")
        refused("InvalidInstanceID.NotFound", described_instance, ec2=ec2, id=launch_instance(ec2))


def test_eventual_consistency_can_be_switched_off():
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    times = build({"like": "consistent"}).times
    assert (times.unseen, times.tags, times.states, times.iam, times.profile) == (0, 0, 0, 0, 0)


def test_new_instance_is_not_found_listed_or_taggable_at_first(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = launch_instance(ec2)
    assert instance_ids(ec2) == []
    refused("InvalidInstanceID.NotFound", ec2.stop_instances, InstanceIds=[id])
    refused("InvalidInstanceID.NotFound", ec2.create_tags, Resources=[id], Tags=TAG)
    [disk] = slow_aws._cloud.world("123456789012", "us-east-1").volumes
    refused("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[disk])
    slow_aws.clock.advance(3)
    assert instance_ids(ec2) == [id]


def test_new_volume_and_snapshot_are_not_found_at_first(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    refused("InvalidVolume.NotFound", ec2.create_snapshot, VolumeId=volume)
    assert ec2.describe_volumes()["Volumes"] == []
    slow_aws.clock.advance(3)
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    refused("InvalidSnapshot.NotFound", ec2.delete_snapshot, SnapshotId=snapshot)
    slow_aws.clock.advance(3)
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_client_token_returns_a_volume_that_is_not_found_yet(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    wish = {"AvailabilityZone": "us-east-1a", "Size": 1, "ClientToken": "once"}
    assert ec2.create_volume(**wish)["VolumeId"] == ec2.create_volume(**wish)["VolumeId"]


def test_new_security_group_is_not_found_but_its_name_is_taken(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = group(ec2)
    refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[id])
    refused("InvalidGroup.NotFound", ec2.run_instances, **order(SecurityGroupIds=[id]))
    refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="g", Description="g")
    slow_aws.clock.advance(3)
    [tested_group] = ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"]
    assert tested_group["GroupName"] == "g"


def test_new_security_group_rule_is_a_duplicate_before_it_is_described(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = group(ec2)
    slow_aws.clock.advance(3)
    entry = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "192.0.2.0/24"}
    ec2.authorize_security_group_ingress(GroupId=id, **entry)
    refused(
        "InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=id, **entry
    )
    [described_group] = ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"]
    assert described_group["IpPermissions"] == []
    slow_aws.clock.advance(3)
    [described_group] = ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"]
    assert len(described_group["IpPermissions"]) == 1


def test_new_key_pair_is_not_found_but_its_name_is_taken(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    line = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBzZ0jTpq0wQ2m8vB0TtWlD0c7nJ7yK2S0r1L0m7d0sT"
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=line)
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    refused("InvalidKeyPair.NotFound", ec2.run_instances, **order(KeyName="k"))
    refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName="k", PublicKeyMaterial=line)
    slow_aws.clock.advance(3)
    assert len(ec2.describe_key_pairs(KeyNames=["k"])["KeyPairs"]) == 1


def test_changed_tags_are_described_late_and_in_order(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = launch_instance(ec2, {"Name": "old"})
    slow_aws.clock.advance(3)
    ec2.create_tags(Resources=[id], Tags=TAG)
    slow_aws.clock.advance(1)
    ec2.delete_tags(Resources=[id], Tags=[{"Key": "Name"}])
    named = [{"Name": "tag:Name", "Values": ["old"]}]
    assert tags_of(ec2, id) == {"Name": "old"}
    assert instance_ids(ec2, Filters=named) == [id]
    slow_aws.clock.advance(2)
    assert tags_of(ec2, id) == {"Name": "new"}
    assert instance_ids(ec2, Filters=named) == []
    slow_aws.clock.advance(1)
    assert tags_of(ec2, id) == {}


def test_changed_instance_state_is_described_late(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = launch_instance(ec2)
    slow_aws.clock.advance(5)
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    [change] = ec2.stop_instances(InstanceIds=[id])["StoppingInstances"]
    assert (change["CurrentState"]["Name"], state(ec2, id)) == ("stopping", "running")
    slow_aws.clock.advance(2)
    assert slow_aws.machines("us-east-1")[0]["state"] == "stopped"
    assert instance_ids(ec2, Filters=running) == [id]
    before = described_instance(ec2, id)["LaunchTime"]
    slow_aws.clock.advance(1)
    assert (state(ec2, id), instance_ids(ec2, Filters=running)) == ("stopped", [])
    ec2.start_instances(InstanceIds=[id])
    slow_aws.clock.advance(1)
    assert (state(ec2, id), described_instance(ec2, id)["LaunchTime"]) == ("stopped", before)
    slow_aws.clock.advance(2)
    assert state(ec2, id) == "running"
    assert described_instance(ec2, id)["LaunchTime"] > before


def test_state_change_acts_on_the_real_state_of_the_instance(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = launch_instance(ec2)
    slow_aws.clock.advance(5)
    ec2.stop_instances(InstanceIds=[id])
    slow_aws.clock.advance(1)
    ec2.start_instances(InstanceIds=[id])
    slow_aws.clock.advance(1)
    [change] = ec2.terminate_instances(InstanceIds=[id])["TerminatingInstances"]
    assert change["PreviousState"]["Name"] == "running"
    states = []
    for _ in range(4):
        states.append(state(ec2, id))
        slow_aws.clock.advance(1)
    assert states == ["running", "stopped", "running", "terminated"], "in the order of changes"


def test_volume_attachments_and_deletions_are_described_late(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    id = launch_instance(ec2)
    slow_aws.clock.advance(5)
    zone = described_instance(ec2, id)["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    slow_aws.clock.advance(3)
    at = {"VolumeId": volume, "InstanceId": id}
    for change, late, real in (
        (lambda: ec2.attach_volume(**at, Device="/dev/sdf"), "available", "in-use"),
        (lambda: ec2.detach_volume(**at), "in-use", "available"),
    ):
        change()
        [described_volume] = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        assert described_volume["State"] == late
        slow_aws.clock.advance(3)
        [described_volume] = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        assert described_volume["State"] == real
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    slow_aws.clock.advance(3)
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_snapshot(SnapshotId=snapshot)
    refused("InvalidVolume.NotFound", ec2.delete_volume, VolumeId=volume)
    assert volume in {volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]}
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    slow_aws.clock.advance(3)
    refused("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[volume])
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_cancelled_spot_request_is_described_as_active_at_first(slow_aws, ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    id = launch_instance(ec2, InstanceMarketOptions={"MarketType": "spot", "SpotOptions": options})
    slow_aws.clock.advance(5)
    request = [described_instance(ec2, id)["SpotInstanceRequestId"]]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=request)

    def described_state():
        answer = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=request)
        return answer["SpotInstanceRequests"][0]["State"]

    assert described_state() == "active"
    slow_aws.clock.advance(3)
    assert described_state() == "cancelled"


def test_new_iam_role_and_policy_are_not_found_at_first(slow_aws, iam):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html"""
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    refused("NoSuchEntity", iam.get_role, RoleName="r")
    right = {"RoleName": "r", "PolicyName": "p"}
    refused("NoSuchEntity", iam.put_role_policy, **right, PolicyDocument="{}")
    refused("EntityAlreadyExists", iam.create_role, RoleName="r", AssumeRolePolicyDocument=TRUST)
    slow_aws.clock.advance(3)
    iam.put_role_policy(**right, PolicyDocument="{}")
    refused("NoSuchEntity", iam.get_role_policy, **right)
    slow_aws.clock.advance(3)
    iam.get_role_policy(**right)


def test_instance_profile_is_usable_after_ec2_sees_its_role(slow_aws, ec2, iam):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="p")
    slow_aws.clock.advance(10)
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    assert iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Roles"] == []
    wish = order(IamInstanceProfile={"Name": "p"})
    error = refused("InvalidParameterValue", ec2.run_instances, **wish)
    assert "has no associated IAM Roles" in error["Error"]["Message"]
    slow_aws.clock.advance(3)
    ec2.run_instances(**wish)
