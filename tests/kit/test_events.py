"""Events are recorded only when committed, in order, with sortable ids; the bus announces them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from prism.kit.events import Bus, RecordedEvent, id_of, number_of, sent_event
from tests.kit.notes_app import Noted, noted


@pytest.mark.postgres
def test_event_is_recorded_only_if_its_transaction_commits(db, clock):
    def fail():
        with db.write() as tx:
            tx.happened(Noted(actor="ada", subject="n", number=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert db.events_after(0) == []
    noted(db, 2)
    [sent] = db.events_after(0)
    assert (sent.event, sent.actor, sent.subject, sent.data) == (
        "noted",
        "ada",
        "n",
        {"number": 2},
    )
    assert sent.at == clock.now()


@pytest.mark.postgres
def test_event_ids_grow_in_the_order_of_concurrent_commits(db):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: noted(db, n), range(100)))
    facts = db.events_after(0)
    assert sorted(sent.data["number"] for sent in facts) == list(range(100))
    assert [sent.id for sent in facts] == sorted({sent.id for sent in facts})


def test_sent_event_has_the_fields_of_the_recorded_event():
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    sent = sent_event(RecordedEvent(42, "noted", at, "ada", "n", {"a": 1}), id_of(42))
    assert (sent.id, sent.at.microsecond) == ("evt_0000000000000042", 0)
    assert (sent.event, sent.actor, sent.subject, sent.data) == ("noted", "ada", "n", {"a": 1})


@pytest.mark.parametrize("number", [0, 1, 42, 10**15])
def test_event_id_is_its_number_and_sorts_like_it(number):
    assert number_of(id_of(number)) == number_of(str(number)) == number
    assert id_of(number) < id_of(number + 1)


@pytest.mark.parametrize("id", ["", "x", "-1", "evt_", "evt_-1", "evt_1x", "1 ", "٣", "9" * 19])
def test_invalid_event_id_has_no_number(id):
    assert number_of(id) is None


def test_bus_rings_after_a_commit_with_events_only(db):
    rung = []
    with db.bus.listening(lambda: rung.append(len(db.events_after(0)))):
        noted(db, 1)
        with db.write():
            pass
    noted(db, 2)
    assert rung == [1]


def test_bus_listeners_can_be_added_and_removed_while_it_rings():
    bus, rung = Bus(), []
    stop = threading.Event()

    def add_and_remove():
        while not stop.is_set():
            with bus.listening(lambda: rung.append(1)):
                pass

    with ThreadPoolExecutor(3) as threads:
        busy = [threads.submit(add_and_remove) for _ in range(3)]
        for _ in range(2000):
            bus.notify()
        stop.set()
        for done in busy:
            done.result()


def test_closing_the_bus_rings_it_once_more():
    bus, seen = Bus(), []
    with bus.listening(lambda: seen.append(bus.closed)):
        bus.close()
    assert seen == [True]
