"""The routes of costs."""

import csv
import io

import pytest

from prism.providers.local.offer import LocalOffer
from tests.months import january
from tests.shapes import failed, shaped_like

RATE, DISK = 83_200, 1_600_000


@pytest.fixture
def two_days_of_costs(clocked_daemon):
    """Two days with a running workspace and one that hibernates on the second day."""
    clocked_daemon.project("lab")
    clocked_daemon.running("on", project="lab")
    clocked_daemon.running("asleep", project="lab")
    clocked_daemon.settle(hours=24)
    clocked_daemon.verb("asleep", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=24)
    return clocked_daemon


def test_current_costs_contain_rates_savings_and_top_drivers(two_days_of_costs):
    now = shaped_like("GET costs/current", two_days_of_costs.http("GET", "/api/v1/costs/current"))
    disks = 2 * DISK / 720 / 1e6
    assert now["total_current_hourly"] == round(0.0832 + disks, 4)
    assert sum(now["cost_breakdown"].values()) == pytest.approx(now["total_current_hourly"])
    assert now["total_monthly_projection"] == round(0.0832 * 720 + 3.2, 2)
    assert now["hibernation_savings"]["current_month"] == round(24 * 0.0832, 2)
    assert [driver["resource"] for driver in now["top_cost_drivers"]] == ["on", "asleep"]
    assert now["top_cost_drivers"][0]["percentage"] == 97.5


def test_cost_history_contains_days_totals_and_trend(two_days_of_costs):
    history = shaped_like(
        "GET costs/history", two_days_of_costs.http("GET", "/api/v1/costs/history")
    )
    assert history["period"] == "30_days"
    assert len(history["daily_costs"]) == 30
    first, second = (bar for bar in history["daily_costs"] if bar["cost"])
    assert (first["date"], first["instances"]) == ("2026-01-01", 2)
    assert first["cost"] == round((48 * RATE + 2 * january(DISK, 0, 24)) / 1e6, 2)
    assert second["hibernation_savings"] == 2.0
    assert history["total_cost"] == round(two_days_of_costs.recount() / 1e6, 2)
    assert history["cost_trends"]["trend_direction"] == "increasing"
    assert history["cost_trends"]["primary_driver"].endswith(
        "compute than in the first half of the period"
    )


@pytest.mark.parametrize(
    ("granularity", "dates"),
    [
        ("weekly", ["2025-12-31", "2026-01-05"]),
        ("monthly", ["2025-12-31", "2026-01-01"]),
    ],
)
def test_weekly_and_monthly_bars_begin_at_their_week_or_month(
    two_days_of_costs, granularity, dates
):
    query = f"start_date=2025-12-31&end_date=2026-01-08&granularity={granularity}"
    history = two_days_of_costs.get(f"costs/history?{query}")
    assert [bar["date"] for bar in history["daily_costs"]] == dates
    assert history["period"] == "9_days"
    assert sum(bar["cost"] for bar in history["daily_costs"]) == history["total_cost"]


@pytest.mark.parametrize(
    "query",
    [
        "start_date=yesterday",
        "start_date=2026-13-01",
        "start_date=2026-01-03&end_date=2026-01-01",
        "start_date=1990-01-01",
        "granularity=hourly",
    ],
)
def test_invalid_history_period_is_rejected(clocked_daemon, query):
    failed(clocked_daemon.http("GET", f"/api/v1/costs/history?{query}"), 422, "VALIDATION_FAILED")


def test_history_period_begins_no_earlier_than_the_first_calendar_day(clocked_daemon):
    history = clocked_daemon.http("GET", "/api/v1/costs/history?end_date=0001-01-02").json()
    assert history["period"] == "2_days"


def test_cost_history_without_workspaces_is_zero(clocked_daemon):
    history = clocked_daemon.get("costs/history")
    assert (history["total_cost"], history["cost_trends"]["primary_driver"]) == (0.0, None)
    assert history["cost_trends"]["trend_direction"] == "stable"
    assert clocked_daemon.get("costs/current")["hibernation_savings"]["projected_monthly"] is None


def test_cost_export_lists_every_segment_as_json_and_csv(two_days_of_costs):
    lines = two_days_of_costs.get("costs/export?start_date=2026-01-01&end_date=2026-01-31")
    paid = [line for line in lines if line["kind"] != "asleep"]
    assert sum(segment["micros"] for segment in paid) == two_days_of_costs.recount()
    assert {line["project_name"] for line in lines} == {"lab"}
    assert all(line["source"].startswith("simulated: ") and line["as_of"] for line in lines)
    table = two_days_of_costs.http("GET", "/api/v1/costs/export?format=csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    text = table.text
    assert [int(segment["micros"]) for segment in csv.DictReader(io.StringIO(text))] == [
        cost["micros"] for cost in two_days_of_costs.get("costs/export")
    ]


def test_cost_export_escapes_formulas_in_csv(clocked_daemon):
    clocked_daemon.project("=1+1")
    clocked_daemon.running("mine", project="=1+1")
    clocked_daemon.settle(hours=1)
    text = clocked_daemon.http("GET", "/api/v1/costs/export?format=csv").text
    assert ",'=1+1," in text


def test_listed_spend_and_etag_change_only_with_a_settlement(clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.settle(hours=1)
    before = clocked_daemon.http("GET", "/api/v1/instances")
    assert before.json()[0]["current_spend"] == 0.09
    clocked_daemon.clock.advance(hours=1)
    again = {"If-None-Match": before.headers["etag"]}
    assert clocked_daemon.http("GET", "/api/v1/instances", headers=again).status_code == 304
    clocked_daemon.settle()
    after = clocked_daemon.http("GET", "/api/v1/instances", headers=again)
    assert after.json()[0]["current_spend"] == 0.17


def test_hibernation_savings_equal_the_ledger_after_a_price_change(clocked_daemon, monkeypatch):
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=2)
    original = LocalOffer.price
    monkeypatch.setattr(LocalOffer, "price", lambda *of: (250_000, original(*of)[1]))
    clocked_daemon.daemon.prices.look_soon()
    clocked_daemon.settle(minutes=1)
    clocked_daemon.settle(hours=2)
    status = clocked_daemon.get("instances/mine/hibernation-status")
    saved = clocked_daemon.get("projects/lab/budget")["hibernation_savings"]
    assert status["estimated_savings"] == saved == pytest.approx(2 * 0.0832 + 2 * 0.25, abs=0.01)


def test_history_has_days_that_were_summed_up_after_it_was_read(clocked_daemon):
    """Cached days are read again when a day is added, and when later costs change one."""
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    for _ in range(3):
        clocked_daemon.settle(hours=24)
        clocked_daemon.daemon.ledger.roll()
        assert clocked_daemon.get("costs/history")["micros"] == clocked_daemon.recount() > 0
