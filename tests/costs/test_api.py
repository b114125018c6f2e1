"""Costs on the wire."""

import csv
import io

import pytest

from prism.providers.local.offer import LocalOffer
from tests.shapes import failed, shaped_like

RATE, DISK = 83_200, 1_600_000


@pytest.fixture
def spent(lab):
    """Two days of one workspace that is on, and of one that sleeps since its first day's end."""
    lab.project("lab")
    lab.running("on", project="lab")
    lab.running("asleep", project="lab")
    lab.settle(hours=24)
    lab.verb("asleep", "hibernate")
    lab.settle()
    lab.settle(hours=24)
    return lab


def test_what_is_paid_for_now(spent):
    now = shaped_like("GET costs/current", spent.http("GET", "/api/v1/costs/current"))
    disks = 2 * DISK / 720 / 1e6
    assert now["total_current_hourly"] == round(0.0832 + disks, 4)
    assert sum(now["cost_breakdown"].values()) == pytest.approx(now["total_current_hourly"])
    assert now["total_monthly_projection"] == round(0.0832 * 720 + 3.2, 2)
    assert now["hibernation_savings"]["current_month"] == round(24 * 0.0832, 2)
    assert [it["resource"] for it in now["top_cost_drivers"]] == ["on", "asleep"]
    assert now["top_cost_drivers"][0]["percentage"] == 97.5


def test_what_it_has_cost(spent):
    history = shaped_like("GET costs/history", spent.http("GET", "/api/v1/costs/history"))
    assert history["period"] == "30_days"
    assert len(history["daily_costs"]) == 30
    first, second = (bar for bar in history["daily_costs"] if bar["cost"])
    assert (first["date"], first["instances"]) == ("2026-01-01", 2)
    assert first["cost"] == round((48 * RATE + 2 * (DISK * 24 // 720)) / 1e6, 2)
    assert second["hibernation_savings"] == 2.0
    assert history["total_cost"] == round(spent.recount() / 1e6, 2)
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
def test_bars_begin_where_their_week_or_month_does(spent, granularity, dates):
    query = f"start_date=2025-12-31&end_date=2026-01-08&granularity={granularity}"
    history = spent.get(f"costs/history?{query}")
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
def test_a_period_that_makes_no_sense_is_refused(lab, query):
    failed(lab.http("GET", f"/api/v1/costs/history?{query}"), 422, "VALIDATION_FAILED")


def test_a_period_begins_no_earlier_than_the_calendar(lab):
    history = lab.http("GET", "/api/v1/costs/history?end_date=0001-01-02").json()
    assert history["period"] == "2_days"


def test_nothing_was_spent_before_anything_ran(lab):
    history = lab.get("costs/history")
    assert (history["total_cost"], history["cost_trends"]["primary_driver"]) == (0.0, None)
    assert history["cost_trends"]["trend_direction"] == "stable"
    assert lab.get("costs/current")["hibernation_savings"]["projected_monthly"] is None


def test_the_export_says_where_every_dollar_comes_from(spent):
    lines = spent.get("costs/export?start_date=2026-01-01&end_date=2026-01-31")
    paid = [it for it in lines if it["kind"] != "asleep"]
    assert sum(it["micros"] for it in paid) == spent.recount()
    assert {it["project_name"] for it in lines} == {"lab"}
    assert all(it["source"].startswith("simulated: ") and it["as_of"] for it in lines)
    table = spent.http("GET", "/api/v1/costs/export?format=csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    text = table.text
    assert [int(it["micros"]) for it in csv.DictReader(io.StringIO(text))] == [
        it["micros"] for it in spent.get("costs/export")
    ]


def test_nothing_in_a_table_is_a_formula(lab):
    lab.project("=1+1")
    lab.running("mine", project="=1+1")
    lab.settle(hours=1)
    text = lab.http("GET", "/api/v1/costs/export?format=csv").text
    assert ",'=1+1," in text


def test_the_list_is_settled_within_half_a_minute_and_tagged(lab):
    lab.running()
    lab.settle(hours=1)
    before = lab.http("GET", "/api/v1/instances")
    assert before.json()[0]["current_spend"] == 0.09
    lab.clock.advance(hours=1)
    again = {"If-None-Match": before.headers["etag"]}
    assert lab.http("GET", "/api/v1/instances", headers=again).status_code == 304
    lab.settle()
    after = lab.http("GET", "/api/v1/instances", headers=again)
    assert after.json()[0]["current_spend"] == 0.17


def test_a_sleep_has_saved_what_the_ledger_says_though_its_price_has_changed(lab, monkeypatch):
    lab.project("lab")
    lab.running(project="lab")
    lab.verb("mine", "hibernate")
    lab.settle()
    lab.settle(hours=2)
    asked = LocalOffer.price
    monkeypatch.setattr(LocalOffer, "price", lambda *of: (250_000, asked(*of)[1]))
    lab.daemon.wiring.prices.hurry()
    lab.settle(minutes=1)
    lab.settle(hours=2)
    status = lab.get("instances/mine/hibernation-status")
    saved = lab.get("projects/lab/budget")["hibernation_savings"]
    assert status["estimated_savings"] == saved == pytest.approx(2 * 0.0832 + 2 * 0.25, abs=0.01)
