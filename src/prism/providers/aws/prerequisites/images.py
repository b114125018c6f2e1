"""The image of a base: the one that its publisher's parameter names, else the newest."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsDenied, Missing
from prism.providers.aws.prerequisites.machine_types import Architecture
from prism.templates.model import DEFAULT_BASE, Base
from prism.workspaces.ports import ProviderRefused

WORDS = {
    "x86_64": {"arch": "x86_64", "deb": "amd64", "rpm": "x86_64"},
    "arm64": {"arch": "arm64", "deb": "arm64", "rpm": "aarch64"},
}


HIDDEN_IMAGES = (
    "The account may hide it: see EC2's setting Allowed AMIs of the region, and `prism aws check`"
)


class NoImage(ProviderRefused, code="IMAGE_NOT_FOUND"):
    """There is no image of that system in the region."""


class ImageSource(Struct, frozen=True, kw_only=True):
    """How a distribution publishes images; `{deb}` is amd64, `{arch}` and `{rpm}` are x86_64."""

    owner: str
    name: str
    parameter: str | None
    user: str
    hibernates: bool


# Canonical's accounts in AWS, GovCloud and China (Ubuntu on AWS, "Find Ubuntu images on AWS").
CANONICAL = {
    "aws": "099720109477",
    "aws-us-gov": "513442679011",
    "aws-cn": "837727238323",
}
# The publishers document the owners and parameters. EC2 User Guide, "Prerequisites for EC2
# instance hibernation", lists the images that can hibernate: up to Ubuntu 22.04.2 and Amazon Linux
# 2023, but neither Debian nor Rocky.
BASES: Mapping[Base, ImageSource] = {
    "ubuntu-24.04": ImageSource(
        owner="099720109477",
        name="ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{deb}-server-*",
        parameter="/aws/service/canonical/ubuntu/server/24.04/stable/current/{deb}"
        "/hvm/ebs-gp3/ami-id",
        user="ubuntu",
        hibernates=False,
    ),
    "ubuntu-22.04": ImageSource(
        owner="099720109477",
        name="ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{deb}-server-*",
        parameter="/aws/service/canonical/ubuntu/server/22.04/stable/current/{deb}"
        "/hvm/ebs-gp2/ami-id",
        user="ubuntu",
        hibernates=True,
    ),
    "debian-12": ImageSource(
        owner="136693071363",
        name="debian-12-{deb}-*",
        parameter="/aws/service/debian/release/12/latest/{deb}",
        user="admin",
        hibernates=False,
    ),
    "amazon-linux-2023": ImageSource(
        owner="amazon",
        name="al2023-ami-2023.*-kernel-*-{arch}",
        parameter="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
        user="ec2-user",
        hibernates=True,
    ),
    "rocky-9": ImageSource(
        owner="792107900819",
        name="Rocky-9-EC2-Base-9.*.{rpm}",
        parameter=None,
        user="rocky",
        hibernates=False,
    ),
}


class ImageChoice(Struct, frozen=True, kw_only=True):
    """An image and its properties; `min_gb` is the minimum size of the disk."""

    id: str
    architecture: Architecture
    root_device: str
    min_gb: int
    user: str


def image(cloud: Cloud, base: Base | None, architecture: Architecture) -> ImageChoice:
    """The newest image of `base`, or of the default; raises `NoImage` if there is none."""
    chosen: Base = base or DEFAULT_BASE
    published = BASES[chosen]
    described = _image_by_parameter(cloud, published, architecture)
    described = described or _newest_image(cloud, published, architecture)
    if described is None:
        raise NoImage(
            f"There is no image of {chosen} for {architecture} in {cloud.region}",
            details=f"{HIDDEN_IMAGES}; asked for {_fill_in(published.name, architecture)} of "
            f"{published.owner}",
            remediation="Choose another template, or another region: `prism profile --help`",
        )
    return ImageChoice(
        id=described["ImageId"],
        architecture=architecture,
        root_device=described["RootDeviceName"],
        min_gb=least_gb(described),
        user=published.user,
    )


def least_gb(description: Mapping[str, Any]) -> int:
    """The size of an image's root disk, which is the minimum for a machine."""
    sizes = [
        mapping["Ebs"].get("VolumeSize", 0)
        for mapping in description.get("BlockDeviceMappings", [])
        if mapping.get("DeviceName") == description["RootDeviceName"] and "Ebs" in mapping
    ]
    return max(sizes, default=0) or 8


def _image_by_parameter(
    cloud: Cloud, published: ImageSource, architecture: Architecture
) -> Mapping[str, Any] | None:
    """The image; None if the region lacks the parameter, or the login may not read it."""
    if published.parameter is None:
        return None
    name = _fill_in(published.parameter, architecture)
    try:
        id = cloud.call("ssm", "GetParameter", Name=name)["Parameter"]["Value"]
        images = cloud.call("ec2", "DescribeImages", ImageIds=[id])["Images"]
    except (Missing, AwsDenied):
        return None
    return next(iter(images), None)


def _newest_image(
    cloud: Cloud, published: ImageSource, architecture: Architecture
) -> Mapping[str, Any] | None:
    criteria = {
        "name": _fill_in(published.name, architecture),
        "architecture": architecture,
        "state": "available",
        "root-device-type": "ebs",
    }
    images = cloud.call(
        "ec2",
        "DescribeImages",
        Owners=[published.owner],
        Filters=[{"Name": name, "Values": [value]} for name, value in criteria.items()],
    )["Images"]
    return max(images, key=lambda it: (it["CreationDate"], it["ImageId"]), default=None)


def _fill_in(text: str, architecture: Architecture) -> str:
    return text.format_map(WORDS[architecture])
