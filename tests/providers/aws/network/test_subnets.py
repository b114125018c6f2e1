"""In which subnets a machine can be launched."""

import boto3
import pytest

from aws_double.rulebook import build
from prism.providers.aws.network.subnets import NoZone, Subnet, VpcNotFound, in_turn

SUBNETS = tuple(Subnet(zone=f"us-east-1{letter}", id=f"subnet-{letter}") for letter in "abcd")


@pytest.fixture
def ec2(aws):
    return boto3.client("ec2")


def test_subnets_have_a_constant_order_for_each_workspace():
    for key in ("ws_1", "ws_2"):
        tried = in_turn(SUBNETS, key)
        assert in_turn(tuple(reversed(SUBNETS)), key) == tried
        assert sorted(tried) == list(SUBNETS)
    assert {in_turn(SUBNETS, f"ws_{number}")[0] for number in range(50)} == set(SUBNETS), (
        "workspaces are spread over all subnets"
    )
    assert in_turn((), "ws_1") == ()


def test_subnets_are_in_zones_that_offer_the_type(prerequisites, ec2):
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["p4d.24xlarge"]}],
    )["InstanceTypeOfferings"]
    zones = {subnet.zone for subnet in prerequisites.subnets("p4d.24xlarge", "ws_1")}
    assert zones == {offer["Location"] for offer in offers}
    assert zones < {subnet.zone for subnet in prerequisites.subnets("t3.small", "ws_1")}


def test_type_that_no_zone_offers_is_refused(prerequisites):
    with pytest.raises(NoZone) as raised:
        prerequisites.subnets("t9.huge", "ws_1")
    assert "t9.huge" in raised.value.message


def test_missing_default_vpc_is_refused_until_a_public_vpc_is_tagged(aws, prerequisites, ec2):
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
    add_internet_route(ec2, vpc)
    [subnet] = prerequisites.subnets("t3.small", "ws_1")
    assert (subnet.id, subnet.zone) == (created["SubnetId"], created["AvailabilityZone"])


def add_internet_route(ec2, vpc):
    """Add a route to the internet to the main route table of a VPC."""
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    values = {"vpc-id": vpc, "association.main": "true"}
    filters = [{"Name": name, "Values": [value]} for name, value in values.items()]
    [main] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    ec2.create_route(
        RouteTableId=main["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )


def remove_internet_route(ec2, subnet):
    """Give a subnet a route table without a route to the internet."""
    table = ec2.create_route_table(VpcId=subnet["VpcId"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet["SubnetId"])


def test_private_subnet_of_the_default_vpc_is_not_used(prerequisites, make_prerequisites, ec2):
    """A machine there cannot be reached and cannot download its packages."""
    first, *remaining = ec2.describe_subnets()["Subnets"]
    remove_internet_route(ec2, first)
    used = {subnet.id for subnet in prerequisites.subnets("t3.small", "ws_1")}
    assert used and first["SubnetId"] not in used
    for subnet in remaining:
        remove_internet_route(ec2, subnet)
    with pytest.raises(VpcNotFound, match="No subnet of VPC"):
        make_prerequisites().subnets("t3.small", "ws_1")


def test_subnets_are_used_if_reading_routes_is_denied(aws, prerequisites, ec2):
    aws.rules = build({"denied": ["ec2:DescribeRouteTables"]})
    assert prerequisites.subnets("t3.small", "ws_1")


def test_vpc_tagged_with_the_profile_is_preferred_with_its_public_subnets(
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
    add_internet_route(ec2, vpc)
    assert len(prerequisites.subnets("t3.small", "ws_1")) == 2
    ec2.modify_subnet_attribute(SubnetId=created[1], MapPublicIpOnLaunch={"Value": True})
    assert [subnet.id for subnet in make_prerequisites().subnets("t3.small", "ws_1")] == [
        created[1]
    ]
    assert created[1] not in {
        subnet.id for subnet in make_prerequisites("other").subnets("t3.small", "ws_1")
    }
