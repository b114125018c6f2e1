"""Tables of instance types, sizes and prices.

To add a type, add it to `FAMILIES` and, if you can name a source, its prices to `HOURLY`.
Leave out a price without a source: unknown is not zero.
"""

from typing import Literal, NamedTuple

TYPES_SOURCE = "EC2 DescribeInstanceTypes, as recorded in moto 5.2.5"
PRICES_SOURCE = "AWS price list, Linux, on demand, shared tenancy; checked by hand"
PRICES_AS_OF = "2026-11-24"


class Family(NamedTuple):
    """What the sizes of an instance family share, and (name, vCPU, memory GiB) of each."""

    name: str
    architecture: str
    hibernates: bool
    sizes: tuple[tuple[str, int, int], ...]
    gpus: int = 0
    gpu_model: str | None = None


FAMILIES = (
    Family(
        "t3",
        "x86_64",
        hibernates=True,
        sizes=(
            ("micro", 2, 1),
            ("small", 2, 2),
            ("medium", 2, 4),
            ("large", 2, 8),
            ("xlarge", 4, 16),
            ("2xlarge", 8, 32),
        ),
    ),
    Family(
        "t4g",
        "arm64",
        hibernates=True,
        sizes=(
            ("small", 2, 2),
            ("medium", 2, 4),
            ("large", 2, 8),
            ("xlarge", 4, 16),
            ("2xlarge", 8, 32),
        ),
    ),
    Family(
        "c6i",
        "x86_64",
        hibernates=True,
        sizes=(
            ("large", 2, 4),
            ("xlarge", 4, 8),
            ("2xlarge", 8, 16),
            ("4xlarge", 16, 32),
            ("8xlarge", 32, 64),
        ),
    ),
    Family(
        "r6i",
        "x86_64",
        hibernates=False,
        sizes=(
            ("large", 2, 16),
            ("xlarge", 4, 32),
            ("2xlarge", 8, 64),
            ("4xlarge", 16, 128),
            ("8xlarge", 32, 256),
        ),
    ),
    Family(
        "g4dn",
        "x86_64",
        hibernates=False,
        sizes=(
            ("xlarge", 4, 16),
            ("2xlarge", 8, 32),
            ("4xlarge", 16, 64),
            ("8xlarge", 32, 128),
        ),
        gpus=1,
        gpu_model="NVIDIA T4",
    ),
)

# What a size means: family of work, architecture, then XS S M L XL.
SIZE_NAMES = ("XS", "S", "M", "L", "XL")
SIZES = {
    ("general", "x86_64"): ("t3.small", "t3.medium", "t3.large", "t3.xlarge", "t3.2xlarge"),
    ("general", "arm64"): ("t4g.small", "t4g.medium", "t4g.large", "t4g.xlarge", "t4g.2xlarge"),
    ("memory", "x86_64"): (
        "r6i.large",
        "r6i.xlarge",
        "r6i.2xlarge",
        "r6i.4xlarge",
        "r6i.8xlarge",
    ),
    ("compute", "x86_64"): (
        "c6i.large",
        "c6i.xlarge",
        "c6i.2xlarge",
        "c6i.4xlarge",
        "c6i.8xlarge",
    ),
    # g4dn.large does not exist, so the two smallest sizes are the same machine
    ("gpu", "x86_64"): (
        "g4dn.xlarge",
        "g4dn.xlarge",
        "g4dn.2xlarge",
        "g4dn.4xlarge",
        "g4dn.8xlarge",
    ),
}

# USD an hour. These two regions cost the same.
PRICED_REGIONS = ("us-east-1", "us-west-2")
HOURLY = {
    "t3.micro": "0.0104",
    "t3.small": "0.0208",
    "t3.medium": "0.0416",
    "t3.large": "0.0832",
    "t3.xlarge": "0.1664",
    "t3.2xlarge": "0.3328",
    "t4g.small": "0.0168",
    "t4g.medium": "0.0336",
    "t4g.large": "0.0672",
    "t4g.xlarge": "0.1344",
    "t4g.2xlarge": "0.2688",
    "c6i.large": "0.085",
    "c6i.xlarge": "0.17",
    "c6i.2xlarge": "0.34",
    "c6i.4xlarge": "0.68",
    "c6i.8xlarge": "1.36",
    "r6i.large": "0.126",
    "r6i.xlarge": "0.252",
    "r6i.2xlarge": "0.504",
    "r6i.4xlarge": "1.008",
    "r6i.8xlarge": "2.016",
    "g4dn.xlarge": "0.526",
    "g4dn.2xlarge": "0.752",
    "g4dn.4xlarge": "1.204",
    "g4dn.8xlarge": "2.176",
}

# USD, and per what.
STORAGE: dict[str, tuple[str, Literal["GB-month", "hour"]]] = {
    "gp3": ("0.08", "GB-month"),
    "efs": ("0.30", "GB-month"),
    "snapshot": ("0.05", "GB-month"),
    "address": ("0.005", "hour"),
}
