"""Limits in plan, budget and forecast: thresholds, emptied allocations, shared pools."""

from datetime import datetime, timedelta

import pytest

from tests.shapes import failed

SMALL = {"ebs_volume_size": 8}
ORDER = {"project": "lab", "size": "M", "storage": SMALL}
MINUTE = timedelta(minutes=1)


def moment(text):
    return datetime.fromisoformat(text)


def budget_equal_to_forecast(clocked_daemon, project="lab"):
    """The budget, after checking that the forecast has the same amounts."""
    budget, forecast = (
        clocked_daemon.get(f"projects/{project}/budget"),
        clocked_daemon.get(f"projects/{project}/forecast"),
    )
    for name in ("spent", "reserved", "left", "no_launches", "runs_out_on", "because", "caps"):
        assert budget[name] == forecast[name], name
    return budget


def allocate_pool(
    clocked_daemon, pool, amount, period="project", project="lab", total=None, **more
):
    clocked_daemon.pool(pool, amount if total is None else total, period, **more)
    return clocked_daemon.allocate(pool, project, amount)


def settle_until_asleep(clocked_daemon, name="mine", most=timedelta(days=40)):
    """Let time pass until the workspace sleeps; return that time."""
    end = clocked_daemon.clock.now() + most
    while clocked_daemon.state(name) == "running":
        assert clocked_daemon.clock.now() < end, "the workspace did not go to sleep"
        lapse = (
            clocked_daemon.workspace(name).reserved_until - clocked_daemon.clock.now()
        ).total_seconds()
        clocked_daemon.settle(seconds=min(2400, max(1, lapse - 30)))
    return clocked_daemon.clock.now()


# ------------------------------------------------------------- a plan, cap by cap


def test_plan_names_the_tightest_cap_and_its_reserved_and_left_amounts(clocked_daemon):
    """A disk is held for 30 days of a project's cap, and until midnight of a daily allocation."""
    clocked_daemon.project("lab", 20.0)
    allocate_pool(clocked_daemon, "grant", 1.0, "daily", total=5.0)
    order = {"project": "lab", "size": "S", "storage": {"ebs_volume_size": 100}}
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    assert plan["budget"] == "lab, from grant"
    assert plan["reserves"] + plan["leaves"] == pytest.approx(1.0)
    assert [(cap["cap"], round(cap["reserves"] + cap["leaves"], 2)) for cap in plan["caps"]] == [
        ("project 'lab'", 20.0),
        ("allocation to 'lab' from 'grant'", 1.0),
        ("budget 'grant'", 5.0),
    ]
    assert plan["caps"][0]["reserves"] > 7.7 > plan["caps"][1]["reserves"]
    assert clocked_daemon.launch(**order).status_code == 201
    budget = budget_equal_to_forecast(clocked_daemon)
    assert budget["left"] == plan["leaves"]
    assert [(cap["cap"], cap["reserved"], cap["left"]) for cap in budget["caps"]] == [
        (cap["cap"], cap["reserves"], cap["leaves"]) for cap in plan["caps"]
    ]


# --------------------------------------------------- a threshold that ends launches


def test_passed_launch_threshold_blocks_launches_but_not_volumes(clocked_daemon):
    """A threshold limits running workspaces; volumes only need to fit the caps."""
    clocked_daemon.project("lab", 5.0, prevent_launch_threshold=10.0)
    clocked_daemon.running(project="lab", size="L", storage=SMALL)
    assert budget_equal_to_forecast(clocked_daemon)["no_launches"] is None
    clocked_daemon.live(hours=4)
    answer = budget_equal_to_forecast(clocked_daemon)
    assert answer["no_launches"] == "the threshold of 10 % is passed"
    assert answer["left"] == round(5.0 - answer["spent"] - answer["reserved"], 2) > 1.0
    for order in ({"dry_run": True}, {}):
        failed(clocked_daemon.launch("other", **order, **ORDER), 403, "BUDGET_EXCEEDED")
    assert clocked_daemon.verb("mine", "stop").status_code == 200
    clocked_daemon.settle()
    failed(clocked_daemon.verb("mine", "start"), 403, "BUDGET_EXCEEDED")
    clocked_daemon.made("storage/volumes/create", type="ebs", name="d", size_gb=5, project="lab")
    assert (
        budget_equal_to_forecast(clocked_daemon)["no_launches"]
        == "the threshold of 10 % is passed"
    )


def test_launch_threshold_applies_to_all_allocations_together(clocked_daemon):
    clocked_daemon.project("lab")
    allocate_pool(clocked_daemon, "a", 1.0)
    allocate_pool(clocked_daemon, "b", 9.0)
    limits = {"prevent_launch_threshold": 50.0}
    assert clocked_daemon.put("projects/lab", budget=limits).status_code == 200
    clocked_daemon.made(
        "storage/volumes/create", type="ebs", name="d", size_gb=12, project="lab", budget="a"
    )
    clocked_daemon.settle()
    for _ in range(6):
        clocked_daemon.settle(hours=240)
    assert budget_equal_to_forecast(clocked_daemon)["spent"] > 1.0, (
        "all of allocation a, and a tenth of both together"
    )
    assert budget_equal_to_forecast(clocked_daemon)["no_launches"] is None
    assert clocked_daemon.launch("other", dry_run=True, budget="b", **ORDER).status_code == 200
    assert (
        clocked_daemon.put("projects/lab", budget={"prevent_launch_threshold": 5.0}).status_code
        == 200
    )
    assert (
        budget_equal_to_forecast(clocked_daemon)["no_launches"] == "the threshold of 5 % is passed"
    )
    failed(
        clocked_daemon.launch("other", dry_run=True, budget="b", **ORDER), 403, "BUDGET_EXCEEDED"
    )


# ------------------------------------------------------- money that was moved away


@pytest.fixture
def make_emptied_pool(clocked_daemon):
    """Two projects with ten dollars each; all of the first was moved to the second."""

    def make(before=lambda: None):
        for name in ("lab", "other"):
            clocked_daemon.project(name)
        before()
        clocked_daemon.pool("grant", 20.0)
        first, two = (
            clocked_daemon.allocate("grant", name, 10.0)["id"] for name in ("lab", "other")
        )
        ends = {"source_allocation_id": first, "destination_allocation_id": two}
        clocked_daemon.made("reallocations", **ends, amount=10.0)
        return clocked_daemon

    return make


def test_emptied_allocation_blocks_launches_without_alerts(make_emptied_pool):
    lab, why = (
        make_emptied_pool(),
        "the allocation to 'lab' from 'grant' has no money (moved away)",
    )
    answer = budget_equal_to_forecast(lab)
    assert (answer["runs_out_on"], answer["because"], answer["no_launches"]) == (None, why, why)
    assert (answer["caps"][0]["runs_out_on"], answer["caps"][0]["because"]) == (None, why)
    assert answer["budget_alerts"] == {
        "threshold_80_percent": False,
        "threshold_90_percent": False,
        "overspend_risk": None,
    }
    fault = failed(lab.launch(**ORDER), 403, "BUDGET_EXCEEDED")
    assert fault["message"] == why[0].upper() + why[1:]
    assert fault["details"] == "cap $0.00, settled $0.00, reserved $0.00"
    lab.settle(minutes=1)
    assert lab.events("budget_threshold_exceeded") == []
    [part] = [allocation for allocation in lab.get("budgets/grant/summary")["allocations"]
               if allocation["project_name"] == "lab"]  # fmt: skip
    assert part["utilization_rate"] == 0.0


def test_emptied_allocation_does_not_hibernate_an_unlimited_workspace(
    clocked_daemon, make_emptied_pool
):
    def before():
        limits = {"auto_hibernate_threshold": 70.0}
        assert clocked_daemon.put("projects/lab", budget=limits).status_code == 200
        clocked_daemon.running(project="lab", storage=SMALL)

    make_emptied_pool(before)
    clocked_daemon.settle(minutes=1)
    assert clocked_daemon.state() == "running"
    assert budget_equal_to_forecast(clocked_daemon)["not_limited"] == ["mine"]


def test_other_allocation_pays_for_launches_after_one_is_emptied(make_emptied_pool):
    lab = make_emptied_pool()
    allocate_pool(lab, "gift", 10.0)
    answer = budget_equal_to_forecast(lab)
    assert (answer["no_launches"], answer["because"], answer["left"]) == (None, None, 10.0)
    plan = lab.launch(dry_run=True, budget="gift", **ORDER).json()
    assert plan["lasts_until"] is not None


# ------------------------------------------------------------------- shared pools


def test_run_out_date_is_that_of_the_allocation_if_the_pool_lasts_longer(clocked_daemon):
    """The other project has a disk of 100 GB; days of it cost as much as hours of compute."""
    clocked_daemon.project("lab")
    clocked_daemon.project("other")
    allocate_pool(clocked_daemon, "grant", 5.5, total=15.0)
    clocked_daemon.allocate("grant", "other", 9.5)
    clocked_daemon.running(**ORDER)
    clocked_daemon.running("theirs", project="other", size="XL", storage={"ebs_volume_size": 100})
    answer = budget_equal_to_forecast(clocked_daemon)
    by_scope = {cap["scope"]: cap["runs_out_on"] for cap in answer["caps"]}
    assert answer["runs_out_on"] == by_scope["allocation"] < by_scope["pool"]
    settle_until_asleep(clocked_daemon, "theirs")
    assert clocked_daemon.state() == "running"
    assert abs(moment(answer["runs_out_on"]) - settle_until_asleep(clocked_daemon)) <= timedelta(
        minutes=5
    )


# ------------------------------------------- before, while and after it launches


@pytest.mark.parametrize("case", ["own", "threshold", "expiry", "daily", "ends", "shared"])
def test_run_out_date_is_equal_in_plan_and_budget_before_and_after_launch(clocked_daemon, case):
    limits = {"auto_hibernate_threshold": 20.0} if case == "threshold" else {}
    clocked_daemon.project(
        "lab", {"own": 6.0, "threshold": 20.0, "expiry": 6.0}.get(case), **limits
    )
    order = {**ORDER, "ttl_hours": 5} if case == "expiry" else ORDER
    if case == "daily":
        allocate_pool(clocked_daemon, "grant", 1.2, "daily")
        clocked_daemon.settle(hours=12)
    if case == "ends":
        allocate_pool(clocked_daemon, "grant", 50.0, "weekly", end_date="2026-01-06T12:00:00Z")
    if case == "shared":
        clocked_daemon.project("other")
        allocate_pool(clocked_daemon, "grant", 3.0, total=4.0)
        clocked_daemon.allocate("grant", "other", 1.0)
        clocked_daemon.running("theirs", project="other", size="L", storage=SMALL)
    plan = clocked_daemon.launch(dry_run=True, **order).json()
    assert clocked_daemon.launch(**order).status_code == 201
    launching = budget_equal_to_forecast(clocked_daemon)
    assert clocked_daemon.state() != "running"
    clocked_daemon.settle()
    assert clocked_daemon.state() == "running"
    running = budget_equal_to_forecast(clocked_daemon)
    assert plan["lasts_until"] is not None
    dates = [moment(date) for date in (
        plan["lasts_until"], launching["runs_out_on"], running["runs_out_on"])]  # fmt: skip
    assert max(dates) - min(dates) <= MINUTE, dates
    note = f"runs out first: {running['because']}"
    assert launching["because"] == running["because"]
    assert note in plan["notes"]
