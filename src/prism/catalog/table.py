"""Tables of instance types, sizes and prices.

To add a type, add it to `FAMILIES`, with its price if you can name a source; else with None:
unknown is not zero. The types are those of EC2 DescribeInstanceTypes, as recorded in moto 5.2.5.
"""

from typing import NamedTuple

from prism.catalog.model import StorageUnit

PRICES_SOURCE = "AWS price list, Linux, on demand, shared tenancy; checked by hand"
PRICES_AS_OF = "2026-11-24"


class Family(NamedTuple):
    """What the sizes of an instance family share, and the sizes.

    Each is its name, vCPUs, memory in GiB, and USD an hour.
    """

    name: str
    architecture: str
    hibernates: bool
    sizes: tuple[tuple[str, int, int, str | None], ...]
    gpus: int = 0
    gpu_model: str | None = None


FAMILIES = (
    Family(
        "t3",
        "x86_64",
        hibernates=True,
        sizes=(
            ("micro", 2, 1, "0.0104"),
            ("small", 2, 2, "0.0208"),
            ("medium", 2, 4, "0.0416"),
            ("large", 2, 8, "0.0832"),
            ("xlarge", 4, 16, "0.1664"),
            ("2xlarge", 8, 32, "0.3328"),
        ),
    ),
    Family(
        "t4g",
        "arm64",
        hibernates=True,
        sizes=(
            ("small", 2, 2, "0.0168"),
            ("medium", 2, 4, "0.0336"),
            ("large", 2, 8, "0.0672"),
            ("xlarge", 4, 16, "0.1344"),
            ("2xlarge", 8, 32, "0.2688"),
        ),
    ),
    Family(
        "c6i",
        "x86_64",
        hibernates=True,
        sizes=(
            ("large", 2, 4, "0.085"),
            ("xlarge", 4, 8, "0.17"),
            ("2xlarge", 8, 16, "0.34"),
            ("4xlarge", 16, 32, "0.68"),
            ("8xlarge", 32, 64, "1.36"),
        ),
    ),
    Family(
        "r6i",
        "x86_64",
        hibernates=False,
        sizes=(
            ("large", 2, 16, "0.126"),
            ("xlarge", 4, 32, "0.252"),
            ("2xlarge", 8, 64, "0.504"),
            ("4xlarge", 16, 128, "1.008"),
            ("8xlarge", 32, 256, "2.016"),
        ),
    ),
    Family(
        "g4dn",
        "x86_64",
        hibernates=False,
        sizes=(
            ("xlarge", 4, 16, "0.526"),
            ("2xlarge", 8, 32, "0.752"),
            ("4xlarge", 16, 64, "1.204"),
            ("8xlarge", 32, 128, "2.176"),
        ),
        gpus=1,
        gpu_model="NVIDIA T4",
    ),
)


def _types(family: str, *sizes: str) -> tuple[str, ...]:
    return tuple(f"{family}.{size}" for size in sizes)


# What a size means: family of work, architecture, then XS S M L XL.
SIZE_NAMES = ("XS", "S", "M", "L", "XL")
SIZES = {
    ("general", "x86_64"): _types("t3", "small", "medium", "large", "xlarge", "2xlarge"),
    ("general", "arm64"): _types("t4g", "small", "medium", "large", "xlarge", "2xlarge"),
    ("memory", "x86_64"): _types("r6i", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge"),
    ("compute", "x86_64"): _types("c6i", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge"),
    # g4dn.large does not exist, so the two smallest sizes are the same machine
    ("gpu", "x86_64"): _types("g4dn", "xlarge", "xlarge", "2xlarge", "4xlarge", "8xlarge"),
}

# USD an hour. These two regions cost the same.
PRICED_REGIONS = ("us-east-1", "us-west-2")
HOURLY = {
    f"{family.name}.{size}": usd
    for family in FAMILIES
    for size, _, _, usd in family.sizes
    if usd is not None
}

# USD, and per what.
STORAGE: dict[str, tuple[str, StorageUnit]] = {
    "gp3": ("0.08", "GB-month"),
    "gp3-iops": ("0.005", "IOPS-month"),
    "gp3-throughput": ("0.04", "MiBps-month"),
    "efs": ("0.30", "GB-month"),
    "snapshot": ("0.05", "GB-month"),
    "address": ("0.005", "hour"),
}
