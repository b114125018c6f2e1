"""Sums of growing costs equal the sum over their lines, at every later moment and survey."""

from hypothesis import example, given
from hypothesis import strategies as st

from prism.costs.model import CostKind
from prism.costs.months import elapsed, month_time
from prism.costs.plan import NEVER, GrowingSum, Line, OpenCosts, OpenRow

PRICES = st.sampled_from((0, 1, 7, 3599, 3600, 83_200, 10**9)) | st.integers(0, 10**12)
MOMENTS = st.integers(0, 9000) | st.integers(0, 2**33)
LINES = st.lists(
    st.builds(
        lambda amount, hours, begin, first, last, by_month: Line(
            amount, hours, begin, begin + first, begin + first + last, by_month
        ),
        PRICES,
        st.sampled_from((1, 720)),
        MOMENTS,
        st.integers(0, 5000),
        st.integers(0, 9000) | st.just(NEVER),
        st.booleans(),
    ),
    max_size=12,
)
ROWS = st.lists(
    st.builds(
        OpenRow,
        resource=st.sampled_from("abc"),
        name=st.just("one"),
        project=st.just("p"),
        allocation=st.none() | st.sampled_from("xy"),
        pool=st.none() | st.just("pool"),
        kind=st.sampled_from([*CostKind]),
        amount=st.none() | PRICES,
        hours=st.sampled_from((1, 720)),
        began=st.integers(0, 9000),
        ended=st.none() | st.integers(9000, 20_000),
        counted=st.none() | st.integers(4000, 4002) | st.integers(0, 9000),
    ).flatmap(
        lambda row: st.sampled_from(
            (
                row._replace(counted=None) if row.kind == CostKind.ASLEEP else row,
                row._replace(month_began=month_time(row.began), counted=None),
            )
        )
    ),
    max_size=12,
)


@given(lines=LINES, now=MOMENTS, later=st.integers(0, 9000))
@example(lines=[Line(1, 1, 0, 0), Line(1, 1, 1, 1)], now=3600, later=0)
def test_growing_sum_equals_the_sum_of_its_lines(lines, now, later):
    total = GrowingSum(lines, now)
    assert total.until > now
    for moment in (now, min(now + later, total.until - 1), total.until - 1):
        assert total.at(moment) == sum(line.at(moment) for line in lines)


def cost_by(row: OpenRow, at: int) -> int:
    """The cost of a row by itself, as the ledger's rule says."""
    ends = [end for end in (row.counted if row.ended is None else row.ended,) if end is not None]
    end = max(row.began, min([at, *ends]))
    seconds = elapsed(row.began, end, by_month=row.month_began is not None)
    return (row.amount or 0) * seconds // (row.hours * 3600)


def assert_same(costs: OpenCosts, rows: list[OpenRow], now: int, starts: tuple[int, int]) -> None:
    """These costs equal those of the rows."""
    paid = [row for row in rows if row.kind != CostKind.ASLEEP]
    sums = dict(costs.of_payers(now))
    for ids in {(row.project, row.allocation, row.pool) for row in paid}:
        mine = [r for r in paid if (r.project, r.allocation, r.pool) == ids and r.ended is None]
        assert sums.get(ids, 0) == sum(cost_by(row, now) for row in mine)
    assert costs.paid(now, sum(sums.values())) == 5 + sum(
        cost_by(r, now) - cost_by(r, starts[0]) for r in paid
    )
    asleep = [row for row in rows if row.kind == CostKind.ASLEEP]
    assert costs.saved(now) == 3 + sum(cost_by(r, now) - cost_by(r, starts[1]) for r in asleep)


@given(
    rows=ROWS,
    now=st.integers(3000, 9000),
    later=st.integers(0, 900),
    counted=st.integers(0, 9900),
    starts=st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
)
def test_open_costs_equal_the_recount_also_after_a_survey(rows, now, later, counted, starts):
    rows = [row for row in rows if row.ended is None or row.ended > now]
    costs = OpenCosts(rows, now, starts, ended=(5, 3))
    assert costs.until > now
    then = min(now + later, costs.until - 1)
    for moment in (now, then):
        assert_same(costs, rows, moment, starts)
    if (moved := costs.moved(counted, then)) is not None:
        confirmed = [
            row._replace(counted=counted) if row.ended is None and row.counted else row
            for row in rows
        ]
        assert_same(moved, confirmed, then, starts)


def test_a_survey_of_all_moves_what_runs():
    row = OpenRow("a", "one", "p", "x", "pool", "compute", 3600, 1, 0, None, 50)
    costs = OpenCosts([row], 60, (0, 0))
    assert costs.of_payers(99) == {("p", "x", "pool"): 50}
    moved = costs.moved(90, 99)
    assert moved is not None
    assert moved.of_payers(99) == {("p", "x", "pool"): 90}
    assert costs.of_payers(99) == {("p", "x", "pool"): 50}, "the earlier one stays"
    assert costs.moved(40, 99) is None, "a clock that was set back"
    assert costs.moved(100, 99) is None, "another daemon's clock is ahead"
