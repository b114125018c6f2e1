"""The price of CPU use beyond the credits of a burstable machine: pure.

EC2 On-Demand pricing, "T2/T3/T4g Unlimited Mode Pricing": Linux, the same for all sizes, on demand
and spot, in all regions of AWS proper; as of 2026-11.
"""

from prism.catalog.model import MachineType
from prism.kit.money import Micros

SURPLUS = {"t2": 50_000, "t3": 50_000, "t3a": 50_000, "t4g": 40_000}
"""Micro-dollars for each vCPU-hour, by family."""


# EC2 User Guide, "Key concepts for burstable performance instances": the percentage of each vCPU
# that a machine earns; T3, T3a and T4g have the same.
BASELINE = {"nano": 5, "micro": 10, "small": 20, "medium": 20, "large": 30, "xlarge": 40}
BASELINE |= {"2xlarge": 40}
WITHOUT_LAUNCH_CREDITS = {"t3", "t3a", "t4g"}
"""The families that begin without any credits; T2 begins with some (EC2 User Guide, "Standard
mode for burstable performance instances": "launch credits")."""


def slow_start(instance_type: str) -> int | None:
    """The percentage of its CPUs at which a machine with standard credits begins; None for 100."""
    family, _, size = instance_type.partition(".")
    return BASELINE.get(size) if family in WITHOUT_LAUNCH_CREDITS else None


def is_burstable(kind: MachineType) -> bool:
    """Whether such a machine earns CPU credits."""
    return _family(kind) in SURPLUS


def surplus(kind: MachineType) -> Micros:
    """The most that busy CPUs add to an hour's price; credits earned meanwhile reduce it."""
    return Micros(SURPLUS.get(_family(kind), 0) * kind.vcpus)


def _family(kind: MachineType) -> str:
    return kind.name.partition(".")[0]
