"""Capacity of zones and quotas of the account."""

from fnmatch import fnmatchcase

from aws_double.ec2.model import Instance
from aws_double.facts.types import quota_of, type_of, vcpus
from aws_double.refusals import Refusal
from aws_double.world import World

UP = {"pending", "running"}


def room(world: World, type: str, zone: str, spot: bool, counts: range) -> int:
    """How many machines can start now; raises if that is less than the least of `counts`."""
    return min(_by_capacity(world, type, zone, spot, counts), _by_quota(world, type, spot, counts))


def _by_capacity(world: World, type: str, zone: str, spot: bool, counts: range) -> int:
    sort, room = "spot" if spot else "on-demand", counts[-1]
    for rule in world.rules.capacity:
        if not (fnmatchcase(type, rule.type) and fnmatchcase(zone, rule.zone)):
            continue
        if rule.market not in {"any", sort}:
            continue
        used = sum(
            fnmatchcase(instance.type, rule.type)
            and instance.zone == zone
            and instance.state in UP
            for instance in world.instances.values()
        )
        room = min(room, rule.left - used)
    if room >= counts.start:
        return room
    other_zones = ", ".join(other for other in world.zones if other != zone)
    raise Refusal(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {type} capacity in the Availability Zone you "
        f"requested ({zone}). Our system will be working on provisioning additional capacity. "
        f"You can currently get {type} capacity by not specifying an Availability Zone in your "
        f"request or choosing {other_zones}.",
        500,
    )


def _by_quota(world: World, type: str, spot: bool, counts: range) -> int:
    quota, most = "spot" if spot else quota_of(type), counts[-1]
    limit: int | None = getattr(world.rules.quotas, quota) if quota else None
    if limit is None:
        return most
    used = sum(
        vcpus(type_of(instance.type))
        for instance in world.instances.values()
        if _uses_quota(instance, quota)
    )
    if (room := (limit - used) // vcpus(type_of(type))) >= counts.start:
        return min(room, most)
    if spot:
        raise Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise Refusal(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows "
        "for the instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


def _uses_quota(instance: Instance, quota: str) -> bool:
    if instance.state not in UP:
        return False
    return quota == "spot" if instance.market else quota_of(instance.type) == quota
