"""The disks that a machine is launched with."""

from dataclasses import dataclass, replace

from aws_double.ec2.limits import performance
from aws_double.ec2.model import Attachment, Image, Instance, Volume
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import World


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A requested disk; `least` is the size of its snapshot.

    `volume` is a draft, without an id and a zone: each machine of the launch gets a copy.
    """

    device: str
    dies: bool
    least: int
    volume: Volume


def new_disks(world: World, image: Image, mappings: list[Tree]) -> list[NewDisk]:
    """The image's root disk as the request changes it, and the others."""
    named = {each["DeviceName"]: each.get("Ebs") or {} for each in mappings}
    root = _new_disk(world, image.root, named.pop(image.root, {}), image)
    return [root, *(_new_disk(world, device, ebs, None) for device, ebs in named.items())]


def _new_disk(world: World, device: str, ebs: Tree, image: Image | None) -> NewDisk:
    snapshot = ebs.get("SnapshotId") or (image.snapshot if image else "")
    known = world.snapshots.get(snapshot)
    if snapshot and known is None and image is None:
        raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist.")
    least = known.size if known else (image.size if image else 0)
    sealed = known.encrypted if known else bool(image and image.encrypted)
    size, kind = ebs.get("VolumeSize") or least, ebs.get("VolumeType") or "gp3"
    if size < least:
        raise Refusal(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot}', "
            f"expect size >= {least}GB",
        )
    iops, throughput = performance(kind, size, ebs)
    volume = Volume(
        id="",
        zone="",
        size=size,
        type=kind,
        encrypted=bool(ebs.get("Encrypted")) or sealed,
        made=world.now,
        ready=world.now,
        visible=world.now,
        iops=iops,
        throughput=throughput,
        snapshot=snapshot,
        kms=ebs.get("KmsKeyId"),
    )
    return NewDisk(device, ebs.get("DeleteOnTermination", image is not None), least, volume)


def make(world: World, instance: Instance, disks: list[NewDisk], tags: dict[str, str]) -> None:
    """The disks, attached."""
    for disk in disks:
        id = world.new_id("vol")
        volume = replace(disk.volume, id=id, zone=instance.zone, tags=dict(tags))
        volume.made = volume.ready = world.now
        volume.visible = instance.visible
        world.volumes[id] = volume
        world.attach(volume, Attachment(instance.id, disk.device, world.now, world.now, disk.dies))
