"""Idempotency: repeated requests with and without a client token."""

import pytest

from tests.aws_double.boto import (
    OTHER,
    client,
    instance_ids,
    launch_instance,
    order,
    refusal_message,
    refused,
    running_instance,
    set_rules,
)

VOLUME = {"AvailabilityZone": "us-east-1a", "Size": 10}
DAY = 86400


def test_launch_with_the_same_client_token_acts_once(ec2):
    """The retry succeeds without another action; only the state may differ.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    assert launch_instance(ec2, ClientToken="a") == launch_instance(ec2, ClientToken="a")
    assert len(instance_ids(ec2)) == 1


def test_retried_launch_returns_the_current_state(aws, ec2):
    """The result might contain updated information, such as the current status.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    running_instance(aws, ec2, ClientToken="a")
    [again] = ec2.run_instances(**order(ClientToken="a"))["Instances"]
    assert again["State"]["Name"] == "running"


def test_launch_without_a_client_token_acts_each_time(ec2):
    """boto3 fills in a token of its own for each call, which dies with the process.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    assert launch_instance(ec2) != launch_instance(ec2)


@pytest.mark.parametrize("change", [{"InstanceType": "t3.medium"}, {"tags": {"a": "b"}}])
def test_client_token_with_other_parameters_is_refused(ec2, change):
    """IdempotentParameterMismatch, and nothing is done.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    id = launch_instance(ec2, ClientToken="a")
    refused("IdempotentParameterMismatch", ec2.run_instances, **order(ClientToken="a", **change))
    assert instance_ids(ec2) == [id]


def test_client_token_is_scoped_to_region_and_account(aws, ec2):
    """The same token in other regions makes other machines.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    ids = {launch_instance(ec2, ClientToken="a")}
    ids.add(launch_instance(client(aws, "ec2", account=OTHER), ClientToken="a"))
    west = client(aws, "ec2", "us-west-2")
    parameter = "/aws/service/debian/release/12/latest/amd64"
    ami = client(aws, "ssm", "us-west-2").get_parameter(Name=parameter)["Parameter"]["Value"]
    ids.add(launch_instance(west, ClientToken="a", ImageId=ami))
    assert len(ids) == 3


def test_refused_launch_can_be_retried_with_its_client_token(aws, ec2):
    """Only a request that completed successfully has used its token.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    set_rules(aws, capacity=[{"type": "t3.small"}])
    refused("InsufficientInstanceCapacity", ec2.run_instances, **order(ClientToken="a"))
    set_rules(aws)
    assert launch_instance(ec2, ClientToken="a")


def test_client_token_of_a_launch_expires_a_day_after_termination(aws, ec2):
    """The client token is valid for at least 24 hours after the termination of the instance.

    Ensuring Idempotency
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html
    """
    id = running_instance(aws, ec2, ClientToken="a")
    aws.clock.advance(9 * DAY)
    assert launch_instance(ec2, ClientToken="a") == id
    ec2.terminate_instances(InstanceIds=[id])
    aws.clock.advance(DAY - 60)
    [again] = ec2.run_instances(**order(ClientToken="a"))["Instances"]
    assert (again["InstanceId"], again["State"]["Name"]) == (id, "terminated")
    assert instance_ids(ec2) == []
    aws.clock.advance(120)
    assert launch_instance(ec2, ClientToken="a") != id


def test_create_volume_is_idempotent_with_a_client_token(aws, ec2):
    """CreateVolume is one of the actions that take a client token.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    first = ec2.create_volume(**VOLUME, ClientToken="a")["VolumeId"]
    assert ec2.create_volume(**VOLUME, ClientToken="a")["VolumeId"] == first
    other = {**VOLUME, "Size": 11}
    refused("IdempotentParameterMismatch", ec2.create_volume, **other, ClientToken="a")
    aws.clock.advance(DAY + 1)
    assert ec2.create_volume(**other, ClientToken="a")["VolumeId"] != first


def test_create_snapshot_acts_each_time(ec2):
    """It is not among the actions that take one: two calls make two.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    volume = ec2.create_volume(**VOLUME)["VolumeId"]
    ids = {ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(2)}
    assert len(ids) == 2


def test_allocate_address_acts_each_time(ec2):
    """It is not among the actions that take one: two calls make two.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    assert ec2.allocate_address()["PublicIp"] != ec2.allocate_address()["PublicIp"]


def test_terminate_instances_can_be_repeated(aws, ec2):
    """TerminateInstances is idempotent by default.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    id = running_instance(aws, ec2)
    for before in ("running", "shutting-down"):
        [change] = ec2.terminate_instances(InstanceIds=[id])["TerminatingInstances"]
        assert change["PreviousState"]["Name"] == before
    aws.clock.advance(1)
    [change] = ec2.terminate_instances(InstanceIds=[id])["TerminatingInstances"]
    assert change["CurrentState"]["Name"] == "terminated"


def test_client_token_has_at_most_64_characters_and_is_case_sensitive(ec2):
    """A unique, case-sensitive string of up to 64 ASCII characters.

    Ensuring idempotency in Amazon EC2 API requests
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    assert "64" in refusal_message(
        "InvalidParameterValue", ec2.run_instances, **order(ClientToken="a" * 65)
    )
    assert launch_instance(ec2, ClientToken="A") != launch_instance(ec2, ClientToken="a")


def test_duplicate_creation_token_refusal_names_the_file_system(efs):
    """A creation token in use answers FileSystemAlreadyExists with the id of what it has made.

    Amazon EFS: CreateFileSystem
    https://docs.aws.amazon.com/efs/latest/ug/API_CreateFileSystem.html
    """
    id = efs.create_file_system(CreationToken="a")["FileSystemId"]
    error = refused("FileSystemAlreadyExists", efs.create_file_system, CreationToken="a")
    assert error["FileSystemId"] == id
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
