"""The rows under which Prism is tried cover each pair of conditions."""

import pytest

from tests.bare.conditions import FACTORS, IN_MAKE_TEST, ROWS
from tests.bare.pairwise import all_pairs, covering, pairs_of


def test_rows_cover_each_pair_of_conditions_once_at_least():
    assert set().union(*map(pairs_of, ROWS)) == all_pairs(FACTORS)
    assert all(row.keys() == FACTORS.keys() for row in ROWS)
    assert all(row[name] in FACTORS[name] for row in ROWS for name in FACTORS)
    assert len(ROWS) <= 16, "far fewer than the 82,944 combinations"


def test_rows_of_make_test_cover_half_of_the_pairs():
    early = set().union(*map(pairs_of, ROWS[:IN_MAKE_TEST]))
    assert len(early) > len(all_pairs(FACTORS)) / 2


@pytest.mark.parametrize(
    "factors",
    [
        {"a": ("1", "2"), "b": ("1", "2")},
        {"a": ("1", "2", "3"), "b": ("1", "2", "3"), "c": ("1", "2", "3"), "d": ("1", "2")},
    ],
)
def test_covering_set_is_complete_without_first_rows(factors):
    rows = covering(factors)
    assert set().union(*map(pairs_of, rows)) == all_pairs(factors)
    assert len(rows) < 16
