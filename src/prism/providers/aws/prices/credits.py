"""The price of CPU use beyond the credits of a burstable machine: pure.

EC2 On-Demand pricing, "T2/T3/T4g Unlimited Mode Pricing": Linux, the same for all sizes, on demand
and spot, in all regions of AWS proper; as of 2026-11.
"""

from prism.catalog.model import MachineType
from prism.kit.money import Micros

SURPLUS = {"t2": 50_000, "t3": 50_000, "t3a": 50_000, "t4g": 40_000}
"""Micro-dollars for each vCPU-hour, by family."""


def is_burstable(kind: MachineType) -> bool:
    """Whether such a machine earns CPU credits."""
    return _family(kind) in SURPLUS


def surplus(kind: MachineType) -> Micros:
    """The most that busy CPUs add to an hour's price; credits earned meanwhile reduce it."""
    return Micros(SURPLUS.get(_family(kind), 0) * kind.vcpus)


def _family(kind: MachineType) -> str:
    return kind.name.partition(".")[0]
