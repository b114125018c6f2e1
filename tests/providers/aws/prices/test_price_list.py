"""Prices of AWS's price list, else those of the packaged table, and never a guess."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from aws_double.rulebook import build
from prism.catalog import table
from prism.catalog.plan import PriceBook
from prism.kit.clock import StoppedClock
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.prices import price_list as module
from prism.providers.aws.prices.price_list import Prices
from tests.optional import not_none

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def clock():
    return StoppedClock(NOW)


@pytest.fixture
def prices(tmp_path, clock):
    return Prices(tmp_path / "prices", clock, PriceBook())


@pytest.fixture
def cloud(aws, monkeypatch):
    monkeypatch.setattr(module, "TYPES", {"t3.large": None, "c6i.large": None})
    return Cloud("us-west-2", sleep=lambda _: None)


def count_calls(aws, action="GetProducts"):
    return sum(call.action == action for call in aws.calls)


def test_price_is_that_of_the_table_before_the_first_fetch(prices):
    price = prices.hourly("t3.large", "us-east-1")
    assert price.amount == 83200
    assert price.source.endswith(f"us-east-1, as of {table.PRICES_AS_OF}")
    assert prices.stored("gp3", "us-west-2").amount == 80000
    assert prices.stored("address", "us-west-2").amount == 5000


def test_unknown_price_is_none(prices):
    assert prices.hourly("t3.large", "eu-west-1") is None
    assert prices.hourly("x9.huge", "us-east-1") is None
    assert prices.stored("io2", "us-east-1") is None
    assert prices.spot("t3.large", "us-east-1") is None


def test_fetched_price_has_a_date_and_survives_a_daemon_restart(
    prices, cloud, aws, tmp_path, clock
):
    assert prices.look(cloud)
    for known in (prices, Prices(tmp_path / "prices", clock, PriceBook())):
        price = not_none(known.hourly("t3.large", "us-west-2"))
        assert (price.amount, price.source) == (
            83200,
            "AWS price list, us-west-2, as of 2026-11-25",
        )
        kinds = ("gp3", "efs", "snapshot", "address")
        stored = {kind: not_none(known.stored(kind, "us-west-2")) for kind in kinds}
        assert stored["efs"].source.startswith("AWS price list")
        assert {key: quote.amount for key, quote in stored.items()} == {
            "gp3": 80000,
            "efs": 300000,
            "snapshot": 50000,
            "address": 5000,
        }


def test_price_list_is_fetched_daily_and_spot_prices_hourly(prices, cloud, aws, clock):
    for hours, listed, spot in ((0, 14, 1), (0.5, 14, 1), (1, 14, 2), (25, 28, 3)):
        clock.time = NOW
        clock.advance(hours=hours)
        prices.look(cloud)
        assert (count_calls(aws), count_calls(aws, "DescribeSpotPriceHistory")) == (listed, spot)


def test_spot_price_has_its_source_and_expires_after_hours(prices, cloud, aws, clock):
    aws.rules = build({"spot": {"t3.large": 0.0312}})
    prices.look(cloud)
    price = prices.spot("t3.large", "us-west-2")
    assert (price.amount, price.source) == (31200, "EC2 spot price, us-west-2, as of 2026-11-25")
    clock.advance(hours=7)
    assert prices.spot("t3.large", "us-west-2") is None, "an old spot price is not used"


def test_spot_price_is_the_latest_of_the_most_expensive_zone():
    def price_point(zone, hours, usd):
        at = NOW - timedelta(hours=hours)
        return {"InstanceType": "t3.large", "AvailabilityZone": zone, "Timestamp": at,
                "SpotPrice": usd}  # fmt: skip

    class RecordedPrices(Cloud):
        def __init__(self):
            """Needs nothing of a cloud."""

        def pages(self, *_, **arguments):
            assert arguments["StartTime"] == NOW
            yield from [
                price_point("a", 1, "0.02"),
                price_point("a", 9, "0.07"),
                price_point("b", 5, "0.03"),
            ]

    assert module.spot_prices(RecordedPrices(), NOW) == {"t3.large": 30000}


def test_table_is_used_if_the_list_is_denied_which_is_retried_later(prices, cloud, aws, clock):
    aws.rules = build({"denied": ["pricing:*"]})
    prices.look(cloud)
    assert not_none(prices.hourly("t3.large", "us-west-2")).source.endswith(table.PRICES_AS_OF)
    before = count_calls(aws)
    prices.look(cloud)
    assert count_calls(aws) == before
    aws.rules = build({})
    clock.advance(minutes=11)
    assert prices.look(cloud)
    assert prices.hourly("t3.large", "us-west-2").source.startswith("AWS price list")


def test_table_is_used_if_the_list_is_old(prices, cloud, clock):
    prices.look(cloud)
    clock.advance(days=31)
    assert not_none(prices.hourly("t3.large", "us-west-2")).source.endswith(table.PRICES_AS_OF)


def test_damaged_price_file_is_fetched_again(tmp_path, clock, cloud):
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "us-west-2.json").write_text("{")
    prices = Prices(tmp_path / "prices", clock, PriceBook())
    assert not_none(prices.hourly("t3.large", "us-west-2")).source.endswith(table.PRICES_AS_OF)
    assert prices.look(cloud)


def product(usd, unit="Hrs", begin="0", **attributes):
    dimension = {"unit": unit, "beginRange": begin, "pricePerUnit": {"USD": usd}}
    terms = {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}
    return json.loads(json.dumps({"product": {"attributes": attributes}, "terms": terms}))


@pytest.mark.parametrize(
    ("products", "usage", "expected"),
    [
        ([product("0.1")], "", 100000),
        ([product("0.1"), product("0.1")], "", 100000),
        ([product("0.1"), product("0.2")], "", None),  # it is unknown which of them applies
        ([], "", None),
        ([product("0.1", unit="Quantity")], "", None),
        ([product("0.1"), product("0.05", begin="1000")], "", 100000),  # a lower tier
        (
            [product("0.05", usagetype="USW2-EBS:SnapshotUsage"),
             product("0.0125", usagetype="USW2-EBS:SnapshotArchiveStorage")],
            "EBS:SnapshotUsage",
            50000,
        ),
    ],
)  # fmt: skip
def test_price_is_known_only_if_the_listed_products_agree(products, usage, expected):
    assert module._agreed_price(products, module.HOURLY_UNIT, usage) == expected


def test_prices_of_volumes_and_their_performance_are_those_of_the_list(prices, cloud):
    """Amazon EBS User Guide, "Understand codes for Amazon EBS in billing and usage reports".

    A Local Zone of the region has other prices; io2 has its own unit, and three tiers of IOPS.
    """
    prices.look(cloud)
    amounts = {kind: prices.stored(kind, "us-west-2") for kind in module.STORED}
    assert {kind: quote.amount for kind, quote in amounts.items() if quote is not None} == {
        "gp3": 80_000,
        "io2": 125_000,
        "gp3-iops": 5_000,
        "gp3-throughput": 40_000,
        "io2-iops": 65_000,
        "io2-iops-2": 45_500,
        "io2-iops-3": 31_850,
        "snapshot": 50_000,
        "efs": 300_000,
        "address": 5_000,
    }


def test_price_book_uses_the_list_in_regions_that_the_table_lacks(tmp_path, clock):
    """A root disk and an address in a region that the packaged table does not know."""
    listed = {"stored": {"gp3": 96000, "address": 5000}}
    for region, at in (("eu-west-3", NOW), ("eu-south-2", NOW - timedelta(days=40))):
        (tmp_path / f"{region}.json").write_text(
            json.dumps(listed | {"listed_at": at.isoformat()})
        )
    price_book = PriceBook()
    prices = Prices(tmp_path, clock, price_book)
    assert price_book.storage("gp3", "eu-west-3") is None
    prices.open("eu-west-3")
    prices.open("eu-south-2")
    disk, address = (
        not_none(price_book.storage(name, "eu-west-3")) for name in ("gp3", "address")
    )
    assert (disk.amount, disk.unit, disk.as_of, disk.source) == (
        96000, "GB-month", NOW.date(), "AWS price list"
    )  # fmt: skip
    assert (address.amount, address.unit) == (5000, "hour")
    assert price_book.storage("gp3", "eu-south-2") is None, "an old price is not used"


def test_shown_storage_price_equals_that_of_the_price_book(tmp_path, clock):
    """It is the price of the list while the list is fresh, else that of the table."""
    listed = {"stored": {"gp3": 81000, "io2": 125000}, "listed_at": NOW.isoformat()}
    (tmp_path / "us-east-1.json").write_text(json.dumps(listed))
    price_book = PriceBook()
    prices = Prices(tmp_path, clock, price_book)
    prices.open("us-east-1")
    for kind, amount in {"gp3": 81000, "io2": 125000, "address": 5000}.items():
        counted = not_none(price_book.storage(kind, "us-east-1"))
        price = not_none(prices.stored(kind, "us-east-1"))
        assert counted.amount == price.amount == amount
        assert price.source == f"{counted.source}, us-east-1, as of {counted.as_of}"
    clock.advance(days=31)
    assert not_none(prices.stored("gp3", "us-east-1")).amount == 80000
    assert not_none(price_book.storage("gp3", "us-east-1")).amount == 80000
    assert prices.stored("io2", "us-east-1") is None
    assert price_book.storage("io2", "us-east-1") is None
