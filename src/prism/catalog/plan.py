"""Looks up machine types, sizes and prices."""

from collections.abc import Callable, Mapping
from datetime import date
from difflib import get_close_matches

from prism.catalog import table
from prism.catalog.model import MachineType, Price, StoragePrice, UnknownType
from prism.kit.money import Micros, micros

PriceOf = Callable[[str], Micros | None]
# Amazon EBS User Guide, "General Purpose SSD volumes": what the price of each gp3 volume includes.
BASE_IOPS, BASE_THROUGHPUT = 3000, 125
# Amazon EBS pricing, "Provisioned IOPS SSD (io2)": the IOPS up to these have these prices.
IO2_TIERS = ((32_000, "io2-iops"), (64_000, "io2-iops-2"), (256_000, "io2-iops-3"))
ROOT_IOPS, IOPS_PER_GB = 3000, 500  # of an io2 root disk, which has no default; gp3 has as many
AS_OF = date.fromisoformat(table.PRICES_AS_OF)
TYPES = {
    kind.name: kind
    for kind in (
        MachineType(
            name=f"{family.name}.{size}",
            vcpus=vcpus,
            memory_gib=memory,
            architecture=family.architecture,
            hibernates=family.hibernates,
            gpus=family.gpus,
            gpu_model=family.gpu_model,
        )
        for family in table.FAMILIES
        for size, vcpus, memory, _ in family.sizes
    )
}


def machine_type(
    instance_type: str | None,
    size: str | None = None,
    family: str = "general",
    architecture: str = "x86_64",
) -> MachineType:
    """The named type, else the type of a size (default: M) in that family."""
    if instance_type is None:
        instance_type = _type_of_size(size or "M", family, architecture)
    if kind := TYPES.get(instance_type):
        return kind
    close = get_close_matches(instance_type, TYPES, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UnknownType(
        f"{instance_type!r} is not in the catalog",
        details=f"instance_type: {hint}known are {', '.join(TYPES)}",
        data={"fields": [{"field": "instance_type", "why": "not in the catalog"}]},
    )


def sizes_with(kind: MachineType, family: str) -> tuple[MachineType, ...]:
    """The types of all sizes of a family, if `kind` is one of them; else only `kind`."""
    names = table.SIZES.get((family, kind.architecture), ())
    return tuple(TYPES[name] for name in names) if kind.name in names else (kind,)


def size_words(instance_type: str) -> str:
    """A machine's size, for a provider that has no such types; the type itself if unknown."""
    if (kind := TYPES.get(instance_type)) is None:
        return instance_type
    sizes = [
        size
        for names in table.SIZES.values()
        for size, name in zip(table.SIZE_NAMES, names, strict=True)
        if name == instance_type
    ]
    parts = [" or ".join(sizes)] if sizes else []
    parts += [f"{kind.vcpus} vCPUs", f"{kind.memory_gib} GiB"]
    return ", ".join([*parts, f"{kind.gpus} × {kind.gpu_model}"] if kind.gpus else parts)


def price(instance_type: str, region: str) -> Price | None:
    """The on-demand price of a type in a region; `None` if it is not known."""
    if region not in table.PRICED_REGIONS or (usd := table.HOURLY.get(instance_type)) is None:
        return None
    return Price(hourly=micros(usd), as_of=AS_OF, source=table.PRICES_SOURCE)


class PriceBook:
    """Prices of storage and public addresses: a provider's list, else the catalog's table.

    Each daemon has one, so that reservations, the ledger and offers use the same prices.
    """

    def __init__(self) -> None:
        self._listed: dict[str, Mapping[str, StoragePrice]] = {}

    def set_listed(self, region: str, prices: Mapping[str, StoragePrice]) -> None:
        """Set a region's prices, by kind; for other kinds the table counts."""
        self._listed[region] = prices

    def storage(self, kind: str, region: str) -> StoragePrice | None:
        """The price of `gp3`, `io2-iops`, `efs`, `snapshot`, `address` …; `None` if unknown."""
        if (listed := self._listed.get(region, {}).get(kind)) is not None:
            return listed
        if region not in table.PRICED_REGIONS or kind not in table.STORAGE:
            return None
        usd, unit = table.STORAGE[kind]
        return StoragePrice(amount=micros(usd), unit=unit, as_of=AS_OF, source=table.PRICES_SOURCE)

    def amount(self, kind: str, region: str) -> Micros | None:
        """The amount of `storage`."""
        known = self.storage(kind, region)
        return None if known is None else known.amount


def root_iops(kind: str, size_gb: int) -> int | None:
    """The IOPS that Prism provisions for a root disk; None if it leaves that to AWS."""
    return min(ROOT_IOPS, IOPS_PER_GB * size_gb) if kind == "io2" else None


def performance_price(
    kind: str | None, iops: int | None, throughput: int | None, amount: PriceOf
) -> Micros | None:
    """The monthly price of provisioned IOPS and throughput; None if a price is not known.

    `amount` returns the price of a kind of storage. All IOPS of an io2 volume cost money, and the
    IOPS and MiB/s of a gp3 volume beyond those that each has (Amazon EBS User Guide, "Understand
    codes for Amazon EBS in billing and usage reports").
    """
    if kind == "io2":
        return _total(_io2_amounts(iops or 0), amount)
    if kind in {None, "gp3"}:
        extra = {
            "gp3-iops": max(0, (iops or 0) - BASE_IOPS),
            "gp3-throughput": max(0, (throughput or 0) - BASE_THROUGHPUT),
        }
        return _total(extra, amount)
    return Micros(0)


def _io2_amounts(iops: int) -> dict[str, int]:
    amounts, below = {}, 0
    for upto, kind in IO2_TIERS:
        amounts[kind] = max(0, min(iops, upto) - below)
        below = upto
    return amounts


def _total(amounts: Mapping[str, int], amount: PriceOf) -> Micros | None:
    total = 0
    for kind, count in amounts.items():
        if count == 0:
            continue
        if (each := amount(kind)) is None:
            return None
        total += each * count
    return Micros(total)


def _type_of_size(size: str, family: str, architecture: str) -> str:
    if (types := table.SIZES.get((family, architecture))) is None:
        known = ", ".join(f"{name} on {arch}" for name, arch in table.SIZES)
        raise UnknownType(
            f"The catalog has no {family!r} machines on {architecture!r}",
            details=f"known are {known}",
        )
    if size not in table.SIZE_NAMES:
        sizes = ", ".join(table.SIZE_NAMES)
        raise UnknownType(f"There is no size {size!r}", details=f"size: known are {sizes}")
    return types[table.SIZE_NAMES.index(size)]
