"""Route tables: which subnets reach the internet, and regions that are off."""

from typing import Any

import pytest

from tests.aws_double.boto import client, refused, set_rules

EVERYWHERE = "0.0.0.0/0"


def default_route(ec2, network):
    """The main route table of a VPC, and the gateways of its default route."""
    values = {"vpc-id": network, "association.main": "true"}
    filters = [{"Name": name, "Values": [value]} for name, value in values.items()]
    [main] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    return main["RouteTableId"], [
        route["GatewayId"]
        for route in main["Routes"]
        if route["DestinationCidrBlock"] == EVERYWHERE
    ]


def test_default_vpc_has_a_route_to_the_internet_and_a_new_vpc_has_none(ec2):
    """A main route table; in a default VPC with a route to an internet gateway.

    https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html
    """
    [default] = ec2.describe_vpcs()["Vpcs"]
    assert len(default_route(ec2, default["VpcId"])[1]) == 1
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    table, to = default_route(ec2, network)
    assert to == []
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    wish = {"RouteTableId": table, "DestinationCidrBlock": EVERYWHERE, "GatewayId": gateway}
    refused("InvalidGatewayID.NotFound", ec2.create_route, **wish)
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network)
    ec2.create_route(**wish)
    assert default_route(ec2, network)[1] == [gateway]


def test_associated_route_table_is_found_by_its_subnet(ec2):
    """Each subnet is associated with one table, explicitly or with the main one.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
    """
    [subnet, *_] = ec2.describe_subnets()["Subnets"]
    own = ec2.create_route_table(VpcId=subnet["VpcId"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=own, SubnetId=subnet["SubnetId"])
    filters = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
    [table] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    assert (table["RouteTableId"], len(table["Routes"])) == (own, 1)


@pytest.mark.parametrize("service", ["ec2", "sts"])
def test_calls_in_a_disabled_region_are_refused(aws, service):
    """AuthFailure or InvalidClientTokenId; DescribeRegions says which regions are enabled.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    set_rules(aws, regions_off=["me-south-1"])
    boto = client(aws, service, "me-south-1")
    calls: dict[str, tuple[str, Any]] = {
        "ec2": ("AuthFailure", getattr(boto, "describe_vpcs", None)),
        "sts": ("InvalidClientTokenId", getattr(boto, "get_caller_identity", None)),
    }
    refused(*calls[service])
    ec2 = client(aws, "ec2")
    regions = ec2.describe_regions(AllRegions=True, RegionNames=["me-south-1"])["Regions"]
    assert [region["OptInStatus"] for region in regions] == ["not-opted-in"]
    assert "me-south-1" not in {
        region["RegionName"] for region in ec2.describe_regions()["Regions"]
    }
