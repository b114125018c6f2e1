"""AWS's prices: from AWS's price list, cached on disk, else from the catalog's table.

Requests read known prices and never wait for AWS. A thread of `locations.py` fetches on-demand
prices once a day and spot prices once an hour. Without the permission to read the price list, the
table's prices are used; a price that neither has is null.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from prism.catalog.model import StoragePrice, StorageUnit
from prism.catalog.plan import TYPES, PriceBook, price
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.money import Micros, micros
from prism.providers.aws.api.cloud import Cloud

log = logging.getLogger(__name__)

DAILY, HOURLY = timedelta(days=1), timedelta(hours=1)
RETRY_AFTER = timedelta(minutes=10)  # after a fetch that failed
STALE, STALE_SPOT = timedelta(days=30), timedelta(hours=6)
PRICE_LIST = "AWS price list"
DISKS = ("gp3", "gp2", "io2", "st1")
MACHINE = {  # the filter for one product per type: Linux, shared, on demand, no software
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}


class Product(Struct, frozen=True):
    """How to find a price in the price list; the product's usage type ends with `usage`.

    `units` are the units in the list, with how many of ours each is.
    """

    service: str
    units: Mapping[str, int]
    fields: Mapping[str, str]
    usage: str = ""
    unit: StorageUnit = "GB-month"


HOURLY_UNIT, GB_MONTH, IOPS_MONTH = {"Hrs": 1}, {"GB-Mo": 1, "GB-month": 1}, {"IOPS-Mo": 1}
MIBPS_MONTH = {"MiBps-Mo": 1, "GiBps-mo": 1024}
FIRST_RANGES = {"IOPS-Mo": {"0", "3000"}}  # where the first range begins, if not at 0
REGIONAL = {"locationType": "AWS Region"}  # a Local Zone of a region has other prices


def _ebs(usage: str, family: str, kind: str) -> tuple[str, dict[str, str], str]:
    return "AmazonEC2", {"productFamily": family, "volumeApiName": kind, **REGIONAL}, usage


def _disk(kind: str) -> Product:
    service, fields, usage = _ebs(f"EBS:VolumeUsage.{kind}", "Storage", kind)
    return Product(service, GB_MONTH, fields, usage)


def _iops(kind: str, tier: str = "") -> Product:
    usage = f"EBS:VolumeP-IOPS.{kind}{tier}"
    service, fields, usage = _ebs(usage, "System Operation", kind)
    return Product(service, IOPS_MONTH, fields, usage, "IOPS-month")


def _throughput(kind: str) -> Product:
    usage = f"EBS:VolumeP-Throughput.{kind}"
    service, fields, usage = _ebs(usage, "Provisioned Throughput", kind)
    return Product(service, MIBPS_MONTH, fields, usage, "MiBps-month")


# Amazon EBS User Guide, "Understand codes for Amazon EBS in billing and usage reports".
STORED: dict[str, Product] = {
    **{kind: _disk(kind) for kind in DISKS},
    "gp3-iops": _iops("gp3"),
    "gp3-throughput": _throughput("gp3"),
    "io2-iops": _iops("io2"),
    "io2-iops-2": _iops("io2", ".tier2"),
    "io2-iops-3": _iops("io2", ".tier3"),
    "snapshot": Product(
        "AmazonEC2", GB_MONTH, {"productFamily": "Storage Snapshot"}, "EBS:SnapshotUsage"
    ),
    "efs": Product("AmazonEFS", GB_MONTH, {"storageClass": "General Purpose"}, "ByteHrs"),
    "address": Product(
        "AmazonVPC", HOURLY_UNIT, {"group": "VPCPublicIPv4Address"}, "InUseAddress", "hour"
    ),
}


class Quote(Struct, frozen=True):
    """A price in micro-dollars, and a text with its source and date."""

    amount: Micros
    source: str


class RegionPrices(Struct, frozen=True, kw_only=True):
    """The prices of one region: by instance type, and by kind of storage."""

    hourly: dict[str, Micros] = {}
    stored: dict[str, Micros] = {}
    spot: dict[str, Micros] = {}
    listed_at: datetime | None = None
    spot_at: datetime | None = None


class Prices:
    """AWS's prices, stored in `folder`; those of storage and addresses go to `price_book`."""

    def __init__(self, folder: Path, clock: Clock, price_book: PriceBook) -> None:
        self._folder, self._clock, self._lock = folder, clock, Lock()
        self._price_book = price_book
        self._regions: dict[str, RegionPrices] = {}
        self._tried: dict[tuple[str, str], datetime] = {}

    # ------------------------------------------------------------ for requests
    def hourly(self, instance_type: str, region: str) -> Quote | None:
        """The on-demand price of an hour."""
        known = self._prices(region)
        if (amount := known.hourly.get(instance_type)) is not None and self._is_fresh(known):
            return Quote(amount, f"{PRICE_LIST}, {region}, as of {known.listed_at:%Y-%m-%d}")
        if (tabled := price(instance_type, region)) is None:
            return None
        return Quote(tabled.hourly, f"{tabled.source}, {region}, as of {tabled.as_of}")

    def spot(self, instance_type: str, region: str) -> Quote | None:
        """The current spot price of an hour in the most expensive zone."""
        known, now = self._prices(region), self._clock.now()
        amount = known.spot.get(instance_type)
        if amount is None or known.spot_at is None or now - known.spot_at > STALE_SPOT:
            return None
        return Quote(amount, f"EC2 spot price, {region}, as of {known.spot_at:%Y-%m-%d}")

    def stored(self, kind: str, region: str) -> Quote | None:
        """The price of a GB-month of `gp3`, `efs` or `snapshot`, or of an hour of an `address`."""
        self._publish(region, self._prices(region))
        if (known := self._price_book.storage(kind, region)) is None:
            return None
        return Quote(known.amount, f"{known.source}, {region}, as of {known.as_of}")

    # ------------------------------------------------------------ behind the scenes
    def open(self, region: str) -> None:
        """Read the stored prices of a region."""
        self._prices(region)

    def look(self, cloud: Cloud) -> bool:
        """Fetch the prices of the cloud's region that are due; returns whether any changed."""
        region, before = cloud.region, self._prices(cloud.region)
        self._publish(region, before)
        if self._is_due(region, "list", before.listed_at, DAILY):
            self._fetch(region, "list", lambda: self._fetch_listed(cloud))
        if self._is_due(region, "spot", before.spot_at, HOURLY):
            self._fetch(region, "spot", lambda: {"spot": spot_prices(cloud, self._clock.now())})
        return self._prices(region) != before

    def _fetch_listed(self, cloud: Cloud) -> dict[str, Any]:
        hourly = {name: _machine_price(cloud, name) for name in TYPES}
        stored = {name: _stored_price(cloud, product) for name, product in STORED.items()}
        return {"hourly": _without_unknown(hourly), "stored": _without_unknown(stored)}

    def _fetch(self, region: str, part: str, ask: Any) -> None:
        now = self._clock.now()
        self._tried[region, part] = now
        try:
            fetched = ask()
        except Problem as problem:
            log.info("no prices of %s: %s (%s)", region, problem.message, problem.details)
            return
        when = {"listed_at" if part == "list" else "spot_at": now}
        self._keep(region, replace(self._prices(region), **fetched, **when))

    def _is_due(self, region: str, part: str, at: datetime | None, every: timedelta) -> bool:
        now, tried = self._clock.now(), self._tried.get((region, part))
        if tried is not None and now < tried + RETRY_AFTER:
            return False
        return at is None or now >= at + every

    def _is_fresh(self, known: RegionPrices) -> bool:
        return known.listed_at is not None and self._clock.now() - known.listed_at < STALE

    def _prices(self, region: str) -> RegionPrices:
        with self._lock:
            if (known := self._regions.get(region)) is None:
                known = self._regions[region] = _read_file(self._folder / f"{region}.json")
                self._publish(region, known)
            return known

    def _publish(self, region: str, known: RegionPrices) -> None:
        """Put the prices of disks and addresses into the price book, unless they are too old."""
        listed: dict[str, StoragePrice] = {}
        if known.listed_at is not None and self._is_fresh(known):
            as_of = known.listed_at.date()
            for kind, amount in known.stored.items():
                if (product := STORED.get(kind)) is not None:
                    listed[kind] = StoragePrice(
                        amount=amount, unit=product.unit, as_of=as_of, source=PRICE_LIST
                    )
        self._price_book.set_listed(region, listed)

    def _keep(self, region: str, known: RegionPrices) -> None:
        with self._lock:
            self._regions[region] = known
        self._publish(region, known)
        self._folder.mkdir(parents=True, exist_ok=True)
        half = self._folder / f".{region}.json"
        half.write_bytes(msgspec.json.encode(known))
        os.replace(half, self._folder / f"{region}.json")


def spot_prices(cloud: Cloud, now: datetime) -> dict[str, Micros]:
    """The spot price of each type of the catalog, in its most expensive zone now."""
    latest: dict[tuple[str, str], tuple[datetime, Micros]] = {}
    for entry in cloud.pages(
        "ec2",
        "DescribeSpotPriceHistory",
        "SpotPriceHistory",
        InstanceTypes=list(TYPES),
        ProductDescriptions=["Linux/UNIX"],
        StartTime=now,
    ):
        key = entry["InstanceType"], entry["AvailabilityZone"]
        dated = entry["Timestamp"], micros(entry["SpotPrice"])
        latest[key] = max(latest.get(key, dated), dated)
    dearest: dict[str, Micros] = {}
    for (name, _), (_, usd) in latest.items():
        dearest[name] = max(usd, dearest.get(name, usd))
    return dearest


def _machine_price(cloud: Cloud, name: str) -> Micros | None:
    fields = {"instanceType": name, "regionCode": cloud.region, **MACHINE}
    return _agreed_price(_products(cloud, "AmazonEC2", fields), HOURLY_UNIT, "")


def _stored_price(cloud: Cloud, product: Product) -> Micros | None:
    products = _products(cloud, product.service, {**product.fields, "regionCode": cloud.region})
    return _agreed_price(products, product.units, product.usage)


def _products(cloud: Cloud, service: str, fields: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    for text in cloud.pages(
        "pricing", "GetProducts", "PriceList", ServiceCode=service, Filters=filters
    ):
        yield json.loads(text)


def _agreed_price(
    products: Iterable[dict[str, Any]], units: Mapping[str, int], usage: str
) -> Micros | None:
    """The price of all products with this usage type; None if they differ."""
    amounts = set()
    for product in products:
        named = product["product"]["attributes"].get("usagetype", usage)
        if named.endswith(usage):
            amounts |= set(_rates(product, units))
    return amounts.pop() if len(amounts) == 1 else None


def _rates(product: dict[str, Any], units: Mapping[str, int]) -> Iterator[Micros]:
    """The on-demand price of each term, in micro-dollars, for one of our units.

    The first range counts. That of IOPS may begin at 3,000, because each gp3 volume has as many.
    """
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        amounts = [
            micros(usd) // units[unit]
            for dimension in term["priceDimensions"].values()
            if (unit := dimension["unit"]) in units
            and dimension.get("beginRange", "0") in FIRST_RANGES.get(unit, {"0"})
            and (usd := dimension["pricePerUnit"].get("USD")) is not None
        ]
        if amounts:
            yield Micros(max(amounts))


def _without_unknown(amounts: Mapping[str, Micros | None]) -> dict[str, Micros]:
    return {name: usd for name, usd in amounts.items() if usd is not None}


def _read_file(file: Path) -> RegionPrices:
    try:
        return msgspec.json.decode(file.read_bytes(), type=RegionPrices)
    except FileNotFoundError:
        return RegionPrices()
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("prices in %s cannot be read and are fetched anew: %s", file, error)
        return RegionPrices()
