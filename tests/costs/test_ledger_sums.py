"""Sums of the past are reused only if later surveys cannot change them."""

import pytest

from prism.costs.ledger_sums import BookedSums, LedgerSums
from prism.kit.money import Micros

MOMENTS = {("project", "p", at): Micros(at) for at in (40, 50, 51, 80, 100, 101)}


def no_open_segments() -> BookedSums:
    booked = BookedSums.__new__(BookedSums)
    booked.rows = []
    return booked


@pytest.mark.parametrize(
    ("before", "after"),
    [({1: 50}, {1: 100}), ({1: 100}, {1: 50}), ({1: 50, 2: 20}, {1: 90, 2: 20})],
    ids=["later survey", "earlier survey", "one of two segments"],
)
def test_sums_after_the_earlier_survey_are_not_reused(before, after):
    booked = no_open_segments()
    sums = LedgerSums(booked, before)
    sums.by |= MOMENTS
    assert [at for _, _, at in LedgerSums(booked, after, sums).by] == [40, 50]


def test_sums_are_not_reused_for_another_ledger():
    sums = LedgerSums(no_open_segments(), {1: 50})
    sums.by |= MOMENTS
    assert not LedgerSums(no_open_segments(), {1: 50}, sums).by
