"""Admission: whether a request fits every cap."""

from datetime import UTC, datetime, timedelta

from prism.budgets.admission import CapComparison
from prism.budgets.balances import Balances, every_cap
from prism.kit.clock import StoppedClock


class AdvancingClock(StoppedClock):
    """A clock that advances by one second at each reading."""

    def now(self) -> datetime:
        self.advance(seconds=1)
        return super().now()


def test_admission_compares_settled_and_reserved_money_at_one_time(clocked_daemon, clock):
    balances = Balances(AdvancingClock(clock.now()))
    with clocked_daemon.daemon.db.read() as sql:
        totals = balances.totals(sql)
        comparison = CapComparison(balances, sql, [], "ws_1", totals)
    assert totals.now == comparison.now == comparison._balances.now == comparison._balances.now


def test_balance_uses_only_the_first_reading_of_the_clock_around_midnight(clocked_daemon):
    """All sums of a balance belong to the same day."""
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
                still = Balances(StoppedClock(began + timedelta(seconds=1)))  # the first reading
                assert Balances(AdvancingClock(began)).balance(sql, cap) == still.balance(sql, cap)
                assert Balances(AdvancingClock(began)).tightest(sql, cap) == still.tightest(
                    sql, cap
                )
