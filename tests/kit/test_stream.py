"""The event stream: events in order, without gaps or repeats, and no reader delays another."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import pytest
import uvicorn
import websockets.sync.client
from litestar import Litestar
from litestar.di import Provide
from websockets.exceptions import ConnectionClosed, InvalidStatus

from prism.kit import stream
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.event_ids import PLAIN_IDS
from prism.kit.events import RecordedEvent, id_of
from prism.kit.http import RequestValidation, problems
from prism.kit.journal import prune
from prism.kit.network.http_protocol import http_protocol
from prism.kit.stream import MOST_BEHIND, Batch, Hub
from tests.kit.notes_app import Noted, failed, noted
from tests.optional import not_none
from tests.waiting import eventually

EVENTS = "/api/v1/events"
SOON = 120.0  # seconds, on a busy computer


@pytest.fixture
def hub(db, clock):
    return Hub(db, clock)


async def read_events(hub, after, how_many):
    facts = []
    async with hub.reading(after) as reader:
        batches = hub.batches(reader)
        async for batch in batches:
            facts += batch.events
            if len(facts) >= how_many:
                break
        await batches.aclose()
    return facts


def numbers(facts):
    return [fact.data["number"] for fact in facts]


@pytest.mark.postgres
def test_reader_that_resumes_misses_no_event_of_concurrent_writers(hub, db):
    def write_all():
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda n: noted(db, n), range(200)))

    async def read_in_pieces():
        seen: list[RecordedEvent] = []
        position = 0
        while len(seen) < 200:
            seen += await asyncio.wait_for(read_events(hub, position, 1), SOON)
            position = seen[-1].id  # all that a reader remembers when it reconnects
        return seen

    async def read_all_along():
        return await asyncio.wait_for(read_events(hub, 0, 200), SOON)

    async def both():
        return await asyncio.gather(read_in_pieces(), *(read_all_along() for _ in range(5)))

    writer = threading.Thread(target=write_all)
    writer.start()
    everyone = asyncio.run(both())
    writer.join()
    for seen in everyone:
        assert sorted(numbers(seen)) == list(range(200))
        assert [fact.id for fact in seen] == sorted({fact.id for fact in seen})


def test_new_reader_gets_only_events_after_its_start(hub, db):
    noted(db, 1)

    async def read():
        async with hub.reading(None) as reader:
            await asyncio.to_thread(noted, db, 2)
            batch = await anext(hub.batches(reader))
            return reader.position, numbers(batch.events)

    [first] = db.events_after(0)
    assert asyncio.run(read()) == (first.id, [2])


def test_reader_is_woken_by_the_commit_and_not_by_the_poll(hub, db, monkeypatch):
    monkeypatch.setattr(stream, "POLL", 2 * SOON)

    async def read():
        async with hub.reading(None) as reader:
            await asyncio.to_thread(noted, db, 1)
            return await asyncio.wait_for(anext(hub.batches(reader)), SOON)

    assert numbers(asyncio.run(read()).events) == [1]


@pytest.mark.postgres
def test_reader_gets_the_events_of_another_daemon(hub, db, clock):
    other = type(db)(db.url, clock, type(db.bus)())

    async def read():
        async with hub.reading(None) as reader:
            await asyncio.to_thread(noted, other, 7)
            return await asyncio.wait_for(anext(hub.batches(reader)), SOON)

    assert numbers(asyncio.run(read()).events) == [7]
    other.close()


@pytest.mark.postgres
def test_daemon_that_was_away_for_ten_thousand_events_passes_all_on(hub, db, clock):
    """As one that was frozen while another daemon worked."""
    other = type(db)(db.url, clock, type(db.bus)())

    async def read():
        async with hub.reading(None) as reader:
            for _ in range(100):  # the event loop does nothing else meanwhile
                record_hundred(other)
            seen = []
            async for batch in hub.batches(reader):
                seen += batch.events
                if len(seen) == 10_000:
                    return [event.id for event in seen]

    ids = asyncio.run(asyncio.wait_for(read(), SOON))
    assert ids == sorted({*ids})
    other.close()


def test_many_readers_share_one_query_and_one_batch(hub, db, monkeypatch):
    looks, look = [], db.events_after

    def counted(id):
        looks.append(id)
        return look(id)

    monkeypatch.setattr(db, "events_after", counted)
    monkeypatch.setattr(stream, "POLL", 30)

    async def read():
        async with contextlib.AsyncExitStack() as stack:
            readers = [await stack.enter_async_context(hub.reading(None)) for _ in range(50)]
            await asyncio.to_thread(noted, db, 1)
            return await asyncio.gather(*(anext(hub.batches(reader)) for reader in readers))

    batches = asyncio.run(read())
    assert len({id(batch) for batch in batches}) == 1, "encoded once for all"
    assert len(looks) <= 3


def test_hub_stops_its_task_without_readers(hub, db):
    async def read():
        async with hub.reading(None):
            assert len(asyncio.all_tasks()) == 2
        await asyncio.sleep(0)
        return len(asyncio.all_tasks()), len(db.bus._callbacks)

    for _ in range(2):  # it starts again, in another event loop too
        assert asyncio.run(read()) == (1, 0)


def test_slow_reader_is_cut_off_and_does_not_delay_others(hub, db):
    async def read():
        async with hub.reading(None) as slow, hub.reading(None) as quick:
            hearing, heard = hub.batches(quick), []
            for _ in range(0, MOST_BEHIND + 200, 100):
                await asyncio.to_thread(record_hundred, db)
                heard += (await anext(hearing)).events
            while len(heard) < MOST_BEHIND + 200:
                heard += (await anext(hearing)).events
            return slow.cut.done(), quick.cut.done(), len(heard)

    assert asyncio.run(read()) == (True, False, MOST_BEHIND + 200)


def test_reader_that_resumes_within_a_batch_is_not_behind_by_events_that_it_has(hub, db):
    record_hundred(db)
    batch = Batch(db.events_after(0))

    async def read():
        async with hub.reading(None) as reader:
            reader.position = batch.events[-1].id
            for _ in range(MOST_BEHIND // 100 + 1):
                reader.give(batch)
            return reader.cut.done()

    assert asyncio.run(read()) is False


def test_reader_that_starts_while_the_bus_closes_ends_too(hub, db):
    async def read():
        async with hub.reading(None) as first:
            db.bus.close()
            assert await first.take() is None
            async with hub.reading(None) as late:
                assert await asyncio.wait_for(late.take(), stream.GRACE / 2) is None
                return late.cut.done()

    assert asyncio.run(read()) is False


def test_reader_that_resumes_far_behind_is_not_cut_off(hub, db):
    for _ in range(12):
        record_hundred(db)
    seen = asyncio.run(read_events(hub, 0, 1200))
    assert len(seen) == 1200


def test_reader_that_was_away_for_ten_thousand_events_gets_each_once(stream_server, db):
    """Others read meanwhile, and more events happen."""
    for _ in range(100):
        record_hundred(db)
    begun = time.monotonic()
    with listening(stream_server) as present, listening(stream_server, "0") as returned:
        assert "id" in blocks(present, 1)[0]
        early = blocks(returned, 5_000)
        noted(db, 7)
        assert blocks(present, 1)[0]["event"] == "noted", "it does not wait for the other"
        late = blocks(returned, 5_002)
    ids = [block["id"] for block in [*early, *late] if block.get("event") == "noted"]
    assert (len(ids), ids) == (10_001, sorted({*ids}))
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize("after", [0, 3, 10**9])
def test_reader_that_resumes_after_pruned_events_gets_a_resync(hub, db, clock, after):
    for number in range(8):
        noted(db, number)
    with db.write() as tx:
        prune(tx.sql, clock.now(), most=2)

    async def read():
        newest = db.newest_event()
        async with hub.reading(after) as reader:
            batches = hub.batches(reader)
            [resync] = (await anext(batches)).events
            assert (resync.id, resync.event, resync.at) == (newest, "resync", clock.now())
            await asyncio.to_thread(noted, db, 99)
            return numbers((await anext(batches)).events)

    assert asyncio.run(read()) == [99]


def test_reader_that_resumes_within_kept_events_gets_no_resync(hub, db, clock):
    for number in range(8):
        noted(db, number)
    known = db.events_after(0)[5].id
    with db.write() as tx:
        prune(tx.sql, clock.now(), most=2)
    assert numbers(asyncio.run(read_events(hub, known, 2))) == [6, 7]


@pytest.mark.postgres
def test_hub_retries_while_the_database_is_unavailable(hub, db, monkeypatch):
    monkeypatch.setattr(stream, "POLL", 0.02)
    look, refused = db.events_after, list[int]()

    def away(id):
        if len(refused) < 3:
            refused.append(id)
            raise DatabaseUnavailable
        return look(id)

    monkeypatch.setattr(db, "events_after", away)

    async def read():
        async with hub.reading(None) as reader:
            await asyncio.to_thread(noted, db, 5)
            return await asyncio.wait_for(anext(hub.batches(reader)), SOON)

    assert numbers(asyncio.run(read()).events) == [5]
    assert len(refused) == 3


def test_batch_omits_events_up_to_the_position_of_a_reader(db):
    for number in range(3):
        noted(db, number)
    batch = Batch(db.events_after(0))
    assert batch.after(batch.events[0].id - 1) is batch
    assert numbers(batch.after(batch.events[1].id).events) == [2]
    assert Batch([]).sse == b":\n\n"


def test_keepalives_come_also_while_there_are_events(hub, db, monkeypatch):
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(stream, "POLL", 2 * SOON)

    async def read():
        async with hub.reading(None) as reader:
            async for batch in hub.batches(reader):
                if not batch.events:
                    return batch.sse
                await asyncio.to_thread(noted, db, 1)

    async def write_and_read():
        reading = asyncio.ensure_future(read())
        while not reading.done():  # never 0.05 seconds without an event
            await asyncio.to_thread(noted, db, 1)
        return await reading

    assert asyncio.run(asyncio.wait_for(write_and_read(), SOON)) == b":\n\n"


def record_hundred(db):
    with db.write() as tx:
        for number in range(100):
            tx.happened(Noted(actor="ada", subject="n", number=number))


def given(value):
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)


# The same over sockets.


class StreamServer(NamedTuple):
    server: uvicorn.Server
    address: str


@pytest.fixture
def stream_server(db, clock):
    """A real server with the two streams."""
    app = Litestar(
        list(stream.routes),
        dependencies={
            "db": given(db),
            "clock": given(clock),
            "visibility": given(lambda: None),
            "event_ids": given(lambda: PLAIN_IDS),
        },
        exception_handlers=problems(clock),
        logging_config=None,
        middleware=[RequestValidation()],
    )
    config = uvicorn.Config(
        app, http=http_protocol(None, clock), log_config=None, timeout_graceful_shutdown=20
    )
    listener, server = socket.create_server(("127.0.0.1", 0)), uvicorn.Server(config)
    runner = asyncio.Runner(loop_factory=config.get_loop_factory())
    thread = threading.Thread(target=lambda: runner.run(server.serve([listener])))
    thread.start()
    eventually(lambda: server.started)
    yield StreamServer(server, f"127.0.0.1:{listener.getsockname()[1]}")
    db.bus.close()
    server.should_exit = True
    thread.join()
    runner.close()


def connected(served, query=""):
    """A WebSocket client."""
    return websockets.sync.client.connect(f"ws://{served.address}/api/v1/ws{query}")


@contextlib.contextmanager
def listening(served, last=None, **query):
    """An SSE client: the lines that arrive."""
    headers = {"Last-Event-ID": last} if last is not None else {}
    url = f"http://{served.address}{EVENTS}"
    with httpx.stream("GET", url, headers=headers, params=query, timeout=120) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield answer.iter_lines()


def blocks(lines, how_many):
    """That many blocks of a stream, as dicts."""
    events, block = [], {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            block[name] = value.strip()
        else:
            events.append(block)
            block = {}
            if len(events) == how_many:
                break
    return events


def test_sse_stream_has_the_documented_format_and_resumes(stream_server, db):
    noted(db, 1)
    [known] = db.events_after(0)
    with listening(stream_server) as lines:
        assert blocks(lines, 1) == [{"retry": "1000", "id": id_of(known.id)}]
        noted(db, 2)
        [block] = blocks(lines, 1)
    assert (block["id"], block["event"]) == (id_of(known.id + 1), "noted")
    assert json.loads(block["data"]) == {
        "id": id_of(known.id + 1),
        "event": "noted",
        "at": "2026-01-01T00:00:00Z",
        "actor": "ada",
        "subject": "n",
        "data": {"number": 2},
    }
    for last in (id_of(known.id), str(known.id)):
        with listening(stream_server, last) as lines:
            assert blocks(lines, 2)[1] == block
    with listening(stream_server, last_event_id=id_of(known.id)) as lines:
        assert blocks(lines, 2)[1] == block
    with listening(stream_server, id_of(known.id), last_event_id="0") as lines:
        assert blocks(lines, 2)[1] == block, "the header wins over the query"


def test_invalid_last_event_id_is_refused(stream_server):
    for headers, query, field in [
        ({"Last-Event-ID": "x"}, "", "Last-Event-ID"),
        ({"Last-Event-ID": "-1"}, "", "Last-Event-ID"),
        ({}, "?last_event_id=evt_x", "last_event_id"),
    ]:
        answer = httpx.get(f"http://{stream_server.address}{EVENTS}{query}", headers=headers)
        fault = failed(answer, 422, "VALIDATION_FAILED")
        assert fault["data"]["fields"][0]["field"] == field
    with pytest.raises(InvalidStatus) as refused:
        connected(stream_server, "?last_event_id=x")
    assert refused.value.response.status_code == 422
    assert b"VALIDATION_FAILED" in refused.value.response.body


def test_idle_sse_stream_sends_keep_alive_comments(stream_server, monkeypatch):
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.1)
    monkeypatch.setattr(stream, "POLL", 0.05)
    with listening(stream_server) as lines:
        assert blocks(lines, 3)[1:] == [{"": ""}, {"": ""}]


def test_websocket_stream_sends_the_same_events(stream_server, db):
    noted(db, 1)
    with connected(stream_server) as live, connected(stream_server, "?last_event_id=0") as resumed:
        assert json.loads(resumed.recv(SOON))["data"] == {"number": 1}
        live.send("what a client says is not listened to")
        noted(db, 2)
        for stream in (live, resumed):
            fact = json.loads(stream.recv(SOON))
            assert (fact["event"], fact["actor"]) == ("noted", "ada")
            assert fact["data"] == {"number": 2}


def test_streams_end_when_the_daemon_shuts_down(stream_server, db):
    with listening(stream_server) as lines, connected(stream_server) as live:
        blocks(lines, 1)
        db.bus.close()
        assert list(lines) == [], "the stream ends without an error"
        with pytest.raises(ConnectionClosed) as closed:
            live.recv(SOON)
        assert not_none(closed.value.rcvd).code == stream.GOING_AWAY
    with listening(stream_server) as lines:
        assert blocks(lines, 2) == [{"retry": "1000", "id": id_of(0)}], (
            "a stream that starts later ends too"
        )


def test_client_that_does_not_read_is_disconnected(stream_server, db):
    """The buffers of the kernel fill first; then the events wait, for a limited time."""
    host, _, port = stream_server.address.partition(":")
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect((host, int(port)))
    stuck.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert stuck.recv(12) == b"HTTP/1.1 200"
    until = time.monotonic() + SOON
    with listening(stream_server) as lines:
        blocks(lines, 1)
        while stream_server.server.server_state.connections and time.monotonic() < until:
            with db.write() as tx:
                for number in range(400):
                    tx.happened(Noted(actor="ada", subject="x" * 5000, number=number))
            assert len(blocks(lines, 400)) == 400
            if len(stream_server.server.server_state.connections) == 1:
                break
        assert len(stream_server.server.server_state.connections) == 1, (
            "only the client that reads is connected"
        )
    stuck.close()


def test_disconnected_readers_leave_no_bus_listener(stream_server, db):
    for _ in range(20):
        with listening(stream_server) as lines:
            blocks(lines, 1)
        with connected(stream_server):
            pass
    eventually(lambda: not db.bus._callbacks)
