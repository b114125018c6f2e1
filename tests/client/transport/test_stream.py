"""The event stream: parsing, reconnection and errors."""

import json
import threading

import pytest

from prism.client.errors import DaemonUnreachable
from prism.client.transport.stream import events, messages
from prism.errors import Denied
from tests.client.scripted import problem

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def block(number):
    body = json.dumps({"id": number, "event": "happened"})
    return f"id: {number}\nevent: happened\ndata: {body}\n\n".encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_parsed_for_any_split_of_the_bytes(size):
    whole = ": a comment\n\nid: 1\r\nevent: e\r\ndata: a\r\ndata:  ü\r\n\r\nid: 2\n\ndata\n\n"
    raw = f"{whole}data: not ended".encode()
    received = list(messages(raw[at : at + size] for at in range(0, len(raw), size)))
    assert [(m.id, m.event, m.data) for m in received] == [
        ("1", "e", ["a", " ü"]),
        ("2", "message", []),
        ("", "message", [""]),
    ]


def test_interrupted_stream_resumes_after_the_last_event(wire, server):
    cut = HEAD + block(7) + block(8) + b"id: 9\ndata: {half"
    server.on("GET /events", cut, b"", HEAD + block(9) + block(10))
    reader = events(wire, after=6)
    assert [next(reader)["id"] for _ in range(4)] == [7, 8, 9, 10]
    reader.close()
    assert [request.headers["last-event-id"] for request in server.asked[:3]] == ["6", "8", "8"]


def test_stream_resumes_after_an_id_without_an_event(wire, server):
    server.on("GET /events", HEAD + b"id: 41\n\n", HEAD + block(42))
    reader = events(wire)
    assert next(reader)["id"] == 42
    reader.close()
    assert "last-event-id" not in server.asked[0].headers
    assert server.asked[1].headers["last-event-id"] == "41"


def test_event_is_yielded_before_the_stream_ends(wire, server):
    go_on = threading.Event()

    def send_one_event_and_wait(_, connection):
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        first = block(1)
        connection.sendall(chunks + f"{len(first):x}\r\n".encode() + first + b"\r\n")
        go_on.wait(120)

    server.on("GET /events", send_one_event_and_wait)
    reader = events(wire)
    assert next(reader)["id"] == 1
    go_on.set()
    reader.close()


def test_stream_raises_if_the_daemon_does_not_return(wire, server):
    server.on("GET /events", HEAD + block(1))
    reader = events(wire, patience=0.0)
    assert next(reader)["id"] == 1
    server.close()
    with pytest.raises(DaemonUnreachable):
        next(reader)


def test_refused_stream_raises_without_a_retry(wire, server):
    server.on("GET /events", problem(401, "UNAUTHENTICATED", "who are you"))
    with pytest.raises(Denied, match="who are you"):
        next(events(wire))
    assert len(server.asked) == 1
