"""A project without a cap of its own, only with allocations: used, left, and forecast."""

from datetime import timedelta

import pytest

from tests.months import seconds_paid
from tests.shapes import failed

RATE, DISK = 83_200, 1_600_000
SECOND = timedelta(seconds=1)
LIMITS = ("alert_threshold", "auto_hibernate_threshold", "prevent_launch_threshold")


@pytest.fixture
def two_pools(clocked_daemon):
    """One pool pays for the running workspace; the other is unused."""
    clocked_daemon.project("lab")
    for name, amount in (("grant", 100.0), ("gift", 5.0)):
        clocked_daemon.pool(name, amount)
        clocked_daemon.allocate(name, "lab", amount)
    clocked_daemon.running(project="lab", budget="grant")
    clocked_daemon.live(hours=4)
    return clocked_daemon


def test_each_allocation_is_forecast_from_its_own_costs(two_pools):
    forecast = two_pools.get("projects/lab/forecast")
    parts = [cap for cap in forecast["caps"] if cap["scope"] == "allocation"]
    gift, grant = sorted(parts, key=lambda it: it["cap"])
    assert (gift["runs_out"], gift["projected"]) == (None, 0.0)
    month = 720 * RATE + DISK
    [(_, settled, reserved)] = two_pools.balances("lab, from grant")
    [held] = two_pools.reservations()
    left = 100_000_000 - settled - reserved
    gone = held.until + seconds_paid(left, RATE, DISK, held.part_until)
    assert grant["runs_out"] == forecast["runs_out"]
    assert (
        grant["runs_out"]
        == f"{two_pools.clock.now() + (gone - two_pools.now) * SECOND:%Y-%m-%dT%H:%M:%SZ}"
    )
    assert forecast["monthly"] == round(month / 1e6, 2)


def test_overspend_risk_is_judged_per_allocation(two_pools):
    """61 dollars a month are a low risk for 100 dollars; the other five are unused."""
    assert two_pools.get("projects/lab/budget")["budget_alerts"]["overspend_risk"] == "low"
    [part] = two_pools.get("budgets/grant/allocations")["allocations"]
    two_pools.put(f"allocations/{part['id']}", allocated_amount=70.0)
    assert two_pools.get("projects/lab/budget")["budget_alerts"]["overspend_risk"] == "medium"
    two_pools.put(f"allocations/{part['id']}", allocated_amount=60.0)
    assert two_pools.get("projects/lab/budget")["budget_alerts"]["overspend_risk"] == "high"


def test_overspend_risk_of_a_new_allocation_ignores_older_costs(clocked_daemon):
    """Only what this allocation pays counts, not what the project spent before."""
    clocked_daemon.project("lab")
    clocked_daemon.running("old", project="lab")
    clocked_daemon.live(hours=24)
    clocked_daemon.pool("grant", 70.0)
    clocked_daemon.allocate("grant", "lab", 70.0)
    clocked_daemon.running("new", project="lab")
    budget = clocked_daemon.get("projects/lab/budget")
    assert budget["budget_alerts"]["overspend_risk"] == "medium", "61 dollars a month of 70"


@pytest.fixture
def daily_pool(clocked_daemon):
    """A pool of 2.5 dollars a day, and a workspace that has run for a day and an hour."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 10.0, "daily")
    clocked_daemon.allocate("grant", "lab", 2.5)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=25)
    return clocked_daemon


def test_amount_left_of_a_daily_pool_is_that_of_the_present_day(daily_pool):
    [part] = daily_pool.get("budgets/grant/allocations")["allocations"]
    summary = daily_pool.get("projects/lab")["budget"]
    assert summary["current_spend"] == round(daily_pool.recount() / 1e6, 2) > 2.0
    today = daily_pool.recount(daily_pool.now - 3600)
    assert summary["total_allocated"] == 2.5
    assert summary["remaining"] == part["remaining"] == round(2.5 - today / 1e6, 2) > 2.4
    assert daily_pool.get("projects")[0]["budget"] == summary
    money = daily_pool.get("projects/lab/budget")
    assert money["remaining"] == summary["remaining"]
    assert money["reserved"] == part["reserved_amount"]


def test_amount_left_of_a_project_is_the_sum_over_its_allocations(daily_pool):
    daily_pool.pool("gift", 5.0)
    daily_pool.allocate("gift", "lab", 4.0)
    project, [part] = (
        daily_pool.get("projects/lab"),
        daily_pool.get("budgets/grant/allocations")["allocations"],
    )
    assert project["budget"]["total_allocated"] == 6.5
    assert project["budget"]["remaining"] == round(part["remaining"] + 4.0, 2)


def test_amount_left_excludes_pools_that_have_ended_or_not_begun(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("old", 100.0, end_date="2026-01-02T00:00:00Z")
    clocked_daemon.pool("next", 50.0, start_date="2026-02-01T00:00:00Z")
    for name in ("old", "next"):
        clocked_daemon.allocate(name, "lab", 50.0)
    for hours, left in ((0, 50.0), (24, 0.0), (31 * 24, 50.0)):
        clocked_daemon.settle(hours=hours)
        summary = clocked_daemon.get("projects/lab")["budget"]
        assert (summary["total_allocated"], summary["remaining"]) == (left, left)
        assert clocked_daemon.get("projects/lab/budget")["remaining"] == left


def test_ended_allocation_shows_its_overrun_without_alerts(clocked_daemon):
    """Disks exceeded it before the pool ended."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("old", 1.7, end_date="2026-03-05T00:00:00Z")
    clocked_daemon.allocate("old", "lab", 1.7)
    clocked_daemon.running(project="lab", budget="old")
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    for weeks, is_over in ((8, False), (2, True)):
        for _ in range(weeks):
            clocked_daemon.settle(hours=24 * 7)
        budget, forecast = (
            clocked_daemon.get("projects/lab/budget"),
            clocked_daemon.get("projects/lab/forecast"),
        )
        assert budget["budget_alerts"]["threshold_80_percent"] is not is_over
        assert budget["overrun"] > 0, "the overrun is still shown"
        assert (forecast["runs_out"] is None) is is_over
        assert forecast["caps"][0]["runs_out"] == forecast["runs_out"]
        assert clocked_daemon.get("budgets/old")["overrun"] > 0


def test_amount_left_of_a_project_is_that_of_its_own_cap_if_it_has_one(daily_pool):
    daily_pool.put("projects/lab", budget={"total_allocated": 50.0})
    summary = daily_pool.get("projects/lab")["budget"]
    assert summary["remaining"] == round(50.0 - daily_pool.recount() / 1e6, 2)


@pytest.fixture
def make_limited_project(clocked_daemon):
    """A project with thresholds but no cap, and allocations of which 4 % is used."""

    def make(**limits):
        clocked_daemon.made("projects", name="lab", budget=limits)
        clocked_daemon.pool("grant", 4.5)
        clocked_daemon.pool("gift", 0.5)
        clocked_daemon.allocate("grant", "lab", 4.5, alert_threshold=1.0)
        clocked_daemon.allocate("gift", "lab", 0.5, alert_threshold=1.0)
        clocked_daemon.running(project="lab", budget="grant")
        clocked_daemon.live(hours=2, minutes=30)
        assert 0.042 < clocked_daemon.recount() / 5e6 < 0.045
        return clocked_daemon

    return make


def test_hibernation_threshold_without_a_cap_is_a_share_of_the_allocations(make_limited_project):
    lab = make_limited_project(auto_hibernate_threshold=4.0)
    assert lab.state() == "hibernated"
    assert lab.reasons() == ["4 % of the budget of $5.00 of project 'lab' is spent"]


def test_launch_threshold_without_a_cap_refuses_launches_and_starts(make_limited_project):
    lab = make_limited_project(prevent_launch_threshold=4.0)
    fault = failed(lab.launch("more", project="lab", budget="gift"), 403, "BUDGET_EXCEEDED")
    assert "of the cap of $5.00 is spent, and launches end at 4 %" in fault["details"]
    assert lab.state() == "running"
    assert lab.verb("mine", "extend", hours=1).status_code == 204, (
        "the running workspace may be extended"
    )
    lab.verb("mine", "stop")
    lab.settle()
    failed(lab.verb("mine", "start"), 403, "BUDGET_EXCEEDED")


def test_alert_threshold_without_a_cap_records_one_event(make_limited_project):
    lab = make_limited_project(alert_threshold=4.0)
    [event] = lab.events("budget_threshold_exceeded")
    assert (event.subject, event.data["scope"], event.data["threshold"]) == (
        "lab",
        "project",
        0.04,
    )
    assert event.data["cap"] == 5_000_000
    assert 200_000 <= event.data["settled"] <= lab.recount()
    lab.settle(minutes=1)
    assert len(lab.events("budget_threshold_exceeded")) == 1


def test_thresholds_have_no_effect_below_their_percentage(make_limited_project):
    lab = make_limited_project(**dict.fromkeys(LIMITS, 5.0))
    assert lab.state() == "running"
    assert lab.events("budget_threshold_exceeded") == []
    assert lab.launch("more", size="XS", project="lab", budget="grant").status_code == 201


def test_overrun_of_one_allocation_does_not_reduce_another(clocked_daemon):
    """Disks exceed an allocation of 1.7 dollars; the other one still pays for launches."""
    clocked_daemon.project("lab")
    for name, amount in (("grant", 1.7), ("gift", 2.0)):
        clocked_daemon.pool(name, amount)
        clocked_daemon.allocate(name, "lab", amount)
    clocked_daemon.running(project="lab", budget="grant")
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    for _ in range(18):
        clocked_daemon.settle(hours=96)
    assert clocked_daemon.recount() > 3_700_000, "more than both allocations together"
    assert clocked_daemon.launch("other", project="lab", budget="gift").status_code == 201
    failed(clocked_daemon.verb("mine", "start"), 403, "BUDGET_EXCEEDED")


def test_threshold_percentages_exclude_ended_allocations(clocked_daemon):
    clocked_daemon.made("projects", name="lab", budget={"prevent_launch_threshold": 50.0})
    clocked_daemon.pool("old", 100.0, end_date="2026-01-02T00:00:00Z")
    clocked_daemon.allocate("old", "lab", 100.0)
    clocked_daemon.settle(hours=24)
    clocked_daemon.pool("new", 3.4)
    clocked_daemon.allocate("new", "lab", 3.4)
    clocked_daemon.running(project="lab", budget="new")
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    assert clocked_daemon.launch("other", project="lab", budget="new").status_code == 201
    clocked_daemon.verb("other", "terminate", confirm="DELETE")
    for _ in range(11):
        clocked_daemon.settle(hours=72)
    fault = failed(
        clocked_daemon.launch("third", project="lab", budget="new"), 403, "BUDGET_EXCEEDED"
    )
    assert "of the cap of $3.40 is spent, and launches end at 50 %" in fault["details"]


def test_emptied_allocation_refuses_launches_and_is_shown_as_zero(clocked_daemon):
    """The refusal says that its money was moved away."""
    for name in ("lab", "other"):
        clocked_daemon.project(name)
    clocked_daemon.pool("grant", 10.0)
    first, two = (clocked_daemon.allocate("grant", name, 5.0)["id"] for name in ("lab", "other"))
    ends = {"source_allocation_id": first, "destination_allocation_id": two}
    assert (
        clocked_daemon.made("reallocations", **ends, amount=5.0)["source"]["allocated_amount"]
        == 0.0
    )
    fault = failed(clocked_daemon.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert fault["message"].endswith("'lab' from 'grant' has no money (moved away)")
    budget = clocked_daemon.get("projects/lab/budget")
    assert (budget["total_allocated"], budget["remaining"], budget["overrun"]) == (0.0, 0.0, 0.0)
    assert budget["budget_alerts"]["threshold_90_percent"] is False
    assert clocked_daemon.get("projects/lab/forecast")["caps"][0]["left"] == 0.0
    assert clocked_daemon.get("budgets/grant/summary")["status"] == "ok"
