"""Whether what is wanted fits every cap."""

from datetime import UTC, datetime, timedelta

from prism.budgets.admission import Scales
from prism.budgets.balances import Balances, every_cap
from prism.kit.clock import StoppedClock


class Ticking(StoppedClock):
    """A second passes with each look at it."""

    def now(self) -> datetime:
        self.advance(seconds=1)
        return super().now()


def test_settled_and_reserved_money_are_compared_at_one_moment(clocked_daemon, clock):
    balances = Balances(Ticking(clock.now()))
    with clocked_daemon.daemon.db.read() as sql:
        totals = balances.totals(sql)
        scales = Scales(balances, sql, [], "ws_1", totals)
    assert totals.now == scales.now == scales._balances.now == scales._balances.now


def test_midnight_between_two_looks_at_the_clock_takes_nothing_from_a_sum(clocked_daemon):
    """A day's sum is of one day, whichever of the two it is."""
    clocked_daemon.pool("grant", 5.0, "daily")
    clocked_daemon.project("lab")
    clocked_daemon.allocate("grant", "lab", 5.0)
    clocked_daemon.settle(hours=23)
    clocked_daemon.running(project="lab", ttl_hours=3)
    clocked_daemon.live(minutes=58)
    midnight = datetime(2026, 1, 2, tzinfo=UTC)
    with clocked_daemon.daemon.db.read() as sql:
        for cap in every_cap(sql):
            for seconds in range(1, 8):
                began = midnight - timedelta(seconds=seconds)
                still = Balances(StoppedClock(began + timedelta(seconds=1)))  # the first look
                assert Balances(Ticking(began)).standing(sql, cap) == still.standing(sql, cap)
                assert Balances(Ticking(began)).tightest(sql, cap) == still.tightest(sql, cap)
