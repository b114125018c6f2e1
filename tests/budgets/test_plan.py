"""Start and end of periods; reservations that never hold less than can still be booked."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prism.budgets.model import Cap, Pool, Reservation, Window
from prism.budgets.plan import extension, reserved, window, windows, zone
from prism.kit.money import Micros
from tests.months import month_cost
from tests.optional import not_none

HOUR = 3600


def pool(period="monthly", where="UTC", start="2020-01-01", end=None, total=1):
    at = datetime.fromisoformat
    return Pool(
        id="budget_1",
        name="grant",
        total=total,
        period=period,
        time_zone=where,
        start_date=at(start).replace(tzinfo=UTC),
        end_date=None if end is None else at(end).replace(tzinfo=UTC),
        created_by="pi",
        created_at=at(start).replace(tzinfo=UTC),
        updated_at=at(start).replace(tzinfo=UTC),
    )


def edges(pool, local):
    """Start and end of the period of a local time, in the pool's time zone."""
    where = zone(pool.time_zone)
    at = datetime.fromisoformat(local).replace(tzinfo=where)
    period = not_none(window(pool, int(at.timestamp())))
    return [
        datetime.fromtimestamp(edge, where).strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
        for edge in (period.start, not_none(period.end))
    ]


@pytest.mark.parametrize(
    ("period", "where", "at", "start", "end", "hours"),
    [
        ("daily", "UTC", "2026-03-29 12", "2026-03-29", "2026-03-30", 24),
        ("daily", "Europe/Berlin", "2026-03-29 12", "2026-03-29", "2026-03-30", 23),
        ("daily", "Europe/Berlin", "2026-10-25 02:30", "2026-10-25", "2026-10-26", 25),
        # there is no midnight on this day: its clocks jump from 23:59 to 01:00
        ("daily", "Asia/Beirut", "2023-03-26 12:00", "2023-03-26 01:00", "2023-03-27", 23),
        # this day has two midnights: the period starts at the first
        ("daily", "America/Havana", "2024-11-03 12:00", "2024-11-03", "2024-11-04", 25),
        ("weekly", "Europe/Berlin", "2026-03-29 12:00", "2026-03-23", "2026-03-30", 167),
        ("weekly", "UTC", "2026-01-01 00:00", "2025-12-29", "2026-01-05", 168),
        ("monthly", "America/New_York", "2026-03-31 23:59", "2026-03-01", "2026-04-01", 743),
        ("monthly", "UTC", "2028-02-29 12:00", "2028-02-01", "2028-03-01", 696),
        ("monthly", "Pacific/Apia", "2011-12-15 12:00", "2011-12-01", "2012-01-01", 720),
    ],
)  # fmt: skip
def test_period_starts_and_ends_at_midnight_of_its_time_zone(period, where, at, start, end, hours):
    tested_pool = pool(period, where, start="2001-01-01")
    assert edges(tested_pool, at) == [start, end]
    moment = int(datetime.fromisoformat(at).replace(tzinfo=zone(where)).timestamp())
    bounds = not_none(window(tested_pool, moment))
    assert not_none(bounds.end) - bounds.start == hours * HOUR


@given(
    period=st.sampled_from(("daily", "weekly", "monthly")),
    where=st.sampled_from(
        ("UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe",
         "Asia/Kathmandu", "Pacific/Apia")
    ),
    at=st.integers(1_000_000_000, 2_200_000_000),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_periods_are_contiguous_without_overlap(period, where, at):
    tested_pool = pool(period, where, start="1990-01-01")
    current = not_none(window(tested_pool, at))
    end = not_none(current.end)
    assert current.start <= at < end
    assert window(tested_pool, current.start) == current == window(tested_pool, end - 1)
    assert not_none(window(tested_pool, end)).start == end


def test_pool_has_no_period_before_its_start_or_after_its_end():
    tested_pool = pool("monthly", start="2026-01-15", end="2026-02-10")
    at = {day: int(datetime(2026, *day, tzinfo=UTC).timestamp()) for day in ((1, 15), (2, 10))}
    begin, end = at.values()
    assert window(tested_pool, begin - 1) is None
    assert not_none(window(tested_pool, begin)).start == begin
    assert not_none(window(tested_pool, end - 1)).end == end
    assert window(tested_pool, end) is None
    cap = Cap(column="pool", id="p", name="p", amount=Micros(1), pool=tested_pool, alert=1)
    periods = windows(cap, begin, end + 1)
    assert [w and w.start for w in periods][1:] == [
        int(datetime(2026, 2, 1, tzinfo=UTC).timestamp()),
        None,
    ]


def test_interval_that_ends_with_a_period_touches_only_that_period():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(1), pool=pool("daily"), alert=1.0)
    day = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    assert [not_none(window).start for window in windows(cap, day, day + 24 * HOUR)] == [day]


def test_extension_is_the_longest_of_its_three_parts():
    def until(compute, disk, part):
        ends = {"until": compute, "disk_until": disk, "part_until": part}
        return Reservation(id="i", name="n", project="p", compute=None, disk=None, **ends)

    assert extension(until(10, 20, 30), until(12, 25, 31)) == 5
    assert extension(until(10, 20, 30), until(9, 20, 30)) == 0


def test_pool_of_period_project_has_one_endless_period():
    tested_pool = pool("project", start="2026-01-15")
    assert (
        not_none(window(tested_pool, int(datetime(2050, 1, 1, tzinfo=UTC).timestamp()))).end
        is None
    )


span = st.integers(0, 40 * 86400)


@given(
    compute=st.integers(0, 10**8),
    disk=st.integers(0, 10**9),
    since=span,
    runs=st.integers(1, 40 * 86400),
    stopping=st.sampled_from((0, 600)),
    cuts=st.lists(span, max_size=4),
)
@settings(max_examples=400, deadline=None)
def test_sum_of_reserved_and_booked_money_never_grows(compute, disk, since, runs, stopping, cuts):
    """Each second of running moves money from reserved to booked; the sum does not grow."""
    until = since + runs
    reservation = Reservation(
        id="w", name="w", project="p", compute=compute, since=since, until=until,
        stopping=stopping, running=True, disk=disk, disk_since=since, disk_until=until, kept=True,
    )  # fmt: skip

    def booked(at):
        seconds = max(0, min(at, until + stopping) - since)
        disk_seconds = max(0, min(at, until) - since)
        return compute * seconds // HOUR + month_cost(disk, since, since + disk_seconds)

    sums = [
        booked(at) + reserved(reservation, at)
        for at in sorted([since, *cuts, until, until + stopping])
    ]
    assert sums == sorted(sums, reverse=True)
    assert sums[-1] == booked(until + stopping)


@given(
    compute=st.integers(0, 10**8),
    since=st.integers(0, 10**6),
    runs=st.integers(1, 10**6),
    cut=st.integers(0, 2 * 10**6),
)
@settings(max_examples=300, deadline=None)
def test_reservation_split_over_two_periods_is_never_less_than_the_whole(
    compute, since, runs, cut
):
    reservation = Reservation(
        id="w", name="w", project="p", compute=compute, since=since, until=since + runs,
        disk=Micros(0), running=True,
    )  # fmt: skip
    parts = (
        reserved(reservation, since, Window(0, cut)),
        reserved(reservation, since, Window(cut, None)),
    )
    assert reserved(reservation, since) <= sum(parts) <= reserved(reservation, since) + 1


def test_reservation_is_constant_before_its_workspace_runs():
    reservation = Reservation(
        id="w", name="w", project="p", compute=Micros(3600), since=10, until=20, disk=Micros(0)
    )
    assert reserved(reservation, 15) == reserved(reservation, 10) == 10
