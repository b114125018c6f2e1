"""Machine types and prices: what they are."""

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
    """What a machine type costs an hour, on demand, in one region."""

    hourly: Micros
    as_of: date
    source: str


class StoragePrice(Struct, frozen=True, kw_only=True):
    """What storage, or a public address, costs."""

    amount: Micros
    unit: Literal["GB-month", "hour"]
    as_of: date
    source: str
