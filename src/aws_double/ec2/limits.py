"""The limits of EBS for each type of volume."""

from dataclasses import dataclass

from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree


@dataclass(frozen=True, slots=True)
class Limit:
    """Sizes in GiB, IOPS and MiB/s; `ratio` is IOPS for each GiB."""

    sizes: tuple[int, int]
    iops: tuple[int, int] | None = None
    ratio: int | None = None
    throughput: tuple[int, int] | None = None


LIMITS = {
    "gp2": Limit((1, 16384)),
    "gp3": Limit((1, 65536), (3000, 80000), 500, (125, 2000)),
    "io1": Limit((4, 16384), (100, 64000), 50),
    "io2": Limit((4, 65536), (100, 256000), 1000),
    "st1": Limit((125, 16384)),
    "sc1": Limit((125, 16384)),
    "standard": Limit((1, 1024)),
}


def performance(kind: str, size: int, args: Tree) -> tuple[int | None, int | None]:
    """The IOPS and throughput of a volume, with the defaults of its type, or a refusal."""
    iops, throughput = args.get("Iops"), args.get("Throughput")
    _check(kind, size, iops, throughput)
    if kind == "gp3":
        return iops or 3000, throughput or 125
    if kind == "gp2":
        return min(max(100, 3 * size), 16000), None
    return iops, throughput


def _check(kind: str, size: int, iops: int | None, throughput: int | None) -> None:
    """Refuse a volume beyond the limits."""
    if (limit := LIMITS.get(kind)) is None:
        raise Refusal(
            "UnknownVolumeType", f"Unsupported volume type '{kind}' for volume creation."
        )
    if not limit.sizes[0] <= size <= limit.sizes[1]:
        raise invalid(
            f"Volume size of {size} GiB is not valid for {kind}: it is between "
            f"{limit.sizes[0]} and {limit.sizes[1]} GiB"
        )
    _check_iops(kind, limit, size, iops)
    if throughput is not None:
        if limit.throughput is None:
            raise invalid(f"The parameter Throughput is not supported for {kind} volumes.")
        low, high = limit.throughput
        if not low <= throughput <= high:
            raise invalid(f"Volume throughput of {throughput} is not between {low} and {high}")
        if throughput * 4 > (iops or 3000):
            raise invalid("Throughput (MiBps) to iops ratio is too high; maximum is 0.25")


def _check_iops(kind: str, limit: Limit, size: int, iops: int | None) -> None:
    if iops is None:
        if kind in {"io1", "io2"}:
            raise Refusal("MissingParameter", f"The parameter iops must be specified for {kind}")
        return
    if limit.iops is None or limit.ratio is None:
        raise Refusal(
            "InvalidParameterCombination",
            f"The parameter iops is not supported for {kind} volumes.",
        )
    if not limit.iops[0] <= iops <= limit.iops[1]:
        raise invalid(f"Volume iops of {iops} is not between {limit.iops[0]} and {limit.iops[1]}")
    if iops > max(limit.ratio * size, limit.iops[0]):
        raise invalid(f"Iops to volume size ratio is too high; maximum is {limit.ratio}")
