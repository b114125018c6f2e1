"""The export in the format FOCUS adds up to the ledger."""

import csv
import io
import json
from decimal import Decimal

import pytest

from prism.catalog.plan import size_words
from prism.costs.focus import focus_rows
from prism.costs.model import CostKind, Segment
from prism.kit.money import Micros
from prism.providers.local.offer import LocalOffer

FOCUS_COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def rows(clocked_daemon, query=""):
    answer = clocked_daemon.http("GET", f"/api/v1/costs/export?format=focus{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


def hour(instance_type, profile):
    """An hour of compute in 1970."""
    return Segment(
        id=1,
        resource="ws_1",
        name="mine",
        owner="ada",
        profile=profile,
        template=None,
        project=None,
        allocation=None,
        pool=None,
        kind=CostKind.COMPUTE,
        detail=instance_type,
        amount=Micros(83_200),
        hours=1,
        source="table",
        as_of=None,
        began=0,
        ended=3600,
        counted=None,
        reconstructed=False,
    )


@pytest.fixture
def two_months(clocked_daemon):
    """A workspace in a pool, and a volume, from the end of January to the begin of February."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 500.0)
    clocked_daemon.allocate("grant", "lab", 400.0)
    clocked_daemon.settle(days=30)
    clocked_daemon.running("mine", project="lab")
    clocked_daemon.made("storage/volumes/create", type="ebs", name="d", size_gb=50, project="lab")
    clocked_daemon.settle()
    clocked_daemon.live(hours=20)
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=30)
    return clocked_daemon


def test_all_costs_of_the_export_add_up_to_the_ledger(two_months):
    exported = rows(two_months)
    for column in FOCUS_COSTS:
        total = sum(Decimal(row[column]) for row in exported)
        assert total * 1_000_000 == two_months.recount(), column
    assert {row["BillingCurrency"] for row in exported} == {"USD"}
    lines = two_months.get("costs/export")
    assert any(line["kind"] == "asleep" for line in lines), "savings have no row"
    assert {row["ServiceCategory"] for row in exported} == {"Compute", "Storage"}


def test_each_charge_lies_in_its_billing_month(two_months):
    exported = rows(two_months)
    months = {(row["BillingPeriodStart"], row["BillingPeriodEnd"]) for row in exported}
    assert months == {
        ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    }
    for row in exported:
        begin, end = row["ChargePeriodStart"], row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] <= begin < end <= row["BillingPeriodEnd"]
        price = Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"])
        assert price == pytest.approx(Decimal(row["ListCost"]), abs=Decimal("0.000002"))
    january = rows(two_months, "&start_date=2026-01-01&end_date=2026-01-31")
    february = rows(two_months, "&start_date=2026-02-01&end_date=2026-02-28")
    both = sum(Decimal(row["BilledCost"]) for row in (*january, *february))
    assert both * 1_000_000 == two_months.recount()


def test_rows_name_resource_payer_and_owner(two_months):
    [disk] = [
        row
        for row in rows(two_months, "&project=lab")
        if row["ServiceName"] == "Block storage" and row["ChargePeriodStart"] < "2026-02"
    ]
    assert (disk["ResourceName"], disk["SubAccountName"]) == ("d", "lab")
    assert disk["ResourceId"].startswith("volume_")
    assert disk["PricingUnit"] == disk["ConsumedUnit"] == "Months"
    assert (disk["ChargeCategory"], disk["ChargeFrequency"]) == ("Usage", "Usage-Based")
    tags = json.loads(disk["Tags"])
    assert (tags["owner"], tags["budget"]) == ("ada", "grant")
    assert tags["price_source"].startswith("simulated")


def test_an_unknown_price_is_empty_and_not_zero(clocked_daemon, monkeypatch):
    monkeypatch.setattr(LocalOffer, "price", lambda *_, **__: (None, None))
    clocked_daemon.running("mine")
    clocked_daemon.settle(hours=1)
    [compute] = [row for row in rows(clocked_daemon) if row["ServiceCategory"] == "Compute"]
    assert {compute[column] for column in FOCUS_COSTS} == {""}


def test_a_local_workspace_has_a_size_and_no_type_of_ec2(two_months):
    exported = rows(two_months)
    [sku] = {row["SkuId"] for row in exported if row["ServiceCategory"] == "Compute"}
    assert sku == "M, 2 vCPUs, 8 GiB"
    assert "t3." not in "".join(row["ChargeDescription"] for row in exported)
    assert {row["ProviderName"] for row in exported} == {"local"}


def test_words_of_a_size():
    assert size_words("g4dn.xlarge") == "XS or S, 4 vCPUs, 16 GiB, 1 × NVIDIA T4"
    assert size_words("t3.micro") == "2 vCPUs, 1 GiB", "no size means this type"
    assert size_words("u-1") == "u-1"


def test_a_workspace_on_ec2_names_its_type():
    """The provider of a profile is that of the profile's row."""
    of = {"projects": {}, "pools": {}, "providers": {"aws-work": "aws", "local": "local"}}
    segment = hour("m5.large", "aws-work")
    [row] = focus_rows([segment], 0, 7200, **of)
    assert (row["SkuId"], row["ProviderName"]) == ("m5.large", "aws")
    [row] = focus_rows([hour("t3.small", "gone")], 0, 7200, **of)
    assert (row["SkuId"], row["ProviderName"]) == ("t3.small", "Unknown")
