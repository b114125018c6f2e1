"""Admission: whether a request fits every cap."""

from datetime import UTC, datetime, timedelta

from prism.budgets.admission import CapComparison
from prism.budgets.books import BookReader, Books, every_cap
from prism.costs.plan import unix_time
from prism.kit.clock import StoppedClock


class AdvancingClock(StoppedClock):
    """A clock that advances by one second at each reading."""

    def now(self) -> datetime:
        self.advance(seconds=1)
        return super().now()


def test_admission_compares_settled_and_reserved_money_at_one_time(clocked_daemon, clock):
    reader = BookReader(clocked_daemon.daemon.db, AdvancingClock(clock.now()))
    with clocked_daemon.daemon.db.read() as sql:
        books = reader.open(sql)
        comparison = CapComparison(books, [], "ws_1")
    assert books.now == comparison.now == comparison._books.now


def test_balance_uses_only_the_first_reading_of_the_clock_around_midnight(clocked_daemon):
    """All sums of a balance belong to the same day."""
    clocked_daemon.pool("grant", 5.0, "daily")
    clocked_daemon.project("lab")
    clocked_daemon.allocate("grant", "lab", 5.0)
    clocked_daemon.settle(hours=23)
    clocked_daemon.running(project="lab", ttl_hours=3)
    clocked_daemon.live(minutes=58)
    midnight, db = datetime(2026, 1, 2, tzinfo=UTC), clocked_daemon.daemon.db
    with db.read() as sql:
        for cap in every_cap(sql):
            for seconds in range(1, 8):
                began = midnight - timedelta(seconds=seconds)
                still = Books(sql, unix_time(began) + 1)  # the first reading
                reader = BookReader(db, AdvancingClock(began))
                assert reader.open(sql).balance(cap) == still.balance(cap)
                assert reader.open(sql).now == still.now + 1, "the clock has advanced"
                tightest = BookReader(db, AdvancingClock(began)).open(sql).tightest(cap)
                assert tightest == still.tightest(cap)
