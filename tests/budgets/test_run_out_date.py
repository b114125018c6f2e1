"""The run-out date is the time at which a workspace is put to sleep."""

from datetime import datetime, timedelta

import pytest

SMALL = {"ebs_volume_size": 8}
CLOSE = timedelta(minutes=25)


def moment(text):
    return datetime.fromisoformat(text)


def forecast_equal_to_budget(clocked_daemon, project="lab"):
    """The forecast, after checking that the budget has the same numbers."""
    budget, answer = (
        clocked_daemon.get(f"projects/{project}/budget"),
        clocked_daemon.get(f"projects/{project}/forecast"),
    )
    for name in ("runs_out_on", "because", "left", "caps"):
        assert budget[name] == answer[name], name
    return answer


def allocate_pool(
    clocked_daemon, pool, total, period="project", project="lab", amount=None, **more
):
    clocked_daemon.pool(pool, total, period, **more)
    return clocked_daemon.allocate(pool, project, total if amount is None else amount)


# ---------------------------------------------------------------- the caps that matter


def test_run_out_date_ignores_caps_without_workspaces_of_the_project(clocked_daemon):
    """Another project uses up a pool in which this project has an unused allocation."""
    clocked_daemon.project("lab")
    clocked_daemon.project("other")
    allocate_pool(clocked_daemon, "a", 2.0, amount=1.0)
    clocked_daemon.allocate("a", "other", 1.0)
    allocate_pool(clocked_daemon, "b", 100.0)
    clocked_daemon.running("mine", size="S", project="lab", budget="b", storage=SMALL)
    clocked_daemon.running("theirs", size="L", project="other", storage=SMALL)
    answer = forecast_equal_to_budget(clocked_daemon)
    by_name = {cap["cap"]: cap for cap in answer["caps"]}
    assert answer["runs_out_on"] == by_name["allocation to 'lab' from 'b'"]["runs_out_on"]
    assert moment(answer["runs_out_on"]) > moment("2026-01-20T00:00:00Z")
    clocked_daemon.until_asleep(name="theirs")
    assert clocked_daemon.state("mine") == "running"


def test_run_out_date_ignores_a_used_up_allocation_of_the_same_project(clocked_daemon):
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "a", 1.0)
    allocate_pool(clocked_daemon, "b", 100.0)
    clocked_daemon.running("first", size="L", project="lab", budget="a", storage=SMALL)
    clocked_daemon.until_asleep(name="first")
    clocked_daemon.verb("first", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    clocked_daemon.running("mine", size="S", project="lab", budget="b", storage=SMALL)
    assert moment(
        forecast_equal_to_budget(clocked_daemon)["runs_out_on"]
    ) > clocked_daemon.clock.now() + timedelta(days=9)


def test_run_out_date_counts_other_projects_only_until_they_sleep(clocked_daemon):
    """The other project's workspace sleeps when its allocation is used up; the pool still pays."""
    clocked_daemon.project("lab")
    clocked_daemon.project("other")
    allocate_pool(clocked_daemon, "grant", 4.0, amount=3.0)
    clocked_daemon.allocate("grant", "other", 1.0)
    clocked_daemon.running("mine", size="M", project="lab", storage=SMALL)
    clocked_daemon.running("theirs", size="L", project="other", storage=SMALL)
    end = moment(forecast_equal_to_budget(clocked_daemon)["runs_out_on"])
    clocked_daemon.until_asleep(name="theirs")
    assert clocked_daemon.state("mine") == "running"
    assert abs(end - clocked_daemon.until_asleep(end)) <= CLOSE


# -------------------------------------------------------------------- periods and ends


@pytest.mark.parametrize("period", ["daily", pytest.param("weekly", marks=pytest.mark.slow)])
def test_run_out_date_is_the_end_of_the_pool_in_earlier_periods_too(clocked_daemon, period):
    ends = {"daily": "2026-01-03T06:00:00Z", "weekly": "2026-01-06T12:00:00Z"}[period]
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "grant", 50.0, period, end_date=ends)
    order = {"project": "lab", "size": "S", "storage": SMALL}
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    clocked_daemon.running(**order)
    answer = forecast_equal_to_budget(clocked_daemon)
    down = moment(ends) - timedelta(minutes=10)
    assert moment(answer["runs_out_on"]) == moment(plan["lasts_until"]) == down
    assert answer["because"] == "allocation to 'lab' from 'grant' ends then"
    assert abs(clocked_daemon.until_asleep(down) - down) <= CLOSE


def test_run_out_date_is_tomorrow_if_a_daily_pool_cannot_pay_a_whole_day(clocked_daemon):
    """A launch at noon lasts until midnight, but the next day has too little money."""
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "grant", 1.2, "daily")
    clocked_daemon.settle(hours=12)
    order = {"project": "lab", "size": "M", "storage": SMALL}
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    clocked_daemon.running(**order)
    answer = forecast_equal_to_budget(clocked_daemon)
    assert answer["runs_out_on"] is not None
    assert abs(moment(plan["lasts_until"]) - moment(answer["runs_out_on"])) <= timedelta(minutes=1)
    assert "in the period that begins on 2026-01-02" in answer["because"]
    assert (
        abs(moment(answer["runs_out_on"]) - clocked_daemon.until_asleep(answer["runs_out_on"]))
        <= CLOSE
    )


def test_daily_pool_that_pays_for_a_whole_day_has_no_run_out_date(clocked_daemon):
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "grant", 3.0, "daily")
    clocked_daemon.settle(hours=12)
    clocked_daemon.running(project="lab", size="M", storage=SMALL)
    assert forecast_equal_to_budget(clocked_daemon)["runs_out_on"] is None
    clocked_daemon.live(hours=40)
    assert clocked_daemon.state() == "running"


# ---------------------------------------------------------------- the automatic threshold


def test_forecast_ignores_the_threshold_if_the_workspace_expires_first(clocked_daemon):
    clocked_daemon.project("lab", 8.0, auto_hibernate_threshold=70.0)
    clocked_daemon.running(project="lab", size="M", ttl_hours=1, storage={"ebs_volume_size": 60})
    answer = forecast_equal_to_budget(clocked_daemon)
    assert answer["because"] == "disks will have spent the $8.00 of project 'lab'"


def test_plan_and_budget_name_the_hibernation_threshold_as_the_limit(clocked_daemon):
    """The budget does so before the machine runs."""
    clocked_daemon.project("lab", 20.0, auto_hibernate_threshold=20.0)
    order = {"project": "lab", "size": "M", "storage": SMALL}
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    assert plan["notes"][-1] == "runs out first: all workspaces sleep at 20 % of it"
    assert clocked_daemon.launch(**order).status_code == 201
    before = forecast_equal_to_budget(clocked_daemon)
    assert before["because"] == "all workspaces sleep at 20 % of it"
    clocked_daemon.settle()
    dates = plan["lasts_until"], before["runs_out_on"]
    slept = clocked_daemon.until_asleep(*dates)
    for date in dates:
        assert abs(moment(date) - slept) <= CLOSE


def test_threshold_beyond_the_last_calendar_year_has_no_run_out_date(clocked_daemon):
    clocked_daemon.project("big", 10_000_000_000.0, auto_hibernate_threshold=90.0)
    clocked_daemon.running(project="big", size="S", storage=SMALL)
    assert forecast_equal_to_budget(clocked_daemon, "big")["runs_out_on"] is None
    assert clocked_daemon.launch("next", project="big", dry_run=True).status_code == 200


def test_overrun_of_one_allocation_does_not_advance_the_threshold(clocked_daemon):
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "a", 1.0)
    allocate_pool(clocked_daemon, "b", 9.0)
    assert (
        clocked_daemon.put("projects/lab", budget={"auto_hibernate_threshold": 50.0}).status_code
        == 200
    )
    clocked_daemon.made(
        "storage/volumes/create", type="ebs", name="d", size_gb=12, project="lab", budget="a"
    )
    clocked_daemon.settle()
    for _ in range(18):
        clocked_daemon.settle(hours=240)
    assert clocked_daemon.get("projects/lab/budget")["spent"] > 5.0, (
        "half of ten dollars, most of it on allocation a"
    )
    clocked_daemon.running(project="lab", size="XL", budget="b", storage=SMALL)
    threshold = "all workspaces sleep at 50 % of it"
    answer = forecast_equal_to_budget(clocked_daemon)
    assert (answer["because"], clocked_daemon.state()) == (threshold, "running")
    assert (
        abs(moment(answer["runs_out_on"]) - clocked_daemon.until_asleep(answer["runs_out_on"]))
        <= CLOSE
    )


# --------------------------------------------------------------------------- `left`


def test_amount_left_of_several_allocations_is_their_sum(clocked_daemon):
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "a", 10.0)
    allocate_pool(clocked_daemon, "b", 20.0)
    order = {"project": "lab", "size": "M", "storage": SMALL}
    assert forecast_equal_to_budget(clocked_daemon)["left"] == 30.0
    plan = clocked_daemon.launch(dry_run=True, budget="b", **order).json()
    assert plan["leaves"] == round(20.0 - plan["reserves"], 2)
    assert clocked_daemon.launch(budget="b", **order).status_code == 201
    answer = forecast_equal_to_budget(clocked_daemon)
    assert answer["left"] == round(10.0 + plan["leaves"], 2)
    assert sorted(cap["left"] for cap in answer["caps"]) == [
        10.0,
        10.0,
        plan["leaves"],
        plan["leaves"],
    ]
