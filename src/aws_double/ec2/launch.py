"""RunInstances: checks everything first, then makes everything at once."""

import base64
import binascii
import gzip
import ipaddress
from dataclasses import dataclass
from decimal import Decimal

from aws_double.ec2 import capacity, credits, disks, life, look, sleep, spot, tags
from aws_double.ec2.consistency import is_visible
from aws_double.ec2.groups import groups_for
from aws_double.ec2.images import image_of
from aws_double.ec2.kinds import spot_price
from aws_double.ec2.model import Image, Instance, Subnet
from aws_double.ec2.network import bad_zone, default_network, subnet_of
from aws_double.facts.types import Type, architectures, type_of
from aws_double.facts.zones import offerings
from aws_double.iam import roles_in
from aws_double.refusals import Refusal, invalid, missing
from aws_double.tree import Tree
from aws_double.world import Call, World

MOST_USER_DATA = 16384
NOT_FREE = (
    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance "
    "types, run 'describe-instance-types' with the filter 'free-tier-eligible=true'."
)
READ = {  # of RunInstances; some of them change nothing here
    "BlockDeviceMappings",
    "ClientToken",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "DryRun",
    "EbsOptimized",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "KeyName",
    "MaintenanceOptions",
    "MaxCount",
    "MetadataOptions",
    "MinCount",
    "Monitoring",
    "NetworkInterfaces",
    "Placement",
    "SecurityGroupIds",
    "SecurityGroups",
    "SubnetId",
    "TagSpecifications",
    "UserData",
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A launch that has passed every check."""

    image: Image
    type: Type
    subnet: Subnet
    groups: list[str]
    disks: list[disks.NewDisk]
    profile: str | None
    public: bool
    credits: str | None


def run_instances(call: Call) -> Tree:
    """RunInstances."""
    world, args = call.world, call.args
    if before := world.tokens.made("RunInstances", args, call.now):
        known = world.instances | world.no_longer_described
        return look.reservation(world, [known[id] for id in before])
    if strange := sorted(args.keys() - READ):
        raise Refusal("UnsupportedOperation", f"The double does not know {', '.join(strange)}")
    plan = _plan(world, args)
    least, most = args.get("MinCount", 1), args.get("MaxCount", 1)
    if not 1 <= least <= most:
        raise invalid("MinCount must be at least 1 and at most MaxCount")
    bids = _bid(world, args, plan.type["InstanceType"])
    name, accepted = plan.type["InstanceType"], range(least, most + 1)
    count = capacity.room(world, name, plan.subnet.zone, bids, accepted)
    reservation = world.new_id("r")
    instances = [_make(world, args, plan, reservation) for _ in range(count)]
    world.tokens.keep("RunInstances", args, tuple(instance.id for instance in instances), None)
    return look.reservation(world, instances)


def _plan(world: World, args: Tree) -> _Plan:
    if not args.get("ImageId"):
        raise missing("ImageId")
    image, type = image_of(world, args["ImageId"]), type_of(args.get("InstanceType", "m1.small"))
    if world.rules.free_plan and not type["FreeTierEligible"]:
        raise Refusal("InvalidParameterCombination", NOT_FREE)
    if image.ready > world.now:
        raise Refusal("IncorrectState", f"The image '{image.id}' is pending")
    if image.architecture not in architectures(type):
        raise invalid(
            f"The architecture '{architectures(type)[0]}' of the specified instance type does "
            f"not match the architecture '{image.architecture}' of the specified AMI. Specify "
            "an instance type and an AMI that have matching architectures, and try again."
        )
    interface = (args.get("NetworkInterfaces") or [{}])[0]
    subnet = _subnet(world, args, interface, type["InstanceType"])
    group_ids = args.get("SecurityGroupIds") or interface.get("Groups") or []
    groups = groups_for(world, group_ids, args.get("SecurityGroups") or [], subnet.network)
    known = world.keys.get(key := args.get("KeyName") or "")
    if key and (known is None or not is_visible(world, known)):
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    readable(args.get("UserData") or "")
    requested = disks.new_disks(world, image, args.get("BlockDeviceMappings") or [])
    if (args.get("HibernationOptions") or {}).get("Configured"):
        sleep.check_launch(type, image, requested)
    tags.requested(args, "instance")
    public = interface.get("AssociatePublicIpAddress", subnet.gives_addresses)
    credited = credits.credits_for(type["InstanceType"], args)
    return _Plan(image, type, subnet, groups, requested, _profile(world, args), public, credited)


def _subnet(world: World, args: Tree, interface: Tree, type: str) -> Subnet:
    """The named subnet, or the default one of the zone, or of a zone that offers the type."""
    zone = (args.get("Placement") or {}).get("AvailabilityZone")
    if zone and zone not in world.zones:
        raise bad_zone(zone)
    if id := args.get("SubnetId") or interface.get("SubnetId"):
        subnet = subnet_of(world, id)
        if zone and zone != subnet.zone:
            raise invalid(f"The subnet '{id}' is not in the availability zone '{zone}'")
    else:
        if default_network(world) is None:
            raise Refusal("VPCIdNotSpecified", "No default VPC for this user")
        by_zone = offerings(world.region)
        options = [candidate for candidate in world.subnets.values() if candidate.default]
        if zone:
            options = [candidate for candidate in options if candidate.zone == zone]
        offering = [candidate for candidate in options if type in by_zone.get(candidate.zone, ())]
        subnet = (offering or options)[0]
    if type not in offerings(world.region).get(subnet.zone, ()):
        able = [name for name, types in offerings(world.region).items() if type in types]
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({type}) is not supported in your requested "
            f"Availability Zone ({subnet.zone}). Please retry your request by not specifying an "
            f"Availability Zone or choosing {', '.join(able)}.",
        )
    return subnet


def _bid(world: World, args: Tree, type: str) -> bool:
    """Whether it is a spot launch; refuses a price that is too low."""
    market = args.get("InstanceMarketOptions") or {}
    if market.get("MarketType") != "spot":
        return False
    price, most = spot_price(world, type), (market.get("SpotOptions") or {}).get("MaxPrice")
    if most is not None and Decimal(most) < price:
        raise Refusal(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {most} is lower than the minimum required Spot request "
            f"fulfillment price of {price:f}.",
        )
    return True


def _profile(world: World, args: Tree) -> str | None:
    profile = args.get("IamInstanceProfile") or {}
    name: str = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
    if not name:
        return None
    known = world.owner.profiles.get(name)
    if known is None or known["CreateDate"] + world.span("profile") > world.now:
        kind = "arn" if profile.get("Arn") else "name"
        value = profile.get("Arn") or name
        raise invalid(
            f"Value ({value}) for parameter iamInstanceProfile.{kind} is invalid. "
            f"Invalid IAM Instance Profile {kind}"
        )
    if not roles_in(world, name):
        raise invalid(f'IAM Instance Profile "{known["Arn"]}" has no associated IAM Roles')
    return name


def readable(user_data: str) -> str:
    """The user data as text; EC2 allows 16 KB of it before base64."""
    try:
        raw = base64.b64decode(user_data, validate=True)
    except binascii.Error as error:
        raise Refusal("InvalidUserData.Malformed", "Invalid BASE64 encoding") from error
    if len(raw) > MOST_USER_DATA:
        raise invalid(f"User data is limited to {MOST_USER_DATA} bytes")
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError):
            return ""  # the machine could not read it either
    return raw.decode("utf-8", "replace")


def _make(world: World, args: Tree, plan: _Plan, reservation: str) -> Instance:
    market = args.get("InstanceMarketOptions") or {}
    plan.subnet.used += 1
    start = int(ipaddress.ip_network(plan.subnet.cidr).network_address)
    instance = Instance(
        id=world.new_id("i"),
        number=world.made,
        reservation=reservation,
        image=plan.image,
        type=plan.type["InstanceType"],
        subnet=plan.subnet,
        groups=plan.groups,
        root=plan.image.root,
        launched=world.now,
        born=world.now,
        visible=world.after("unseen"),
        key=args.get("KeyName"),
        token=args.get("ClientToken"),
        profile=plan.profile,
        user_data=args.get("UserData") or "",
        script=readable(args.get("UserData") or ""),
        tags=tags.requested(args, "instance"),
        hibernates=bool((args.get("HibernationOptions") or {}).get("Configured")),
        behaviour=args.get("InstanceInitiatedShutdownBehavior") or "stop",
        credits=plan.credits,
        market=market if market.get("MarketType") == "spot" else None,
        protected=bool(args.get("DisableApiTermination")),
        stop_protected=bool(args.get("DisableApiStop")),
        metadata=args.get("MetadataOptions") or {},
        private_ip=str(ipaddress.ip_address(start + plan.subnet.used)),
        wants_address=plan.public,
        interface=world.new_id("eni"),
    )
    if instance.market is not None:
        _ask_for_spot(world, instance, args, plan)
    world.instances[instance.id] = instance
    disks.make(world, instance, plan.disks, tags.requested(args, "volume"))
    power_on(world, instance)
    return instance


def _ask_for_spot(world: World, instance: Instance, args: Tree, plan: _Plan) -> None:
    spot_tags = tags.requested(args, "spot-instances-request")
    spot.ask(world, instance, lambda: _replace(world, args, plan), spot_tags)
    instance.again = lambda: _start_again(world, instance)


def _replace(world: World, args: Tree, plan: _Plan) -> Instance:
    """Launch the next machine of a persistent spot request, without the tags of the launch."""
    bare = {k: v for k, v in args.items() if k not in {"TagSpecifications", "ClientToken"}}
    return _make(world, bare, plan, world.new_id("r"))


def _start_again(world: World, instance: Instance) -> bool:
    """Start an interrupted machine, if there is capacity; whether it was started."""
    try:
        capacity.room(world, instance.type, instance.zone, True, range(1, 2))
    except Refusal:
        return False
    instance.launched = world.now
    power_on(world, instance)
    return True


def power_on(world: World, instance: Instance) -> None:
    """Give the machine an address and start it."""
    if instance.wants_address and instance.address is None:
        instance.public_ip = new_address(world)
    reason, instance.taken = instance.reason if instance.asleep else None, False
    life.enter(world, instance, "pending", reason)
    instance.transition = ""


def new_address(world: World) -> str:
    """A public address, from the ranges that are reserved for documentation."""
    count = world.service_state.setdefault("addresses", {"given": 0})
    count["given"] += 1
    n = count["given"] % (3 * 254)
    return f"{('192.0.2', '198.51.100', '203.0.113')[n // 254]}.{n % 254 + 1}"
