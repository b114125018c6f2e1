"""Route tables and internet gateways, by which a subnet reaches the internet."""

from dataclasses import dataclass, field
from typing import cast

from aws_double.ec2 import network
from aws_double.ec2.filters import chosen
from aws_double.refusals import Refusal, no_such
from aws_double.tree import Tree
from aws_double.world import Call, World

EVERYWHERE = "0.0.0.0/0"


@dataclass(slots=True)
class Table:
    """A route table; subnets without one use the main one of their network."""

    id: str
    network: str
    main: bool = False
    gateway: str | None = None  # where everything else goes
    subnets: dict[str, str] = field(default_factory=dict)  # by the id of their association


def _tables(world: World) -> dict[str, Table]:
    """All route tables; each network has a main one from the start."""
    tables = cast(dict[str, Table], world.service_state.setdefault("route-tables", {}))
    having = {table.network for table in tables.values() if table.main}
    for vpc in world.networks.values():
        if vpc.id not in having:
            id = f"rtb-{vpc.id.partition('-')[2]}"
            leads = f"igw-{vpc.id.partition('-')[2]}" if vpc.default else None
            tables[id] = Table(id, vpc.id, main=True, gateway=leads)
    return tables


def _gateways(world: World) -> dict[str, str | None]:
    """Internet gateways, by the network that each is attached to."""
    return cast(dict[str, str | None], world.service_state.setdefault("internet-gateways", {}))


def create_internet_gateway(call: Call) -> Tree:
    """CreateInternetGateway: not attached at first."""
    id = call.world.new_id("igw")
    _gateways(call.world)[id] = None
    return {"InternetGateway": {"InternetGatewayId": id, "Attachments": []}}


def attach_internet_gateway(call: Call) -> Tree:
    """AttachInternetGateway: one for a network."""
    id, vpc = call.args["InternetGatewayId"], network.network_of(call.world, call.args["VpcId"])
    if id not in _gateways(call.world):
        raise no_such("InvalidInternetGatewayID.NotFound", "internetGateway", [id])
    if vpc.id in _gateways(call.world).values():
        raise Refusal("InvalidParameterValue", f"Network {vpc.id} already has a gateway attached")
    _gateways(call.world)[id] = vpc.id
    return {}


def create_route_table(call: Call) -> Tree:
    """CreateRouteTable: with the route of its own network only."""
    vpc = network.network_of(call.world, call.args["VpcId"])
    table = Table(call.world.new_id("rtb"), vpc.id)
    _tables(call.world)[table.id] = table
    return {"RouteTable": _table(call.world, table)}


def associate_route_table(call: Call) -> Tree:
    """AssociateRouteTable: a subnet has one table."""
    world, subnet = call.world, network.subnet_of(call.world, call.args["SubnetId"])
    for other in _tables(world).values():
        other.subnets = {
            id: associated for id, associated in other.subnets.items() if associated != subnet.id
        }
    id = world.new_id("rtbassoc")
    _table_of(world, call.args["RouteTableId"]).subnets[id] = subnet.id
    return {"AssociationId": id}


def create_route(call: Call) -> Tree:
    """CreateRoute: a default route to a gateway of the same network."""
    table, gateway = _table_of(call.world, call.args["RouteTableId"]), call.args.get("GatewayId")
    if call.args.get("DestinationCidrBlock") != EVERYWHERE or gateway is None:
        raise Refusal("UnsupportedOperation", f"The double knows routes of {EVERYWHERE} only")
    if _gateways(call.world).get(gateway) != table.network:
        raise no_such("InvalidGatewayID.NotFound", "gateway", [gateway])
    table.gateway = gateway
    return {"Return": True}


def describe_route_tables(call: Call) -> Tree:
    """DescribeRouteTables."""
    fields = {
        "vpc-id": lambda it: it.network,
        "route-table-id": lambda it: it.id,
        "association.main": lambda it: str(it.main).lower(),
        "association.subnet-id": lambda it: list(it.subnets.values()),
    }
    ids = call.args.get("RouteTableIds")
    tables = [table for table in _tables(call.world).values() if not ids or table.id in ids]
    tables = chosen(tables, call.args, fields)
    return {"RouteTables": [_table(call.world, table) for table in tables]}


def _table_of(world: World, id: str) -> Table:
    if (table := _tables(world).get(id)) is None:
        raise no_such("InvalidRouteTableID.NotFound", "routeTable", [id])
    return table


def _table(world: World, table: Table) -> Tree:
    own = world.networks[table.network].cidr
    routes = [{"DestinationCidrBlock": own, "GatewayId": "local", "State": "active"}]
    if table.gateway:
        more = {"DestinationCidrBlock": EVERYWHERE, "GatewayId": table.gateway, "State": "active"}
        routes.append(more)
    linked = [
        {
            "RouteTableAssociationId": id,
            "RouteTableId": table.id,
            "SubnetId": subnet,
            "Main": False,
        }
        for id, subnet in table.subnets.items()
    ]
    if table.main:
        linked.append(
            {"RouteTableAssociationId": table.id, "RouteTableId": table.id, "Main": True}
        )
    return {
        "RouteTableId": table.id,
        "VpcId": table.network,
        "Routes": routes,
        "Associations": linked,
    }
