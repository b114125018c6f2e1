"""What plan, budget and forecast say of limits that refuse, are empty, or are shared."""

from datetime import datetime, timedelta

import pytest

from tests.shapes import failed

SMALL = {"ebs_volume_size": 8}
ORDER = {"project": "lab", "size": "M", "storage": SMALL}
MINUTE = timedelta(minutes=1)


def moment(said):
    return datetime.fromisoformat(said)


def both(lab, project="lab"):
    """What budget and forecast both say."""
    shown, said = lab.get(f"projects/{project}/budget"), lab.get(f"projects/{project}/forecast")
    for name in ("spent", "reserved", "left", "no_launches", "runs_out_on", "because", "caps"):
        assert shown[name] == said[name], name
    return shown


def given(lab, pool, amount, period="project", project="lab", total=None, **more):
    lab.pool(pool, amount if total is None else total, period, **more)
    return lab.allocate(pool, project, amount)


def asleep(lab, name="mine", most=timedelta(days=40)):
    """Live until it goes to sleep; when that was."""
    end = lab.clock.now() + most
    while lab.state(name) == "running":
        assert lab.clock.now() < end, "it never slept"
        lapse = (lab.workspace(name).reserved_until - lab.clock.now()).total_seconds()
        lab.settle(seconds=min(1200, max(1, lapse - 30)))
    return lab.clock.now()


# ------------------------------------------------------------- a plan, cap by cap


def test_a_plan_reserves_and_leaves_of_one_cap_and_names_it(lab):
    """A disk is held for 30 days of a project's cap, and until midnight of a daily allocation."""
    lab.project("lab", 20.0)
    given(lab, "grant", 1.0, "daily", total=5.0)
    order = {"project": "lab", "size": "S", "storage": {"ebs_volume_size": 100}}
    plan = lab.launch(dry_run=True, **order).json()
    assert plan["budget"] == "lab, from grant"
    assert plan["reserves"] + plan["leaves"] == pytest.approx(1.0)
    assert [(it["cap"], round(it["reserves"] + it["leaves"], 2)) for it in plan["caps"]] == [
        ("project 'lab'", 20.0),
        ("allocation to 'lab' from 'grant'", 1.0),
        ("budget 'grant'", 5.0),
    ]
    assert plan["caps"][0]["reserves"] > 8.0 > plan["caps"][1]["reserves"]
    assert lab.launch(**order).status_code == 201
    budget = both(lab)
    assert budget["left"] == plan["leaves"]
    assert [(it["cap"], it["reserved"], it["left"]) for it in budget["caps"]] == [
        (it["cap"], it["reserves"], it["leaves"]) for it in plan["caps"]
    ]


# --------------------------------------------------- a threshold that ends launches


def test_what_is_left_beyond_the_threshold_is_said_to_launch_nothing(lab):
    """Volumes still fit their caps: a threshold is about what runs."""
    lab.project("lab", 5.0, prevent_launch_threshold=10.0)
    lab.running(project="lab", size="L", storage=SMALL)
    assert both(lab)["no_launches"] is None
    lab.live(hours=4)
    said = both(lab)
    assert said["no_launches"] == "the threshold of 10 % is passed"
    assert said["left"] == round(5.0 - said["spent"] - said["reserved"], 2) > 1.0
    for order in ({"dry_run": True}, {}):
        failed(lab.launch("other", **order, **ORDER), 403, "BUDGET_EXCEEDED")
    assert lab.verb("mine", "stop").status_code == 200
    lab.settle()
    failed(lab.verb("mine", "start"), 403, "BUDGET_EXCEEDED")
    lab.made("storage/volumes/create", type="ebs", name="d", size_gb=5, project="lab")
    assert both(lab)["no_launches"] == "the threshold of 10 % is passed"


def test_allocations_together_end_launches_and_one_of_them_alone_does_not(lab):
    lab.project("lab")
    given(lab, "a", 1.0)
    given(lab, "b", 9.0)
    limits = {"prevent_launch_threshold": 50.0}
    assert lab.put("projects/lab", budget=limits).status_code == 200
    lab.made("storage/volumes/create", type="ebs", name="d", size_gb=12, project="lab", budget="a")
    lab.settle()
    for _ in range(6):
        lab.settle(hours=240)
    assert both(lab)["spent"] > 1.0, "all of a, a tenth of both"
    assert both(lab)["no_launches"] is None
    assert lab.launch("other", dry_run=True, budget="b", **ORDER).status_code == 200
    assert lab.put("projects/lab", budget={"prevent_launch_threshold": 5.0}).status_code == 200
    assert both(lab)["no_launches"] == "the threshold of 5 % is passed"
    failed(lab.launch("other", dry_run=True, budget="b", **ORDER), 403, "BUDGET_EXCEEDED")


# ------------------------------------------------------- money that was moved away


@pytest.fixture
def emptied(lab):
    """Ten dollars for two projects, and all of one's was moved to the other."""

    def make(before=lambda: None):
        for name in ("lab", "other"):
            lab.project(name)
        before()
        lab.pool("grant", 20.0)
        one, two = (lab.allocate("grant", name, 10.0)["id"] for name in ("lab", "other"))
        ends = {"source_allocation_id": one, "destination_allocation_id": two}
        lab.made("reallocations", **ends, amount=10.0)
        return lab

    return make


def test_an_emptied_allocation_has_no_money_and_nothing_of_it_is_spent(emptied):
    lab, why = emptied(), "the allocation to 'lab' from 'grant' has no money (moved away)"
    said = both(lab)
    assert (said["runs_out_on"], said["because"], said["no_launches"]) == (None, why, why)
    assert (said["caps"][0]["runs_out_on"], said["caps"][0]["because"]) == (None, why)
    assert said["budget_alerts"] == {
        "threshold_80_percent": False,
        "threshold_90_percent": False,
        "overspend_risk": None,
    }
    fault = failed(lab.launch(**ORDER), 403, "BUDGET_EXCEEDED")
    assert fault["message"] == why[0].upper() + why[1:]
    assert fault["details"] == "cap $0.00, settled $0.00, reserved $0.00"
    lab.settle(minutes=1)
    assert lab.events("budget_threshold_exceeded") == []
    [shown] = [it for it in lab.get("budgets/grant/summary")["allocations"]
               if it["project_name"] == "lab"]  # fmt: skip
    assert shown["utilization_rate"] == 0.0


def test_no_money_puts_nothing_to_sleep_that_it_does_not_pay_for(lab, emptied):
    def before():
        limits = {"auto_hibernate_threshold": 70.0}
        assert lab.put("projects/lab", budget=limits).status_code == 200
        lab.running(project="lab", storage=SMALL)

    emptied(before)
    lab.settle(minutes=1)
    assert lab.state() == "running"
    assert both(lab)["not_limited"] == ["mine"]


@pytest.mark.postgres
def test_another_allocation_goes_on_where_one_was_emptied(emptied):
    lab = emptied()
    given(lab, "gift", 10.0)
    said = both(lab)
    assert (said["no_launches"], said["because"], said["left"]) == (None, None, 10.0)
    plan = lab.launch(dry_run=True, budget="gift", **ORDER).json()
    assert plan["lasts_until"] is not None


# ------------------------------------------------------------------- shared pools


def test_a_pool_holds_no_disk_further_than_the_allocation_that_pays_for_it_can(lab):
    """A disk of 100 GB beside: what would be held for it in days is hours of compute."""
    lab.project("lab")
    lab.project("other")
    given(lab, "grant", 5.5, total=15.0)
    lab.allocate("grant", "other", 9.5)
    lab.running(**ORDER)
    lab.running("theirs", project="other", size="XL", storage={"ebs_volume_size": 100})
    said = both(lab)
    by_scope = {it["scope"]: it["runs_out_on"] for it in said["caps"]}
    assert said["runs_out_on"] == by_scope["allocation"] < by_scope["pool"]
    asleep(lab, "theirs")
    assert lab.state() == "running"
    assert abs(moment(said["runs_out_on"]) - asleep(lab)) <= timedelta(minutes=5)


# ------------------------------------------- before, while and after it launches


@pytest.mark.parametrize("case", ["own", "threshold", "expiry", "daily", "ends", "shared"])
def test_plan_and_budget_say_one_date_before_while_and_after_it_launches(lab, case):
    limits = {"auto_hibernate_threshold": 20.0} if case == "threshold" else {}
    lab.project("lab", {"own": 6.0, "threshold": 20.0, "expiry": 6.0}.get(case), **limits)
    order = {**ORDER, "ttl_hours": 5} if case == "expiry" else ORDER
    if case == "daily":
        given(lab, "grant", 1.2, "daily")
        lab.settle(hours=12)
    if case == "ends":
        given(lab, "grant", 50.0, "weekly", end_date="2026-01-06T12:00:00Z")
    if case == "shared":
        lab.project("other")
        given(lab, "grant", 3.0, total=4.0)
        lab.allocate("grant", "other", 1.0)
        lab.running("theirs", project="other", size="L", storage=SMALL)
    plan = lab.launch(dry_run=True, **order).json()
    assert lab.launch(**order).status_code == 201
    launching = both(lab)
    assert lab.state() != "running"
    lab.settle()
    assert lab.state() == "running"
    running = both(lab)
    assert plan["lasts_until"] is not None
    dates = [moment(it) for it in (
        plan["lasts_until"], launching["runs_out_on"], running["runs_out_on"])]  # fmt: skip
    assert max(dates) - min(dates) <= MINUTE, dates
    note = f"runs out first: {running['because']}"
    assert launching["because"] == running["because"]
    assert note in plan["notes"]
