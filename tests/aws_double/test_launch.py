"""Launches of instances, also spot ones: refusals and results."""

import gzip

import pytest

from tests.aws_double.boto import (
    client,
    described_instance,
    disk,
    image,
    instance_ids,
    launch_instance,
    order,
    refusal_message,
    refused,
    running_instance,
    set_rules,
    state,
)

NOISE = bytes(range(256)) * 80  # 20 KB
WRONG = {
    "no such image": ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
    "no image id": ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
    "no such type": ({"InstanceType": "t3.tiny"}, "InvalidParameterValue"),
    "no such key": ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
    "no such group": ({"SecurityGroupIds": ["sg-1"]}, "InvalidGroup.NotFound"),
    "no such subnet": ({"SubnetId": "subnet-1"}, "InvalidSubnetID.NotFound"),
    "no such zone": ({"Placement": {"AvailabilityZone": "us-east-1z"}}, "InvalidParameterValue"),
    "too small a disk": ({"BlockDeviceMappings": [disk(4)]}, "InvalidBlockDeviceMapping"),
    "too much user data": ({"UserData": NOISE}, "InvalidParameterValue"),
    "MinCount above MaxCount": ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"),
    "no such profile": ({"IamInstanceProfile": {"Name": "p"}}, "InvalidParameterValue"),
}


@pytest.mark.parametrize("change, code", WRONG.values(), ids=WRONG)
def test_invalid_launch_is_refused_and_creates_nothing(ec2, change, code):
    """Each mistake has its code.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    refused(code, ec2.run_instances, **order(**change))
    assert instance_ids(ec2) == []
    assert ec2.describe_volumes()["Volumes"] == []


def test_launch_requires_an_image_of_the_types_architecture(ec2):
    """The AMI and the instance type must have the same architecture.

    Compatibility for changing the instance type
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resize-limitations.html
    """
    arm = order(InstanceType="t4g.small")
    assert "'arm64'" in refusal_message("InvalidParameterValue", ec2.run_instances, **arm)
    assert described_instance(
        ec2, launch_instance(ec2, InstanceType="t4g.small", ImageId=image("arm64"))
    )


def test_user_data_limit_applies_before_base64(ec2):
    """User data is limited to 16 KB, in raw form, before it is base64-encoded.

    Run commands on your Linux instance at launch
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
    """
    assert launch_instance(ec2, UserData=NOISE[:16384])
    refused("InvalidParameterValue", ec2.run_instances, **order(UserData=NOISE[:16385]))
    assert launch_instance(ec2, UserData=gzip.compress(NOISE))


def test_launch_in_a_zone_without_the_type_names_other_zones(ec2):
    """Unsupported: the instance type is not supported in the Availability Zone.

    Troubleshoot instance launch issues
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    kind = "g4dn.xlarge"
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [kind]}]
    )["InstanceTypeOfferings"]
    able = {offer["Location"] for offer in offers}
    zones = {
        availabilityzone["ZoneName"]
        for availabilityzone in ec2.describe_availability_zones()["AvailabilityZones"]
    }
    [unable, *_] = zones - able
    request = order(InstanceType=kind, Placement={"AvailabilityZone": unable})
    assert min(able) in refusal_message("Unsupported", ec2.run_instances, **request)
    assert (
        described_instance(ec2, launch_instance(ec2, InstanceType=kind))["Placement"][
            "AvailabilityZone"
        ]
        in able
    )


def test_launch_without_a_default_vpc_requires_a_subnet(aws, ec2):
    """VPCIdNotSpecified: no default VPC for this user.

    Default VPCs
    https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
    """
    set_rules(aws, default_vpc=False)
    refused("VPCIdNotSpecified", ec2.run_instances, **order())
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    machine = described_instance(ec2, launch_instance(ec2, SubnetId=subnet))
    assert machine["VpcId"] == network
    assert "PublicIpAddress" not in machine
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": True}
    assert described_instance(ec2, launch_instance(ec2, NetworkInterfaces=[interface]))[
        "PublicIpAddress"
    ]


def test_launch_in_a_full_zone_is_refused_and_names_other_zones(aws, ec2):
    """InsufficientInstanceCapacity: wait, or try another zone.

    Troubleshoot instance launch issues
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    set_rules(aws, capacity=[{"type": "t3.*", "zone": "us-east-1a", "left": 1}])
    at = {"Placement": {"AvailabilityZone": "us-east-1a"}}
    first = running_instance(aws, ec2, **at)
    error = refused("InsufficientInstanceCapacity", ec2.run_instances, **order(**at))
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "us-east-1b" in error["Error"]["Message"]
    assert launch_instance(ec2, Placement={"AvailabilityZone": "us-east-1b"})
    ec2.terminate_instances(InstanceIds=[first])
    assert launch_instance(ec2, **at)


def test_start_is_refused_without_capacity(aws, ec2):
    """InsufficientInstanceCapacity can also meet a start.

    Troubleshoot instance launch issues
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    id = running_instance(aws, ec2)
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(1)
    set_rules(aws, capacity=[{"type": "t3.small"}])
    refused("InsufficientInstanceCapacity", ec2.start_instances, InstanceIds=[id])
    assert state(ec2, id) == "stopped"


def test_launch_creates_as_many_instances_as_capacity_allows(aws, ec2):
    """MinCount and MaxCount: as many as possible, or none if less than the least.

    RunInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    set_rules(aws, capacity=[{"type": "t3.small", "left": 3}])
    refused("InsufficientInstanceCapacity", ec2.run_instances, **order(MinCount=4, MaxCount=5))
    machines = ec2.run_instances(**order(MinCount=2, MaxCount=5))["Instances"]
    assert len(machines) == 3


def test_quota_counts_vcpus_of_running_instances(aws, ec2):
    """VcpuLimitExceeded; each quota has its families, and stopped machines do not count.

    Amazon EC2 instance type quotas
    https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
    """
    set_rules(aws, quotas={"standard": 4, "gpu": 4, "spot": 2})
    first = running_instance(aws, ec2)
    launch_instance(ec2, InstanceType="c6i.large")
    assert "limit of 4" in refusal_message("VcpuLimitExceeded", ec2.run_instances, **order())
    assert launch_instance(ec2, InstanceType="g4dn.xlarge")
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    assert launch_instance(ec2, **spot)
    refused("MaxSpotInstanceCountExceeded", ec2.run_instances, **order(**spot))
    ec2.stop_instances(InstanceIds=[first])
    assert launch_instance(ec2)
    aws.clock.advance(1)
    refused("VcpuLimitExceeded", ec2.start_instances, InstanceIds=[first])


def test_launch_refuses_a_new_instance_profile_at_first(aws, ec2):
    """IAM is eventually consistent: EC2 sees a new profile some seconds later.

    Troubleshoot IAM: changes that I make are not always immediately visible
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
    """
    set_rules(aws, times={"profile": 5})
    iam = client(aws, "iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    with_profile = order(IamInstanceProfile={"Name": "p"})
    refused("InvalidParameterValue", ec2.run_instances, **with_profile)
    aws.clock.advance(5)
    [instance] = ec2.run_instances(**with_profile)["Instances"]
    assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/p")


def test_described_instance_has_the_attributes_of_its_launch(aws, ec2):
    """Tags, disks, metadata options, the client token: all given in the create call.

    RunInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    tags = [{"Key": "prism:id", "Value": "x"}]
    request = order(
        ClientToken="mine",
        BlockDeviceMappings=[disk(30, Encrypted=True, VolumeType="gp3")],
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        TagSpecifications=[
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
        ],
    )
    [launch] = ec2.run_instances(**request)["Instances"]
    assert launch["State"]["Name"] == "pending"
    machine = described_instance(ec2, launch["InstanceId"])
    assert (machine["ClientToken"], machine["Tags"]) == ("mine", tags)
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    [root] = ec2.describe_volumes()["Volumes"]
    assert (root["Size"], root["Encrypted"], root["VolumeType"]) == (30, True, "gp3")
    assert (root["Tags"], root["State"]) == (tags, "in-use")
    assert root["AvailabilityZone"] == machine["Placement"]["AvailabilityZone"]


def test_spot_launch_below_the_spot_price_is_refused(aws, ec2):
    """A maximum price below the Spot price is not fulfilled.

    Spot Instance pricing history, and SpotMaxPriceTooLow
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances-history.html
    """
    set_rules(aws, spot={"t3.small": 0.008})
    [price, *_] = ec2.describe_spot_price_history(InstanceTypes=["t3.small"])["SpotPriceHistory"]
    assert price["SpotPrice"] == "0.008000"

    def spot(most):
        options = {"MarketType": "spot", "SpotOptions": {"MaxPrice": most}}
        return order(InstanceMarketOptions=options)

    refused("SpotMaxPriceTooLow", ec2.run_instances, **spot("0.007"))
    [instance] = ec2.run_instances(**spot("0.02"))["Instances"]
    assert instance["InstanceLifecycle"] == "spot"


def test_stop_of_a_one_time_spot_instance_is_refused(aws, ec2):
    """You can stop a Spot Instance only if its request is persistent.

    StopInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
    """
    once = running_instance(aws, ec2, InstanceMarketOptions={"MarketType": "spot"})
    refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=[once])
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    market = {"MarketType": "spot", "SpotOptions": options}
    lasting = running_instance(aws, ec2, InstanceMarketOptions=market)
    ec2.stop_instances(InstanceIds=[lasting])


@pytest.mark.parametrize(
    "behaviour, end, why",
    [
        ("terminate", "terminated", "Server.SpotInstanceTermination"),
        ("stop", "stopped", "Server.SpotInstanceShutdown"),
    ],
)
def test_interrupted_spot_instance_stops_or_terminates_with_a_reason(
    aws, ec2, behaviour, end, why
):
    """Terminated, stopped or hibernated, as the request demands; the state reason names it.

    Behavior of Spot Instance interruptions
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/interruption-behavior.html
    """
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": behaviour}
    market = {"MarketType": "spot", "SpotOptions": options}
    id = running_instance(aws, ec2, InstanceMarketOptions=market)
    aws.interrupt(id)
    aws.clock.advance(1)
    assert state(ec2, id) == end
    assert described_instance(ec2, id)["StateReason"]["Code"] == why


def test_persistent_spot_request_replaces_its_instance_until_cancelled(aws, ec2):
    """Cancel the request first and then terminate, or a new Spot Instance is launched.

    Terminate a Spot Instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances-managing.html
    """
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    market = {"MarketType": "spot", "SpotOptions": options}
    first = running_instance(aws, ec2, {"prism:id": "x"}, InstanceMarketOptions=market)
    ec2.terminate_instances(InstanceIds=[first])
    aws.clock.advance(2)
    [second] = set(instance_ids(ec2)) - {first}
    assert state(ec2, second) == "running"
    assert described_instance(ec2, second).get("Tags", []) == []
    [spot_request] = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (spot_request["InstanceId"], spot_request["State"]) == (second, "active")
    id = [spot_request["SpotInstanceRequestId"]]
    assert described_instance(ec2, second)["SpotInstanceRequestId"] == id[0]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=id)
    assert state(ec2, second) == "running"
    ec2.terminate_instances(InstanceIds=[second])
    aws.clock.advance(2)
    assert {state(ec2, instance) for instance in instance_ids(ec2)} == {"terminated"}


@pytest.fixture
def interrupted_instance(aws, ec2):
    """A spot instance of a persistent request that EC2 has interrupted."""
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    market = {"MarketType": "spot", "SpotOptions": options}
    id = running_instance(aws, ec2, InstanceMarketOptions=market)
    aws.interrupt(id)
    aws.clock.advance(1)
    assert state(ec2, id) == "stopped"
    return id


def spot_request_of(ec2):
    [spot_request] = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    return spot_request


def test_interrupted_spot_instance_is_started_only_by_ec2_when_capacity_returns(
    aws, ec2, interrupted_instance
):
    """Only EC2 can restart it, when there is capacity in its zone for its type.

    Behavior of Spot Instance interruptions
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/interruption-behavior.html
    """
    set_rules(aws, capacity=[{"type": "t3.small", "market": "spot"}])
    refused("IncorrectSpotRequestState", ec2.start_instances, InstanceIds=[interrupted_instance])
    aws.clock.advance(3600)
    assert state(ec2, interrupted_instance) == "stopped"
    assert spot_request_of(ec2)["State"] == "open"
    set_rules(aws)
    aws.clock.advance(61)
    assert state(ec2, interrupted_instance) == "running"
    assert spot_request_of(ec2)["State"] == "active"
    assert "StateReason" not in described_instance(ec2, interrupted_instance)


def test_spot_instance_stopped_by_its_user_can_be_started_by_its_user(aws, ec2):
    """The request is disabled while the machine is stopped by its user, who may start it.

    Get the status of a Spot Instance request
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    """
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    market = {"MarketType": "spot", "SpotOptions": options}
    id = running_instance(aws, ec2, InstanceMarketOptions=market)
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(3600)
    assert (state(ec2, id), spot_request_of(ec2)["State"]) == ("stopped", "disabled")
    ec2.start_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert (state(ec2, id), spot_request_of(ec2)["State"]) == ("running", "active")


@pytest.fixture
def spot_instance(aws, ec2):
    """A spot instance of a persistent request, and the request's id."""
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    market = {"MarketType": "spot", "SpotOptions": options}
    return running_instance(aws, ec2, InstanceMarketOptions=market), spot_request_of(ec2)[
        "SpotInstanceRequestId"
    ]


def test_spot_instance_with_a_cancelled_request_cannot_be_stopped(aws, ec2, spot_instance):
    """You can't stop a Spot Instance if its request is cancelled: you can only terminate it.

    Manage your Spot Instances
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances-managing.html
    """
    id, request = spot_instance
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request])
    refused("IncorrectSpotRequestState", ec2.stop_instances, InstanceIds=[id])
    refused("IncorrectSpotRequestState", ec2.stop_instances, InstanceIds=[id], Force=True)
    aws.clock.advance(60)
    assert state(ec2, id) == "running"
    ec2.terminate_instances(InstanceIds=[id])
    aws.clock.advance(2)
    assert state(ec2, id) == "terminated"


def test_spot_instance_cannot_be_started_right_after_its_stop(aws, ec2, spot_instance):
    """Within about two minutes its request is not in an appropriate state to support start.

    Troubleshoot Amazon EC2 instance hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-instance-hibernate.html
    """
    set_rules(aws, times={"marked_for_stop": 90})
    id, _ = spot_instance
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(60)
    assert state(ec2, id) == "stopped"
    spot_request = spot_request_of(ec2)
    assert (spot_request["State"], spot_request["Status"]["Code"]) == ("active", "marked-for-stop")
    refusal = refusal_message("IncorrectSpotRequestState", ec2.start_instances, InstanceIds=[id])
    assert "not in an appropriate state to support start" in refusal
    aws.clock.advance(40)
    spot_request = spot_request_of(ec2)
    assert (spot_request["State"], spot_request["Status"]["Code"]) == (
        "disabled",
        "instance-stopped-by-user",
    )
    ec2.start_instances(InstanceIds=[id])
    aws.clock.advance(2)
    assert state(ec2, id) == "running"


def test_stopped_spot_instance_cannot_be_resized(ec2, interrupted_instance):
    """While it is stopped, some attributes may be modified, but not the instance type.

    Behavior of Spot Instance interruptions
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/interruption-behavior.html
    """
    kind = {"InstanceType": {"Value": "t3.medium"}}
    refused(
        "UnsupportedOperation",
        ec2.modify_instance_attribute,
        InstanceId=interrupted_instance,
        **kind,
    )


def test_cancelling_the_request_terminates_a_stopped_spot_instance(aws, ec2, interrupted_instance):
    """If you cancel a Spot Instance request, stopped instances of it are terminated.

    Behavior of Spot Instance interruptions
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/interruption-behavior.html
    """
    request = [spot_request_of(ec2)["SpotInstanceRequestId"]]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=request)
    aws.clock.advance(3600)
    assert spot_request_of(ec2)["State"] == "cancelled"
    assert {state(ec2, instance) for instance in instance_ids(ec2)} <= {"terminated"}


def test_launch_with_an_unsupported_parameter_is_refused(ec2):
    """A launch template changes what is launched; the double has none.

    RunInstances
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    template = {"LaunchTemplate": {"LaunchTemplateName": "x"}}
    refusal = refusal_message("UnsupportedOperation", ec2.run_instances, **order(**template))
    assert "LaunchTemplate" in refusal
