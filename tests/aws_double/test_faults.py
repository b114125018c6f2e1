"""What goes wrong on order: by action, by count, by status, and after acting."""

import time

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from tests.aws_double.asked import (
    OTHER,
    client,
    launched,
    listed,
    order,
    order_rules,
    refused,
    state,
)


def test_an_error_on_order_is_answered_and_nothing_is_done(aws, ec2):
    order_rules(
        aws,
        faults=[{"action": "RunInstances", "do": "error", "code": "Unavailable", "status": 503}],
    )
    error = refused("Unavailable", ec2.run_instances, **order())
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert aws.machines() == []
    assert launched(ec2)


def test_a_lost_reply_is_an_action_that_was_done(aws, ec2):
    aws.fault(action="RunInstances", do="lost")
    with pytest.raises(ConnectionClosedError):
        ec2.run_instances(**order(ClientToken="mine"))
    [machine] = aws.machines()
    assert launched(ec2, ClientToken="mine") == machine["id"]
    assert len(aws.machines()) == 1


def test_a_dropped_request_is_an_action_that_was_not_done(aws, ec2):
    aws.fault(action="RunInstances", do="drop")
    with pytest.raises(ConnectionClosedError):
        ec2.run_instances(**order())
    assert aws.machines() == []


def test_a_request_that_arrives_twice_is_done_twice(aws, ec2):
    aws.fault(action="RunInstances", do="twice")
    launched(ec2, ClientToken="mine")
    assert len(aws.machines()) == 1
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    aws.fault(action="CreateSnapshot", do="twice")
    ec2.create_snapshot(VolumeId=volume)
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 2
    aws.fault(action="DeleteVolume", do="twice")
    refused("InvalidVolume.NotFound", ec2.delete_volume, VolumeId=volume)


def test_a_late_reply_is_late_in_real_time(aws, ec2):
    aws.fault(action="DescribeVpcs", do="late", seconds=0.3)
    start = time.monotonic()
    ec2.describe_vpcs()
    assert time.monotonic() - start >= 0.3


def test_who_does_not_wait_has_acted_all_the_same(aws):
    aws.fault(action="RunInstances", do="late", seconds=30)
    hasty = client(aws, "ec2", patience=0.2)
    with pytest.raises(ReadTimeoutError):
        hasty.run_instances(**order())
    assert len(aws.machines()) == 1


def test_an_old_answer_can_come_again(aws, ec2):
    aws.fault(action="DescribeInstances", do="stale", skip=1)
    id = launched(ec2)
    assert state(ec2, id) == "pending"
    aws.clock.advance(5)
    assert state(ec2, id) == "pending"
    assert state(ec2, id) == "running"


def test_throttled_on_order_is_what_each_service_says(aws, ec2):
    aws.fault(do="throttle", times=None)
    refused("RequestLimitExceeded", ec2.describe_vpcs)
    refused("ThrottlingException", client(aws, "efs").describe_file_systems)
    refused("Throttling", client(aws, "sts").get_caller_identity)


def test_faults_are_counted(aws, ec2):
    aws.fault(action="Describe*", do="error", skip=1, times=2)
    seen = []
    for _ in range(5):
        try:
            ec2.describe_vpcs()
            seen.append("ok")
        except ec2.exceptions.ClientError:
            seen.append("error")
    assert seen == ["ok", "error", "error", "ok", "ok"]


def test_a_fault_can_be_for_one_call_one_machine_one_account(aws, ec2):
    [first, two] = [launched(ec2), launched(ec2)]
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
    order_rules(aws, faults=[{"do": "error", "chance": 0.5, "times": None}])
    results = []
    for _ in range(20):
        try:
            ec2.describe_vpcs()
            results.append(True)
        except ec2.exceptions.ClientError:
            results.append(False)
    return results


def test_the_seed_decides_what_chance_does(aws, ec2):
    first = chances(aws, ec2)
    assert {*first} == {True, False}
    assert chances(aws, ec2) == first


def test_ids_and_times_are_the_seeds_as_well(aws):
    order = {"times": {"pending": [1, 100]}}

    def history():
        aws.reset()
        aws.clock.stop()
        order_rules(aws, **order)
        ec2 = client(aws, "ec2")
        ids = [launched(ec2, ClientToken=str(n)) for n in range(3)]
        aws.clock.advance(50)
        return ids, [state(ec2, id) for id in ids]

    assert history() == history()


def test_the_log_says_what_was_asked_and_what_came_of_it(aws, ec2):
    launched(ec2)
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
    assert listed(ec2)
