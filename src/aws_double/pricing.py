"""The Price List API: Prism's own table of machines, and volumes as AWS lists them."""

import json
from collections.abc import Iterator

from aws_double.facts.prices import CODES, VOLUMES, as_of, hourly, storage
from aws_double.facts.types import memory_gib, types, vcpus
from aws_double.facts.zones import regions
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call

SERVICES = {
    "AmazonEC2": ["instanceType", "regionCode", "operatingSystem", "volumeApiName"],
    "AmazonEFS": ["regionCode", "storageClass"],
    "AmazonVPC": ["regionCode", "group"],
}
USUAL = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "marketoption": "OnDemand",
}


def describe_services(call: Call) -> Tree:
    """DescribeServices: the services that the double has prices of."""
    code = call.args.get("ServiceCode")
    matching = {k: v for k, v in SERVICES.items() if code in {None, k}}
    if not matching:
        raise Refusal("InvalidParameterException", f"Unknown service {code}")
    services = [{"ServiceCode": k, "AttributeNames": v} for k, v in matching.items()]
    return {"Services": services, "FormatVersion": "aws_v1"}


def get_products(call: Call) -> Tree:
    """GetProducts: all filters must match; each product is JSON text in a list."""
    args = call.args
    if (code := args.get("ServiceCode")) not in SERVICES:
        raise Refusal("InvalidParameterException", f"Unknown service {code}")
    products = [
        product
        for product in _products(code)
        if _fits(product["product"], args.get("Filters", []))
    ]
    start, size = int(args.get("NextToken") or 0), args.get("MaxResults", 100)
    more = str(start + size) if start + size < len(products) else None
    page = [json.dumps(product) for product in products[start : start + size]]
    return {"PriceList": page, "FormatVersion": "aws_v1", "NextToken": more}


def _fits(product: Tree, filters: list[Tree]) -> bool:
    known = {**product["attributes"], "productFamily": product["productFamily"]}
    return all(known.get(condition["Field"]) == condition["Value"] for condition in filters)


def _products(code: str) -> Iterator[Tree]:
    for region in regions():
        base = {"regionCode": region, "servicecode": code}
        if code == "AmazonEC2":
            yield from _machines(base)
            yield from _volumes(base)
            yield from _stored(base, "snapshot", "Storage Snapshot", {"storageMedia": "Amazon S3"})
        elif code == "AmazonEFS":
            yield from _stored(base, "efs", "Storage", {"storageClass": "General Purpose"})
        else:
            group = {"group": "VPCPublicIPv4Address"}
            yield from _stored(base, "address", "VpcPublicIPv4", group)


def _machines(base: Tree) -> Iterator[Tree]:
    for name, type in types().items():
        usd = hourly(name, base["regionCode"])
        if usd is not None:
            attributes = {
                **base,
                **USUAL,
                "instanceType": name,
                "vcpu": str(vcpus(type)),
                "memory": f"{memory_gib(type):g} GiB",
            }
            yield _product("Compute Instance", attributes, str(usd), "Hrs")


def _volumes(base: Tree) -> Iterator[Tree]:
    """The volumes of a region, and those of a Local Zone, which cost more."""
    region = base["regionCode"]
    if storage("gp3", region) is None:
        return
    code = CODES.get(region, "")
    for line in VOLUMES:
        attributes = {**base, "volumeApiName": line.kind, "locationType": "AWS Region"}
        attributes["usagetype"] = f"{code}{line.usage}"
        yield _product(line.family, attributes, line.usd, line.unit, line.begins)
    local = {**base, "volumeApiName": "gp3", "locationType": "AWS Local Zone"}
    local["usagetype"] = f"{code}LAX1-EBS:VolumeUsage.gp3"
    yield _product("Storage", local, "0.096", "GB-Mo")


def _stored(base: Tree, kind: str, family: str, attributes: Tree) -> Iterator[Tree]:
    if (known := storage(kind, base["regionCode"])) is not None:
        usd, unit = known
        yield _product(
            family, {**base, **attributes}, str(usd), "Hrs" if unit == "hour" else "GB-Mo"
        )


def _product(family: str, attributes: Tree, usd: str, unit: str, begins: str = "0") -> Tree:
    sku = f"{attributes['regionCode']}-{attributes.get('instanceType', family)}".upper()
    dimension = {
        "unit": unit,
        "pricePerUnit": {"USD": f"{usd}0000000"[:12]},
        "beginRange": begins,
        "endRange": "Inf",
        "description": f"${usd} per {unit}",
    }
    term = {
        "sku": sku,
        "effectiveDate": f"{as_of()}T00:00:00Z",
        "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension},
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": family, "attributes": attributes, "sku": sku},
        "serviceCode": attributes["servicecode"],
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "version": as_of().replace("-", ""),
        "publicationDate": f"{as_of()}T00:00:00Z",
    }
