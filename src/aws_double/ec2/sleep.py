"""Hibernation: its conditions at launch, and before each hibernation."""

from fnmatch import fnmatchcase

from aws_double.ec2.disks import NewDisk
from aws_double.ec2.model import Image, Instance
from aws_double.facts.types import Type, memory_gib
from aws_double.refusals import Refusal
from aws_double.world import World

MOST_RAM = 150  # GiB, below


def check_launch(type: Type, image: Image, disks: list[NewDisk]) -> None:
    """Refuse to launch a machine that could never hibernate."""
    name, root = type["InstanceType"], next(disk for disk in disks if disk.device == image.root)
    why = None
    if not type["HibernationSupported"]:
        why = f"The instance type '{name}' does not support hibernation."
    elif memory_gib(type) >= MOST_RAM:
        why = f"Hibernation needs less than {MOST_RAM} GiB of RAM; '{name}' has more."
    elif not image.hibernates:
        why = f"The image '{image.id}' does not support hibernation."
    elif not root.volume.encrypted:
        why = "Hibernation requires the root device volume to be encrypted."
    elif root.volume.size < memory_gib(type) + root.least:
        why = (
            f"The root device volume of {root.volume.size} GiB cannot hold the image's "
            f"{root.least} GiB and the {memory_gib(type):g} GiB of RAM."
        )
    if why is not None:
        raise _unsupported(why)


def check_now(world: World, instance: Instance) -> None:
    """Refuse to hibernate a machine that cannot, now or ever."""
    if not instance.hibernates:
        raise _unsupported(
            "The instance can't be hibernated because it was not configured at launch for "
            f"hibernation: {instance.id}"
        )
    up = instance.boots[-1].up if instance.boots else world.now
    if instance.state == "pending" or up + world.span("hibernation_ready") > world.now:
        raise Refusal(
            "UnsupportedOperation",
            f"The instance '{instance.id}' is not ready to hibernate yet. "
            "Please retry in a few minutes.",
        )


def fails(world: World, instance: Instance) -> bool:
    """Whether it shuts down instead of hibernating, although EC2 reports hibernation."""
    tag = world.rules.sleepless
    return tag is not None and any(
        fnmatchcase(f"{key}={value}", tag) for key, value in instance.tags.items()
    )


def _unsupported(why: str) -> Refusal:
    return Refusal("UnsupportedHibernationConfiguration", why)
