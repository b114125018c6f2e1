"""Every sum of the ledger against a recount of its segments, for random histories."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from prism.catalog.plan import PriceBook
from prism.costs import rollups, store
from prism.costs.ledger import Ledger
from prism.costs.model import DAY, PAID, Booking, CostKind, Rate, Segment
from prism.costs.plan import (
    Charge,
    buckets,
    day_of,
    moment,
    unix_time,
    unpriced_until,
    unpriced_within,
)
from prism.costs.service import CostService
from prism.kit.clock import StoppedClock
from prism.kit.database import versions
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.money import Micros
from prism.kit.tables import metadata, structs_of
from tests.money import cost_by
from tests.optional import not_none
from tests.proofs import record

START = datetime(2026, 1, 30, 22, tzinfo=UTC)
Books = tuple[Database, StoppedClock]
TABLES = (
    store.segments,
    store.accounts,
    store.totals,
    rollups.days,
    store.marks,
)

charges = st.dictionaries(
    st.sampled_from(list(CostKind)),
    st.tuples(st.one_of(st.none(), st.integers(0, 10**9)), st.sampled_from((1, 720))),
    max_size=3,
)
change = st.fixed_dictionaries(
    {
        "resource": st.sampled_from("abc"),
        "project": st.sampled_from((None, "p", "q")),
        "allocation": st.sampled_from((None, "x")),
        "what": charges,
        "later": st.integers(0, 2 * DAY),
        "learned": st.one_of(st.just(0), st.integers(0, 3 * DAY)),
        "roll": st.booleans(),
        "mark": st.booleans(),
        "look": st.booleans(),
        "least": st.sampled_from((0, 60, 5000)),
    }
)


@pytest.fixture
def recorded_books(url: str) -> Iterator[Books]:
    clock = StoppedClock(START)
    db = Database(url, clock, Bus())
    metadata.create_all(db.writer)
    yield db, clock
    db.close()


@pytest.fixture
def other_daemon_costs(url, recorded_books):
    """The costs according to another daemon on the same database."""
    db = Database(url, recorded_books[1], Bus())
    yield CostService(db, recorded_books[1], lambda sql: {})
    db.close()


def assert_fresh_sums(clock, *services):
    """Sums in memory equal those of the tables: 10 minutes and half a day later, and now."""
    at = clock.time
    for later in (600, 12 * 3600 + 59, 0):
        clock.time = at + timedelta(seconds=later)
        for costs in services:
            with costs._db.read() as sql:
                _assert_fresh_sums(costs, sql, clock)
            with costs._db.write():  # which has no version, so nothing is remembered
                fresh = costs.current()
            assert costs.current() == fresh
    clock.time = at


def _assert_fresh_sums(costs, sql, clock):
    now = unix_time(clock.now())
    ledger = costs._open_costs.read(sql, costs._db.versions(sql), now)
    known = store.SumsNow(ledger.of_payers, store.closed_totals(sql), store.newest_marks(sql))
    assert ledger.began() == store.began(sql)
    assert ledger.has_unpriced or not store.unpriced_rows(sql)
    for column, scope in (("project", "p"), ("project", "q"), ("allocation", "x-p")):
        of = sql, column, scope
        assert store.total(*of, now, known=known) == store.total(*of, now), (column, scope, now)
        for then in (now - 5 * DAY, now - DAY - 7, now - 1000, now):
            by = store.total_by(*of, then, now)
            assert store.total_by(*of, then, now, known=known) == by, (scope, then)
    segments = structs_of(sql, Segment, store.SELECT)
    unknown = [s for s in segments if s.amount is None and s.kind is not CostKind.ASLEEP]
    rows = store.unpriced_rows(sql)
    assert unpriced_until(rows, now) == {
        scope: max(now if s.ended is None else s.ended for s in unknown if scope in payers(s))
        for scope in {scope for segment in unknown for scope in payers(segment)}
    }
    month = unix_time(clock.now().replace(day=1, hour=0, minute=0, second=0))
    assert ledger.saved() == sum(
        cost_by(segment, now) - cost_by(segment, month)
        for segment in segments
        if segment.kind is CostKind.ASLEEP
    )
    for first in (day_of(now), day_of(now) - 9):
        for payer in (None, "p", "x-p"):
            assert unpriced_within(rows, first * DAY, now + 1, payer) == sorted(
                {
                    (s.name, s.kind)
                    for s in unknown
                    if (payer is None or payer in payers(s))
                    and s.began <= now
                    and (s.ended is None or s.ended > first * DAY)
                }
            )
    burns = {of: ledger.burn(of) for of in ("p", "q")}
    assert {of: burn for of, burn in burns.items() if burn is not None} == recounted_burns(
        segments, now
    )


def payers(segment: Segment) -> set[str]:
    return {id for id in (segment.project, segment.allocation, segment.pool) if id}


def recounted_burns(segments: list[Segment], now: int) -> dict[str, int]:
    """What each project spent in the last 30 days of UTC, from its segments."""
    first, burns = (now // DAY - 29) * DAY, dict[str, int]()
    for project in {of for segment in segments if (of := segment.project)}:
        mine = [segment for segment in segments if segment.project == project]
        age = now - min(segment.began for segment in mine)
        if age >= 3600:
            paid = sum(
                cost_by(s, now) - cost_by(s, first) for s in mine if s.kind is not CostKind.ASLEEP
            )
            burns[project] = paid * 30 * DAY // min(age, now - first)
    return burns


def write_history(
    db: Database, clock: StoppedClock, story: list[dict[str, Any]], *observers: CostService
) -> CostService:
    """Write a history into the ledger, with comparisons in between; return the service."""
    ledger, costs = Ledger(db, clock, PriceBook()), CostService(db, clock, lambda sql: {})
    clock.time = START
    with db.write() as tx:
        for table in TABLES:
            tx.sql.execute(table.delete())
    if observers:
        assert_fresh_sums(clock, costs, *observers)
    for segment in story:
        clock.advance(seconds=segment["later"])
        charges = {k: Charge(k, Rate(a, h, "test")) for k, (a, h) in segment["what"].items()}
        of = Booking(
            segment["resource"],
            segment["resource"],
            "ada",
            "local",
            None,
            segment["project"],
            segment["allocation"]
            and segment["project"]
            and f"{segment['allocation']}-{segment['project']}",
        )
        at = clock.now() - timedelta(seconds=segment["learned"])
        with db.write() as tx:
            if segment["look"]:
                ledger.confirmed(tx, ["a", "b", "c"], clock.now())
            ledger.set(tx, of, charges, at, least=segment["least"])
            if segment["mark"]:
                then = unix_time(clock.now()) - 1000
                now = unix_time(clock.now())
                store.mark(tx, "p", then, store.total_by(tx.sql, "project", "p", then, now))
        if segment["roll"]:
            ledger.roll()
            with db.read() as sql:
                costs.days(sql, 0, day_of(unix_time(clock.now())), segment["project"])
        if observers:
            assert_fresh_sums(clock, costs, *observers)
    clock.advance(seconds=12345)
    return costs


def assert_recount(db: Database, clock: StoppedClock, costs: CostService) -> list[Segment]:
    """Compare every sum with the recount; return the segments."""
    now = unix_time(clock.now())
    with db.read() as sql:
        segments = structs_of(sql, Segment, store.SELECT)
        paid = [segment for segment in segments if segment.kind is not CostKind.ASLEEP]
        every = select(store.accounts.c.resource)
        for resource, spent in store.spent(sql, every, now).items():
            mine = [segment for segment in paid if segment.resource == resource]
            unknown = any(segment.amount is None for segment in mine)
            assert spent == (None if unknown else sum(cost_by(segment, now) for segment in mine))
        for column, scope in (("project", "p"), ("project", "q"), ("allocation", "x-p")):
            mine = [segment for segment in paid if getattr(segment, column) == scope]
            assert store.total(sql, column, scope, now) == sum(
                cost_by(segment, now) for segment in mine
            )
            for then in (now - 5 * DAY, now - DAY - 7, now - 12345 - 1000, now):
                by = store.total_by(sql, column, scope, then, now)
                assert by == sum(cost_by(segment, then) for segment in mine), (column, scope, then)
        ledger = costs._open_costs.read(sql, None, now)
        assert ledger.of_payers.get("q", 0) == sum(
            cost_by(segment, now)
            for segment in paid
            if segment.project == "q" and segment.ended is None
        )
        assert {name: paid for _, name, paid in store.top(sql, "p", now)} == {
            name: sum(
                cost_by(segment, now)
                for segment in paid
                if segment.project == "p" and segment.name == name
            )
            for name in {segment.name for segment in segments if segment.project == "p"}
        }
        assert_sums_by_day(costs, sql, segments, now)
    return segments


def assert_sums_by_day(costs, sql, segments, now):
    first, last = day_of(unix_time(START)) - 5, day_of(now)
    for project in (None, "p", "q"):
        mine = [segment for segment in segments if project is None or segment.project == project]
        days = costs.days(sql, first, last, project)
        assert days.keys() <= set(range(first, last + 1))
        for day in range(first, last + 1):
            edges = (day * DAY, min((day + 1) * DAY, now))
            for kind in CostKind:
                got = days[day].micros.get(kind, 0) if day in days else 0
                assert got == slices(
                    [segment for segment in mine if segment.kind is kind], *edges
                ), (day, kind)
        assert_bars(days, mine, first, last, now)


def assert_bars(days, mine, first, last, now):
    """Weeks and months add up as days do, and count each workspace once."""
    end = min((last + 1) * DAY, now)
    whole = slices([segment for segment in mine if segment.kind in PAID], first * DAY, end)
    saved = slices(
        [segment for segment in mine if segment.kind is CostKind.ASLEEP], first * DAY, end
    )
    for grain in ("daily", "weekly", "monthly"):
        bars = list(buckets(days, first, last, grain))
        assert sum(bar[1] for bar in bars) == whole
        assert sum(bar[3] for bar in bars) == saved
        for (start, _, count, _), following in zip(bars, [*bars[1:], None], strict=True):
            until = (following[0] if following else last + 1) * DAY
            costly = {
                segment.resource
                for segment in mine
                if segment.kind in {CostKind.COMPUTE, CostKind.ROOT, CostKind.ADDRESS}
                and slices([segment], start * DAY, min(until, now))
            }
            assert count == len(costly)


def slices(segments, start, end):
    return (
        sum(cost_by(segment, end) - cost_by(segment, start) for segment in segments)
        if end > start
        else 0
    )


@pytest.mark.postgres
@given(story=st.lists(change, max_size=25))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_ledger_sum_equals_the_recount(recorded_books: Books, story):
    costs = write_history(*recorded_books, story)
    assert_recount(*recorded_books, costs)
    Ledger(*recorded_books, PriceBook()).roll()
    assert_recount(*recorded_books, costs)


@given(story=st.lists(change, max_size=8))
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_cached_sums_equal_the_tables_after_every_change(
    recorded_books, other_daemon_costs, story
):
    """Also in another daemon of the same database, and at later times."""
    write_history(*recorded_books, story, other_daemon_costs)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_cached_sums_equal_the_tables_in_many_histories(recorded_books, other_daemon_costs):
    @given(story=st.lists(change, max_size=40))
    @settings(max_examples=150, deadline=None, database=None)
    def play(story):
        write_history(*recorded_books, story, other_daemon_costs)

    play()


def test_missing_version_renewal_makes_cached_sums_stale(
    recorded_books: Books, other_daemon_costs, monkeypatch
):
    """Each of these histories changes a sum; without a new version the cache misses it."""
    hour = {CostKind.COMPUTE: (360_000_000, 1), CostKind.ROOT: (7_200_000, 720)}
    usual: dict[str, Any] = {
        "resource": "a",
        "project": "p",
        "allocation": "x",
        "what": hour,
        "later": 1000,
    }
    usual |= {"learned": 0, "roll": False, "mark": False, "look": False, "least": 0}
    begins, ends = usual, usual | {"what": {}}
    sleeps = usual | {"what": {CostKind.ASLEEP: (360_000_000, 1)}}
    unknown = usual | {"resource": "b", "what": {CostKind.ROOT: (None, 720)}}
    stories = [[begins], [begins, ends], [begins, sleeps, ends], [begins, unknown]]
    stories += [[begins, usual | {"later": DAY, "roll": True}, ends]]
    for story in stories:
        write_history(*recorded_books, story, other_daemon_costs)
    monkeypatch.setattr(versions, "renew", lambda sql: None)
    for story in stories:
        with pytest.raises(AssertionError):
            write_history(*recorded_books, story, other_daemon_costs)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_ledger_sum_equals_the_recount_in_many_histories(recorded_books: Books):
    stories, segments = 0, 0

    @given(story=st.lists(change, max_size=60))
    @settings(max_examples=1500, deadline=None, database=None)
    def play(story):
        nonlocal stories, segments
        costs = write_history(*recorded_books, story)
        segments += len(assert_recount(*recorded_books, costs))
        Ledger(*recorded_books, PriceBook()).roll()
        assert_recount(*recorded_books, costs)
        stories += 1

    play()
    where = "PostgreSQL" if recorded_books[0].shared else "SQLite"
    record(
        f"The ledger against a recount: {where}",
        f"{stories:,} histories that Hypothesis generated, with {segments:,} segments",
    )


@pytest.mark.parametrize("pause", [0, 5, 48, 100])
def test_each_start_is_charged_a_minute_even_within_the_previous_minute(recorded_books, pause):
    """Runs of 12 s, `pause` seconds apart; sums are exact at each past second."""
    (db, clock), rate = recorded_books, Rate(Micros(360_000_000), 1, "test")
    ledger, of = Ledger(db, clock, PriceBook()), Booking("a", "a", "ada", "aws", None, "p")
    begun = unix_time(clock.now())
    for _ in range(3):
        for charges, more in (({CostKind.COMPUTE: Charge("m", rate)}, 12), ({}, pause)):
            with db.write() as tx:
                ledger.set(tx, of, charges, clock.now(), least=60)
                now = unix_time(clock.now())
                by = store.total_by(tx.sql, "project", "p", now - 1, now)
                segments = structs_of(tx.sql, Segment, store.SELECT)
            assert by == sum(cost_by(segment, now - 1) for segment in segments), (
                "also while a part of the minute is still to come"
            )
            clock.advance(seconds=more)
    clock.advance(seconds=100)
    now = unix_time(clock.now())
    with db.read() as sql:
        segments = structs_of(sql, Segment, store.SELECT)
        assert store.total(sql, "project", "p", now) == 3 * 60 * 100_000
    runs = [segment for segment in segments if segment.detail == "m"]
    assert [not_none(run.ended) - run.began for run in runs] == [12] * 3
    assert [run.began - begun for run in runs] == [0, 12 + pause, 2 * (12 + pause)], (
        "at the time of the starts"
    )
    rests = [segment for segment in segments if segment.detail != "m"]
    assert [(rest.began, rest.ended) for rest in rests] == [
        (run.ended, run.began + 60) for run in runs
    ]


def test_only_hibernation_counts_as_savings(clocked_daemon):
    clocked_daemon.running("a")
    clocked_daemon.settle(hours=2)
    assert clocked_daemon.get("costs/history")["daily_costs"][-1]["hibernation_savings"] == 0.0
    clocked_daemon.verb("a", "hibernate")
    clocked_daemon.settle()
    clocked_daemon.settle(hours=5)
    saved = [segment for segment in clocked_daemon.segments() if segment.kind is CostKind.ASLEEP]
    compute = [
        segment for segment in clocked_daemon.segments() if segment.kind is CostKind.COMPUTE
    ]
    actual = sum(cost_by(segment, clocked_daemon.now) for segment in compute)
    savings = sum(cost_by(segment, clocked_daemon.now) for segment in saved)
    assert actual + savings == 7 * compute[0].amount, (
        "the cost if the workspace had run all the time"
    )
    assert clocked_daemon.get("costs/history")["daily_costs"][-1]["hibernation_savings"] == 0.42
    assert moment(clocked_daemon.now) == clocked_daemon.clock.now()
