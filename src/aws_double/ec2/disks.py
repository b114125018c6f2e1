"""The disks that a machine is launched with."""

from dataclasses import dataclass

from aws_double.ec2.limits import performance
from aws_double.ec2.model import Attachment, Image, Instance, Volume
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import World


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A requested disk; `least` is the size of its snapshot."""

    device: str
    size: int
    type: str
    encrypted: bool
    dies: bool
    least: int = 0
    iops: int | None = None
    throughput: int | None = None
    snapshot: str = ""
    kms: str | None = None


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
    return NewDisk(
        device,
        size,
        kind,
        bool(ebs.get("Encrypted")) or sealed,
        ebs.get("DeleteOnTermination", image is not None),
        least,
        iops,
        throughput,
        snapshot,
        ebs.get("KmsKeyId"),
    )


def make(world: World, instance: Instance, disks: list[NewDisk], tags: dict[str, str]) -> None:
    """The disks, attached."""
    for disk in disks:
        id = world.new_id("vol")
        volume = Volume(
            id=id,
            zone=instance.zone,
            size=disk.size,
            type=disk.type,
            encrypted=disk.encrypted,
            made=world.now,
            ready=world.now,
            visible=instance.visible,
            iops=disk.iops,
            throughput=disk.throughput,
            snapshot=disk.snapshot,
            kms=disk.kms,
            tags=dict(tags),
        )
        world.volumes[id] = volume
        world.attach(volume, Attachment(instance.id, disk.device, world.now, world.now, disk.dies))
