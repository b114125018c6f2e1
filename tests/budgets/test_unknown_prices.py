"""Amounts without a known price are null in every answer, never 0, and are named."""

import csv
from io import StringIO

import pytest

from prism.catalog.plan import PriceBook
from prism.providers.local.offer import LocalOffer
from tests.money import API


@pytest.fixture
def unpriced_workspace(clocked_daemon, monkeypatch):
    """A project whose only workspace has no known price, of machine and of disk."""
    monkeypatch.setattr(LocalOffer, "price", lambda *_, **__: (None, None))
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=5)
    return clocked_daemon


def text(clocked_daemon, form):
    return clocked_daemon.http("GET", f"{API}/projects/lab/report?format={form}").text


def test_report_shows_unknown_costs_and_names_unpriced_workspaces(unpriced_workspace):
    report = unpriced_workspace.get("projects/lab/report")
    assert report["total"] is report["micros"] is None
    [share] = report["by_workspace"]
    assert (share["name"], share["cost"], share["micros"]) == ("mine", None, None)
    assert share["percentage"] is None
    assert report["unknown"] == ["mine"]
    page = text(unpriced_workspace, "markdown")
    assert "Spent: **unknown**" in page
    assert "1 workspace without a price, not in the total: mine." in page
    assert "| mine | unknown | |" in page
    rows = list(csv.DictReader(StringIO(text(unpriced_workspace, "csv"))))
    assert {row["cost"] for row in rows} == {row["micros"] for row in rows} == {""}
    assert ("without a price", "mine") in {(row["section"], row["name"]) for row in rows}


def test_burn_and_forecast_are_null_without_a_price(unpriced_workspace):
    assert unpriced_workspace.get("projects/lab")["budget"]["monthly_burn_rate"] is None
    [listed] = [
        project for project in unpriced_workspace.get("projects") if project["name"] == "lab"
    ]
    assert listed["budget"]["monthly_burn_rate"] is None
    analysis = unpriced_workspace.get("projects/lab/cost-analysis")
    assert analysis["current_monthly_burn"] is analysis["projected_monthly_burn"] is None
    forecast = unpriced_workspace.get("projects/lab/forecast")
    assert forecast["hourly"] is forecast["daily"] is forecast["monthly"] is None


def test_hibernation_savings_are_null_without_a_price(unpriced_workspace):
    assert unpriced_workspace.get("projects/lab/budget")["hibernation_savings"] == 0.0, (
        "no workspace has hibernated"
    )
    unpriced_workspace.verb("mine", "hibernate")
    unpriced_workspace.settle()
    unpriced_workspace.live(hours=5)
    assert unpriced_workspace.state() == "hibernated"
    assert unpriced_workspace.get("projects/lab/budget")["hibernation_savings"] is None
    assert unpriced_workspace.get("projects/lab/report")["hibernation_savings"] is None


def test_cap_amounts_are_null_without_a_price(unpriced_workspace):
    assert (
        unpriced_workspace.put("projects/lab", budget={"total_allocated": 10.0}).status_code == 200
    )
    for page in ("budget", "forecast"):
        answer = unpriced_workspace.get(f"projects/lab/{page}")
        [cap] = answer["caps"]
        assert cap["amount"] == 10.0
        for name in ("spent", "settled", "left", "projected"):
            assert cap[name] is None, name
        assert answer["spent"] is answer["left"] is None
        assert answer["unpriced"] == ["mine"]
    budget = unpriced_workspace.get("projects/lab/budget")
    assert budget["remaining"] is budget["budget_alerts"]["overspend_risk"] is None
    summary = unpriced_workspace.get("projects/lab")["budget"]
    assert summary["remaining"] is summary["left"] is summary["spent"] is None


def test_cost_routes_return_sums_and_name_unpriced_workspaces(unpriced_workspace):
    current, history = (
        unpriced_workspace.get("costs/current"),
        unpriced_workspace.get("costs/history?project=lab"),
    )
    assert current["unpriced"] == current["unknown"] == history["unpriced"] == ["mine"]
    assert current["total_current_hourly"] is history["total_cost"] is None
    assert current["total_daily_projection"] is current["total_monthly_projection"] is None
    assert unpriced_workspace.get("costs/history")["unpriced"] == ["mine"]
    before = "costs/history?start_date=2025-01-01&end_date=2025-02-01"
    assert unpriced_workspace.get(before)["unpriced"] == [], "unpriced workspaces of that period"


def test_known_disk_price_is_counted_and_the_risk_is_null(clocked_daemon, monkeypatch):
    """The disk has a price and is counted; without the machine's price the risk is unknown."""
    monkeypatch.setattr("prism.providers.local.offer.price", lambda kind, region: None)
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=24)
    assert clocked_daemon.put("projects/lab", budget={"total_allocated": 100.0}).status_code == 200
    budget = clocked_daemon.get("projects/lab/budget")
    assert (
        budget["spent"]
        == budget["caps"][0]["spent"]
        == round(clocked_daemon.recount() / 1e6, 2)
        > 0
    )
    assert budget["budget_alerts"]["overspend_risk"] is None
    report = clocked_daemon.get("projects/lab/report")
    assert report["micros"] == clocked_daemon.recount()
    assert {group["name"]: group["cost"] for group in report["by_kind"]}["compute"] is None
    assert clocked_daemon.put("projects/lab", budget={"total_allocated": 1.0}).status_code == 409


@pytest.fixture
def lost_price(clocked_daemon, monkeypatch):
    """A project with a daily pool: only a disk costs money today, and its price is unknown."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 50.0, "daily")
    clocked_daemon.allocate("grant", "lab", 20.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(minutes=45)
    known, price = {"yes": False}, PriceBook.storage

    def priced(*of):
        return price(*of) if known["yes"] else None

    monkeypatch.setattr(PriceBook, "storage", priced)
    clocked_daemon.found = lambda: known.update(yes=True)
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.live(hours=24, step=240)
    assert clocked_daemon.state() == "hibernated"
    return clocked_daemon


def test_lost_price_makes_amounts_null_in_every_answer(lost_price):
    """Project, allocation and pool show null and not 0."""
    budget, forecast = (
        lost_price.get("projects/lab/budget"),
        lost_price.get("projects/lab/forecast"),
    )
    project_budget, [listed] = lost_price.get("projects/lab")["budget"], lost_price.get("projects")
    pool, summary = lost_price.get("budgets/grant"), lost_price.get("budgets/grant/summary")
    [part] = lost_price.get("budgets/grant/allocations")["allocations"]
    pages = [budget, forecast, project_budget, listed["budget"], pool, part, *budget["caps"]]
    pages += [summary["budget"], *summary["allocations"], lost_price.get("budgets")["budgets"][0]]
    for page in pages:
        assert page["spent"] is page["left"] is None, page
    for page in (pool, part):
        assert page["spent_amount"] is page["utilization_rate"] is None
        assert page["unpriced"] == ["mine"]
    assert pool["remaining_amount"] is part["remaining"] is None
    assert budget["remaining"] is project_budget["remaining"] is None
    assert budget["current_spend"] == round(lost_price.recount() / 1e6, 2) > 0, (
        "the spending of all days"
    )
    assert summary["status"] == "ok"


def test_pool_counts_known_costs_and_names_unpriced_workspaces(lost_price):
    lost_price.found()
    lost_price.verb("mine", "start")
    lost_price.settle()
    lost_price.live(minutes=45)
    [part] = lost_price.get("budgets/grant/allocations")["allocations"]
    budget = lost_price.get("projects/lab/budget")
    assert part["spent"] == lost_price.get("budgets/grant")["spent"] == budget["spent"] > 0
    assert part["left"] == budget["left"] is not None
    assert part["unpriced"] == budget["unpriced"] == ["mine"]


def test_daily_pool_shows_zero_on_a_day_without_unpriced_workspaces(lost_price):
    lost_price.verb("mine", "terminate", confirm="DELETE")
    lost_price.settle()
    lost_price.live(hours=24, step=240)
    budget = lost_price.get("projects/lab/budget")
    [part] = lost_price.get("budgets/grant/allocations")["allocations"]
    assert part["spent"] == budget["spent"] == budget["caps"][0]["spent"] == 0.0
    assert part["left"] == budget["left"] == budget["caps"][0]["left"] == 20.0
    assert part["unpriced"] == []


def test_html_report_escapes_names_and_lists_unpriced_workspaces(clocked_daemon, monkeypatch):
    monkeypatch.setattr(LocalOffer, "price", lambda *_, **__: (None, None))
    name = "<script>alert(1)</script>"
    clocked_daemon.project(name)
    clocked_daemon.running(project=name)
    id = clocked_daemon.get("projects")[0]["id"]
    page = clocked_daemon.http("GET", f"{API}/projects/{id}/report?format=html").text
    assert "<script" not in page
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;: 2026-01</h1>" in page
    assert "<td>mine</td><td>unknown</td><td></td>" in page
    assert "1 workspace without a price, not in the total: mine." in page
