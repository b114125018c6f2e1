"""Money is reserved before it is spent, and compute never exceeds a cap."""

import shlex
from datetime import timedelta

import pytest

from prism.budgets.reconciler import BudgetReconciler
from tests.months import january_up
from tests.proofs import record
from tests.shapes import failed

RATE, DISK = 83_200, january_up(1_600_000, 0, 720)  # an hour, 30 days of January
STOP = RATE // 6 + 1  # ten minutes
RESERVED = RATE + STOP + DISK  # for the first hour, its end and 30 days of its disk


def where(clocked_daemon):
    return "PostgreSQL" if clocked_daemon.daemon.db.shared else "SQLite"


def usd(micros):
    return round(micros / 1e6, 6)


def test_launch_reserves_an_hour_its_stop_and_a_month_of_disk(clocked_daemon):
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.launch(project="lab")
    [(_, settled, reserved)] = clocked_daemon.balances()
    assert (settled, reserved) == (0, -(-RATE * 70 // 60) + DISK)
    assert clocked_daemon.get("projects/lab/budget")["reserved"] == 1.65


def test_settled_money_is_not_reserved_again(clocked_daemon):
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.running(project="lab")
    before = clocked_daemon.balances()[0]
    for _ in range(5):
        clocked_daemon.settle(minutes=7, seconds=13)
        _, settled, reserved = clocked_daemon.balances()[0]
        assert settled > 0
        assert settled + reserved == before[1] + before[2]


def test_launch_beyond_the_cap_is_refused_with_amounts(clocked_daemon):
    clocked_daemon.project("lab", 2.0)
    clocked_daemon.running("first", project="lab")
    fault = failed(clocked_daemon.launch("second", project="lab"), 403, "BUDGET_EXCEEDED")
    need = usd(-(-RATE * 70 // 60) + DISK)
    assert fault["data"] == {"cap": 2.0, "settled": 0.0, "reserved": need, "needed": need}
    assert "cap $2.00, settled $0.00, reserved $1.65, needed $1.65" in fault["details"]
    assert fault["remediation"] == "See `prism budget forecast lab`"
    assert [workspace["name"] for workspace in clocked_daemon.get("instances")] == ["first"]
    assert [reservation.name for reservation in clocked_daemon.reservations()] == ["first"]


@pytest.mark.parametrize("name", ["the lab", "ada's"])
def test_refused_launch_quotes_the_name_of_the_project_for_a_shell(clocked_daemon, name):
    clocked_daemon.project(name, 1.0)
    fault = failed(clocked_daemon.launch(project=name), 403, "BUDGET_EXCEEDED")
    command = fault["remediation"].removeprefix("See `").removesuffix("`")
    assert shlex.split(command) == ["prism", "budget", "forecast", name]


def test_refusal_names_the_affordable_hours_or_the_unpayable_disk(clocked_daemon):
    clocked_daemon.project("lab", 1.6)
    fault = failed(clocked_daemon.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert "what is left pays for 0.4 h of it" in fault["details"]
    assert clocked_daemon.put("projects/lab", budget={"total_allocated": 1.0}).status_code == 200
    fault = failed(clocked_daemon.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert "the $1.00 left do not pay its disk" in fault["details"]


@pytest.mark.parametrize("tight", ["project", "allocation", "pool"])
def test_launch_must_fit_every_cap(clocked_daemon, tight):
    amounts = dict.fromkeys(("project", "allocation", "pool"), 10.0) | {tight: 1.0}
    clocked_daemon.project("lab", amounts["project"])
    pool = clocked_daemon.pool("grant", 10.0)
    clocked_daemon.allocate("grant", "lab", amounts["allocation"])
    if tight == "pool":
        [part] = clocked_daemon.get("budgets/grant/allocations")["allocations"]
        assert (
            clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=1.5).status_code
            == 200
        )
        assert clocked_daemon.put(f"budgets/{pool['id']}", total_amount=1.5).status_code == 200
    fault = failed(clocked_daemon.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    word = {"project": "project 'lab'", "allocation": "allocation to", "pool": "allocation to"}
    assert word[tight] in fault["message"]


def test_stop_releases_compute_and_start_reserves_again(clocked_daemon):
    clocked_daemon.project("lab", 2.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    [(_, settled, reserved)] = clocked_daemon.balances()
    assert settled + reserved == DISK
    assert clocked_daemon.verb("mine", "start").status_code == 200
    assert sum(clocked_daemon.balances()[0][1:]) == -(-RATE * 70 // 60) + DISK
    clocked_daemon.settle()
    clocked_daemon.verb("mine", "hibernate")
    clocked_daemon.settle()
    assert clocked_daemon.put("projects/lab", budget={"total_allocated": 1.6}).status_code == 200
    for verb in ("resume", "start"):
        failed(clocked_daemon.verb("mine", verb), 403, "BUDGET_EXCEEDED")
    assert clocked_daemon.state() == "hibernated", "a refusal has no effect"


def test_expiry_is_reserved_in_advance(clocked_daemon):
    clocked_daemon.project("lab", 3.0)
    failed(clocked_daemon.launch(project="lab", ttl_hours=20), 403, "BUDGET_EXCEEDED")
    clocked_daemon.running(project="lab", ttl_hours=10)
    assert sum(clocked_daemon.balances()[0][1:]) == RATE * 10 + STOP + DISK
    failed(clocked_daemon.verb("mine", "extend", hours=10), 403, "BUDGET_EXCEEDED")
    assert clocked_daemon.verb("mine", "extend", hours=2).status_code == 204
    assert sum(clocked_daemon.balances()[0][1:]) == RATE * 12 + STOP + DISK
    assert clocked_daemon.get("instances/mine")["expires_at"] == "2026-01-01T12:00:00Z"


def test_removing_the_expiry_reserves_as_much_as_a_launch_without_one(clocked_daemon):
    clocked_daemon.project("lab", 3.0)
    clocked_daemon.running(project="lab")
    without = clocked_daemon.balances()
    clocked_daemon.verb("mine", "extend", hours=2)
    assert sum(clocked_daemon.balances()[0][1:]) == RATE * 2 + STOP + DISK
    assert clocked_daemon.verb("mine", "extend", hours=None).status_code == 204
    assert clocked_daemon.balances() == without
    assert clocked_daemon.get("instances/mine")["expires_at"] is None
    clocked_daemon.check_caps()


def test_expiry_across_periods_must_fit_every_cap(clocked_daemon):
    """One cap counts for all time, the other begins anew each day; an expiry must fit both."""
    clocked_daemon.project("lab", 9.8)
    clocked_daemon.pool("grant", 3.0, "daily")
    clocked_daemon.allocate("grant", "lab", 2.5)
    failed(clocked_daemon.launch(project="lab", ttl_hours=100), 403, "BUDGET_EXCEEDED")
    clocked_daemon.running(project="lab", ttl_hours=70)
    clocked_daemon.check_caps()
    big = {"size": "L", "ttl_hours": 6, "storage": {"ebs_volume_size": 8}}
    fault = failed(clocked_daemon.launch("big", project="lab", **big), 403, "BUDGET_EXCEEDED")
    assert "allocation to 'lab' from 'grant'" in fault["message"]


def test_machine_expiry_is_the_end_of_its_reservation(clocked_daemon, cloud):
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.running(project="lab")
    [machine] = cloud.survey()
    hour = clocked_daemon.clock.now() + timedelta(hours=1)
    assert cloud.expiry(machine.id) == hour
    clocked_daemon.live(hours=2)
    assert cloud.expiry(machine.id) > clocked_daemon.clock.now() + timedelta(minutes=20)
    assert clocked_daemon.get("instances/mine")["expires_at"] is None, "no user has set an expiry"


def test_machine_gets_an_expiry_only_once_its_project_has_a_cap(clocked_daemon, cloud):
    clocked_daemon.project("lab")
    clocked_daemon.running(project="lab")
    [machine] = cloud.survey()
    assert cloud.expiry(machine.id) is None
    clocked_daemon.live(hours=3)
    assert clocked_daemon.state() == "running"
    clocked_daemon.put("projects/lab", budget={"total_allocated": 10.0})
    clocked_daemon.settle()
    assert cloud.expiry(machine.id) is not None, "a cap that is added later applies too"


def test_workspace_is_hibernated_before_the_cap_is_exceeded(clocked_daemon):
    clocked_daemon.project("lab", 2.0)
    clocked_daemon.running(project="lab")
    while clocked_daemon.state() == "running":
        lapse = (
            clocked_daemon.workspace().reserved_until - clocked_daemon.clock.now()
        ).total_seconds()
        clocked_daemon.settle(seconds=min(900, max(1, lapse - 30)))
        clocked_daemon.check_caps()
    assert clocked_daemon.state() == "hibernated"
    assert clocked_daemon.reasons() == [
        "its budget cannot pay for more time: of the $2.00 of project 'lab' $0.44 is spent and "
        "$1.56 reserved, $1.55 of it for disks"
    ]
    compute = clocked_daemon.recount(kind="compute")
    assert 3 * RATE < compute <= 2_000_000 - DISK
    clocked_daemon.settle(hours=24 * 30)
    [(cap, settled, _)] = clocked_daemon.balances()
    assert settled <= cap.amount


def test_workspace_without_hibernation_is_stopped_at_the_cap(clocked_daemon):
    clocked_daemon.project("lab", 2.0)
    clocked_daemon.running(project="lab", hibernation=False)
    clocked_daemon.live(hours=9)
    assert clocked_daemon.state() == "stopped"
    clocked_daemon.check_caps()


def test_machine_hibernates_at_its_expiry_while_the_daemon_is_away(clocked_daemon, cloud):
    """The computer sleeps for a day; the machine runs only until its reservation ends."""
    clocked_daemon.project("lab", 1.75)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=30)
    clocked_daemon.clock.advance(hours=24)
    clocked_daemon.settle()
    assert clocked_daemon.state() == "hibernated"
    assert clocked_daemon.recount(kind="compute") == RATE, (
        "one hour was reserved, and the machine ran for one hour"
    )
    clocked_daemon.check_caps()
    record(
        f"A laptop that slept for a day: {where(clocked_daemon)}",
        "one hour of compute is booked, and no cap is exceeded",
    )


def test_disk_costs_beyond_the_cap_are_shown_as_overrun(clocked_daemon):
    clocked_daemon.project("lab", 1.7)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=1)
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle()
    for _ in range(35):
        clocked_daemon.settle(hours=24)
    money = clocked_daemon.get("projects/lab/budget")
    assert clocked_daemon.state() == "stopped", "the disk is not deleted"
    assert money["overrun"] == round(clocked_daemon.recount() / 1e6 - 1.7, 2) > 0
    failed(clocked_daemon.verb("mine", "start"), 403, "BUDGET_EXCEEDED")


def test_launch_of_unknown_price_is_refused_only_with_a_cap(clocked_daemon, monkeypatch):
    monkeypatch.setattr("prism.providers.local.offer.price", lambda kind, region: None)
    clocked_daemon.project("capped", 100.0)
    clocked_daemon.project("free")
    fault = failed(clocked_daemon.launch(project="capped"), 403, "BUDGET_EXCEEDED")
    assert "not known" in fault["message"]
    assert clocked_daemon.launch(project="free").status_code == 201


def test_price_increase_hibernates_a_workspace_that_cannot_be_renewed(clocked_daemon):
    cap = 2_000_000
    clocked_daemon.project("lab", 2.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=2)
    clocked_daemon.daemon.workspaces.reprice(
        clocked_daemon.workspace().id, 10 * RATE, "simulated: dearer"
    )
    for _ in range(20):
        clocked_daemon.settle(minutes=1)
    assert clocked_daemon.state() == "hibernated", (
        "a workspace that cannot be renewed hibernates at once"
    )
    clocked_daemon.settle(hours=24)
    [(_, settled, _)] = clocked_daemon.balances()
    assert settled <= cap, "the cap is not exceeded"


def test_price_increase_exceeds_the_cap_by_at_most_the_difference(clocked_daemon, cloud):
    """The daemon first runs in the last second of a reservation that fills the cap."""
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.running(project="lab")
    cap = -(-RATE * 70 // 60) + DISK
    assert (
        clocked_daemon.put("projects/lab", budget={"total_allocated": usd(cap)}).status_code == 200
    )
    dearer, end = 10 * RATE, clocked_daemon.now + 30 * 24 * 3600
    clocked_daemon.daemon.workspaces.reprice(
        clocked_daemon.workspace().id, dearer, "simulated: dearer"
    )
    clocked_daemon.clock.advance(minutes=59, seconds=59)
    cloud.faults.slow = timedelta(minutes=10)
    clocked_daemon.daemon.settle()
    assert clocked_daemon.state() == "hibernating"
    clocked_daemon.settle(minutes=10)
    assert clocked_daemon.state() == "hibernated"
    clocked_daemon.settle(seconds=end - clocked_daemon.now)
    [(_, settled, reserved)] = clocked_daemon.balances()
    bound = (dearer - RATE) * 70 // 60
    assert bound - dearer // 3600 - 2 <= settled - cap <= bound, (
        "the bound is reached to the second"
    )
    assert (settled, reserved) == (clocked_daemon.recount(), 0)
    assert (
        clocked_daemon.get("projects/lab/budget")["overrun"]
        == round((settled - cap) / 1e6, 2)
        == 0.87
    )
    record(
        f"A price that rises tenfold while a workspace runs: {where(clocked_daemon)}",
        f"the cap of ${cap / 1e6:.6f} was exceeded by ${(settled - cap) / 1e6:.6f}; the bound is "
        f"${bound / 1e6:.6f}",
    )


def test_cap_cannot_be_lowered_below_the_reservations(clocked_daemon):
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.running(project="lab")
    lower = clocked_daemon.put("projects/lab", budget={"total_allocated": 1.0})
    failed(lower, 409, "OVER_ALLOCATED")
    assert clocked_daemon.put("projects/lab", budget={"total_allocated": 1.7}).status_code == 200
    clocked_daemon.check_caps()


def test_launch_is_refused_beyond_the_launch_threshold(clocked_daemon):
    clocked_daemon.project("lab", 1.8, prevent_launch_threshold=4.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=1)
    assert clocked_daemon.recount() >= 1_800_000 * 0.04
    fault = failed(clocked_daemon.launch("more", size="XS", project="lab"), 403, "BUDGET_EXCEEDED")
    assert "launches end at 4 %" in fault["details"]
    assert clocked_daemon.state() == "running"


def test_alert_is_recorded_once_and_again_after_spending_fell_below(clocked_daemon):
    clocked_daemon.project("lab", 5.0, alert_threshold=2.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=3)
    [event] = clocked_daemon.events("budget_threshold_exceeded")
    assert (event.subject, event.data["scope"], event.data["threshold"]) == (
        "lab",
        "project",
        0.02,
    )
    clocked_daemon.put("projects/lab", budget={"total_allocated": 50.0})
    clocked_daemon.settle(minutes=1)
    clocked_daemon.put("projects/lab", budget={"total_allocated": 5.0})
    clocked_daemon.settle(minutes=1)
    clocked_daemon.settle(minutes=1)
    assert len(clocked_daemon.events("budget_threshold_exceeded")) == 2


def test_no_workspace_sleeps_if_the_cap_is_raised_while_it_is_checked(clocked_daemon, monkeypatch):
    def raise_cap():
        clocked_daemon.put("projects/lab", budget={"total_allocated": 50.0})

    clocked_daemon.project("lab", 4.0)
    clocked_daemon.running(project="lab", ttl_hours=5)
    clocked_daemon.live(hours=3)
    clocked_daemon.put("projects/lab", budget={"auto_hibernate_threshold": 5.0})
    crossed = BudgetReconciler._crossed
    raises = iter([raise_cap])

    def raise_once(self, *seen):
        next(raises, lambda: None)()
        return crossed(self, *seen)

    monkeypatch.setattr(BudgetReconciler, "_crossed", raise_once)
    clocked_daemon.daemon.budget_loop.mark_due()
    assert clocked_daemon.reasons() == []


def test_workspaces_sleep_at_the_hibernation_threshold(clocked_daemon):
    clocked_daemon.project("lab", 4.0, auto_hibernate_threshold=5.0)
    clocked_daemon.running("a", project="lab")
    clocked_daemon.running("b", project="lab", hibernation=False)
    clocked_daemon.running("c")
    clocked_daemon.live(hours=2)
    assert [clocked_daemon.state(name) for name in "abc"] == ["hibernated", "stopped", "running"]
    assert set(clocked_daemon.reasons()) == {
        "5 % of the budget of $4.00 of project 'lab' is spent"
    }


def test_dry_run_shows_the_money_left_and_reserves_none(clocked_daemon):
    clocked_daemon.project("lab", 10.0)
    plan = clocked_daemon.http.launch(
        dry_run=True, project="lab", storage={"ebs_volume_size": 20}
    ).json()
    assert plan["budget"] == "lab"
    assert (plan["reserves"], plan["leaves"], plan["disk_monthly"]) == (1.65, 8.35, 1.6)
    assert plan["lasts_until"].startswith("2026-01-05")
    assert clocked_daemon.reservations() == []
    failed(
        clocked_daemon.http.launch(dry_run=True, project="lab", ttl_hours=8760),
        403,
        "BUDGET_EXCEEDED",
    )


def test_workspace_without_a_project_is_neither_reserved_nor_stopped(clocked_daemon):
    clocked_daemon.running()
    clocked_daemon.live(hours=2)
    assert clocked_daemon.reservations() == []
    assert clocked_daemon.state() == "running"
