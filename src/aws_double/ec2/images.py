"""Images: public ones, and those made of the account's machines."""

from aws_double.ec2 import life, look, tags
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Image, Instance, Snapshot
from aws_double.facts.images import published
from aws_double.refusals import Refusal, no_such
from aws_double.tree import Tree
from aws_double.world import Call, World

FIELDS = {
    "image-id": lambda it: it.id,
    "name": lambda it: it.name,
    "architecture": lambda it: it.architecture,
    "owner-id": lambda it: it.owner,
    "owner-alias": lambda it: it.alias,
    "is-public": lambda it: it.public,
    "root-device-type": lambda it: "ebs",
    "root-device-name": lambda it: it.root,
    "virtualization-type": lambda it: "hvm",
    "image-type": lambda it: "machine",
    "description": lambda it: it.description,
}


def add_public_images(world: World) -> None:
    """Add the public images of the region."""
    for public in published(world.region):
        snapshot = f"snap-{public.id[4:]}"
        world.images[public.id] = Image(
            id=public.id,
            name=public.name,
            owner=public.base.owner,
            alias=public.base.alias,
            architecture=public.architecture,
            root=public.base.root,
            size=public.base.size,
            snapshot=snapshot,
            made=public.made,
            ready=public.made,
            description=public.filled(public.base.description),
            hibernates=public.base.hibernates,
        )


def image_of(world: World, id: str) -> Image:
    """One image, or EC2's refusal."""
    image = world.images.get(id)
    if image is None or not is_allowed(world, image):
        if not id.startswith("ami-"):
            raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{id}" (expecting "ami-...")')
        raise no_such("InvalidAMIID.NotFound", "image", [id])
    return image


def is_allowed(world: World, image: Image) -> bool:
    """Whether Allowed AMIs lets the account see and use it; its own images always."""
    owners = world.rules.image_owners
    return owners is None or bool({image.owner, image.alias} & {world.account, *owners})


def get_allowed_images_settings(call: Call) -> Tree:
    """GetAllowedImagesSettings: which images the account may see and use."""
    owners = call.world.rules.image_owners
    if owners is None:
        return {"State": "disabled", "ManagedBy": "account"}
    criteria = [{"ImageProviders": list(owners)}]
    return {"State": "enabled", "ImageCriteria": criteria, "ManagedBy": "account"}


def get_ebs_default_kms_key_id(call: Call) -> Tree:
    """GetEbsDefaultKmsKeyId: the key of disks whose request names none."""
    return {"KmsKeyId": call.world.rules.disk_key}


def describe_images(call: Call) -> Tree:
    """DescribeImages: by id, owner or filter; AWS promises no order."""
    world, args = call.world, call.args
    images = [image for image in world.images.values() if is_allowed(world, image)]
    if ids := args.get("ImageIds"):
        images = [image_of(world, id) for id in ids]
    if owners := args.get("Owners"):
        accounts = {world.account if owner == "self" else owner for owner in owners}
        images = [image for image in images if image.owner in accounts or image.alias in accounts]
    fields = {
        **FIELDS,
        "state": lambda it: "available" if it.ready <= world.now else "pending",
    }
    images = chosen(images, args, fields, lambda it: it.tags)
    return {"Images": [_image(world, image) for image in sorted(images, key=lambda it: it.id)]}


def create_image(call: Call) -> Tree:
    """CreateImage: reboots a running machine, unless `NoReboot` is set.

    It has no client token; only the name, which must be unique, prevents a second image.
    """
    world, args = call.world, call.args
    instance = look.machine(call, args["InstanceId"])
    name = args["Name"]
    for other in world.images.values():
        if (other.name, other.owner) == (name, world.account):
            message = f"AMI name {name} is already in use by AMI {other.id}"
            raise Refusal("InvalidAMIName.Duplicate", message)
    if instance.asleep or instance.state not in {"running", "stopping", "stopped"}:
        raise Refusal(
            "IncorrectState",
            f"Instance {instance.id} is hibernated or not in a state from which an image "
            "can be made.",
        )
    if instance.state == "running" and not args.get("NoReboot"):
        life.reboot(world, instance)
    return {"ImageId": _copy(world, instance, name, args).id}


def _copy(world: World, source: Instance, name: str, args: Tree) -> Image:
    root = world.disks(source.id)[source.root]
    ready = world.after("snapshot")
    snapshot = Snapshot(
        world.new_id("snap"),
        root.id,
        root.size,
        root.encrypted,
        world.now,
        ready,
        f"Created by CreateImage({source.id})",
        world.account,
        tags.requested(args, "snapshot"),
    )
    world.snapshots[snapshot.id] = snapshot
    image = Image(
        id=world.new_id("ami"),
        name=name,
        owner=world.account,
        architecture=source.image.architecture,
        root=source.root,
        size=root.size,
        snapshot=snapshot.id,
        made=world.now,
        ready=ready,
        description=args.get("Description", ""),
        public=False,
        hibernates=source.image.hibernates,
        encrypted=root.encrypted,
        tags=tags.requested(args, "image"),
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


def _image(world: World, image: Image) -> Tree:
    ebs = {
        "SnapshotId": image.snapshot,
        "VolumeSize": image.size,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "Encrypted": image.encrypted,
    }
    return {
        "ImageId": image.id,
        "Name": image.name,
        "Description": image.description,
        "OwnerId": image.owner,
        "ImageOwnerAlias": image.alias,
        "Architecture": image.architecture,
        "CreationDate": f"{image.made:%Y-%m-%dT%H:%M:%S.000Z}",
        "State": "available" if image.ready <= world.now else "pending",
        "Public": image.public,
        "ImageType": "machine",
        "RootDeviceName": image.root,
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [{"DeviceName": image.root, "Ebs": ebs}],
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EnaSupport": True,
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Tags": tags.tag_list(image.tags),
    }
