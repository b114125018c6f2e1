"""States of instances, and how long they take."""

import pytest

from aws_double.rulebook import build
from tests.aws_double.boto import (
    described_instance,
    instance_ids,
    launch_instance,
    order,
    refusal_message,
    refused,
    running_instance,
    set_rules,
    state,
)


def test_instance_is_pending_then_running(aws, ec2):
    """pending: the instance is preparing to enter the running state.

    Amazon EC2 instance state changes
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    """
    set_rules(aws, times={"pending": 5})
    id = launch_instance(ec2)
    assert state(ec2, id) == "pending"
    aws.clock.advance(4.9)
    assert state(ec2, id) == "pending"
    aws.clock.advance(0.2)
    assert described_instance(ec2, id)["State"] == {"Name": "running", "Code": 16}


def test_instance_is_stopping_then_stopped_with_a_reason(aws, ec2):
    """stopping, then stopped, with Client.UserInitiatedShutdown.

    StateReason
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    """
    set_rules(aws, times={"stopping": 30})
    id = running_instance(aws, ec2)
    assert "StateReason" not in described_instance(ec2, id)
    [change] = ec2.stop_instances(InstanceIds=[id])["StoppingInstances"]
    assert change["CurrentState"]["Name"] == state(ec2, id) == "stopping"
    aws.clock.advance(31)
    now = described_instance(ec2, id)
    assert now["State"] == {"Name": "stopped", "Code": 80}
    assert now["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert now["StateTransitionReason"].startswith("User initiated (")


def test_stopped_and_started_instance_has_a_new_public_address(aws, ec2):
    """It keeps its private address and gets a new public one.

    Stop and start Amazon EC2 instances
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html
    """
    id = running_instance(aws, ec2)
    first = described_instance(ec2, id)
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(60)
    assert "PublicIpAddress" not in described_instance(ec2, id)
    ec2.start_instances(InstanceIds=[id])
    aws.clock.advance(1)
    now = described_instance(ec2, id)
    assert now["State"]["Name"] == "running"
    assert now["PrivateIpAddress"] == first["PrivateIpAddress"]
    assert now["PublicIpAddress"] != first["PublicIpAddress"]
    assert now["LaunchTime"] > first["LaunchTime"]


def test_elastic_address_stays_after_a_stop(aws, ec2):
    """An Elastic IP address remains associated when the instance is stopped.

    Elastic IP addresses
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/elastic-ip-addresses-eip.html
    """
    id = running_instance(aws, ec2)
    held = ec2.allocate_address()
    ec2.associate_address(InstanceId=id, AllocationId=held["AllocationId"])
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert described_instance(ec2, id)["PublicIpAddress"] == held["PublicIp"]
    refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=held["AllocationId"])


def test_start_of_a_stopping_or_terminated_instance_is_refused(aws, ec2):
    """IncorrectInstanceState: an instance that is stopping cannot be started.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    id = running_instance(aws, ec2)
    [change] = ec2.start_instances(InstanceIds=[id])["StartingInstances"]
    assert change["CurrentState"]["Name"] == "running"
    ec2.stop_instances(InstanceIds=[id])
    assert id in refusal_message("IncorrectInstanceState", ec2.start_instances, InstanceIds=[id])
    ec2.terminate_instances(InstanceIds=[id])
    refused("IncorrectInstanceState", ec2.start_instances, InstanceIds=[id])
    refused("IncorrectInstanceState", ec2.stop_instances, InstanceIds=[id])


def test_terminated_instance_is_described_for_an_hour(aws, ec2):
    """It remains visible for a short while, usually less than one hour.

    Terminate Amazon EC2 instances
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html
    """
    id = running_instance(aws, ec2)
    ec2.terminate_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert state(ec2, id) == "terminated"
    aws.clock.advance(3700)
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[id])
    assert instance_ids(ec2) == []


def test_new_instance_is_found_later_together_with_its_tags(aws, ec2):
    """Eventual consistency: a describe right after the create may not find the id.

    Eventual consistency in the Amazon EC2 API
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """
    set_rules(aws, times={"unseen": 3})
    id = launch_instance(ec2, {"prism:id": "x"})
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[id])
    refused("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[id])
    refused("InvalidInstanceID.NotFound", ec2.create_tags, Resources=[id], Tags=[])
    assert instance_ids(ec2) == []
    assert [machine["id"] for machine in aws.machines()] == [id]
    aws.clock.advance(3)
    assert described_instance(ec2, id)["Tags"] == [{"Key": "prism:id", "Value": "x"}]


def test_instance_stuck_in_stopping_stops_by_force(aws, ec2):
    """An instance that is stuck in stopping can be stopped by force.

    Troubleshoot Amazon EC2 instance stop issues
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/TroubleshootingInstancesStopping.html
    """
    set_rules(aws, stuck=[{"state": "stopping", "machines": "Name=bad"}])
    good, bad = (
        running_instance(aws, ec2, {"Name": "good"}),
        running_instance(aws, ec2, {"Name": "bad"}),
    )
    ec2.stop_instances(InstanceIds=[good, bad])
    aws.clock.advance(86400)
    assert (state(ec2, good), state(ec2, bad)) == ("stopped", "stopping")
    ec2.stop_instances(InstanceIds=[bad])
    assert state(ec2, bad) == "stopping"
    ec2.stop_instances(InstanceIds=[bad], Force=True)
    assert state(ec2, bad) == "stopped"


def test_instance_that_force_does_not_stop_can_be_terminated(aws, ec2):
    """The computer below it may be broken: then only its end is left.

    Troubleshoot Amazon EC2 instance stop issues
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/TroubleshootingInstancesStopping.html
    """
    set_rules(aws, stuck=[{"state": "stopping", "deaf": True}])
    id = running_instance(aws, ec2)
    ec2.stop_instances(InstanceIds=[id])
    ec2.stop_instances(InstanceIds=[id], Force=True)
    aws.clock.advance(86400)
    assert state(ec2, id) == "stopping"
    ec2.terminate_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert state(ec2, id) == "terminated"


def test_protected_instance_cannot_be_terminated(aws, ec2):
    """OperationNotPermitted, until the attribute is changed.

    Change instance termination protection
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
    """
    id = running_instance(aws, ec2, DisableApiTermination=True)
    refusal = refusal_message("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[id])
    assert "disableApiTermination" in refusal
    ec2.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[id])


@pytest.mark.parametrize("behaviour, end", [("stop", "stopped"), ("terminate", "terminated")])
def test_instance_that_powers_off_follows_its_shutdown_behavior(aws, ec2, behaviour, end):
    """InstanceInitiatedShutdownBehavior, with Client.InstanceInitiatedShutdown as the reason.

    Change instance initiated shutdown behavior
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html
    """
    id = running_instance(aws, ec2, InstanceInitiatedShutdownBehavior=behaviour)
    aws.power_off(id)
    aws.clock.advance(1)
    assert state(ec2, id) == end
    assert described_instance(ec2, id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


@pytest.mark.parametrize("ttl", ["1h30m0s", "{at}"])
def test_ttl_timer_of_the_user_data_stops_the_instance(aws, ec2, ttl):
    """The tags of an instance are readable on the instance, and its OS may shut it down.

    View tags for your EC2 instances using instance metadata
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
    """
    at = (aws.clock.now()).replace(microsecond=0)
    tags = {"prism:ttl": ttl.format(at=at.replace(year=at.year + 1).isoformat())}
    script = "#cloud-config\n# a timer looks at prism:ttl\n"
    timed = running_instance(aws, ec2, tags, UserData=script)
    without = running_instance(aws, ec2, tags)
    wait = 5400 if ttl.endswith("s") else 366 * 86400
    aws.clock.advance(wait - 60 if ttl.endswith("s") else 360 * 86400)
    assert state(ec2, timed) == "running"
    aws.clock.advance(120 if ttl.endswith("s") else 6 * 86400)
    assert state(ec2, timed) == "stopped"
    assert (
        described_instance(ec2, timed)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    )
    assert state(ec2, without) == "running"


def test_ttl_timer_waits_longer_when_the_instance_is_to_hibernate(aws, ec2):
    """A machine of Prism's cannot hibernate by itself, so its timer comes second.

    Hibernate your Amazon EC2 instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-instances.html
    """
    aws.rules = build({"patience": 60})
    ends = {"prism:ttl": "1h0m0s", "prism:expire-action": "hibernate"}
    id = running_instance(aws, ec2, ends, UserData="prism:ttl")
    aws.clock.advance(3640)
    assert state(ec2, id) == "running"
    aws.clock.advance(60)
    assert state(ec2, id) == "stopped"


def test_ttl_timer_follows_a_changed_tag(aws, ec2):
    """CreateTags overwrites, and a running instance sees the new value.

    View tags for your EC2 instances using instance metadata
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
    """
    id = running_instance(aws, ec2, {"prism:ttl": "1h0m0s"}, UserData="prism:ttl")
    ec2.create_tags(Resources=[id], Tags=[{"Key": "prism:ttl", "Value": "3h0m0s"}])
    aws.clock.advance(2 * 3600)
    assert state(ec2, id) == "running"
    aws.clock.advance(2 * 3600)
    assert state(ec2, id) == "stopped"


def test_creating_tags_does_not_delay_the_running_state(aws, ec2):
    """Tags can be added to an instance in any state.

    Tag your Amazon EC2 resources
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
    """
    id = launch_instance(ec2)
    ec2.create_tags(Resources=[id], Tags=[{"Key": "a", "Value": "b"}])
    aws.clock.advance(1)
    assert state(ec2, id) == "running"


def test_resize_requires_a_stopped_instance_and_the_same_architecture(aws, ec2):
    """You must stop the instance before you change its type; the architecture stays.

    Change the instance type
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/change-instance-type-of-ebs-backed-instance.html
    """
    id = running_instance(aws, ec2)
    change = {"InstanceId": id, "InstanceType": {"Value": "t3.large"}}
    refused("IncorrectInstanceState", ec2.modify_instance_attribute, **change)
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(1)
    ec2.modify_instance_attribute(**change)
    assert described_instance(ec2, id)["InstanceType"] == "t3.large"
    arm = {"InstanceId": id, "InstanceType": {"Value": "t4g.large"}}
    assert "arm64" in refusal_message(
        "InvalidParameterValue", ec2.modify_instance_attribute, **arm
    )


def test_termination_deletes_the_root_volume_and_keeps_others(aws, ec2):
    """DeleteOnTermination: true for the root volume by default, false for others.

    Preserve data when an instance is terminated
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/preserving-volumes-on-termination.html
    """
    extra = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5}}
    id = running_instance(aws, ec2, BlockDeviceMappings=[extra])
    assert len(ec2.describe_volumes()["Volumes"]) == 2
    ec2.terminate_instances(InstanceIds=[id])
    aws.clock.advance(1)
    [left] = ec2.describe_volumes()["Volumes"]
    assert (left["Size"], left["State"]) == (5, "available")


def test_dry_run_creates_no_instance(ec2):
    """DryRunOperation is the answer to those who have the permission.

    RunInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    refused("DryRunOperation", ec2.run_instances, **order(DryRun=True))
    assert instance_ids(ec2) == []
