"""The catalog of machine types and prices: complete, and without guesses."""

from itertools import pairwise

import pytest

from prism.catalog import table
from prism.catalog.model import UnknownType
from prism.catalog.plan import (
    TYPES,
    PriceBook,
    machine_type,
    performance_price,
    price,
    root_iops,
)
from prism.kit.money import Micros, micros
from tests.optional import not_none

EVERY_SIZE = [
    (family, architecture, size)
    for family, architecture in table.SIZES
    for size in table.SIZE_NAMES
]
# Prices from a published source, written out a second time by hand.
SOURCED_PRICES = {
    "t3.micro": 10_400,
    "t3.small": 20_800,
    "t3.medium": 41_600,
    "t3.large": 83_200,
    "t3.xlarge": 166_400,
    "t3.2xlarge": 332_800,
    "t4g.small": 16_800,
    "t4g.medium": 33_600,
    "t4g.large": 67_200,
    "t4g.xlarge": 134_400,
    "t4g.2xlarge": 268_800,
    "c6i.large": 85_000,
    "r6i.large": 126_000,
    "g4dn.xlarge": 526_000,
    "g4dn.2xlarge": 752_000,
    "g4dn.4xlarge": 1_204_000,
    "g4dn.8xlarge": 2_176_000,
}


@pytest.mark.parametrize(("family", "architecture", "size"), EVERY_SIZE)
def test_every_size_of_every_family_has_a_machine_type_and_a_price(family, architecture, size):
    kind = machine_type(None, size, family, architecture)
    assert kind.architecture == architecture
    assert (kind.gpus > 0) == (family == "gpu") == (kind.gpu_model is not None)
    for region in ("us-east-1", "us-west-2"):
        assert not_none(price(kind.name, region)).hourly > 0


@pytest.mark.parametrize("family", table.SIZES, ids=" ".join)
def test_larger_size_has_at_least_as_much_memory_and_as_many_vcpus(family):
    kinds = [machine_type(None, size, *family) for size in table.SIZE_NAMES]
    for less, more in pairwise(kinds):
        assert less.memory_gib <= more.memory_gib
        assert less.vcpus <= more.vcpus


def test_sizes_map_to_the_documented_machine_types():
    assert [machine_type(None, size).name for size in table.SIZE_NAMES] == [
        "t3.small",
        "t3.medium",
        "t3.large",
        "t3.xlarge",
        "t3.2xlarge",
    ]
    assert machine_type(None).name == machine_type(None, None, "general").name == "t3.large"
    assert machine_type(None, "XS", "gpu") == machine_type(None, "S", "gpu")
    assert machine_type(None, "S", "general", "arm64").name == "t4g.medium"
    assert machine_type(None, "XL", "memory").memory_gib == 256


def test_machine_type_by_name_overrides_size_and_family():
    assert machine_type("g4dn.xlarge", "XL", "memory").name == "g4dn.xlarge"
    assert machine_type("t3.micro", "no such size", "no such family").vcpus == 2


@pytest.mark.parametrize(("name", "amount"), SOURCED_PRICES.items())
@pytest.mark.parametrize("region", ["us-east-1", "us-west-2"])
def test_prices_equal_the_sourced_prices(name, amount, region):
    known = not_none(price(name, region))
    assert known.hourly == amount
    assert known.source
    assert known.as_of.year == 2026


@pytest.mark.parametrize("family", ["c6i", "r6i"])
def test_price_vcpus_and_memory_double_with_each_size(family):
    kinds = [TYPES[f"{family}.{n}large"] for n in ("", "x", "2x", "4x", "8x")]
    for less, more in pairwise(kinds):
        assert more.vcpus == 2 * less.vcpus
        assert more.memory_gib == 2 * less.memory_gib
        half, whole = (
            not_none(price(instance_type.name, "us-east-1")).hourly
            for instance_type in (less, more)
        )
        assert whole == 2 * half


def test_prices_and_machine_types_have_the_same_names():
    assert set(table.HOURLY) == set(TYPES)


@pytest.mark.parametrize("name", ["g4dn.large", "c6i.9xlarge", "T3.small", "", "t3"])
def test_unknown_type_error_names_the_type_and_known_types(name):
    with pytest.raises(UnknownType) as caught:
        machine_type(name)
    assert repr(name) in caught.value.message
    assert "t3.large" in caught.value.details
    assert price(name, "us-east-1") is None


def test_unknown_type_error_suggests_a_similar_name():
    with pytest.raises(UnknownType) as caught:
        machine_type("t3.mediun")
    assert "did you mean 't3.medium'?" in caught.value.details


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        ((None, "XXL"), "XS, S, M, L, XL"),
        ((None, "M", "quantum"), "gpu on x86_64"),
        ((None, "M", "memory", "arm64"), "general on arm64"),
    ],
)
def test_unknown_size_or_family_error_lists_the_valid_values(arguments, known):
    with pytest.raises(UnknownType) as caught:
        machine_type(*arguments)
    assert known in caught.value.details


def test_unknown_price_is_none():
    assert price("t3.small", "eu-central-1") is None
    assert price("t3.small", "local") is None
    assert PriceBook().storage("gp3", "eu-central-1") is None
    assert PriceBook().storage("io2", "us-east-1") is None


@pytest.mark.parametrize(
    ("kind", "usd", "unit"),
    [
        ("gp3", "0.08", "GB-month"),
        ("efs", "0.30", "GB-month"),
        ("snapshot", "0.05", "GB-month"),
        ("address", "0.005", "hour"),
    ],
)
def test_storage_has_a_price_and_a_unit(kind, usd, unit):
    known = not_none(PriceBook().storage(kind, "us-west-2"))
    assert (known.amount, known.unit) == (micros(usd), unit)


def test_gpu_and_large_memory_types_do_not_hibernate():
    assert TYPES["t3.small"].hibernates
    assert TYPES["c6i.8xlarge"].hibernates
    assert not TYPES["g4dn.xlarge"].hibernates
    assert not any(kind.hibernates for kind in TYPES.values() if kind.memory_gib > 150)


IO2: dict[str, Micros] = {
    "io2-iops": Micros(65_000),
    "io2-iops-2": Micros(45_500),
    "io2-iops-3": Micros(31_850),
}
GP3: dict[str, Micros] = {"gp3-iops": Micros(5_000), "gp3-throughput": Micros(40_000)}
NO_PRICE: dict[str, Micros] = {}


@pytest.mark.parametrize(
    ("kind", "iops", "throughput", "usd"),
    [
        ("gp3", None, None, 0),
        ("gp3", 3000, 125, 0),
        ("gp3", 4000, 125, 5),
        ("gp3", 3000, 250, 5),
        ("gp3", 16_000, 1000, 65 + 35),
        ("gp2", 300, None, 0),
        ("st1", None, None, 0),
        ("io2", 3000, None, 195),
        ("io2", 32_000, None, 2080),
        ("io2", 64_000, None, 2080 + 1456),
        ("io2", 256_000, None, 2080 + 1456 + 6115.2),
    ],
)
def test_provisioned_performance_is_priced_by_its_tiers(kind, iops, throughput, usd):
    """Amazon EBS pricing, "Provisioned IOPS SSD (io2)" and "General Purpose SSD (gp3)"."""
    prices = {**IO2, **GP3}
    assert performance_price(kind, iops, throughput, prices.get) == round(usd * 1_000_000)


def test_performance_without_a_known_price_is_unknown():
    assert performance_price("io2", 3000, None, GP3.get) is None
    assert performance_price("gp3", 3001, None, NO_PRICE.get) is None
    assert performance_price("gp3", 3000, 126, NO_PRICE.get) is None
    assert performance_price("gp3", 3000, 125, NO_PRICE.get) == 0
    assert performance_price("io2", 33_000, None, {"io2-iops": IO2["io2-iops"]}.get) is None


def test_root_disk_of_io2_gets_as_many_iops_as_gp3_has():
    assert [root_iops(kind, 100) for kind in ("gp3", "gp2", "io2")] == [None, None, 3000]
    assert root_iops("io2", 4) == 2000, "EBS: at most 500 IOPS for each GiB"
