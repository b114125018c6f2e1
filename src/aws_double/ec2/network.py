"""VPCs, subnets and zones."""

from aws_double.ec2 import tags
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Group, Network, Subnet
from aws_double.facts.zones import regions, zone_id
from aws_double.refusals import Refusal, no_such
from aws_double.tree import Tree
from aws_double.world import Call, World


def add_default_network(world: World) -> None:
    """Add the default VPC of a new account, with a subnet in every zone."""
    if not world.zones or not world.rules.default_vpc:
        return
    network = _new_network(world, "172.31.0.0/16", default=True)
    for index, zone in enumerate(world.zones):
        id = world.new_id("subnet")
        cidr = f"172.31.{index * 16}.0/20"
        world.subnets[id] = Subnet(id, network.id, zone, cidr, True, True)


def _new_network(world: World, cidr: str, default: bool = False) -> Network:
    network = Network(world.new_id("vpc"), cidr, default)
    world.networks[network.id] = network
    id = world.new_id("sg")
    world.groups[id] = Group(id, "default", network.id, "default VPC security group")
    return network


def default_network(world: World) -> Network | None:
    """The default VPC, where there is one."""
    return next((network for network in world.networks.values() if network.default), None)


def subnet_of(world: World, id: str) -> Subnet:
    """One subnet, or EC2's refusal."""
    if (subnet := world.subnets.get(id)) is None:
        raise no_such("InvalidSubnetID.NotFound", "subnet", [id])
    return subnet


def network_of(world: World, id: str) -> Network:
    """One VPC, or EC2's refusal."""
    if (network := world.networks.get(id)) is None:
        raise no_such("InvalidVpcID.NotFound", "vpc", [id])
    return network


def create_vpc(call: Call) -> Tree:
    """CreateVpc."""
    network = _new_network(call.world, call.args["CidrBlock"])
    network.tags = tags.requested(call.args, "vpc")
    return {"Vpc": _network(call.world, network)}


def describe_vpcs(call: Call) -> Tree:
    """DescribeVpcs."""
    world = call.world
    for id in call.args.get("VpcIds", []):
        network_of(world, id)
    fields = {
        "vpc-id": lambda it: it.id,
        "is-default": lambda it: it.default,
        "isDefault": lambda it: it.default,
        "cidr": lambda it: it.cidr,
        "state": lambda it: "available",
    }
    ids = call.args.get("VpcIds")
    networks = [network for network in world.networks.values() if not ids or network.id in ids]
    networks = chosen(networks, call.args, fields, lambda it: it.tags)
    return {"Vpcs": [_network(world, network) for network in networks]}


def create_subnet(call: Call) -> Tree:
    """CreateSubnet; without a zone EC2 chooses one."""
    world, args = call.world, call.args
    network = network_of(world, args["VpcId"])
    zone = args.get("AvailabilityZone") or world.zones[0]
    if zone not in world.zones:
        raise bad_zone(zone)
    id = world.new_id("subnet")
    world.subnets[id] = Subnet(id, network.id, zone, args["CidrBlock"], False, False)
    world.subnets[id].tags = tags.requested(args, "subnet")
    return {"Subnet": _subnet(world, world.subnets[id])}


def modify_subnet_attribute(call: Call) -> Tree:
    """ModifySubnetAttribute: whether machines get a public address."""
    subnet = subnet_of(call.world, call.args["SubnetId"])
    if (attribute := call.args.get("MapPublicIpOnLaunch")) is not None:
        subnet.gives_addresses = attribute["Value"]
    return {}


def describe_subnets(call: Call) -> Tree:
    """DescribeSubnets."""
    world, ids = call.world, call.args.get("SubnetIds")
    subnets = [subnet_of(world, id) for id in ids] if ids else list(world.subnets.values())
    fields = {
        "subnet-id": lambda it: it.id,
        "vpc-id": lambda it: it.network,
        "availability-zone": lambda it: it.zone,
        "availabilityZone": lambda it: it.zone,
        "availability-zone-id": lambda it: zone_id(it.zone),
        "default-for-az": lambda it: it.default,
        "defaultForAz": lambda it: it.default,
        "map-public-ip-on-launch": lambda it: it.gives_addresses,
        "state": lambda it: "available",
        "cidr-block": lambda it: it.cidr,
    }
    subnets = chosen(subnets, call.args, fields, lambda it: it.tags)
    return {"Subnets": [_subnet(world, subnet) for subnet in subnets]}


def bad_zone(zone: str) -> Refusal:
    """EC2's refusal of a zone that the region does not have."""
    return Refusal("InvalidParameterValue", f"Invalid availability zone: [{zone}]")


def describe_availability_zones(call: Call) -> Tree:
    """DescribeAvailabilityZones."""
    world, names = call.world, call.args.get("ZoneNames")
    for zone in names or []:
        if zone not in world.zones:
            raise bad_zone(zone)
    fields = {
        "zone-name": lambda it: it,
        "zone-id": zone_id,
        "state": lambda it: "available",
        "region-name": lambda it: world.region,
        "opt-in-status": lambda it: "opt-in-not-required",
        "zone-type": lambda it: "availability-zone",
    }
    zones = [known for known in world.zones if not names or known in names]
    zones = chosen(zones, call.args, fields)
    return {"AvailabilityZones": [_zone(world.region, name) for name in zones]}


def describe_regions(call: Call) -> Tree:
    """DescribeRegions: those that are enabled, or all."""
    names, all_regions = call.args.get("RegionNames"), call.args.get("AllRegions")
    off = call.world.rules.regions_off
    return {
        "Regions": [
            {
                "RegionName": region,
                "Endpoint": f"ec2.{region}.amazonaws.com",
                "OptInStatus": "not-opted-in" if region in off else "opt-in-not-required",
            }
            for region in regions()
            if (not names or region in names) and (all_regions or region not in off)
        ]
    }


def describe_account_attributes(call: Call) -> Tree:
    """DescribeAccountAttributes: the default VPC."""
    network = default_network(call.world)
    values = {"default-vpc": network.id if network else "none", "supported-platforms": "VPC"}
    names = call.args.get("AttributeNames") or values
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": value}]}
            for name, value in values.items()
            if name in names
        ]
    }


def _zone(region: str, zone: str) -> Tree:
    return {
        "ZoneName": zone,
        "ZoneId": zone_id(zone),
        "ZoneType": "availability-zone",
        "RegionName": region,
        "State": "available",
        "OptInStatus": "opt-in-not-required",
        "GroupName": region,
        "NetworkBorderGroup": region,
    }


def _network(world: World, network: Network) -> Tree:
    return {
        "VpcId": network.id,
        "OwnerId": world.account,
        "State": "available",
        "CidrBlock": network.cidr,
        "IsDefault": network.default,
        "InstanceTenancy": "default",
        "DhcpOptionsId": "default",
        "Tags": tags.tag_list(network.tags),
    }


def _subnet(world: World, subnet: Subnet) -> Tree:
    return {
        "SubnetId": subnet.id,
        "VpcId": subnet.network,
        "OwnerId": world.account,
        "State": "available",
        "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": zone_id(subnet.zone),
        "CidrBlock": subnet.cidr,
        "DefaultForAz": subnet.default,
        "MapPublicIpOnLaunch": subnet.gives_addresses,
        "AvailableIpAddressCount": 4091,
        "Tags": tags.tag_list(subnet.tags),
    }
