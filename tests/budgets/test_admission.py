"""Whether what is wanted fits every cap."""

from datetime import datetime

from prism.budgets.admission import Scales
from prism.budgets.balances import Balances
from prism.kit.clock import StoppedClock


class Ticking(StoppedClock):
    """A second passes with each look at it."""

    def now(self) -> datetime:
        self.advance(seconds=1)
        return super().now()


def test_what_is_settled_and_what_is_set_aside_are_weighed_at_one_moment(lab, clock):
    books = Balances(Ticking(clock.now()))
    with lab.daemon.db.read() as sql:
        totals = books.totals(sql)
        scales = Scales(books, sql, [], "ws_1", totals)
    assert totals.now == scales.now == scales._books.now == scales._books.now
