"""Machine types and prices."""

from datetime import date
from typing import Literal

from msgspec import Struct

from prism.errors import Invalid
from prism.kit.money import Micros


class UnknownType(Invalid, code="UNKNOWN_INSTANCE_TYPE"):
    """There is no instance type with that name."""


class MachineType(Struct, frozen=True, kw_only=True):
    """A kind of machine. `hibernates` says what EC2 allows, not what this machine can."""

    name: str
    vcpus: int
    memory_gib: int
    architecture: str
    hibernates: bool
    gpus: int = 0
    gpu_model: str | None = None


class Price(Struct, frozen=True, kw_only=True):
    """The on-demand price per hour of a machine type in one region."""

    hourly: Micros
    as_of: date
    source: str


StorageUnit = Literal["GB-month", "hour", "IOPS-month", "MiBps-month"]


class StoragePrice(Struct, frozen=True, kw_only=True):
    """The price of storage or of a public address."""

    amount: Micros
    unit: StorageUnit
    as_of: date
    source: str
