"""Until when a cap pays, to the second."""

from datetime import UTC, datetime

from prism.budgets.balances import Balance
from prism.budgets.model import Cap, Pool, Reservation, Window
from prism.budgets.runway import Runway, runway
from prism.kit.money import Micros

RATE = Micros(3600 * 100)  # an hour: 100 micro-dollars each second
DAY = 86400
AT = datetime(1970, 1, 1, tzinfo=UTC)
POOL = Pool(
    id="b",
    name="grant",
    total=Micros(100 * DAY),
    period="daily",
    time_zone="UTC",
    start_date=AT,
    created_by="pi",
    created_at=AT,
    updated_at=AT,
)


def reservation_between(since, until):
    return Reservation(
        id="w", name="mine", project="p", compute=RATE, since=since, until=until, disk=None
    )


def test_runway_ends_at_the_second_at_which_the_cap_is_used_up():
    cap = Cap(column="project", id="p", name="lab", amount=Micros(2 * RATE), alert=0.8)
    end = runway(Balance(cap, Window(0, None), 0, RATE), [reservation_between(0, 3600)], {}, 0)
    assert end == Runway(7200, "the $0.72 of project 'lab' is used up")


def test_runway_counts_a_period_that_begins_now_as_the_present_one():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(2 * RATE), pool=POOL, alert=0.8)
    within = Window(DAY, 2 * DAY)
    spent = Balance(cap, within, RATE, RATE)
    end = runway(spent, [reservation_between(DAY, DAY + 1800)], {}, DAY)
    assert end == Runway(DAY + 3600, "the $0.72 of budget 'grant' is used up")
