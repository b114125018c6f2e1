"""Sums of reservations that are computed in memory."""

from msgspec.structs import replace

from prism.budgets.model import Cap, Reservation
from prism.budgets.plan import ALWAYS, reserved_compute, reserved_disk
from prism.budgets.reserved_amounts import ReservationSums, ReservedAmounts, ReservedNow
from prism.kit.money import Micros

WAITING = Reservation(
    id="new",
    name="new",
    project="p",
    compute=Micros(83_201),
    until=7200,
    disk=Micros(1_600_001),
    disk_until=90_000,
)


def test_reserved_sums_equal_the_sum_over_the_reservations_at_any_time():
    rows = [WAITING, replace(WAITING, id="on", running=True, kept=True, counted=1800)]
    cap = Cap(column="project", id="p", name="lab", amount=Micros(5), alert=0.8)
    sums, counted = ReservationSums(rows), {"on": 1800}
    for now in (900, 2000, 2000, 1000, 80_000):
        compute = sum(reserved_compute(row, now) for row in rows)
        disks = sum(reserved_disk(row, now) for row in rows)
        assert ReservedNow(sums, counted, now).of(cap, ALWAYS) == (compute, disks)


def test_reserved_sum_is_computed_although_another_thread_discards_it_meanwhile():
    class Moment(int):
        def __ge__(self, other):
            amounts._ran = None
            return int(self) >= other

    running = replace(WAITING, running=True, kept=True, counted=1800)
    cap = Cap(column="project", id="p", name="lab", amount=Micros(5), alert=0.8)
    amounts, counted = ReservedAmounts(cap, ALWAYS, [running]), {"new": 1800}
    expected = amounts.at(2000, counted)[0]
    assert amounts.at(Moment(2001), counted)[0] == expected
