"""Faults that a test injects: errors, lost and late replies, throttling."""

import time

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from tests.aws_double.boto import (
    OTHER,
    client,
    instance_ids,
    launch_instance,
    order,
    refused,
    set_rules,
    state,
)


def test_error_fault_answers_an_error_and_does_nothing(aws, ec2):
    set_rules(
        aws,
        faults=[{"action": "RunInstances", "do": "error", "code": "Unavailable", "status": 503}],
    )
    error = refused("Unavailable", ec2.run_instances, **order())
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert aws.machines() == []
    assert launch_instance(ec2)


def test_lost_fault_acts_and_closes_the_connection(aws, ec2):
    aws.fault(action="RunInstances", do="lost")
    with pytest.raises(ConnectionClosedError):
        ec2.run_instances(**order(ClientToken="mine"))
    [machine] = aws.machines()
    assert launch_instance(ec2, ClientToken="mine") == machine["id"]
    assert len(aws.machines()) == 1


def test_drop_fault_closes_the_connection_and_does_nothing(aws, ec2):
    aws.fault(action="RunInstances", do="drop")
    with pytest.raises(ConnectionClosedError):
        ec2.run_instances(**order())
    assert aws.machines() == []


def test_twice_fault_acts_twice_unless_the_request_has_a_token(aws, ec2):
    aws.fault(action="RunInstances", do="twice")
    launch_instance(ec2, ClientToken="mine")
    assert len(aws.machines()) == 1
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    aws.fault(action="CreateSnapshot", do="twice")
    ec2.create_snapshot(VolumeId=volume)
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 2
    aws.fault(action="DeleteVolume", do="twice")
    refused("InvalidVolume.NotFound", ec2.delete_volume, VolumeId=volume)


def test_late_fault_delays_the_reply_in_real_time(aws, ec2):
    aws.fault(action="DescribeVpcs", do="late", seconds=0.3)
    start = time.monotonic()
    ec2.describe_vpcs()
    assert time.monotonic() - start >= 0.3


def test_late_fault_acts_although_the_client_times_out(aws):
    aws.fault(action="RunInstances", do="late", seconds=30)
    hasty = client(aws, "ec2", patience=0.2)
    with pytest.raises(ReadTimeoutError):
        hasty.run_instances(**order())
    assert len(aws.machines()) == 1


def test_stale_fault_repeats_an_old_answer(aws, ec2):
    aws.fault(action="DescribeInstances", do="stale", skip=1)
    id = launch_instance(ec2)
    assert state(ec2, id) == "pending"
    aws.clock.advance(5)
    assert state(ec2, id) == "pending"
    assert state(ec2, id) == "running"


def test_throttle_fault_answers_the_code_of_each_service(aws, ec2):
    aws.fault(do="throttle", times=None)
    refused("RequestLimitExceeded", ec2.describe_vpcs)
    refused("ThrottlingException", client(aws, "efs").describe_file_systems)
    refused("Throttling", client(aws, "sts").get_caller_identity)


def test_fault_skips_and_repeats_as_configured(aws, ec2):
    aws.fault(action="Describe*", do="error", skip=1, times=2)
    seen = []
    for _ in range(5):
        try:
            ec2.describe_vpcs()
            seen.append("ok")
        except ec2.exceptions.ClientError:
            seen.append("error")
    assert seen == ["ok", "error", "error", "ok", "ok"]


def test_fault_is_limited_to_a_call_resource_account_or_region(aws, ec2):
    [first, two] = [launch_instance(ec2), launch_instance(ec2)]
    aws.fault(do="error", about=two)
    assert state(ec2, first)
    refused("InternalError", ec2.describe_instances, InstanceIds=[two])
    aws.fault(do="error", call=6)
    assert state(ec2, first)
    refused("InternalError", ec2.describe_vpcs)
    aws.fault(do="error", account=OTHER)
    ec2.describe_vpcs()
    refused("InternalError", client(aws, "ec2", account=OTHER).describe_vpcs)
    aws.fault(do="error", region="us-west-*")
    ec2.describe_vpcs()
    refused("InternalError", client(aws, "ec2", "us-west-2").describe_vpcs)


def chances(aws, ec2):
    set_rules(aws, faults=[{"do": "error", "chance": 0.5, "times": None}])
    results = []
    for _ in range(20):
        try:
            ec2.describe_vpcs()
            results.append(True)
        except ec2.exceptions.ClientError:
            results.append(False)
    return results


def test_random_faults_repeat_with_the_same_seed(aws, ec2):
    first = chances(aws, ec2)
    assert {*first} == {True, False}
    assert chances(aws, ec2) == first


def test_ids_and_times_repeat_with_the_same_seed(aws):
    order = {"times": {"pending": [1, 100]}}

    def history():
        aws.reset()
        aws.clock.stop()
        set_rules(aws, **order)
        ec2 = client(aws, "ec2")
        ids = [launch_instance(ec2, ClientToken=str(n)) for n in range(3)]
        aws.clock.advance(50)
        return ids, [state(ec2, id) for id in ids]

    assert history() == history()


def test_call_log_records_actions_and_outcomes(aws, ec2):
    launch_instance(ec2)
    aws.fault(do="lost", action="StopInstances")
    with pytest.raises(ConnectionClosedError):
        ec2.stop_instances(InstanceIds=[aws.machines()[0]["id"]])
    refused("InvalidParameterValue", ec2.describe_instances, InstanceIds=["x"])
    log = [(call.number, call.action, call.outcome) for call in aws.calls]
    assert log == [
        (1, "RunInstances", "ok"),
        (2, "StopInstances", "lost IncorrectInstanceState"),
        (3, "DescribeInstances", "InvalidParameterValue"),
    ]
    assert instance_ids(ec2)
