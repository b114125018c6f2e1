"""Money is set aside before it is spent, and compute never passes a cap."""

from datetime import timedelta

import pytest

from tests.proofs import record
from tests.shapes import failed

RATE, DISK = 83_200, 1_600_000  # an hour, a month
STOP = RATE // 6 + 1  # ten minutes
RESERVED = RATE + STOP + DISK  # for the first hour, its end and 30 days of its disk


def where(lab):
    return "PostgreSQL" if lab.daemon.db.shared else "SQLite"


def usd(micros):
    return round(micros / 1e6, 6)


def test_a_launch_sets_aside_an_hour_its_end_and_a_month_of_disk(lab):
    lab.project("lab", 5.0)
    lab.launch(project="lab")
    [(_, settled, reserved)] = lab.standings()
    assert (settled, reserved) == (0, -(-RATE * 70 // 60) + DISK)
    assert lab.get("projects/lab/budget")["reserved"] == 1.7


def test_what_is_settled_is_not_set_aside_a_second_time(lab):
    lab.project("lab", 5.0)
    lab.running(project="lab")
    before = lab.standings()[0]
    for _ in range(5):
        lab.settle(minutes=7, seconds=13)
        _, settled, reserved = lab.standings()[0]
        assert settled > 0
        assert settled + reserved == before[1] + before[2]


def test_a_launch_that_does_not_fit_is_refused_with_numbers(lab):
    lab.project("lab", 2.0)
    lab.running("first", project="lab")
    fault = failed(lab.launch("second", project="lab"), 403, "BUDGET_EXCEEDED")
    need = usd(-(-RATE * 70 // 60) + DISK)
    assert fault["data"] == {"cap": 2.0, "settled": 0.0, "reserved": need, "needed": need}
    assert "cap $2.00, settled $0.00, reserved $1.70, needed $1.70" in fault["details"]
    assert fault["remediation"] == "See `prism budget forecast lab`"
    assert [it["name"] for it in lab.get("instances")] == ["first"]
    assert [it.name for it in lab.reservations()] == ["first"]


def test_what_would_be_possible_is_said(lab):
    lab.project("lab", 1.65)
    fault = failed(lab.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert "what is left pays for 0.4 h of it" in fault["details"]
    assert lab.put("projects/lab", budget={"total_allocated": 1.0}).status_code == 200
    fault = failed(lab.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert "the $1.00 left do not pay its disk" in fault["details"]


@pytest.mark.parametrize("tight", ["project", "allocation", "pool"])
def test_every_cap_must_fit(lab, tight):
    amounts = dict.fromkeys(("project", "allocation", "pool"), 10.0) | {tight: 1.0}
    lab.project("lab", amounts["project"])
    pool = lab.pool("grant", 10.0)
    lab.allocate("grant", "lab", amounts["allocation"])
    if tight == "pool":
        [part] = lab.get("budgets/grant/allocations")["allocations"]
        assert lab.put(f"allocations/{part['id']}", allocated_amount=1.5).status_code == 200
        assert lab.put(f"budgets/{pool['id']}", total_amount=1.5).status_code == 200
    fault = failed(lab.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    word = {"project": "project 'lab'", "allocation": "allocation to", "pool": "allocation to"}
    assert word[tight] in fault["message"]


def test_stop_gives_back_compute_and_start_asks_again(lab):
    lab.project("lab", 2.0)
    lab.running(project="lab")
    lab.verb("mine", "stop")
    lab.settle()
    [(_, settled, reserved)] = lab.standings()
    assert settled + reserved == DISK
    assert lab.verb("mine", "start").status_code == 200
    assert sum(lab.standings()[0][1:]) == -(-RATE * 70 // 60) + DISK
    lab.settle()
    lab.verb("mine", "hibernate")
    lab.settle()
    assert lab.put("projects/lab", budget={"total_allocated": 1.65}).status_code == 200
    for verb in ("resume", "start"):
        failed(lab.verb("mine", verb), 403, "BUDGET_EXCEEDED")
    assert lab.state() == "hibernated", "a refusal changes nothing"


def test_an_expiry_is_paid_for_in_advance(lab):
    lab.project("lab", 3.0)
    failed(lab.launch(project="lab", ttl_hours=20), 403, "BUDGET_EXCEEDED")
    lab.running(project="lab", ttl_hours=10)
    assert sum(lab.standings()[0][1:]) == RATE * 10 + STOP + DISK
    failed(lab.verb("mine", "extend", hours=10), 403, "BUDGET_EXCEEDED")
    assert lab.verb("mine", "extend", hours=2).status_code == 204
    assert sum(lab.standings()[0][1:]) == RATE * 12 + STOP + DISK
    assert lab.get("instances/mine")["expires_at"] == "2026-01-01T12:00:00Z"


def test_without_an_expiry_it_holds_what_one_without_holds(lab):
    lab.project("lab", 3.0)
    lab.running(project="lab")
    without = lab.standings()
    lab.verb("mine", "extend", hours=2)
    assert sum(lab.standings()[0][1:]) == RATE * 2 + STOP + DISK
    assert lab.verb("mine", "extend", hours=None).status_code == 204
    assert lab.standings() == without
    assert lab.get("instances/mine")["expires_at"] is None
    lab.keeps_every_cap()


def test_an_expiry_beyond_a_period_is_paid_for_by_each_of_them(lab):
    """One cap counts for all time, the other one anew each day: an expiry must fit both."""
    lab.project("lab", 9.9)
    lab.pool("grant", 3.0, "daily")
    lab.allocate("grant", "lab", 2.5)
    failed(lab.launch(project="lab", ttl_hours=100), 403, "BUDGET_EXCEEDED")
    lab.running(project="lab", ttl_hours=70)
    lab.keeps_every_cap()
    big = {"size": "L", "ttl_hours": 6, "storage": {"ebs_volume_size": 8}}
    fault = failed(lab.launch("big", project="lab", **big), 403, "BUDGET_EXCEEDED")
    assert "allocation to 'lab' from 'grant'" in fault["message"]


def test_the_machine_itself_is_told_how_long_its_money_lasts(lab, cloud):
    lab.project("lab", 5.0)
    lab.running(project="lab")
    [machine] = cloud.survey()
    hour = lab.clock.now() + timedelta(hours=1)
    assert cloud.expiry(machine.id) == hour
    lab.live(hours=2)
    assert cloud.expiry(machine.id) > lab.clock.now() + timedelta(minutes=20)
    assert lab.get("instances/mine")["expires_at"] is None, "it is nobody's wish"


def test_without_a_cap_nobody_is_told_anything(lab, cloud):
    lab.project("lab")
    lab.running(project="lab")
    [machine] = cloud.survey()
    assert cloud.expiry(machine.id) is None
    lab.live(hours=3)
    assert lab.state() == "running"
    lab.put("projects/lab", budget={"total_allocated": 10.0})
    lab.settle()
    assert cloud.expiry(machine.id) is not None, "a cap that comes later counts as well"


def test_it_is_hibernated_before_the_cap(lab):
    lab.project("lab", 2.0)
    lab.running(project="lab")
    while lab.state() == "running":
        lapse = (lab.workspace().reserved_until - lab.clock.now()).total_seconds()
        lab.settle(seconds=min(900, max(1, lapse - 30)))
        lab.keeps_every_cap()
    assert lab.state() == "hibernated"
    assert lab.reasons() == [
        "its budget cannot pay for more time: of the $2.00 of project 'lab' $0.39 is spent and "
        "$1.61 reserved, $1.60 of it for disks"
    ]
    compute = lab.recount(kind="compute")
    assert 3 * RATE < compute <= 2_000_000 - DISK
    lab.settle(hours=24 * 30)
    [(cap, settled, _)] = lab.standings()
    assert settled <= cap.amount


def test_what_cannot_hibernate_is_stopped(lab):
    lab.project("lab", 2.0)
    lab.running(project="lab", hibernation=False)
    lab.live(hours=9)
    assert lab.state() == "stopped"
    lab.keeps_every_cap()


def test_a_daemon_that_is_dead_changes_nothing_about_the_cap(lab, cloud):
    """A laptop sleeps for a day while its machine in the cloud runs on: until its money ends."""
    lab.project("lab", 1.75)
    lab.running(project="lab")
    lab.settle(minutes=30)
    lab.clock.advance(hours=24)
    lab.settle()
    assert lab.state() == "hibernated"
    assert lab.recount(kind="compute") == RATE, "an hour was set aside, and an hour it ran"
    lab.keeps_every_cap()
    record(
        f"A laptop that slept for a day: {where(lab)}",
        "one hour of compute is booked, and no cap is exceeded",
    )


def test_a_disk_can_pass_a_cap_and_that_is_shown(lab):
    lab.project("lab", 1.7)
    lab.running(project="lab")
    lab.settle(minutes=1)
    lab.verb("mine", "stop")
    lab.settle()
    for _ in range(35):
        lab.settle(hours=24)
    money = lab.get("projects/lab/budget")
    assert lab.state() == "stopped", "nobody deletes data"
    assert money["overrun"] == round(lab.recount() / 1e6 - 1.7, 2) > 0
    failed(lab.verb("mine", "start"), 403, "BUDGET_EXCEEDED")


def test_an_unknown_price_is_refused_where_there_is_a_cap(lab, monkeypatch):
    monkeypatch.setattr("prism.providers.local.offer.price", lambda kind, region: None)
    lab.project("capped", 100.0)
    lab.project("free")
    fault = failed(lab.launch(project="capped"), 403, "BUDGET_EXCEEDED")
    assert "not known" in fault["message"]
    assert lab.launch(project="free").status_code == 201


def test_a_dearer_price_puts_to_sleep_what_cannot_be_renewed(lab):
    cap = 2_000_000
    lab.project("lab", 2.0)
    lab.running(project="lab")
    lab.live(hours=2)
    lab.daemon.workspaces.reprice(lab.workspace().id, 10 * RATE, "simulated: dearer")
    for _ in range(20):
        lab.settle(minutes=1)
    assert lab.state() == "hibernated", "what cannot be renewed goes down at once"
    lab.settle(hours=24)
    [(_, settled, _)] = lab.standings()
    assert settled <= cap, "here it was in time"


def test_a_dearer_price_passes_the_cap_by_no_more_than_its_difference(lab, cloud):
    """The bound, reached: nobody looks until the last second of a hold that fills its cap."""
    lab.project("lab", 5.0)
    lab.running(project="lab")
    cap = -(-RATE * 70 // 60) + DISK
    assert lab.put("projects/lab", budget={"total_allocated": usd(cap)}).status_code == 200
    dearer, end = 10 * RATE, lab.now + 30 * 24 * 3600
    lab.daemon.workspaces.reprice(lab.workspace().id, dearer, "simulated: dearer")
    lab.clock.advance(minutes=59, seconds=59)
    cloud.faults.slow = timedelta(minutes=10)
    lab.daemon.settle()
    assert lab.state() == "hibernating"
    lab.settle(minutes=10)
    assert lab.state() == "hibernated"
    lab.settle(seconds=end - lab.now)
    [(_, settled, reserved)] = lab.standings()
    bound = (dearer - RATE) * 70 // 60
    assert bound - dearer // 3600 - 2 <= settled - cap <= bound, "to its last second"
    assert (settled, reserved) == (lab.recount(), 0)
    assert lab.get("projects/lab/budget")["overrun"] == round((settled - cap) / 1e6, 2) == 0.87
    record(
        f"A price that rises tenfold while a workspace runs: {where(lab)}",
        f"the cap of ${cap / 1e6:.6f} was exceeded by ${(settled - cap) / 1e6:.6f}; the bound is "
        f"${bound / 1e6:.6f}",
    )


def test_a_cap_cannot_go_below_what_is_promised(lab):
    lab.project("lab", 5.0)
    lab.running(project="lab")
    lower = lab.put("projects/lab", budget={"total_allocated": 1.0})
    failed(lower, 409, "OVER_ALLOCATED")
    assert lab.put("projects/lab", budget={"total_allocated": 1.7}).status_code == 200
    lab.keeps_every_cap()


def test_launches_end_at_their_threshold(lab):
    lab.project("lab", 1.8, prevent_launch_threshold=4.0)
    lab.running(project="lab")
    lab.live(hours=1)
    assert lab.recount() >= 1_800_000 * 0.04
    fault = failed(lab.launch("more", size="XS", project="lab"), 403, "BUDGET_EXCEEDED")
    assert "launches end at 4 %" in fault["details"]
    assert lab.state() == "running"


@pytest.mark.postgres
def test_an_alert_is_told_once_and_again_after_it_fell_below(lab):
    lab.project("lab", 5.0, alert_threshold=2.0)
    lab.running(project="lab")
    lab.live(hours=3)
    [told] = lab.events("budget_threshold_exceeded")
    assert (told.subject, told.data["scope"], told.data["threshold"]) == ("lab", "project", 0.02)
    lab.put("projects/lab", budget={"total_allocated": 50.0})
    lab.settle(minutes=1)
    lab.put("projects/lab", budget={"total_allocated": 5.0})
    lab.settle(minutes=1)
    lab.settle(minutes=1)
    assert len(lab.events("budget_threshold_exceeded")) == 2


def test_workspaces_sleep_at_their_threshold(lab):
    lab.project("lab", 4.0, auto_hibernate_threshold=5.0)
    lab.running("a", project="lab")
    lab.running("b", project="lab", hibernation=False)
    lab.running("c")
    lab.live(hours=2)
    assert [lab.state(name) for name in "abc"] == ["hibernated", "stopped", "running"]
    assert set(lab.reasons()) == {"5 % of the budget of $4.00 of project 'lab' is spent"}


def test_a_rehearsal_says_what_it_would_leave(lab):
    lab.project("lab", 10.0)
    plan = lab.http.launch(dry_run=True, project="lab", storage={"ebs_volume_size": 20}).json()
    assert plan["budget"] == "lab"
    assert (plan["reserves"], plan["leaves"], plan["disk_monthly"]) == (1.7, 8.3, 1.6)
    assert plan["lasts_until"].startswith("2026-01-05")
    assert lab.reservations() == []
    failed(lab.http.launch(dry_run=True, project="lab", ttl_hours=8760), 403, "BUDGET_EXCEEDED")


def test_a_daemon_without_money_lets_everything_be(lab):
    lab.running()
    lab.live(hours=2)
    assert lab.reservations() == []
    assert lab.state() == "running"
