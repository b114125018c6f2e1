"""Pruned events leave a marker, so that no client resumes across a gap."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from prism.kit.events import RESYNC
from prism.kit.journal import EVENTS_AT_ONCE, KEPT_FOR, archive, newest, prune
from tests.kit.notes_app import Noted, noted


def pruned(db, clock, **more):
    with db.write() as tx:
        return prune(tx.sql, clock.now(), **more)


def test_page_contains_the_next_events_in_order(db):
    with db.write() as tx:
        for number in range(EVENTS_AT_ONCE + 3):
            tx.happened(Noted(actor="ada", subject="n", number=number))
    page = db.events_after(0)
    rest = db.events_after(page[-1].id)
    assert (len(page), len(rest)) == (EVENTS_AT_ONCE, 3)
    assert [fact.data["number"] for fact in (*page, *rest)] == list(range(EVENTS_AT_ONCE + 3))
    assert db.events_after(rest[-1].id) == []
    with db.read() as sql:
        assert newest(sql) == rest[-1].id


def test_recent_events_are_not_pruned(db, clock):
    assert pruned(db, clock) == 0
    noted(db)
    clock.advance(seconds=KEPT_FOR.total_seconds())
    noted(db)
    assert pruned(db, clock) == 0
    assert [fact.event for fact in db.events_after(0)] == ["noted", "noted"]


@pytest.mark.postgres
def test_events_older_than_a_week_are_pruned_with_a_resync_marker(db, clock):
    for number in range(4):
        noted(db, number)
    clock.advance(days=3)
    for number in range(4, 6):
        noted(db, number)
    clock.advance(days=5)
    ids = [fact.id for fact in db.events_after(0)]
    assert pruned(db, clock) == 3
    trace, *rest = db.events_after(0)
    assert (trace.id, trace.event, trace.data) == (ids[3], RESYNC, {})
    assert [fact.data["number"] for fact in rest] == [4, 5]
    assert [fact.event for fact in db.events_after(trace.id)] == ["noted", "noted"]
    assert pruned(db, clock) == 0, "pruning again deletes nothing"
    assert [fact.id for fact in db.events_after(0)] == ids[3:]
    clock.advance(days=8)
    assert pruned(db, clock) == 2
    assert [(f.id, f.event) for f in db.events_after(0)] == [(ids[5], RESYNC)]
    with db.read() as sql:
        assert newest(sql) == ids[5], "an id is never used twice"
    noted(db)
    assert db.events_after(ids[5])[0].id > ids[5]


def test_events_beyond_the_newest_are_pruned(db, clock):
    for number in range(10):
        noted(db, number)
    assert pruned(db, clock, most=10) == 0
    assert pruned(db, clock, most=4) == 5
    trace, *rest = db.events_after(0)
    assert trace.event == RESYNC
    assert [fact.data["number"] for fact in rest] == [6, 7, 8, 9]
    assert clock.now() - trace.at < timedelta(days=1)


def test_archive_keeps_the_newest_events_and_no_more(db, clock):
    def archived():
        with db.read() as sql:
            data = sql.execute(select(archive.c.data).order_by(archive.c.id)).scalars()
            return [event["number"] for event in data]

    for number in range(10):
        noted(db, number)
    pruned(db, clock, most=2, most_archived=7)
    assert archived() == [1, 2, 3, 4, 5, 6, 7]
    noted(db, 10)
    pruned(db, clock, most=2, most_archived=7)
    assert archived() == [2, 3, 4, 5, 6, 7, 8]
