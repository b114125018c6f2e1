"""Where a machine may stand."""

import boto3
import pytest

from aws_double.rulebook import build
from prism.providers.aws.network.subnets import NoZone, Subnet, VpcNotFound, in_turn

SUBNETS = tuple(Subnet(zone=f"us-east-1{letter}", id=f"subnet-{letter}") for letter in "abcd")


@pytest.fixture
def ec2(aws):
    return boto3.client("ec2")


def test_each_workspace_has_an_order_of_its_own_and_keeps_it():
    for key in ("ws_1", "ws_2"):
        tried = in_turn(SUBNETS, key)
        assert in_turn(tuple(reversed(SUBNETS)), key) == tried
        assert sorted(tried) == list(SUBNETS)
    assert {in_turn(SUBNETS, f"ws_{number}")[0] for number in range(50)} == set(SUBNETS), (
        "spread out"
    )
    assert in_turn((), "ws_1") == ()


def test_only_zones_that_offer_the_type(prerequisites, ec2):
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["p4d.24xlarge"]}],
    )["InstanceTypeOfferings"]
    zones = {subnet.zone for subnet in prerequisites.subnets("p4d.24xlarge", "ws_1")}
    assert zones == {offer["Location"] for offer in offers}
    assert zones < {subnet.zone for subnet in prerequisites.subnets("t3.small", "ws_1")}


def test_a_type_that_is_nowhere_is_refused(prerequisites):
    with pytest.raises(NoZone) as raised:
        prerequisites.subnets("t9.huge", "ws_1")
    assert "t9.huge" in raised.value.message


def test_without_a_default_vpc_it_says_what_to_do(aws, prerequisites, ec2):
    aws.rules = build({"default_vpc": False})
    with pytest.raises(VpcNotFound) as raised:
        prerequisites.subnets("t3.small", "ws_1")
    assert "create-default-vpc --region us-east-1" in raised.value.remediation
    assert "Key=prism:profile,Value=lab" in raised.value.remediation
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "prism:profile", "Value": "lab"}])
    with pytest.raises(VpcNotFound, match="has no subnet"):
        prerequisites.subnets("t3.small", "ws_1")
    created = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]
    with pytest.raises(VpcNotFound, match="has a route to the internet"):
        prerequisites.subnets("t3.small", "ws_1")
    lead_out(ec2, vpc)
    [subnet] = prerequisites.subnets("t3.small", "ws_1")
    assert (subnet.id, subnet.zone) == (created["SubnetId"], created["AvailabilityZone"])


def lead_out(ec2, vpc):
    """Give a VPC a way to the internet, by its main route table."""
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    values = {"vpc-id": vpc, "association.main": "true"}
    filters = [{"Name": name, "Values": [value]} for name, value in values.items()]
    [main] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    ec2.create_route(
        RouteTableId=main["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )


def shut_in(ec2, subnet):
    """Give a subnet a route table that leads nowhere."""
    table = ec2.create_route_table(VpcId=subnet["VpcId"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet["SubnetId"])


def test_a_private_subnet_of_the_default_vpc_is_not_used(prerequisites, make_prerequisites, ec2):
    """A machine there could neither be reached nor fetch its packages."""
    first, *remaining = ec2.describe_subnets()["Subnets"]
    shut_in(ec2, first)
    used = {subnet.id for subnet in prerequisites.subnets("t3.small", "ws_1")}
    assert used and first["SubnetId"] not in used
    for subnet in remaining:
        shut_in(ec2, subnet)
    with pytest.raises(VpcNotFound, match="No subnet of VPC"):
        make_prerequisites().subnets("t3.small", "ws_1")


def test_who_may_not_look_at_routes_uses_what_there_is(aws, prerequisites, ec2):
    aws.rules = build({"denied": ["ec2:DescribeRouteTables"]})
    assert prerequisites.subnets("t3.small", "ws_1")


def test_a_vpc_that_names_the_profile_wins_and_one_public_subnet_a_zone_is_used(
    prerequisites, make_prerequisites, ec2
):
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "prism:profile", "Value": "lab"}])
    created = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("aab")
    ]
    lead_out(ec2, vpc)
    assert len(prerequisites.subnets("t3.small", "ws_1")) == 2
    ec2.modify_subnet_attribute(SubnetId=created[1], MapPublicIpOnLaunch={"Value": True})
    assert [subnet.id for subnet in make_prerequisites().subnets("t3.small", "ws_1")] == [
        created[1]
    ]
    assert created[1] not in {
        subnet.id for subnet in make_prerequisites("other").subnets("t3.small", "ws_1")
    }
