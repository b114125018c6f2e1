"""What a later look cannot have changed is carried over, and nothing else."""

from types import SimpleNamespace

import pytest

from prism.costs.ledger_sums import LedgerSums

MOMENTS = {("project", "p", at): at for at in (40, 50, 51, 80, 100, 101)}


@pytest.mark.parametrize(
    ("before", "after"),
    [({1: 50}, {1: 100}), ({1: 100}, {1: 50}), ({1: 50, 2: 20}, {1: 90, 2: 20})],
    ids=["a later look", "a slow reader of an older one", "only one of two"],
)
def test_sums_of_moments_after_the_look_before_are_made_again(before, after):
    booked = SimpleNamespace(rows=[])
    sums = LedgerSums(booked, before)
    sums.by |= MOMENTS
    assert [at for _, _, at in LedgerSums(booked, after, sums).by] == [40, 50]


def test_nothing_is_carried_over_to_another_ledger():
    sums = LedgerSums(SimpleNamespace(rows=[]), {1: 50})
    sums.by |= MOMENTS
    assert not LedgerSums(SimpleNamespace(rows=[]), {1: 50}, sums).by
