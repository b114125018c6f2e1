"""On-demand prices from Prism's own table, so that the double and the catalog agree.

Those of EBS volumes are in the shape of AWS's price list: each has its usage type, unit and first
range (Amazon EBS User Guide, "Understand codes for Amazon EBS in billing and usage reports").
"""

from decimal import Decimal
from typing import NamedTuple

from prism.catalog.table import HOURLY, PRICED_REGIONS, PRICES_AS_OF, STORAGE

# The prefix of usage types; those of us-east-1 have none.
CODES = {"us-west-2": "USW2-"}


class VolumePrice(NamedTuple):
    """A line of the price list about a volume type."""

    kind: str
    family: str
    usage: str
    unit: str
    usd: str
    begins: str = "0"


VOLUMES = (
    VolumePrice("gp3", "Storage", "EBS:VolumeUsage.gp3", "GB-Mo", "0.08"),
    VolumePrice("io2", "Storage", "EBS:VolumeUsage.io2", "GB-month", "0.125"),
    VolumePrice("io2", "System Operation", "EBS:VolumeP-IOPS.io2", "IOPS-Mo", "0.065"),
    VolumePrice("io2", "System Operation", "EBS:VolumeP-IOPS.io2.tier2", "IOPS-Mo", "0.0455"),
    VolumePrice("io2", "System Operation", "EBS:VolumeP-IOPS.io2.tier3", "IOPS-Mo", "0.03185"),
    VolumePrice("gp3", "System Operation", "EBS:VolumeP-IOPS.gp3", "IOPS-Mo", "0.005", "3000"),
    VolumePrice(
        "gp3", "Provisioned Throughput", "EBS:VolumeP-Throughput.gp3", "GiBps-mo", "40.96"
    ),
)


def hourly(type: str, region: str) -> Decimal | None:
    """USD an hour, Linux, on demand; None if the table has no price."""
    if region not in PRICED_REGIONS or type not in HOURLY:
        return None
    return Decimal(HOURLY[type])


def storage(kind: str, region: str) -> tuple[Decimal, str] | None:
    """USD, and per what."""
    if region not in PRICED_REGIONS or kind not in STORAGE:
        return None
    usd, unit = STORAGE[kind]
    return Decimal(usd), unit


def as_of() -> str:
    """The day of these prices."""
    return PRICES_AS_OF
