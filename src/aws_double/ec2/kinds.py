"""Instance types, where they are offered, and their spot prices."""

from decimal import Decimal

from aws_double.ec2.filters import chosen, page
from aws_double.facts.prices import hourly
from aws_double.facts.types import architectures, type_of, types, vcpus
from aws_double.facts.zones import offerings
from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree
from aws_double.world import Call, World

TYPE_FIELDS = {
    "instance-type": lambda it: it["InstanceType"],
    "hibernation-supported": lambda it: it["HibernationSupported"],
    "current-generation": lambda it: it["CurrentGeneration"],
    "bare-metal": lambda it: it["BareMetal"],
    "burstable-performance-supported": lambda it: it["BurstablePerformanceSupported"],
    "processor-info.supported-architecture": architectures,
    "supported-usage-class": lambda it: it["SupportedUsageClasses"],
    "vcpu-info.default-vcpus": vcpus,
    "memory-info.size-in-mib": lambda it: it["MemoryInfo"]["SizeInMiB"],
    "free-tier-eligible": lambda it: it["FreeTierEligible"],
}
SPOT_SHARE = Decimal("0.35")  # of on demand, where the rules do not say
GUESSED = Decimal("0.02")  # for each vCPU and hour, if the price on demand is unknown


def describe_instance_types(call: Call) -> Tree:
    """DescribeInstanceTypes: the types that the region offers."""
    args = call.args
    offered = set().union(*offerings(call.world.region).values())
    if names := args.get("InstanceTypes"):
        if len(names) > 100:
            raise invalid("At most 100 instance types can be named")
        unknown = [name for name in names if name not in offered]
        if unknown:
            message = "The following supplied instance types do not exist: "
            raise Refusal("InvalidInstanceType", f"{message}[{', '.join(unknown)}]")
        kinds = [type_of(name) for name in names]
    else:
        kinds = [kind for name, kind in types().items() if name in offered]
    kinds = chosen(kinds, args, TYPE_FIELDS)
    kinds.sort(key=lambda it: str(it["InstanceType"]))
    most = args if names else {"MaxResults": 100, **args}
    listed, token = page(dict(enumerate(kinds)), most, 5, 100)
    return {"InstanceTypes": listed, "NextToken": token}


def describe_instance_type_offerings(call: Call) -> Tree:
    """DescribeInstanceTypeOfferings: by region or by zone."""
    args, region = call.args, call.world.region
    by = args.get("LocationType", "region")
    if by == "availability-zone":
        places = offerings(region)
    elif by == "region":
        places = {region: frozenset().union(*offerings(region).values())}
    else:
        raise invalid(f"Value ({by}) for parameter locationType is not known to the double")
    lines = [
        {"InstanceType": name, "LocationType": by, "Location": place}
        for place, names in places.items()
        for name in sorted(names)
    ]
    fields = {
        "instance-type": lambda it: it["InstanceType"],
        "location": lambda it: it["Location"],
    }
    lines = chosen(lines, args, fields)
    listed, token = page(dict(enumerate(lines)), {"MaxResults": 1000, **args})
    return {"InstanceTypeOfferings": listed, "NextToken": token}


def describe_spot_price_history(call: Call) -> Tree:
    """DescribeSpotPriceHistory: the present price, for each zone that offers the type."""
    world, args = call.world, call.args
    names = args.get("InstanceTypes") or sorted(world.rules.spot)
    zones = [args["AvailabilityZone"]] if args.get("AvailabilityZone") else world.zones
    offered = offerings(world.region)
    lines = [
        {
            "AvailabilityZone": zone,
            "InstanceType": name,
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{spot_price(world, name):.6f}",
            "Timestamp": args.get("StartTime") or call.now,
        }
        for name in names
        for zone in zones
        if name in offered.get(zone, ())
    ]
    fields = {
        "availability-zone": lambda it: it["AvailabilityZone"],
        "instance-type": lambda it: it["InstanceType"],
        "product-description": lambda it: it["ProductDescription"],
    }
    return {
        "SpotPriceHistory": chosen(lines, args, fields),
        "NextToken": "",
    }


def spot_price(world: World, name: str) -> Decimal:
    """The spot price of a type for an hour."""
    if (price := world.rules.spot.get(name)) is not None:
        return Decimal(str(price))
    known = hourly(name, world.region)
    return (known if known is not None else GUESSED * vcpus(type_of(name))) * SPOT_SHARE
