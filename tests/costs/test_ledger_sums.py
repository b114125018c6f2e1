"""What a later look cannot have changed is carried over, and nothing else."""

import pytest

from prism.costs.ledger_sums import BookedSums, LedgerSums
from prism.kit.money import Micros

MOMENTS = {("project", "p", at): Micros(at) for at in (40, 50, 51, 80, 100, 101)}


def nothing_open() -> BookedSums:
    booked = BookedSums.__new__(BookedSums)
    booked.rows = []
    return booked


@pytest.mark.parametrize(
    ("before", "after"),
    [({1: 50}, {1: 100}), ({1: 100}, {1: 50}), ({1: 50, 2: 20}, {1: 90, 2: 20})],
    ids=["a later look", "a slow reader of an older one", "only one of two"],
)
def test_sums_of_moments_after_the_look_before_are_made_again(before, after):
    booked = nothing_open()
    sums = LedgerSums(booked, before)
    sums.by |= MOMENTS
    assert [at for _, _, at in LedgerSums(booked, after, sums).by] == [40, 50]


def test_nothing_is_carried_over_to_another_ledger():
    sums = LedgerSums(nothing_open(), {1: 50})
    sums.by |= MOMENTS
    assert not LedgerSums(nothing_open(), {1: 50}, sums).by
