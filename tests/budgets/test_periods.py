"""Pools that begin anew each day, week or month, in their own time zone."""

from datetime import timedelta

import pytest

from prism.budgets import store
from prism.budgets.books import Books, every_cap
from tests.months import january
from tests.shapes import failed

RATE, DISK = 83_200, 1_600_000


@pytest.fixture
def berlin_daily_pool(clocked_daemon):
    """Half a dollar a day in Berlin, where a day begins at 23:00 of the day before."""
    pool = clocked_daemon.pool("grant", 0.5, "daily", time_zone="Europe/Berlin")
    clocked_daemon.project("lab")
    clocked_daemon.allocate("grant", "lab", 0.5)
    return clocked_daemon, pool


def test_daily_pool_pays_again_after_midnight_of_its_time_zone(berlin_daily_pool):
    lab, _ = berlin_daily_pool
    lab.settle(hours=12)
    lab.running(project="lab")
    while lab.state() == "running":
        lab.settle(minutes=15)
        lab.check_caps()
    spent = lab.get("budgets/grant")
    assert 0.35 < spent["spent_amount"] <= 0.5
    assert spent["period_end"] == "2026-01-01T23:00:00Z"
    failed(lab.verb("mine", "start"), 403, "BUDGET_EXCEEDED")
    midnight = lab.clock.now().replace(hour=23, minute=0) - lab.clock.now()
    lab.settle(seconds=max(0, midnight.total_seconds()) + 1)
    fresh = lab.get("budgets/grant")
    assert fresh["spent_amount"] == 0.0
    assert fresh["period_start"] == "2026-01-01T23:00:00Z"
    assert lab.verb("mine", "start").status_code == 200
    lab.check_caps()


def test_year_of_a_pool_begins_with_the_month_in_which_the_pool_began(clocked_daemon):
    """A fiscal year from April on, in the time zone of the pool."""
    clocked_daemon.project("lab")
    dates = {"start_date": "2025-04-15T10:00:00Z", "time_zone": "Europe/Berlin"}
    clocked_daemon.pool("grant", 100.0, "yearly", **dates)
    clocked_daemon.allocate("grant", "lab", 100.0)
    year = clocked_daemon.get("budgets/grant")
    assert (year["period_start"], year["period_end"]) == (
        "2025-04-15T10:00:00Z",
        "2026-03-31T22:00:00Z",
    )
    clocked_daemon.running(project="lab")
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle(hours=24 * 80)
    assert clocked_daemon.get("budgets/grant")["spent"] > 0
    clocked_daemon.settle(hours=24 * 12)
    year = clocked_daemon.get("budgets/grant")
    assert (year["period_start"], year["period_end"]) == (
        "2026-03-31T22:00:00Z",
        "2027-03-31T22:00:00Z",
    )
    first = clocked_daemon.now - (24 * 92 * 3600) + 24 * 90 * 3600 - 2 * 3600
    assert first == 1774994400, "the first second of April in Berlin"
    assert year["spent"] == round(clocked_daemon.recount(first) / 1e6, 2)
    clocked_daemon.check_caps()


def test_disk_that_next_year_cannot_pay_for_is_refused_near_the_end_of_a_year(clocked_daemon):
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0, "yearly")
    clocked_daemon.allocate("grant", "lab", 100.0)
    order = {"type": "ebs", "size_gb": 2000, "project": "lab"}
    clocked_daemon.settle(hours=24 * 364)
    refusal = clocked_daemon.post("storage/volumes/create", name="data", **order)
    details = failed(refusal, 403, "BUDGET_EXCEEDED")["details"]
    assert "in the period that begins on 2027-01-01 (UTC)" in details


def test_costs_across_midnight_are_booked_on_both_days(berlin_daily_pool):
    lab, _ = berlin_daily_pool
    lab.settle(hours=21)
    lab.running(project="lab")
    for _ in range(16):
        lab.settle(minutes=15)
        lab.check_caps()
    assert lab.state() == "running"
    edge = lab.now - 2 * 3600
    allocation = lab.get("budgets/grant/allocations")["allocations"][0]["id"]
    today = lab.recount(edge, allocation=allocation)
    assert lab.recount(allocation=allocation) - today == RATE * 2 + january(DISK, 21, 23)
    assert lab.get("budgets/grant")["spent_amount"] == round(today / 1e6, 2)


def test_pool_pays_only_between_its_start_and_end_dates(clocked_daemon):
    clocked_daemon.project("lab")
    dates = {"start_date": "2026-01-02T00:00:00Z", "end_date": "2026-01-03T00:00:00Z"}
    clocked_daemon.pool("grant", 10.0, **dates)
    clocked_daemon.allocate("grant", "lab", 10.0)
    fault = failed(clocked_daemon.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert "has not begun" in fault["message"]
    clocked_daemon.settle(hours=24)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=24)
    assert clocked_daemon.state() == "hibernated", "the pool has ended"
    fault = failed(clocked_daemon.verb("mine", "resume"), 403, "BUDGET_EXCEEDED")
    assert "has ended" in fault["message"]
    assert fault["details"] == "its last day was 2026-01-02 (UTC)"
    end = clocked_daemon.clock.now() - timedelta(hours=24)
    compute = clocked_daemon.recount(kind="compute")
    assert 0 < compute <= RATE * 24
    assert end.day == 2


@pytest.fixture
def fortnight_reserved(clocked_daemon, cloud):
    """A workspace that is reserved for two weeks on a pool without an end, after an hour."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 100.0)
    clocked_daemon.allocate("grant", "lab", 100.0)
    clocked_daemon.running(project="lab", ttl_hours=14 * 24)
    clocked_daemon.live(hours=1)
    [machine] = cloud.survey()
    return clocked_daemon, lambda: cloud.expiry(machine.id)


def test_earlier_pool_end_shortens_the_reservation_and_hibernates(fortnight_reserved):
    lab, machine_expiry = fortnight_reserved
    before = lab.reservations()[0]
    lab.put("budgets/grant", end_date="2026-01-01T02:00:00Z")
    lab.settle(seconds=1)
    assert f"{machine_expiry():%H:%M}" == "01:50", "ten minutes before the end, for hibernating"
    [held] = lab.reservations()
    assert (held.until, held.part_until) == (lab.now - 3601 + 6600, lab.now - 3601 + 7200)
    assert held.part_until < before.part_until
    lab.live(minutes=45)
    assert lab.state() == "running"
    lab.settle(minutes=4, seconds=29)
    assert lab.state() == "hibernated"
    assert lab.reasons() == ["its budget cannot pay for more time: the budget 'grant' ends"]
    compute = lab.recount(kind="compute")
    lab.live(hours=1)
    assert lab.recount(kind="compute") == compute <= RATE * 2
    pool, spent = lab.get("budgets/grant"), compute + january(DISK, 0, 2)
    assert (pool["spent_amount"], pool["reserved_amount"]) == (round(spent / 1e6, 2), 0.0)
    failed(lab.verb("mine", "resume"), 403, "BUDGET_EXCEEDED")


def test_pool_end_in_the_past_hibernates_the_workspace_at_once(fortnight_reserved):
    lab, _ = fortnight_reserved
    lab.put("budgets/grant", end_date="2026-01-01T00:30:00Z")
    lab.settle(seconds=1)
    assert lab.state() == "hibernated"
    assert lab.recount(kind="compute") == RATE * 3601 // 3600
    assert sum(held.until - held.since for held in lab.reservations()) == 0


def test_machine_hibernates_at_the_pool_end_while_the_daemon_is_away(fortnight_reserved):
    """The machine has the new expiry, so it does not need the daemon."""
    lab, _ = fortnight_reserved
    lab.put("budgets/grant", end_date="2026-01-01T02:00:00Z")
    lab.settle(seconds=1)
    lab.clock.advance(hours=24)
    lab.settle()
    assert lab.state() == "hibernated"
    assert lab.recount(kind="compute") == RATE * 110 // 60


def test_later_pool_end_extends_the_machine_expiry_again(fortnight_reserved):
    lab, machine_expiry = fortnight_reserved
    expiry = machine_expiry()
    for end, until in (("2026-01-01T12:00:00Z", "01 11:50"), (None, f"{expiry:%d %H:%M}")):
        lab.put("budgets/grant", end_date=end)
        lab.settle(seconds=1)
        assert f"{machine_expiry():%d %H:%M}" == until
    assert lab.state() == "running"
    lab.check_caps()


def test_opening_balance_of_a_period_is_recomputed_after_a_late_observation(
    berlin_daily_pool, cloud
):
    lab, _ = berlin_daily_pool
    lab.settle(hours=22, minutes=30)
    lab.running(project="lab")
    lab.live(hours=1)
    with lab.daemon.db.read() as sql:
        caps = [cap for cap in every_cap(sql) if cap.pool is not None]
        assert Books(sql, lab.now).unmarked(caps) == []
        assert len(store.every_pool(sql)) == 1
    [machine] = cloud.survey()
    before_midnight = lab.clock.now() - timedelta(minutes=40)
    cloud.set_state(machine.id, "off", at=before_midnight)
    lab.settle(seconds=1)
    assert lab.segments()[-1].ended == lab.now - 2401
    lab.check_caps()
