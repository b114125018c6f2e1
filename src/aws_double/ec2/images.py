"""Images: the public ones."""

from aws_double.ec2 import tags
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Image
from aws_double.facts.images import published
from aws_double.refusals import Refusal, no_such
from aws_double.tree import Tree
from aws_double.world import Call, World

FIELDS = {
    "name": lambda it: it.name,
    "architecture": lambda it: it.architecture,
    "state": lambda it: "available",
    "root-device-type": lambda it: "ebs",
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
            description=public.filled(public.base.description),
            hibernates=public.base.hibernates,
        )


def image_of(world: World, id: str) -> Image:
    """One image, or EC2's refusal."""
    if (image := world.images.get(id)) is None:
        if not id.startswith("ami-"):
            raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{id}" (expecting "ami-...")')
        raise no_such("InvalidAMIID.NotFound", "image", [id])
    return image


def describe_images(call: Call) -> Tree:
    """DescribeImages: by id, owner or filter; AWS promises no order."""
    world, args = call.world, call.args
    images = list(world.images.values())
    if ids := args.get("ImageIds"):
        images = [image_of(world, id) for id in ids]
    if owners := args.get("Owners"):
        accounts = {world.account if owner == "self" else owner for owner in owners}
        images = [image for image in images if image.owner in accounts or image.alias in accounts]
    images = chosen(images, args.get("Filters", []), FIELDS, lambda it: it.tags)
    return {"Images": [_image(image) for image in sorted(images, key=lambda it: it.id)]}


def _image(image: Image) -> Tree:
    ebs = {
        "SnapshotId": image.snapshot,
        "VolumeSize": image.size,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "Encrypted": False,
    }
    return {
        "ImageId": image.id,
        "Name": image.name,
        "Description": image.description,
        "OwnerId": image.owner,
        "ImageOwnerAlias": image.alias,
        "Architecture": image.architecture,
        "CreationDate": f"{image.made:%Y-%m-%dT%H:%M:%S.000Z}",
        "State": "available",
        "Public": True,
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
