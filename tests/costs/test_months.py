"""Months of storage: each calendar month in UTC costs the same, as AWS bills it."""

from calendar import monthrange
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from prism.catalog.plan import PriceBook
from prism.costs import store
from prism.costs.ledger import Ledger
from prism.costs.months import MONTH, elapsed, month_time
from prism.costs.plan import cost
from prism.kit.money import Micros
from tests.months import month_cost, month_seconds

GB_MONTHS, HOUR = 80_000 * 2_000, 3600  # 2,000 GB of gp3


def moment(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("begin", "hours", "micros"),
    [
        # Amazon EBS pricing, example 1: 2,000 GB for 12 hours in a month of 30 days
        ("2026-06-10T00:00", 12, GB_MONTHS * 43_200 // (86_400 * 30)),
        # AWS re:Post "How are charges for Amazon EBS volumes calculated on my bill?"
        ("2026-06-01T00:00", 720, GB_MONTHS),
        ("2026-01-01T00:00", 744, GB_MONTHS),
        ("2026-02-01T00:00", 672, GB_MONTHS),
        ("2028-02-01T00:00", 696, GB_MONTHS),
    ],
)
def test_examples_of_aws_cost_what_aws_says(begin, hours, micros):
    start = moment(begin)
    seconds = elapsed(start, start + hours * HOUR, by_month=True)
    assert cost(Micros(GB_MONTHS), 720, seconds) == micros


@given(at=st.integers(0, 8 * 10**10), more=st.integers(0, 10**8))
def test_month_time_is_that_of_the_calendar_and_never_decreases(at, more):
    assert month_time(at) == month_seconds(at)
    assert month_time(at) <= month_time(at + more)


def test_month_time_has_no_last_year():
    assert month_time(store.EVER) > month_time(store.EVER - 366 * 86400) + 11 * MONTH


def test_volume_costs_the_same_in_each_month(clocked_daemon):
    body = {"type": "ebs", "name": "data", "size_gb": 100}
    assert clocked_daemon.post("storage/volumes/create", **body).status_code == 201
    clocked_daemon.settle()
    for month in range(1, 5):
        clocked_daemon.settle(days=monthrange(2026, month)[1])
        page = clocked_daemon.get("costs/history?start_date=2026-01-01&granularity=monthly")
        assert page["daily_costs"][month - 1]["micros"] == 8_000_000, month


def test_older_segments_stay_as_booked_and_go_on_by_months(clocked_daemon):
    body = {"type": "ebs", "name": "data", "size_gb": 100}
    assert clocked_daemon.post("storage/volumes/create", **body).status_code == 201
    clocked_daemon.settle()
    with clocked_daemon.daemon.db.write() as tx:  # as an older Prism wrote it
        tx.sql.execute(update(store.segments).values(month_began=None))
    clocked_daemon.settle(days=3)
    booked = 8_000_000 * 72 // 720
    with clocked_daemon.daemon.db.read() as sql:
        assert store.within(sql, 0, clocked_daemon.now)[0].ended is None
    assert clocked_daemon.recount() == booked
    Ledger(clocked_daemon.daemon.db, clocked_daemon.clock, PriceBook()).roll()  # the next daemon
    assert clocked_daemon.daemon.ledger.divide_months() == 0
    [root] = clocked_daemon.segments()[1:]
    assert (root.detail, root.amount, root.by_month) == ("100 GB gp3", 8_000_000, True)
    divided = clocked_daemon.now
    clocked_daemon.settle(days=20)
    assert clocked_daemon.recount(end=divided) == booked, "not a micro-dollar changed"
    later = month_cost(8_000_000, divided, clocked_daemon.now)
    assert clocked_daemon.recount() == booked + later
    page = clocked_daemon.get("costs/history?start_date=2026-01-01")
    assert page["micros"] == booked + later
