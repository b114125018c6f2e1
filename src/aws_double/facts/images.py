"""Public images: for every base, architecture and region a new one and an older one.

Owners, names and root devices are those of the publishers; ids and dates are ours.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
OLD, NEW = datetime(2026, 6, 2, 9, tzinfo=UTC), datetime(2026, 11, 3, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Base:
    """How one distribution is published. `{arch}` is x86_64, `{deb}` amd64, arm64 in both."""

    base: str
    owner: str
    alias: str | None
    name: str
    root: str
    size: int
    parameter: str | None
    description: str
    hibernates: bool  # whether AWS lists it among the images that support hibernation


BASES = (
    Base(
        "ubuntu-24.04",
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{deb}-server-{date:%Y%m%d}",
        "/dev/sda1",
        8,
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/{deb}/hvm/ebs-gp3/ami-id",
        "Canonical, Ubuntu, 24.04, {deb} noble image",
        hibernates=False,  # AWS's list ends at 22.04
    ),
    Base(
        "ubuntu-22.04",
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{deb}-server-{date:%Y%m%d}",
        "/dev/sda1",
        8,
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/{deb}/hvm/ebs-gp2/ami-id",
        "Canonical, Ubuntu, 22.04 LTS, {deb} jammy image",
        hibernates=True,
    ),
    Base(
        "debian-12",
        "136693071363",
        None,
        "debian-12-{deb}-{date:%Y%m%d}-2000",
        "/dev/xvda",
        8,
        "/aws/service/debian/release/12/latest/{deb}",
        "Debian 12 ({date:%Y%m%d}-2000)",
        hibernates=False,
    ),
    Base(
        "amazon-linux-2023",
        "137112412989",
        "amazon",
        "al2023-ami-2023.9.{date:%Y%m%d}.0-kernel-6.1-{arch}",
        "/dev/xvda",
        8,
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
        "Amazon Linux 2023 AMI 2023.9.{date:%Y%m%d}.0 {arch} HVM kernel-6.1",
        hibernates=True,
    ),
    Base(
        "rocky-9",
        "792107900819",
        None,
        "Rocky-9-EC2-Base-9.6-{date:%Y%m%d}.0.{rpm}",
        "/dev/sda1",
        10,
        None,
        "Rocky-9-EC2-Base-9.6-{date:%Y%m%d}.0.{rpm}",
        hibernates=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Published:
    """One image in one region."""

    id: str
    base: Base
    architecture: str
    made: datetime

    @property
    def name(self) -> str:
        """Its full name."""
        return self.filled(self.base.name)

    @property
    def parameter(self) -> str | None:
        """The SSM parameter for the newest image of its kind."""
        return self.filled(self.base.parameter) if self.base.parameter else None

    def filled(self, text: str) -> str:
        """A text about it."""
        deb = ARCHITECTURES[self.architecture]
        rpm = "aarch64" if self.architecture == "arm64" else "x86_64"
        return text.format(arch=self.architecture, deb=deb, rpm=rpm, date=self.made)


def published(region: str) -> list[Published]:
    """All images of a region, old ones first."""
    return [
        Published(_id(region, base.base, architecture, date), base, architecture, date)
        for date in (OLD, NEW)
        for base in BASES
        for architecture in ARCHITECTURES
    ]


def parameters(region: str) -> dict[str, str]:
    """The public SSM parameters of a region: the newest image of each kind."""
    return {image.parameter: image.id for image in published(region) if image.parameter}


def _id(*parts: object) -> str:
    return f"ami-{hashlib.sha256(repr(parts).encode()).hexdigest()[:17]}"
