"""Sums of the past are reused only if later surveys cannot change them."""

from collections.abc import Callable

import pytest

from prism.costs.ledger_sums import BookedSums, LedgerCache, LedgerSums
from prism.costs.plan import unix_time
from prism.costs.store import COUNTED
from prism.kit.money import Micros
from tests.optional import not_none

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


class InterruptedCache(LedgerCache):
    """Calls `then` once, as soon as it has stored sums."""

    then: Callable[[], object] | None = None

    @property
    def _last(self):
        return self.__dict__.get("_last")

    @_last.setter
    def _last(self, sums):
        self.__dict__["_last"] = sums
        then, self.then = self.then, None
        if then is not None:
            then()


def test_thread_with_a_newer_version_does_not_replace_the_sums_of_another(daemon, monkeypatch):
    cache, now = InterruptedCache(daemon.db, daemon.clock), unix_time(daemon.clock.now())
    counted = iter([{1: 50}, {1: 60}])
    monkeypatch.setattr("prism.costs.store.counted_of_open", lambda sql: next(counted))
    with daemon.db.read() as sql:
        cache.then = lambda: cache.at(sql, {COUNTED: "newer"}, now)
        ledger = not_none(cache.at(sql, {COUNTED: "older"}, now))
    assert ledger._sums.counted == {1: 50}
