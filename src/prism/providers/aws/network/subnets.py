"""The subnets for a machine: those of one VPC, in zones that offer its type."""

from collections.abc import Collection, Sequence
from hashlib import sha256

from msgspec import Struct

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsDenied
from prism.providers.aws.api.tags import PROFILE, read
from prism.workspaces.ports import ProviderRefused


class VpcNotFound(ProviderRefused, code="NETWORK_NOT_FOUND"):
    """There is no VPC that Prism can use."""


class NoZone(ProviderRefused, code="NOT_OFFERED"):
    """No zone of the region that Prism may use has machines of that type."""


class Subnet(Struct, frozen=True, order=True):
    """A subnet; sorted by zone."""

    zone: str
    id: str


class Vpc(Struct, frozen=True):
    """A VPC and one subnet of it for each zone."""

    id: str
    subnets: tuple[Subnet, ...]


def network(cloud: Cloud, profile: str) -> Vpc:
    """The VPC with the profile's name in its tag, else the default VPC; raises `VpcNotFound`."""
    vpcs = cloud.call("ec2", "DescribeVpcs")["Vpcs"]
    tagged = sorted(vpc["VpcId"] for vpc in vpcs if read(vpc.get("Tags")).get(PROFILE) == profile)
    default = [vpc["VpcId"] for vpc in vpcs if vpc.get("IsDefault")]
    for id in [*tagged, *default]:
        if not (subnets := _one_per_zone(cloud, id)):
            raise _not_found(f"VPC {id} has no subnet", cloud, profile)
        if open_ones := _with_internet_route(cloud, id, subnets):
            return Vpc(id, open_ones)
        raise _not_found(f"No subnet of VPC {id} has a route to the internet", cloud, profile)
    raise _not_found("There is no default VPC", cloud, profile)


def offered(cloud: Cloud, instance_type: str) -> frozenset[str]:
    """The zones of the region that have machines of this type."""
    offerings = cloud.pages(
        "ec2",
        "DescribeInstanceTypeOfferings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [instance_type]}],
    )
    return frozenset(offering["Location"] for offering in offerings)


def in_turn(subnets: Sequence[Subnet], key: str) -> tuple[Subnet, ...]:
    """The subnets in the order in which a workspace tries them, which depends only on its key."""
    fixed = sorted(subnets)
    if not fixed:
        return ()
    first = int.from_bytes(sha256(key.encode()).digest()[:8]) % len(fixed)
    return (*fixed[first:], *fixed[:first])


def not_offered(instance_type: str, offered: Collection[str], network: Vpc, region: str) -> NoZone:
    """The problem that no zone with one of our subnets offers the type."""
    own_zones = ", ".join(subnet.zone for subnet in network.subnets)
    zones = ", ".join(sorted(offered)) or "no zone"
    return NoZone(
        f"{instance_type} is not offered in {region} where VPC {network.id} has a subnet",
        details=f"offered in {zones}; subnets in {own_zones}",
        remediation="Choose another type: `prism launch --help`; or another region",
    )


def _one_per_zone(cloud: Cloud, vpc: str) -> tuple[Subnet, ...]:
    """One subnet for each zone: a public one if there is any, the default one first."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "state", "Values": ["available"]}]
    subnets = list(cloud.pages("ec2", "DescribeSubnets", "Subnets", Filters=filters))
    public = [subnet for subnet in subnets if subnet.get("MapPublicIpOnLaunch")]
    ranked = sorted(public or subnets, key=lambda it: (not it.get("DefaultForAz"), it["SubnetId"]))
    chosen: dict[str, Subnet] = {}
    for subnet in ranked:
        zone = subnet["AvailabilityZone"]
        chosen.setdefault(zone, Subnet(zone=zone, id=subnet["SubnetId"]))
    return tuple(sorted(chosen.values()))


def _with_internet_route(cloud: Cloud, vpc: str, subnets: Sequence[Subnet]) -> tuple[Subnet, ...]:
    """The subnets whose route table leads to an internet gateway; all if we may not read tables.

    VPC User Guide, "Route tables": a subnet without a table of its own follows the main one.
    """
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    try:
        tables = list(cloud.pages("ec2", "DescribeRouteTables", "RouteTables", Filters=filters))
    except AwsDenied:
        return tuple(subnets)
    main, own = False, dict[str, bool]()
    for table in tables:
        leads = any(
            str(route.get("GatewayId", "")).startswith("igw-") for route in table["Routes"]
        )
        for association in table.get("Associations", []):
            if association.get("Main"):
                main = leads
            elif association.get("SubnetId"):
                own[association["SubnetId"]] = leads
    return tuple(subnet for subnet in subnets if own.get(subnet.id, main))


def _not_found(reason: str, cloud: Cloud, profile: str) -> VpcNotFound:
    tag = f"aws ec2 create-tags --resources VPC --tags Key={PROFILE},Value={profile}"
    return VpcNotFound(
        f"{reason} in {cloud.region}, and no VPC is tagged {PROFILE}={profile}",
        details="a machine needs a network with a subnet that leads to the internet",
        remediation=f"Use `aws ec2 create-default-vpc --region {cloud.region}`, or name one of "
        f"yours: `{tag} --region {cloud.region}`",
    )
