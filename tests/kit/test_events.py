"""Facts: only if committed, in order, with ids that sort; and the bell that tells of them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from prism.kit.events import Bus, Recorded, id_of, number_of, sent_event
from tests.kit.small import Noted, noted


@pytest.mark.postgres
def test_a_fact_is_written_with_what_made_it_true_or_not_at_all(db, clock):
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
def test_ids_grow_in_the_order_of_the_commits_while_many_write(db):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: noted(db, n), range(100)))
    facts = db.events_after(0)
    assert sorted(sent.data["number"] for sent in facts) == list(range(100))
    assert [sent.id for sent in facts] == sorted({sent.id for sent in facts})


def test_how_a_fact_looks_outside():
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    sent = sent_event(Recorded(42, "noted", at, "ada", "n", {"a": 1}))
    assert (sent.id, sent.at.microsecond) == ("evt_0000000000000042", 0)
    assert (sent.event, sent.actor, sent.subject, sent.data) == ("noted", "ada", "n", {"a": 1})


@pytest.mark.parametrize("number", [0, 1, 42, 10**15])
def test_an_id_is_its_number_and_sorts_like_it(number):
    assert number_of(id_of(number)) == number_of(str(number)) == number
    assert id_of(number) < id_of(number + 1)


@pytest.mark.parametrize("id", ["", "x", "-1", "evt_", "evt_-1", "evt_1x", "1 ", "٣", "9" * 19])
def test_what_is_no_id(id):
    assert number_of(id) is None


def test_the_bell_rings_after_the_commit_and_only_for_facts(db):
    rung = []
    with db.bus.listening(lambda: rung.append(len(db.events_after(0)))):
        noted(db, 1)
        with db.write():
            pass
    noted(db, 2)
    assert rung == [1]


def test_a_bell_may_come_and_go_while_it_rings():
    bus, rung = Bus(), []
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            with bus.listening(lambda: rung.append(1)):
                pass

    with ThreadPoolExecutor(3) as threads:
        busy = [threads.submit(come_and_go) for _ in range(3)]
        for _ in range(2000):
            bus.ring()
        stop.set()
        for done in busy:
            done.result()


def test_closing_rings_once_more():
    bus, seen = Bus(), []
    with bus.listening(lambda: seen.append(bus.closed)):
        bus.close()
    assert seen == [True]
