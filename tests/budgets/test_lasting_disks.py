"""A pool admits only disks that it can also pay for in its later periods, and after its end."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.months import month_cost
from tests.shapes import failed

PER_GB = 80_000  # micro-dollars for a month of a volume


def create(lab, name="data", size_gb=100, **more):
    body = {"type": "ebs", "name": name, "size_gb": size_gb, "project": "lab", **more}
    return lab.post("storage/volumes/create", **body)


def funded(lab, total, period, **dates):
    lab.project("lab")
    lab.pool("grant", total, period, **dates)
    return lab.allocate("grant", "lab", total)


def test_pool_refuses_a_disk_on_the_last_day_that_the_next_month_cannot_pay(clocked_daemon):
    """16,000 GB cost $1,280 a month, of which the last day of the month is $43."""
    funded(clocked_daemon, 100.0, "monthly")
    clocked_daemon.settle(days=30, hours=1)
    refusal = failed(create(clocked_daemon, size_gb=16_000), 403, "BUDGET_EXCEEDED")
    assert "in the period that begins on 2026-02-01" in refusal["details"]
    assert "what is left pays for 7 % of it" in refusal["details"]
    storage = {"ebs_volume_size": 16_000}
    for dry_run in (True, False):
        answer = clocked_daemon.launch(project="lab", storage=storage, dry_run=dry_run)
        assert "do not pay its disk" in failed(answer, 403, "BUDGET_EXCEEDED")["details"]


def test_refusal_names_the_period_in_the_time_zone_of_its_pool(clocked_daemon):
    funded(clocked_daemon, 100.0, "monthly", time_zone="Europe/Berlin")
    clocked_daemon.settle(days=30, hours=1)
    refusal = failed(create(clocked_daemon, size_gb=16_000), 403, "BUDGET_EXCEEDED")
    assert "in the period that begins on 2026-02-01 (Europe/Berlin)" in refusal["details"]


def test_pool_refuses_a_disk_in_the_middle_of_a_month_that_no_whole_month_pays(clocked_daemon):
    """Half of this month and half of the next would be paid."""
    funded(clocked_daemon, 100.0, "monthly")
    clocked_daemon.settle(days=15)
    failed(create(clocked_daemon, size_gb=1245), 403, "BUDGET_EXCEEDED")
    assert create(clocked_daemon, size_gb=1244).status_code == 201, "each costs $99.52"


def test_grant_refuses_a_disk_of_which_it_pays_only_the_days_before_its_end(clocked_daemon):
    """$20 with two days left admitted disks of eight dollars a day."""
    funded(clocked_daemon, 20.0, "project", end_date="2026-01-03T00:00:00Z")
    refusal = failed(create(clocked_daemon, size_gb=3000), 403, "BUDGET_EXCEEDED")
    assert "which costs money also after the end" in refusal["details"]
    assert create(clocked_daemon, size_gb=200).status_code == 201
    failed(create(clocked_daemon, "more", size_gb=200), 403, "BUDGET_EXCEEDED")
    assert create(clocked_daemon, "small", size_gb=50).status_code == 201


def test_money_of_later_disks_is_neither_moved_away_nor_cut(clocked_daemon):
    part = funded(clocked_daemon, 100.0, "monthly")
    clocked_daemon.settle(days=30, hours=1)
    assert create(clocked_daemon, size_gb=1200).status_code == 201
    cut = clocked_daemon.put(f"allocations/{part['id']}", allocated_amount=50.0)
    refusal = failed(cut, 409, "OVER_ALLOCATED")
    assert "in the period that begins on 2026-02-01" in refusal["details"]


def test_compute_that_reaches_into_the_next_period_leaves_the_money_of_its_disks(clocked_daemon):
    """The disks cost $96 of the next month, and XS runs $0.50 a day."""
    funded(clocked_daemon, 100.0, "monthly")
    clocked_daemon.settle(days=30, hours=1)
    assert create(clocked_daemon, size_gb=1175).status_code == 201
    order = {"project": "lab", "size": "XS", "storage": {"ebs_volume_size": 8}}
    failed(clocked_daemon.launch(ttl_hours=24 * 20, **order), 403, "BUDGET_EXCEEDED")
    assert clocked_daemon.launch(ttl_hours=24, **order).status_code == 201


def test_running_workspace_is_renewed_until_disks_use_up_the_next_period(clocked_daemon, disks):
    """A shared volume grows to more than the pool can pay; this month still has money."""
    funded(clocked_daemon, 100.0, "monthly")
    clocked_daemon.settle(days=28)
    clocked_daemon.running(project="lab")
    assert create(clocked_daemon, type="efs", size_gb=None).status_code == 201
    clocked_daemon.settle()
    [shared] = disks.disks.values()
    shared.holds = range(400 << 30)  # $120 a month
    clocked_daemon.live(hours=6)
    assert clocked_daemon.state() == "running"
    clocked_daemon.live(hours=72)
    assert clocked_daemon.state() == "hibernated"
    assert clocked_daemon.clock.now() >= datetime(2026, 1, 31, 22, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(6))
def test_granted_disks_never_cost_more_than_a_later_period_has(clocked_daemon, seed):
    """By an account of its own: each granted disk for the whole of the next twelve periods."""
    dice = random.Random(seed)
    period = dice.choice(("daily", "weekly", "monthly"))
    total = {"daily": 1.0, "weekly": 7.0, "monthly": 30.0}[period] * dice.uniform(0.5, 2)
    funded(clocked_daemon, round(total, 2), period)
    granted: list[int] = []
    for number in range(12):
        clocked_daemon.settle(hours=dice.randrange(1, 200))
        size = dice.choice((8, 40, 120, 300))
        answer = create(clocked_daemon, f"v{number}", size_gb=size)
        assert answer.status_code in {201, 403}, answer.text
        granted += [size] if answer.status_code == 201 else []
        for start, end in periods_after(clocked_daemon.clock.now(), period):
            cost = month_cost(sum(granted) * PER_GB, start, end)
            assert cost <= round(total, 2) * 1e6, (period, granted, start)
    assert granted


def periods_after(at, period):
    """Begin and end of the next twelve periods, in seconds since 1970."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(12):
        begin = following(day, period)
        yield int(begin.timestamp()), int(following(begin, period).timestamp())
        day = begin


def following(day, period):
    if period == "monthly":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=1 if period == "daily" else 7 - day.weekday())
