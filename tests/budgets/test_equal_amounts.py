"""Plan, admission, refusal, forecast and budget have the same numbers."""

import re
from datetime import datetime, timedelta

import pytest

from tests.months import january_up
from tests.optional import not_none
from tests.shapes import failed

RATE, DISK = 83_200, 1_600_000
SAME = (
    "spent",
    "reserved",
    "left",
    "no_launches",
    "runs_out_on",
    "because",
    "caps",
    "as_of",
    "not_limited",
)


def moment(text):
    return datetime.fromisoformat(text)


# ------------------------------------------------------------------ one horizon per cap


def test_project_cap_limits_a_launch_paid_by_a_daily_pool(clocked_daemon):
    """A disk of 4,000 GB would cost more than five dollars in half a day."""
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.pool("grant", 1000.0, "daily")
    clocked_daemon.allocate("grant", "lab", 1000.0)
    big = {"storage": {"ebs_volume_size": 4000}, "project": "lab"}
    fault = failed(clocked_daemon.launch(**big), 403, "BUDGET_EXCEEDED")
    assert fault["message"].startswith("The project 'lab'")
    assert clocked_daemon.recount() == 0


def test_disk_is_reserved_for_30_days_of_a_cap_and_to_midnight_of_a_daily_pool(clocked_daemon):
    clocked_daemon.project("lab", 50.0)
    clocked_daemon.pool("grant", 3.0, "daily")
    clocked_daemon.allocate("grant", "lab", 3.0)
    clocked_daemon.settle(hours=12)
    clocked_daemon.running(project="lab", ttl_hours=1)
    held = {cap.words: reserved for cap, _, reserved in clocked_daemon.balances()}
    compute = -(-RATE * 70 // 60)
    assert held["project 'lab'"] == compute + january_up(DISK, 12, 732)
    assert held["budget 'grant'"] == compute + january_up(DISK, 12, 24)
    clocked_daemon.live(hours=30)
    clocked_daemon.check_caps()
    [held] = clocked_daemon.reservations()
    assert held.part_until < clocked_daemon.now + 86400 < held.disk_until


# --------------------------------------------------- the date is the one that holds allow


@pytest.mark.parametrize(
    ("cap", "gigabytes"),
    [(10.0, 100), pytest.param(4.0, 20, marks=pytest.mark.slow), (3.0, 8), (8.5, 100)],
)
def test_forecast_and_plan_contain_the_time_at_which_a_workspace_hibernates(
    clocked_daemon, cap, gigabytes
):
    clocked_daemon.project("lab", cap)
    order = {"project": "lab", "storage": {"ebs_volume_size": gigabytes}}
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    clocked_daemon.running(**order)
    end = clocked_daemon.get("projects/lab/forecast")["runs_out_on"]
    dates = plan["lasts_until"], end
    slept = clocked_daemon.until_asleep(*dates)
    for date in dates:
        assert abs(moment(date) - slept) <= timedelta(minutes=15), (date, slept)
    assert clocked_daemon.state() == "hibernated"
    clocked_daemon.check_caps()


def test_plan_and_forecast_name_reserved_disks_as_the_limit(clocked_daemon):
    clocked_daemon.project("lab", 10.0)
    order = {"project": "lab", "storage": {"ebs_volume_size": 100}}
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    why = "$7.74 of the $10.00 of project 'lab' is reserved for disks"
    assert f"runs out first: {why}" in plan["notes"]
    assert (plan["reserves"], plan["leaves"]) == (7.84, 2.16)
    clocked_daemon.running(**order)
    [cap] = clocked_daemon.get("projects/lab/forecast")["caps"]
    assert (cap["because"], cap["reserved_for_disks"]) == (why, 7.74)
    assert clocked_daemon.get("projects/lab/budget")["left"] == 2.16


def test_plan_amounts_equal_the_budget_after_the_launch(clocked_daemon):
    """The totals of a plan are those of the cap with the least money left."""
    clocked_daemon.project("lab", 10.0)
    clocked_daemon.pool("grant", 12.0, "monthly")
    clocked_daemon.allocate("grant", "lab", 3.0)
    clocked_daemon.settle(hours=700)
    plan = clocked_daemon.launch(dry_run=True, project="lab").json()
    assert clocked_daemon.launch(project="lab").status_code == 201
    budget = clocked_daemon.get("projects/lab/budget")
    [least] = [cap for cap in budget["caps"] if cap["scope"] == "allocation"]
    assert (plan["budget"], plan["leaves"]) == ("lab, from grant", budget["left"])
    assert (plan["reserves"], plan["leaves"]) == (least["reserved"], least["left"])
    assert [cap["reserves"] for cap in plan["caps"]] == [cap["reserved"] for cap in budget["caps"]]
    assert (plan["caps"][0]["reserves"], budget["reserved"]) == (1.8, 1.8)


def test_workspace_sleeps_at_the_forecast_time_of_its_threshold(clocked_daemon):
    clocked_daemon.project("lab", 4.0, auto_hibernate_threshold=20.0)
    clocked_daemon.running(project="lab")
    budget = clocked_daemon.get("projects/lab/budget")
    assert budget["because"] == "all workspaces sleep at 20 % of it"
    assert abs(
        moment(budget["runs_out_on"]) - clocked_daemon.until_asleep(budget["runs_out_on"])
    ) <= timedelta(minutes=15)


def test_forecast_names_the_end_of_the_pool_as_the_run_out_date(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 50.0, end_date="2026-01-03T00:00:00Z")
    clocked_daemon.allocate("grant", "lab", 50.0)
    clocked_daemon.running(project="lab")
    forecast = clocked_daemon.get("projects/lab/forecast")
    assert (forecast["runs_out_on"], forecast["because"]) == (
        "2026-01-02T23:50:00Z",
        "allocation to 'lab' from 'grant' ends then",
    )
    assert clocked_daemon.until_asleep(forecast["runs_out_on"]) <= moment("2026-01-03T00:00:00Z")


def test_forecast_assumes_no_renewal_after_the_expiry(clocked_daemon):
    clocked_daemon.project("lab", 4.0)
    clocked_daemon.running(project="lab", ttl_hours=3)
    end = clocked_daemon.get("projects/lab/forecast")["runs_out_on"]
    assert moment(end) > moment("2026-02-01T00:00:00Z"), "only the disk uses up the budget"


# ----------------------------------------------------------- two pages, no second number


def test_budget_forecast_and_summaries_contain_equal_amounts(clocked_daemon):
    clocked_daemon.project("lab", 9.0)
    clocked_daemon.project("other")
    clocked_daemon.pool("grant", 7.0, "monthly")
    clocked_daemon.allocate("grant", "lab", 5.0)
    clocked_daemon.allocate("grant", "other", 2.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.running("theirs", project="other", size="XS", storage={"ebs_volume_size": 8})
    for hours in (1, 31):
        clocked_daemon.live(hours=hours)
        budget, forecast = (
            clocked_daemon.get("projects/lab/budget"),
            clocked_daemon.get("projects/lab/forecast"),
        )
        assert {name: budget[name] for name in SAME} == {name: forecast[name] for name in SAME}
        summary = clocked_daemon.get("projects/lab")["budget"]
        [listed] = [
            project["budget"]
            for project in clocked_daemon.get("projects")
            if project["name"] == "lab"
        ]
        assert summary == listed
        for name in ("spent", "reserved", "left", "remaining"):
            assert summary[name] == budget[name], name
        by_scope = {cap["scope"]: cap for cap in budget["caps"]}
        assert budget["left"] == min(cap["left"] for cap in by_scope.values())
        pool = clocked_daemon.get("budgets/grant")
        shares = clocked_daemon.get("budgets/grant/allocations")["allocations"]
        [part] = [share for share in shares if share["project_name"] == "lab"]
        for name in ("spent", "reserved", "left"):
            assert by_scope["pool"][name] == pool[name], name
        for name in ("spent", "reserved"):
            assert by_scope["allocation"][name] == part[name], name
        for cap in budget["caps"]:
            whole = round(cap["spent"] + cap["reserved"] + cap["left"], 2)
            assert whole == cap["amount"], "the shown cents add up"


def test_amount_left_is_limited_by_the_pool(clocked_daemon):
    """Project b is allocated ten dollars, but project a leaves less than that in the pool."""
    clocked_daemon.project("a")
    clocked_daemon.project("b")
    clocked_daemon.pool("grant", 12.0)
    clocked_daemon.allocate("grant", "a", 2.0)
    clocked_daemon.allocate("grant", "b", 10.0)
    clocked_daemon.running("theirs", project="a")
    clocked_daemon.live(hours=1)
    assert clocked_daemon.get("projects/b/budget")["left"] == 10.0
    clocked_daemon.verb("theirs", "stop")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=1440)
    [a, pool] = clocked_daemon.get("projects/a/budget")["caps"]
    b = clocked_daemon.get("projects/b/budget")
    assert a["spent"] > 2.0, "the disk has cost more than the allocation"
    assert b["left"] == pool["left"] == clocked_daemon.get("budgets/grant")["left"] < 10.0
    assert b["remaining"] == 10.0
    fault = failed(clocked_daemon.launch(project="b", ttl_hours=99), 403, "BUDGET_EXCEEDED")
    assert fault["message"].startswith("The budget 'grant'")


def test_recreated_allocation_contains_its_previous_spending(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0)
    part = clocked_daemon.allocate("grant", "lab", 50.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=5)
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    spent = clocked_daemon.get("projects/lab/budget")["spent"]
    assert spent == round(clocked_daemon.recount() / 1e6, 2) > 0.4
    assert clocked_daemon.http("DELETE", f"/api/v1/allocations/{part['id']}").status_code == 200
    body = {"budget_id": "grant", "project_id": "lab", "allocated_by": "pi@x.edu"}
    failed(clocked_daemon.post("allocations", **body, allocated_amount=0.1), 409, "OVER_ALLOCATED")
    again = clocked_daemon.allocate("grant", "lab", 50.0)
    assert again["spent"] == spent
    assert clocked_daemon.get("projects/lab/budget")["left"] == round(50.0 - spent, 2)


# ------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("own", "part"), [(4.0, 3.5), (3.5, 4.0), (6.0, 4.4), (2.0, 60.0)])
def test_refused_launch_names_the_hours_that_would_be_granted(clocked_daemon, own, part):
    """A launch for that many hours, rounded down, is granted; one hour more is refused."""
    clocked_daemon.project("lab", own)
    clocked_daemon.pool("grant", 60.0)
    clocked_daemon.allocate("grant", "lab", part)
    fault = failed(clocked_daemon.launch(project="lab", ttl_hours=1000), 403, "BUDGET_EXCEEDED")
    tightest = "project 'lab'" if own < part else "allocation to 'lab' from 'grant'"
    assert fault["message"].startswith(f"The {tightest} has not enough")
    match = re.search(r"pays for ([0-9.]+) h of it", fault["details"])
    hours = float(not_none(match)[1])
    assert hours == pytest.approx(
        (min(own, part) - january_up(DISK, 0, 720) / 1e6) / 0.0832 - 1 / 6, abs=0.1
    )
    failed(clocked_daemon.launch(project="lab", ttl_hours=int(hours) + 1), 403, "BUDGET_EXCEEDED")
    assert clocked_daemon.launch(project="lab", ttl_hours=int(hours)).status_code == 201


def test_refused_extension_does_not_count_the_reserved_disk_again(clocked_daemon):
    clocked_daemon.project("lab", 2.5)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=30)
    fault = failed(clocked_daemon.verb("mine", "extend", hours=100), 403, "BUDGET_EXCEEDED")
    match = re.search(r"pays for ([0-9.]+) h of it", fault["details"])
    hours = float(not_none(match)[1])
    assert hours == pytest.approx(
        (2.5 - january_up(DISK, 0, 720) / 1e6 - 0.0416) / 0.0832 - 1 / 6, abs=0.11
    )
    assert clocked_daemon.verb("mine", "extend", hours=int(hours)).status_code == 204


def test_refusal_shows_all_digits_of_amounts_that_differ_below_one_cent(clocked_daemon):
    need = -(-RATE * 70 // 60) + january_up(DISK, 0, 720)
    clocked_daemon.project("lab", (need - 1) / 1e6)
    fault = failed(clocked_daemon.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert (
        f"cap ${(need - 1) / 1e6}, settled $0.000000, reserved $0.000000, needed ${need / 1e6}"
        in (fault["details"])
    )


def test_refusal_names_the_period_without_enough_money(clocked_daemon):
    """Today's money suffices; tomorrow's is reserved for another workspace."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 2.2, "daily")
    clocked_daemon.allocate("grant", "lab", 2.2)
    clocked_daemon.settle(hours=12)
    clocked_daemon.running("first", project="lab", ttl_hours=30)
    fault = failed(clocked_daemon.launch(project="lab", ttl_hours=30), 403, "BUDGET_EXCEEDED")
    assert "in the period that begins on 2026-01-02 (UTC)" in fault["details"]
    assert "what is left pays for 18.7 h of it" in fault["details"], "both disks stay, too"


def test_hibernation_reason_contains_the_spent_amount_of_the_budget(clocked_daemon):
    clocked_daemon.project("lab", 2.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.until_asleep(clocked_daemon.get("projects/lab/forecast")["runs_out_on"])
    [why] = clocked_daemon.reasons()
    spent = clocked_daemon.get("projects/lab/budget")["spent"]
    assert f"of the $2.00 of project 'lab' ${spent:.2f} is spent" in why
