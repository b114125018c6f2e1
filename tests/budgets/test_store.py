"""Sums of reservations that the database computes."""

from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prism.budgets import store
from prism.budgets.model import Cap, Pool, Reservation, Window
from prism.budgets.plan import disks_until, lasting_disk, reserved_compute
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.projects.model import Project

MOST = 10**12  # micro-dollars: a million dollars an hour
LAST = 2**33  # seconds since 1970: the year 2242
AMOUNTS = st.none() | st.integers(0, 5000).map(Micros) | st.integers(0, MOST).map(Micros)
MOMENTS = st.integers(0, 9000) | st.integers(0, LAST)
ROWS = st.lists(
    st.builds(
        Reservation,
        id=st.uuids().map(str),
        name=st.just("one"),
        project=st.just("project"),
        allocation=st.none() | st.just("allocation"),
        pool=st.none() | st.just("pool"),
        compute=AMOUNTS,
        since=MOMENTS,
        until=MOMENTS,
        stopping=st.integers(0, 900),
        running=st.booleans(),
        disk=AMOUNTS,
        disk_since=MOMENTS,
        disk_until=MOMENTS,
        part_until=MOMENTS,
        kept=st.booleans(),
        counted=st.just(0) | MOMENTS,
    ),
    max_size=6,
)
COLUMNS: tuple[Literal["project", "allocation", "pool"], ...] = ("project", "allocation", "pool")
BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
POOL = Pool(
    id="pool",
    name="grant",
    total=Micros(0),
    period="daily",
    start_date=BEGIN,
    end_date=datetime.fromtimestamp(4000, UTC),
    created_by="pi",
    created_at=BEGIN,
    updated_at=BEGIN,
)
EACH = [
    Cap(column=column, id=column, name="", amount=Micros(0), alert=1, pool=pool)
    for column in COLUMNS
    for pool in ((None,) if column == "project" else (None, POOL))
]
PROJECT = Project(id="project", name="lab", cap=Micros(1), created_by="pi", created_at=BEGIN)
OWN, CAPS = EACH[0], st.sampled_from(EACH)
WINDOWS = st.builds(Window, MOMENTS, st.none() | MOMENTS)


# Reserved for two hours and settled half an hour ago: an hour and a half is still reserved.
SEEN = Reservation(
    id="seen",
    name="one",
    project="project",
    allocation=None,
    pool=None,
    compute=Micros(83_200),
    since=0,
    until=7200,
    stopping=0,
    running=True,
    disk=Micros(0),
    disk_since=0,
    disk_until=0,
    part_until=0,
    kept=False,
    counted=1800,
)


def sums_of(rows: list[Reservation], cap: Cap, now: int, within: Window) -> tuple[int, int]:
    """What these reservations reserve, each by itself: for compute, and for disks."""
    return (
        sum(reserved_compute(row, now, within) for row in rows),
        sum(lasting_disk(row, cap, now, within) for row in rows),
    )


class RolledBack(Exception):
    """Rolls a transaction back."""


@pytest.mark.postgres
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(rows=[SEEN], cap=OWN, now=3600, within=Window(0, None), besides=5)
@given(rows=ROWS, cap=CAPS, now=MOMENTS, within=WINDOWS, besides=st.integers(0, 5))
def test_database_sum_equals_the_sum_over_the_reservations(
    url, clock, rows, cap, now, within, besides
):
    db = Database(url, StoppedClock(clock.now()), Bus())
    without = rows[besides].id if besides < len(rows) else ""
    counted = [row for row in rows if getattr(row, cap.column) == cap.id and row.id != without]
    with pytest.raises(RolledBack), db.write() as tx:
        projects.add(tx, PROJECT)
        for row in rows:
            store.put_reservation(tx, row, clock.now())
        until = disks_until(cap, within, now)
        reserved = store.reserved(tx.sql, cap, now, within, besides=without, disks_until=until)
        assert reserved == sums_of(counted, cap, now, within)
        ends = [row.until + row.stopping for row in rows if getattr(row, cap.column) == cap.id]
        assert store.furthest(tx.sql, cap) == max(ends, default=None)
        raise RolledBack
    db.close()
