"""A launch makes a complete machine by one call, only once, in a zone with capacity."""

import boto3
import pytest
from msgspec.structs import replace

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.faults import AwsDenied, CapacityUnavailable, QuotaExceeded
from prism.workspaces.model import Observed
from prism.workspaces.ports import NextAttempt, ProviderRefused
from tests.providers.aws.place import TEMPLATE, AwsParts


@pytest.fixture
def aws_parts(stopped_aws, cloud, tmp_path):
    return AwsParts(stopped_aws, cloud, tmp_path)


@pytest.fixture
def ec2(cloud):
    return lambda action, **arguments: cloud.call("ec2", action, **arguments)


def described(ec2, id):
    return ec2("DescribeInstances", InstanceIds=[id])["Reservations"][0]["Instances"][0]


def zones_of(place, key="ws_1", kind="t3.small"):
    return [subnet.zone for subnet in place.prerequisites.subnets(kind, key)]


def test_launch_makes_a_complete_machine_by_one_call(aws_parts, ec2):
    aws_parts.set_up()
    launch = aws_parts.launch()
    assert (launch.key, launch.observed, launch.stage) == ("ws_1", Observed.STARTING, "machine")
    instance = described(ec2, launch.id)
    assert instance["InstanceType"] == "t3.small"
    assert instance["ClientToken"] == "ws_1-0"
    assert instance["Placement"]["AvailabilityZone"] == zones_of(aws_parts)[0]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert instance["HibernationOptions"]["Configured"] is True
    assert instance["KeyName"] == aws_parts.prerequisites.key().name
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [
        aws_parts.prerequisites.group()
    ]
    assert instance["IamInstanceProfile"]["Arn"].endswith(aws_parts.prerequisites.role())
    assert instance["PublicIpAddress"]
    assert "CreateTags" not in aws_parts.calls()
    assert aws_parts.calls("RunInstances") == ["RunInstances"]


def test_login_tag_names_the_working_user_of_the_template(aws_parts):
    """The home folders of Ubuntu are 0750, so that other users cannot read them."""
    many = replace(TEMPLATE, users=("ubuntu", "researcher"))
    assert aws_parts.tags(aws_parts.launch(template=many).id)["prism:login"] == "researcher"
    assert aws_parts.tags(aws_parts.launch(key="ws_2").id)["prism:login"] == "ubuntu"


def test_launch_omits_the_role_and_warns_if_passing_it_is_denied(aws_parts, ec2, caplog):
    """EC2 does not name what it denies: it answers UnauthorizedOperation to the launch."""
    aws_parts.set_up()
    aws_parts.aws.rules = build({"denied": ["iam:PassRole"]})
    launch = aws_parts.launch()
    assert "IamInstanceProfile" not in described(ec2, launch.id)
    assert "cannot hibernate by themselves" in caplog.text
    assert "cannot hibernate by themselves" in aws_parts.prerequisites.note
    tried = len(aws_parts.calls("RunInstances"))
    aws_parts.launch(key="ws_2")
    assert len(aws_parts.calls("RunInstances")) == tried + 1, (
        "the role is not tried at each launch"
    )


def test_used_client_token_leads_to_the_next_attempt_after_a_search_by_tag(aws_parts, ec2):
    """EC2 API Reference, "Ensuring idempotency": a token with other parameters is a mismatch."""
    mismatch = {"code": "IdempotentParameterMismatch", "status": 400, "times": None}
    aws_parts.aws.fault(action="RunInstances", do="error", **mismatch)
    order = aws_parts.spec()
    aws_parts.prepare()
    with pytest.raises(Unavailable, match="not visible yet"):
        aws_parts.compute.launch(order)
    aws_parts.aws.clock.advance(61)
    with pytest.raises(NextAttempt):
        aws_parts.compute.launch(order)
    assert aws_parts.calls("RunInstances") == ["RunInstances"] * 2


def test_denied_launch_with_a_role_names_the_permission(aws_parts):
    aws_parts.set_up()
    aws_parts.aws.rules = build({"denied": ["ec2:RunInstances"]})
    with pytest.raises(AwsDenied, match="ec2:RunInstances"):
        aws_parts.launch()
    assert aws_parts.prerequisites.note is None


def credits_of(id):
    answer = boto3.client("ec2").describe_instance_credit_specifications(InstanceIds=[id])
    return [
        instancecreditspecification["CpuCredits"]
        for instancecreditspecification in answer["InstanceCreditSpecifications"]
    ]


def test_burstable_machine_has_standard_credits_unless_unlimited_is_set(aws_parts):
    """The default of T3 is unlimited, which costs up to $0.05 a vCPU-hour more."""
    assert credits_of(aws_parts.launch().id) == ["standard"]
    assert credits_of(aws_parts.launch(key="ws_2", unlimited=True).id) == ["unlimited"]
    assert credits_of(aws_parts.launch(key="ws_3", instance_type="c6i.large").id) == []


def test_resize_to_a_burstable_type_sets_standard_credits(aws_parts):
    plain = aws_parts.on(instance_type="c6i.large", hibernation=False)
    aws_parts.compute.stop(plain)
    aws_parts.after()
    aws_parts.compute.resize(plain, "t3.large")
    assert credits_of(plain) == ["standard"]


def opened(ec2, group):
    """The ports that a security group opens, and to which addresses."""
    [described_group] = ec2("DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"]
    return {
        (ippermission["FromPort"], ippermission["ToPort"], to["CidrIp"])
        for ippermission in described_group["IpPermissions"]
        for to in ippermission["IpRanges"]
    }


def test_template_ports_are_open_only_if_requested(aws_parts, ec2):
    template = replace(TEMPLATE, ports=(22, 8888))
    caller = "203.0.113.7/32"
    for open_ports, ports in ((False, (22,)), (True, (22, 8888))):
        launch = aws_parts.launch(key=f"ws_{open_ports}", template=template, open_ports=open_ports)
        [group] = described(ec2, launch.id)["SecurityGroups"]
        assert opened(ec2, group["GroupId"]) == {(port, port, caller) for port in ports}


def test_power_off_from_inside_stops_the_machine(aws_parts):
    id = aws_parts.on()
    aws_parts.aws.power_off(id)
    assert aws_parts.after().observed is Observed.OFF


def test_root_disk_is_encrypted_has_room_for_memory_and_is_deleted_at_the_end(aws_parts, ec2):
    id = aws_parts.launch(root_gb=8, instance_type="t3.2xlarge").id
    [volume] = ec2("DescribeVolumes")["Volumes"]
    image = aws_parts.prerequisites.image("ubuntu-22.04", "t3.2xlarge")
    assert volume["Encrypted"]
    assert volume["VolumeType"] == "gp3"
    assert volume["Size"] == 32 + image.min_gb
    aws_parts.compute.terminate(id)
    aws_parts.aws.clock.advance(5)
    assert ec2("DescribeVolumes")["Volumes"] == []


def test_root_disk_without_hibernation_has_the_ordered_size_and_type(aws_parts, ec2):
    aws_parts.launch(root_gb=100, root_type="gp2", hibernation=False)
    [volume] = ec2("DescribeVolumes")["Volumes"]
    assert (volume["Size"], volume["VolumeType"]) == (100, "gp2")


def test_io2_root_disk_has_provisioned_iops(aws_parts, ec2):
    aws_parts.launch(root_gb=8, root_type="io2", hibernation=False)
    [volume] = ec2("DescribeVolumes")["Volumes"]
    assert volume["VolumeType"] == "io2"
    assert volume["Iops"] == min(3000, 500 * volume["Size"])


def test_launch_tags_the_machine_and_its_disk(aws_parts, ec2):
    id = aws_parts.launch(project="trees").id
    [volume] = ec2("DescribeVolumes")["Volumes"]
    for own in (described(ec2, id)["Tags"], volume["Tags"]):
        tags = {tag["Key"]: tag["Value"] for tag in own}
        assert tags["prism:managed"] == "true"
        assert tags["prism:id"] == "ws_1"
        assert tags["prism:project"] == "trees"
        assert tags["prism:login"] == "ubuntu"


def test_user_data_runs_on_the_machine(aws_parts, ec2):
    id = aws_parts.launch().id
    aws_parts.aws.clock.advance(5)
    assert "prism-boot: ready" in ec2("GetConsoleOutput", InstanceId=id)["Output"]


def test_launch_with_a_lost_answer_makes_one_machine(aws_parts):
    order = aws_parts.spec()
    aws_parts.prepare()
    aws_parts.pass_on()
    aws_parts.aws.fault(action="RunInstances", do="lost")
    with pytest.raises(Unavailable):
        aws_parts.compute.launch(order)
    launch = aws_parts.compute.launch(order)
    assert [machine["id"] for machine in aws_parts.aws.machines()] == [launch.id]


def test_repeated_launch_with_another_order_finds_the_machine_by_its_tag(aws_parts):
    first = aws_parts.ask()
    aws_parts.aws.clock.advance(60)
    again = aws_parts.compute.launch(aws_parts.spec())  # with another launch time
    assert again.id == first.id
    assert len(aws_parts.aws.machines()) == 1


def test_repeated_launch_waits_for_a_machine_that_is_not_visible_yet(aws_parts):
    aws_parts.prepare()
    aws_parts.pass_on()
    aws_parts.aws.rules = build({"times": {"unseen": 3}})
    aws_parts.compute.launch(aws_parts.spec())
    aws_parts.aws.clock.advance(1)
    with pytest.raises(Unavailable):
        aws_parts.compute.launch(aws_parts.spec())
    aws_parts.aws.clock.advance(3)
    assert aws_parts.compute.launch(aws_parts.spec()).id == aws_parts.aws.machines()[0]["id"]


def test_launch_waits_for_a_group_and_a_key_that_are_not_visible_yet(aws_parts):
    """EC2 Developer Guide, "Eventual consistency in the Amazon EC2 API"."""
    aws_parts.aws.rules = build({"times": {"unseen": 3}})
    order, messages = aws_parts.spec(), []
    for _ in range(6):
        try:
            aws_parts.compute.launch(order)
            break
        except Unavailable as wait:
            messages.append(wait.message)
            aws_parts.aws.clock.advance(2)
    [machine] = aws_parts.aws.machines()
    assert machine["tags"]["prism:id"] == order.key
    assert "was made and is not visible yet" in messages[0]
    actions = ("CreateSecurityGroup", "ImportKeyPair", "AuthorizeSecurityGroupIngress")
    done = [call.action for call in aws_parts.aws.calls if call.outcome == "ok"]
    assert [done.count(action) for action in actions] == [1, 1, 1], "each resource is made once"


def test_next_attempt_uses_the_next_zone(aws_parts, ec2):
    first, second, *_ = zones_of(aws_parts)
    aws_parts.aws.rules = build({"capacity": [{"type": "t3.*", "zone": first}]})
    with pytest.raises(NextAttempt):
        aws_parts.launch()
    instance = described(ec2, aws_parts.launch(attempt=1).id)
    assert instance["Placement"]["AvailabilityZone"] == second
    assert instance["ClientToken"] == "ws_1-1"


def test_launch_names_every_zone_if_none_has_capacity(aws_parts):
    zones = zones_of(aws_parts)
    aws_parts.aws.rules = build({"capacity": [{"type": "t3.*"}]})
    for attempt in range(len(zones) - 1):
        with pytest.raises(NextAttempt):
            aws_parts.launch(attempt=attempt)
    with pytest.raises(CapacityUnavailable) as caught:
        aws_parts.launch(attempt=len(zones) - 1)
    assert caught.value.code == "CAPACITY_UNAVAILABLE"
    assert isinstance(caught.value, ProviderRefused)
    assert all(zone in caught.value.message for zone in zones)
    with pytest.raises(NextAttempt):  # a new wish begins anew
        aws_parts.launch(attempt=len(zones))
    with pytest.raises(CapacityUnavailable):
        aws_parts.launch(attempt=2 * len(zones) - 1)


def test_exceeded_quota_is_reported_without_a_next_attempt(aws_parts):
    aws_parts.aws.rules = build({"quotas": {"standard": 1}})
    with pytest.raises(QuotaExceeded) as caught:
        aws_parts.launch()
    assert caught.value.code == "QUOTA_EXCEEDED"
    assert "quota" in caught.value.remediation


def test_launch_waits_for_a_role_that_is_not_visible_yet(aws_parts):
    aws_parts.aws.rules = build({"times": {"profile": 10}})
    aws_parts.prepare()
    aws_parts.set_up()
    with pytest.raises(Unavailable):
        aws_parts.compute.launch(aws_parts.spec())
    aws_parts.aws.clock.advance(11)
    assert aws_parts.launch().observed is Observed.STARTING


def test_deleted_key_pair_is_imported_again(aws_parts):
    aws_parts.launch()
    name = aws_parts.prerequisites.key().name
    ec2 = boto3.client("ec2")
    ec2.delete_key_pair(KeyName=name)
    aws_parts.pass_on()
    with pytest.raises(Unavailable):
        aws_parts.launch(key="ws_2")
    aws_parts.launch(key="ws_2")
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == [name]


def test_denied_launch_without_a_role_names_the_permission(aws_parts):
    aws_parts.prerequisites.key()
    aws_parts.aws.rules = build({"denied": ["ec2:RunInstances"]})
    with pytest.raises(AwsDenied, match="ec2:RunInstances"):
        aws_parts.launch()


def test_spot_machine_has_a_tagged_request_and_can_be_stopped_and_started(aws_parts, ec2):
    id = aws_parts.on(spot=True)
    [request] = ec2("DescribeSpotInstanceRequests")["SpotInstanceRequests"]
    assert {"Key": "prism:managed", "Value": "true"} in request["Tags"]
    assert described(ec2, id)["InstanceLifecycle"] == "spot"
    aws_parts.compute.stop(id)
    assert aws_parts.after().observed is Observed.OFF
    aws_parts.compute.start(id)
    assert aws_parts.after().observed is Observed.ON
