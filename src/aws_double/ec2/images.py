"""Images: everybody's, and those made of one's own machines."""

from typing import Any

from aws_double.ec2 import life, look, tags
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Image, Snapshot
from aws_double.facts.images import published
from aws_double.refusals import Refusal, no_such
from aws_double.world import Call, World

Tree = dict[str, Any]
FIELDS = {
    "image-id": lambda it: it.id,
    "name": lambda it: it.name,
    "architecture": lambda it: it.architecture,
    "owner-id": lambda it: it.owner,
    "owner-alias": lambda it: it.alias,
    "state": lambda it: None,
    "is-public": lambda it: it.public,
    "root-device-type": lambda it: "ebs",
    "root-device-name": lambda it: it.root,
    "virtualization-type": lambda it: "hvm",
    "image-type": lambda it: "machine",
    "description": lambda it: it.description,
}


def furnish(world: World) -> None:
    """The images that everybody finds in a region."""
    for it in published(world.region):
        snapshot = f"snap-{it.id[4:]}"
        world.images[it.id] = Image(
            id=it.id,
            name=it.name,
            owner=it.base.owner,
            alias=it.base.alias,
            architecture=it.architecture,
            root=it.base.root,
            size=it.base.size,
            snapshot=snapshot,
            made=it.made,
            ready=it.made,
            description=it.filled(it.base.description),
            hibernates=it.base.hibernates,
        )


def image_of(world: World, id: str) -> Image:
    """One image, or EC2's refusal."""
    if (image := world.images.get(id)) is None:
        if not id.startswith("ami-"):
            raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{id}" (expecting "ami-...")')
        raise no_such("InvalidAMIID.NotFound", "image", [id])
    return image


def describe_images(call: Call) -> Tree:
    """DescribeImages: by id, owner, name; in no order, as AWS says."""
    world, args = call.world, call.args
    found = list(world.images.values())
    if ids := args.get("ImageIds"):
        found = [image_of(world, id) for id in ids]
    if owners := args.get("Owners"):
        mine = {world.account if it == "self" else it for it in owners}
        found = [it for it in found if it.owner in mine or it.alias in mine]
    fields = {
        **FIELDS,
        "state": lambda it: "available" if it.ready <= world.now else "pending",
    }
    found = chosen(found, args.get("Filters", []), fields, lambda it: it.tags)
    return {"Images": [_image(world, it) for it in sorted(found, key=lambda it: it.id)]}


def create_image(call: Call) -> Tree:
    """CreateImage: reboots the machine unless told not to; without a client token, twice is two.

    Only the name protects: it is taken once.
    """
    world, args = call.world, call.args
    it = look.one(call, args["InstanceId"])
    name = args["Name"]
    if any(other.name == name and other.owner == world.account for other in world.images.values()):
        raise Refusal(
            "InvalidAMIName.Duplicate",
            f"AMI name {name} is already in use by AMI {_holder(world, name)}",
        )
    if it.asleep or it.state not in {"running", "stopping", "stopped"}:
        raise Refusal(
            "IncorrectState",
            f"Instance {it.id} is hibernated or not in a state from which an image can be made.",
        )
    if it.state == "running" and not args.get("NoReboot"):
        life.reboot(world, it)
    image = _copy(world, it.id, name, args)
    return {"ImageId": image.id}


def _holder(world: World, name: str) -> str:
    return next(it.id for it in world.images.values() if it.name == name)


def _copy(world: World, instance: str, name: str, args: Tree) -> Image:
    it = world.instances[instance]
    root = world.disks(instance)[it.root]
    ready = world.after("snapshot")
    snapshot = Snapshot(
        world.new_id("snap"),
        root.id,
        root.size,
        root.encrypted,
        world.now,
        ready,
        f"Created by CreateImage({instance})",
        world.account,
        tags.given(args, "snapshot"),
    )
    world.snapshots[snapshot.id] = snapshot
    image = Image(
        id=world.new_id("ami"),
        name=name,
        owner=world.account,
        architecture=it.image.architecture,
        root=it.root,
        size=root.size,
        snapshot=snapshot.id,
        made=world.now,
        ready=ready,
        description=args.get("Description", ""),
        public=False,
        hibernates=it.image.hibernates,
        encrypted=root.encrypted,
        tags=tags.given(args, "image"),
    )
    world.images[image.id] = image
    return image


def deregister_image(call: Call) -> Tree:
    """DeregisterImage: its snapshots stay."""
    image = image_of(call.world, call.args["ImageId"])
    if image.owner != call.world.account:
        raise Refusal("AuthFailure", f"Not authorized for image:{image.id}")
    del call.world.images[image.id]
    return {}


def _image(world: World, it: Image) -> Tree:
    ebs = {
        "SnapshotId": it.snapshot,
        "VolumeSize": it.size,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "Encrypted": it.encrypted,
    }
    return {
        "ImageId": it.id,
        "Name": it.name,
        "Description": it.description,
        "OwnerId": it.owner,
        "ImageOwnerAlias": it.alias,
        "Architecture": it.architecture,
        "CreationDate": f"{it.made:%Y-%m-%dT%H:%M:%S.000Z}",
        "State": "available" if it.ready <= world.now else "pending",
        "Public": it.public,
        "ImageType": "machine",
        "RootDeviceName": it.root,
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [{"DeviceName": it.root, "Ebs": ebs}],
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EnaSupport": True,
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Tags": tags.shown(it.tags),
    }
