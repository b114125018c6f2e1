"""What nobody measured or priced is null on every page, and named; never 0, never a guess."""

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


def test_a_report_says_unknown_and_names_what_has_no_price(unpriced_workspace):
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


def test_burn_and_projection_are_unknown(unpriced_workspace):
    assert unpriced_workspace.get("projects/lab")["budget"]["monthly_burn_rate"] is None
    [listed] = [
        project for project in unpriced_workspace.get("projects") if project["name"] == "lab"
    ]
    assert listed["budget"]["monthly_burn_rate"] is None
    analysis = unpriced_workspace.get("projects/lab/cost-analysis")
    assert analysis["current_monthly_burn"] is analysis["projected_monthly_burn"] is None
    forecast = unpriced_workspace.get("projects/lab/forecast")
    assert forecast["hourly"] is forecast["daily"] is forecast["monthly"] is None


def test_what_sleep_has_saved_is_unknown(unpriced_workspace):
    assert unpriced_workspace.get("projects/lab/budget")["hibernation_savings"] == 0.0, (
        "nothing slept"
    )
    unpriced_workspace.verb("mine", "hibernate")
    unpriced_workspace.settle()
    unpriced_workspace.live(hours=5)
    assert unpriced_workspace.state() == "hibernated"
    assert unpriced_workspace.get("projects/lab/budget")["hibernation_savings"] is None
    assert unpriced_workspace.get("projects/lab/report")["hibernation_savings"] is None


def test_of_a_cap_nothing_is_known_to_be_spent_or_left(unpriced_workspace):
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


def test_costs_keep_their_numbers_and_name_what_is_not_in_them(unpriced_workspace):
    current, history = (
        unpriced_workspace.get("costs/current"),
        unpriced_workspace.get("costs/history?project=lab"),
    )
    assert current["unpriced"] == current["unknown"] == history["unpriced"] == ["mine"]
    assert current["total_current_hourly"] == history["total_cost"] == 0.0
    assert unpriced_workspace.get("costs/history")["unpriced"] == ["mine"]
    before = "costs/history?start_date=2025-01-01&end_date=2025-02-01"
    assert unpriced_workspace.get(before)["unpriced"] == [], "of that period"


def test_what_is_known_is_counted_and_a_risk_is_no_lower_than_that(clocked_daemon, monkeypatch):
    """Its disk has a price, so sums are of that; but nobody can say that its cap is safe."""
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
    """A project with a daily pool: only a disk costs anything today, and its price was lost."""
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


def test_a_price_that_is_lost_later_makes_every_page_of_its_caps_unknown(lost_price):
    """The project, its allocation and the pool: nobody says 0 of what nobody knows."""
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
    assert budget["current_spend"] == round(lost_price.recount() / 1e6, 2) > 0, "of all days"
    assert summary["status"] == "ok"


def test_what_is_known_of_a_pool_is_counted_and_the_rest_is_named(lost_price):
    lost_price.found()
    lost_price.verb("mine", "start")
    lost_price.settle()
    lost_price.live(minutes=45)
    [part] = lost_price.get("budgets/grant/allocations")["allocations"]
    budget = lost_price.get("projects/lab/budget")
    assert part["spent"] == lost_price.get("budgets/grant")["spent"] == budget["spent"] > 0
    assert part["left"] == budget["left"] is not None
    assert part["unpriced"] == budget["unpriced"] == ["mine"]


def test_a_new_day_without_anything_unpriced_is_known_to_have_cost_nothing(lost_price):
    lost_price.verb("mine", "terminate", confirm="DELETE")
    lost_price.settle()
    lost_price.live(hours=24, step=240)
    budget = lost_price.get("projects/lab/budget")
    [part] = lost_price.get("budgets/grant/allocations")["allocations"]
    assert part["spent"] == budget["spent"] == budget["caps"][0]["spent"] == 0.0
    assert part["left"] == budget["left"] == budget["caps"][0]["left"] == 20.0
    assert part["unpriced"] == []


def test_a_page_for_a_browser_says_the_same_and_runs_nothing_that_a_name_holds(
    clocked_daemon, monkeypatch
):
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
