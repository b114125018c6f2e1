"""The day on which money runs out is the day on which something is put to sleep."""

from datetime import datetime, timedelta

import pytest

SMALL = {"ebs_volume_size": 8}
CLOSE = timedelta(minutes=25)


def moment(said):
    return datetime.fromisoformat(said)


def forecast(lab, project="lab"):
    """What budget and forecast both say."""
    shown, said = lab.get(f"projects/{project}/budget"), lab.get(f"projects/{project}/forecast")
    for name in ("runs_out_on", "because", "left", "caps"):
        assert shown[name] == said[name], name
    return said


def given(lab, pool, total, period="project", project="lab", amount=None, **more):
    lab.pool(pool, total, period, **more)
    return lab.allocate(pool, project, total if amount is None else amount)


# ---------------------------------------------------------------- the caps that matter


def test_a_cap_on_which_nothing_of_the_project_runs_does_not_set_its_date(lab):
    """Another project uses up a pool that this one has money of, and does not use."""
    lab.project("lab")
    lab.project("other")
    given(lab, "a", 2.0, amount=1.0)
    lab.allocate("a", "other", 1.0)
    given(lab, "b", 100.0)
    lab.running("mine", size="S", project="lab", budget="b", storage=SMALL)
    lab.running("theirs", size="L", project="other", storage=SMALL)
    said = forecast(lab)
    by_name = {cap["cap"]: cap for cap in said["caps"]}
    assert said["runs_out_on"] == by_name["allocation to 'lab' from 'b'"]["runs_out_on"]
    assert moment(said["runs_out_on"]) > moment("2026-01-20T00:00:00Z")
    lab.until_asleep(name="theirs")
    assert lab.state("mine") == "running"


def test_an_allocation_that_is_used_up_does_not_end_what_runs_on_another(lab):
    lab.project("lab")
    given(lab, "a", 1.0)
    given(lab, "b", 100.0)
    lab.running("first", size="L", project="lab", budget="a", storage=SMALL)
    lab.until_asleep(name="first")
    lab.verb("first", "terminate", confirm="DELETE")
    lab.settle()
    lab.running("mine", size="S", project="lab", budget="b", storage=SMALL)
    assert moment(forecast(lab)["runs_out_on"]) > lab.clock.now() + timedelta(days=9)


def test_a_pool_lasts_longer_once_anothers_allocation_is_used_up(lab):
    """What runs on another allocation sleeps when that is used up; the pool goes on paying."""
    lab.project("lab")
    lab.project("other")
    given(lab, "grant", 4.0, amount=3.0)
    lab.allocate("grant", "other", 1.0)
    lab.running("mine", size="M", project="lab", storage=SMALL)
    lab.running("theirs", size="L", project="other", storage=SMALL)
    said = moment(forecast(lab)["runs_out_on"])
    lab.until_asleep(name="theirs")
    assert lab.state("mine") == "running"
    assert abs(said - lab.until_asleep(said)) <= CLOSE


# -------------------------------------------------------------------- periods and ends


@pytest.mark.parametrize("period", ["daily", "weekly"])
def test_the_end_of_a_pool_is_said_in_the_periods_before_its_last(lab, period):
    ends = {"daily": "2026-01-03T06:00:00Z", "weekly": "2026-01-06T12:00:00Z"}[period]
    lab.project("lab")
    given(lab, "grant", 50.0, period, end_date=ends)
    order = {"project": "lab", "size": "S", "storage": SMALL}
    plan = lab.launch(dry_run=True, **order).json()
    lab.running(**order)
    said = forecast(lab)
    down = moment(ends) - timedelta(minutes=10)
    assert moment(said["runs_out_on"]) == moment(plan["lasts_until"]) == down
    assert said["because"] == "allocation to 'lab' from 'grant' ends then"
    assert abs(lab.until_asleep(down) - down) <= CLOSE


def test_a_period_that_pays_today_and_not_all_of_tomorrow_is_said(lab):
    """Launched at noon it lasts until midnight; the next day ends before its money begins anew."""
    lab.project("lab")
    given(lab, "grant", 1.2, "daily")
    lab.settle(hours=12)
    order = {"project": "lab", "size": "M", "storage": SMALL}
    plan = lab.launch(dry_run=True, **order).json()
    lab.running(**order)
    said = forecast(lab)
    assert said["runs_out_on"] is not None
    assert abs(moment(plan["lasts_until"]) - moment(said["runs_out_on"])) <= timedelta(minutes=1)
    assert "in the period that begins on 2026-01-02" in said["because"]
    assert abs(moment(said["runs_out_on"]) - lab.until_asleep(said["runs_out_on"])) <= CLOSE


def test_a_period_that_pays_for_each_whole_day_never_runs_out(lab):
    lab.project("lab")
    given(lab, "grant", 3.0, "daily")
    lab.settle(hours=12)
    lab.running(project="lab", size="M", storage=SMALL)
    assert forecast(lab)["runs_out_on"] is None
    lab.live(hours=40)
    assert lab.state() == "running"


# ---------------------------------------------------------------- the automatic threshold


def test_what_expires_before_its_threshold_is_not_said_to_sleep_at_it(lab):
    lab.project("lab", 8.0, auto_hibernate_threshold=70.0)
    lab.running(project="lab", size="M", ttl_hours=1, storage={"ebs_volume_size": 60})
    said = forecast(lab)
    assert said["because"] == "disks will have spent the $8.00 of project 'lab'"


def test_a_plan_knows_the_threshold_at_which_all_is_put_to_sleep(lab):
    """So does the budget, before its machine runs."""
    lab.project("lab", 20.0, auto_hibernate_threshold=20.0)
    order = {"project": "lab", "size": "M", "storage": SMALL}
    plan = lab.launch(dry_run=True, **order).json()
    assert plan["notes"][-1] == "runs out first: all workspaces sleep at 20 % of it"
    assert lab.launch(**order).status_code == 201
    before = forecast(lab)
    assert before["because"] == "all workspaces sleep at 20 % of it"
    lab.settle()
    dates = plan["lasts_until"], before["runs_out_on"]
    slept = lab.until_asleep(*dates)
    for date in dates:
        assert abs(moment(date) - slept) <= CLOSE


def test_a_threshold_beyond_the_calendar_is_never(lab):
    lab.project("big", 10_000_000_000.0, auto_hibernate_threshold=90.0)
    lab.running(project="big", size="S", storage=SMALL)
    assert forecast(lab, "big")["runs_out_on"] is None
    assert lab.launch("next", project="big", dry_run=True).status_code == 200


def test_what_disks_overspend_of_one_allocation_brings_no_threshold_nearer(lab):
    lab.project("lab")
    given(lab, "a", 1.0)
    given(lab, "b", 9.0)
    assert lab.put("projects/lab", budget={"auto_hibernate_threshold": 50.0}).status_code == 200
    lab.made("storage/volumes/create", type="ebs", name="d", size_gb=12, project="lab", budget="a")
    lab.settle()
    for _ in range(18):
        lab.settle(hours=240)
    assert lab.get("projects/lab/budget")["spent"] > 5.0, "half of ten dollars, nearly all of a"
    lab.running(project="lab", size="XL", budget="b", storage=SMALL)
    threshold = "all workspaces sleep at 50 % of it"
    said = forecast(lab)
    assert (said["because"], lab.state()) == (threshold, "running")
    assert abs(moment(said["runs_out_on"]) - lab.until_asleep(said["runs_out_on"])) <= CLOSE


# --------------------------------------------------------------------------- `left`


def test_left_of_several_allocations_is_what_each_can_promise_together(lab):
    lab.project("lab")
    given(lab, "a", 10.0)
    given(lab, "b", 20.0)
    order = {"project": "lab", "size": "M", "storage": SMALL}
    assert forecast(lab)["left"] == 30.0
    plan = lab.launch(dry_run=True, budget="b", **order).json()
    assert plan["leaves"] == round(20.0 - plan["reserves"], 2)
    assert lab.launch(budget="b", **order).status_code == 201
    said = forecast(lab)
    assert said["left"] == round(10.0 + plan["leaves"], 2)
    assert sorted(cap["left"] for cap in said["caps"]) == [
        10.0,
        10.0,
        plan["leaves"],
        plan["leaves"],
    ]
