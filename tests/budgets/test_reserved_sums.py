"""What a project reserves equals the sum over its reservations, at every moment and survey."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from prism.budgets.model import Window
from prism.budgets.plan import ALWAYS, ProjectReserved, reserved_compute, reserved_disk
from tests.budgets.test_store import MOMENTS, ROWS, SEEN

PERIODS = st.builds(
    lambda start, length: Window(start, None if length is None else start + 1 + length),
    MOMENTS,
    st.none() | MOMENTS,
)


def assert_same(sums: ProjectReserved, rows, now, within):
    """These sums equal those of the reservations, each by itself."""
    mine = [row for row in rows if row.pool == "pool"]
    assert sums.own.at(now) == (
        sum(reserved_compute(row, now, ALWAYS) for row in rows),
        sum(reserved_disk(row, now, ALWAYS) for row in rows),
    )
    parts = [part.at(now) for part in sums.parts.values()]
    assert (sum(part[0] for part in parts), sum(part[1] for part in parts)) == (
        sum(reserved_compute(row, now, within) for row in mine),
        sum(reserved_disk(row, now, within, own=False) for row in mine),
    )


@given(
    rows=ROWS,
    now=MOMENTS,
    later=st.integers(0, 9000),
    within=PERIODS,
    common=st.none() | st.integers(1, 9000),
    counted=MOMENTS,
)
def test_reserved_sums_equal_the_reservations_at_every_moment(
    rows, now, later, within, common, counted
):
    if common is not None:
        rows = [replace(row, counted=common) for row in rows]
    sums = ProjectReserved(rows, now, {"pool": within})
    assert sums.until > now
    then = min(now + later, sums.until - 1)
    for moment in (now, then):
        assert_same(sums, rows, moment, within)
    if (moved := sums.moved(counted, then)) is not None:
        runs = [replace(row, counted=counted) if row.running else row for row in rows]
        assert_same(moved, runs, then, within)


def test_a_survey_of_all_moves_what_is_reserved():
    sums = ProjectReserved([SEEN], 3600, {})
    assert sums.own.at(3600) == (83_200 * 3 // 2, 0)
    moved = sums.moved(3600, 3700)
    assert moved is not None
    assert moved.own.at(3700) == (83_200, 0)
    assert sums.moved(7200, 7300) is None, "its end is reached"
