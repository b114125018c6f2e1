"""Regions, their zones, and the types in each zone, from moto's recordings of AWS."""

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

RECORDED = "ec2/resources"


@cache
def recorded(name: str) -> Any:
    """One of moto's recordings; moto itself is not imported, which takes a second."""
    spec = importlib.util.find_spec("moto")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the double needs moto: install `prism[double]`")
    return json.loads(gzip.decompress((Path(spec.origin).parent / RECORDED / name).read_bytes()))


@cache
def regions() -> tuple[str, ...]:
    """Every region that offers machines."""
    folder = Path(str(importlib.util.find_spec("moto").origin)).parent  # type: ignore[union-attr]
    files = (folder / RECORDED / "instance_type_offerings" / "availability-zone").glob("*.gz")
    return tuple(sorted(file.name.removesuffix(".json.gz") for file in files))


@cache
def offerings(region: str) -> dict[str, frozenset[str]]:
    """The zones of a region, and the types that each offers."""
    types_by_zone: dict[str, set[str]] = {}
    if region in regions():
        name = f"instance_type_offerings/availability-zone/{region}.json.gz"
        for each in recorded(name):
            types_by_zone.setdefault(each["Location"], set()).add(each["InstanceType"])
    return {zone: frozenset(types) for zone, types in sorted(types_by_zone.items())}


def zones_of(region: str) -> tuple[str, ...]:
    """The availability zones of a region."""
    return tuple(offerings(region))


def zone_id(zone: str) -> str:
    """The zone's id, as one account might see it: `use1-az1` for `us-east-1a`."""
    area, side, rest = zone[:-1].split("-")[-3:]
    short = "".join(word[0] for word in side.replace("north", "n ").replace("south", "s ").split())
    return f"{area}{short}{rest}-az{ord(zone[-1]) - 96}"
