"""Instance types, offerings and prices are those of Prism's catalog."""

import json
from decimal import Decimal

import pytest

from prism.catalog import table
from prism.catalog.plan import TYPES
from tests.aws_double.boto import client, refusal_message, refused, set_rules


def products(aws, code, **fields):
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    pages = client(aws, "pricing").get_paginator("get_products")
    listed = pages.paginate(ServiceCode=code, Filters=filters)
    return [json.loads(text) for page in listed for text in page["PriceList"]]


def usd(product):
    [term] = product["terms"]["OnDemand"].values()
    [dimension] = term["priceDimensions"].values()
    return Decimal(dimension["pricePerUnit"]["USD"]), dimension["unit"]


def test_describe_instance_types_matches_the_catalog(ec2):
    """vCPUs, memory, architecture, hibernation, GPUs.

    DescribeInstanceTypes
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html
    """
    types = ec2.describe_instance_types(InstanceTypes=list(TYPES))["InstanceTypes"]
    assert len(types) == len(TYPES)
    for type_ in types:
        known = TYPES[type_["InstanceType"]]
        assert type_["VCpuInfo"]["DefaultVCpus"] == known.vcpus
        assert type_["MemoryInfo"]["SizeInMiB"] == known.memory_gib * 1024
        assert type_["ProcessorInfo"]["SupportedArchitectures"] == [known.architecture]
        assert type_["HibernationSupported"] == known.hibernates
        gpus = type_.get("GpuInfo", {}).get("Gpus", [])
        assert sum(gpu["Count"] for gpu in gpus) == known.gpus


def test_unknown_instance_type_is_refused(ec2):
    """InvalidInstanceType; g4dn.large never existed.

    DescribeInstanceTypes
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html
    """
    request = {"InstanceTypes": ["g4dn.large"]}
    assert "g4dn.large" in refusal_message(
        "InvalidInstanceType", ec2.describe_instance_types, **request
    )


def test_describe_instance_types_returns_pages_of_at_most_100(ec2):
    """MaxResults is 5 to 100.

    DescribeInstanceTypes
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html
    """
    first = ec2.describe_instance_types()
    assert len(first["InstanceTypes"]) == 100
    arm = [{"Name": "processor-info.supported-architecture", "Values": ["arm64"]}]
    pages = ec2.get_paginator("describe_instance_types").paginate(Filters=arm)
    names = [
        instancetype["InstanceType"] for page in pages for instancetype in page["InstanceTypes"]
    ]
    assert len(names) == len(set(names))
    assert {"t4g.small", "c6g.large"} <= {*names}
    assert "t3.small" not in names
    refused("InvalidParameterValue", ec2.describe_instance_types, MaxResults=101)


def test_catalog_types_are_offered_in_every_priced_region(aws):
    """A type is offered in some zones of some Regions.

    DescribeInstanceTypeOfferings
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
    """
    for region in table.PRICED_REGIONS:
        pages = client(aws, "ec2", region).get_paginator("describe_instance_type_offerings")
        offers = [
            instancetypeoffering
            for page in pages.paginate()
            for instancetypeoffering in page["InstanceTypeOfferings"]
        ]
        assert set(TYPES) <= {offer["InstanceType"] for offer in offers}
        assert {offer["Location"] for offer in offers} == {region}


def test_instance_prices_match_the_table_and_its_date(aws):
    """Products match all filters; each is a JSON text with its terms and publication date.

    GetProducts
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
    """
    for region in table.PRICED_REGIONS:
        offers = products(aws, "AmazonEC2", regionCode=region, operatingSystem="Linux")
        prices = {offer["product"]["attributes"]["instanceType"]: usd(offer) for offer in offers}
        assert prices == {k: (Decimal(v), "Hrs") for k, v in table.HOURLY.items()}
        assert {offer["publicationDate"][:10] for offer in offers} == {table.PRICES_AS_OF}


@pytest.mark.parametrize(
    "kind, code, fields",
    [
        (
            "gp3",
            "AmazonEC2",
            {"volumeApiName": "gp3", "productFamily": "Storage", "locationType": "AWS Region"},
        ),
        ("snapshot", "AmazonEC2", {"productFamily": "Storage Snapshot"}),
        ("efs", "AmazonEFS", {"storageClass": "General Purpose"}),
        ("address", "AmazonVPC", {"group": "VPCPublicIPv4Address"}),
    ],
)
def test_storage_and_address_prices_match_the_table(aws, kind, code, fields):
    """Each is a product of its own service.

    GetProducts
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
    """
    [product] = products(aws, code, regionCode="us-east-1", **fields)
    amount, unit = table.STORAGE[kind]
    assert usd(product) == (Decimal(amount), {"GB-month": "GB-Mo", "hour": "Hrs"}[unit])


def test_volumes_have_a_usage_type_a_unit_and_a_first_range_each(aws):
    """io2 is priced by tiers of its IOPS, gp3 from 3,000 IOPS on, throughput by GiB/s.

    Understand codes for Amazon EBS in billing and usage reports
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-billing-usage-reports.html
    """
    regional = {"locationType": "AWS Region", "regionCode": "us-west-2"}
    lines = {}
    for kind in ("gp3", "io2"):
        for product in products(aws, "AmazonEC2", volumeApiName=kind, **regional):
            [term] = product["terms"]["OnDemand"].values()
            [dimension] = term["priceDimensions"].values()
            amount, unit = usd(product)
            usage = product["product"]["attributes"]["usagetype"]
            lines[usage] = (f"{amount.normalize():f}", unit, dimension["beginRange"])
    assert lines == {
        "USW2-EBS:VolumeUsage.gp3": ("0.08", "GB-Mo", "0"),
        "USW2-EBS:VolumeP-IOPS.gp3": ("0.005", "IOPS-Mo", "3000"),
        "USW2-EBS:VolumeP-Throughput.gp3": ("40.96", "GiBps-mo", "0"),
        "USW2-EBS:VolumeUsage.io2": ("0.125", "GB-month", "0"),
        "USW2-EBS:VolumeP-IOPS.io2": ("0.065", "IOPS-Mo", "0"),
        "USW2-EBS:VolumeP-IOPS.io2.tier2": ("0.0455", "IOPS-Mo", "0"),
        "USW2-EBS:VolumeP-IOPS.io2.tier3": ("0.03185", "IOPS-Mo", "0"),
    }


def test_get_products_returns_nothing_for_a_region_without_prices(aws):
    """An empty list, not a price of zero.

    GetProducts
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
    """
    assert products(aws, "AmazonEC2", regionCode="eu-central-1", instanceType="t3.small") == []
    refused("InvalidParameterException", client(aws, "pricing").get_products, ServiceCode="Amazon")


def test_spot_price_is_below_on_demand_and_can_be_set(aws, ec2):
    """The Spot price of now, for each zone that offers the type.

    DescribeSpotPriceHistory
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """

    def price():
        history = ec2.describe_spot_price_history(
            InstanceTypes=["t3.large"], ProductDescriptions=["Linux/UNIX"]
        )
        return {Decimal(event["SpotPrice"]) for event in history["SpotPriceHistory"]}

    [usual] = price()
    assert usual < Decimal(table.HOURLY["t3.large"])
    set_rules(aws, spot={"t3.large": 0.05})
    assert price() == {Decimal("0.05")}
