"""Ambiguous framing of HTTP requests, and WebSocket messages beyond the limits."""

import ast
import contextlib
import socket
import struct
import zlib
from collections import Counter
from functools import cache
from types import SimpleNamespace
from typing import cast

import pytest

from tests import proofs
from tests.attacks import surfaces
from tests.attacks.serving import connected, receive_all, serving
from tests.attacks.surfaces import HERE, OF_FILE, ROOT, SURFACES, table
from tests.waiting import eventually


def test_attack_files_are_listed_by_surface_and_counted():
    assert set(OF_FILE) >= HERE
    for file in OF_FILE:
        tree = ast.parse((ROOT / file).read_text())
        assert any(getattr(entry, "name", "").startswith("test_") for entry in tree.body), file
    text = table(Counter({"tests/attacks/test_gate.py": 1000, "tests/kit/test_gate.py": 5}))
    assert f"| gate | 1,005 | {len(SURFACES['gate'])} |" in text
    assert text.endswith(f"1,005 tests in all. 2 of the {len(OF_FILE)} files had tests that ran.")


@pytest.mark.parametrize(
    ("written", "missing", "args", "options"),
    [
        (True, (), ["tests"], {}),
        (False, ("tests/kit/test_gate.py",), ["tests"], {}),
        (False, (), ["tests"], {"keyword": "gate"}),
        (False, (), ["tests"], {"markexpr": "not slow"}),
        (False, (), ["tests/kit/test_gate.py::test_x", "tests"], {}),
    ],
)
def test_table_of_attacks_is_written_only_by_a_run_of_all_of_them(
    written, missing, args, options, monkeypatch
):
    titles = []
    monkeypatch.setenv("PRISM_WRITE_PROOFS", "1")
    monkeypatch.setattr(surfaces, "passed", Counter(set(OF_FILE) - set(missing)))
    monkeypatch.setattr(proofs, "record", lambda title, _: titles.append(title))
    option = SimpleNamespace(**{"keyword": "", "markexpr": "", "deselect": None} | options)
    session = SimpleNamespace(config=SimpleNamespace(option=option, args=args))
    surfaces.pytest_sessionfinish(cast(pytest.Session, session))
    assert titles == ["Attacks"] * written


GET, POST = b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
FRAMING = {
    "two lengths, alike": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\nhi",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\nhi",
    "a signed length": POST + b"Content-Length: +2\r\n\r\nhi",
    "a negative length": POST + b"Content-Length: -2\r\n\r\nhi",
    "a hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\nhi",
    "a length with a blank before the colon": POST + b"Content-Length : 2\r\n\r\nhi",
    "a length beyond 64 bits": POST + b"Content-Length: 18446744073709551618\r\n\r\nhi",
    "a length and chunks": POST
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "chunks and a length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"
    + CHUNKS,
    "chunked twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "chunked, then nothing": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
    "not quite chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "compressed": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "chunked behind a control character": POST
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n"
    + CHUNKS,
    "chunked of HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "a chunk with a wrong size": POST
    + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n",
    "a chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhiX0\r\n\r\n",
    "a chunk's line feed": POST + b"Transfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n",
    "a negative chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
    "an upgrade with a length": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
    "an upgrade with chunks": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a folded host": b"GET / HTTP/1.1\r\nHost: x\r\n .evil\r\n\r\n",
    "a folded first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "lines without returns": b"GET / HTTP/1.1\nHost: x\n\n",
    "returns without lines": b"GET / HTTP/1.1\rHost: x\r\r",
    "a return in a value": GET + b"X: a\rY: b\r\n\r\n",
    "a line feed in a value": GET + b"X: a\nTransfer-Encoding: chunked\r\n\r\n",
    "NUL in a value": GET + b"X: a\0b\r\n\r\n",
    "a blank in a name": GET + b"X Y: b\r\n\r\n",
    "no name": GET + b": b\r\n\r\n",
    "no colon": GET + b"X\r\n\r\n",
    "a target of another host": b"GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a user": b"GET http://x@evil/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a query for a host": b"GET http://evil?x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target that is a file": b"GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without its slash": b"GET index HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a blank": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target for a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another protocol": b"GET / ICE/1.0\r\nHost: x\r\n\r\n",
}
FINE = {
    "a plain request": GET + b"\r\n",
    "a length": POST + b"Content-Length: 2\r\n\r\nhi",
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks in capitals": POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n" + CHUNKS,
    "a target of the same host": b"GET http://x/ HTTP/1.1\r\nHost: X\r\n\r\n",
}


SEEN: list[str] = []  # the paths of requests
HEARD: list[int] = []  # the lengths of messages


async def app(scope, receive, send):
    """Reads a request to its end, and records its path."""
    if scope["type"] == "websocket":
        return await sockets(scope, receive, send)
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        more = message.get("more_body", False)
    SEEN.append(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    return await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(autouse=True)
def seen_requests():
    SEEN.clear()
    HEARD.clear()
    return SEEN


@pytest.fixture(scope="module")
def running_server():
    """A server for all tests of this file, and its port."""
    with serving(app) as server_and_port:
        yield server_and_port


@pytest.mark.parametrize("kind", FRAMING)
def test_ambiguous_request_framing_is_answered_400(kind, seen_requests, running_server):
    """A proxy in front of the daemon must not see one request if the daemon sees two."""
    with connected(running_server[1]) as client:
        client.sendall(FRAMING[kind] + NEXT)
        answer = receive_all(client)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert seen_requests == [], "neither the request nor the next one"


@pytest.mark.parametrize("kind", FINE)
def test_unambiguous_request_framing_is_accepted(kind, seen_requests, running_server):
    with connected(running_server[1]) as client:
        client.sendall(FINE[kind] + NEXT)
        assert receive_all(client).count(b"HTTP/1.1 200 ") == 2
        assert seen_requests == ["/", "/smuggled"]


# ------------------------------------------------------------------ WebSockets

HELLO = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
HELLO += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
TEXT, MORE, PING, FIN, COMPRESSED = 1, 0, 9, 0x80, 0x40
MIB = 1024 * 1024


async def sockets(scope, receive, send):
    """Accepts connections, except at `/slow`, and records the length of messages."""
    await receive()
    if scope["path"] == "/slow":
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        HEARD.append(len(message.get("bytes") or message.get("text")))


def frame(head, payload, size=None):
    """A frame of a client, masked with zeros; `size` may claim more than there is."""
    size = len(payload) if size is None else size
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + struct.pack(">H", size)
    else:
        length = b"\xff" + struct.pack(">Q", size)
    return bytes([head]) + length + b"\0\0\0\0" + payload


@cache
def bomb(size):
    """`size` compressed blanks."""
    press = zlib.compressobj(9, wbits=-12)
    return (press.compress(b" " * size) + press.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\0\0\xff\xff"
    )


BEYOND = {
    "a frame that says it is huge": frame(FIN | TEXT, b"", 1 << 40),
    "a frame of more than a MiB": frame(FIN | TEXT, b"a" * (MIB + 1)),
    "a message in pieces of more than a MiB": frame(TEXT, b"a" * MIB) + frame(FIN | MORE, b"a"),
    "a message of too many pieces": frame(TEXT, b"a") + frame(MORE, b"a") * 5000,
    "pieces without an end": frame(TEXT, b"a") + frame(MORE, b"") * 5000,
    "a bomb": lambda: frame(FIN | TEXT | COMPRESSED, bomb(64 * MIB)),
    "a bomb in pieces": lambda: (
        frame(TEXT | COMPRESSED, bomb(64 * MIB)[:100]) + frame(FIN | MORE, bomb(64 * MIB)[100:])
    ),
    "no text": frame(FIN | TEXT, b"\xff\xfe"),
    "a continuation without a start": frame(FIN | MORE, b"a"),
    "a ping in pieces": frame(PING, b"a"),
    "a ping that is too long": frame(FIN | PING, b"a" * 126),
    "no mask": bytes([FIN | TEXT, 1]) + b"a",
    "a reserved bit": frame(FIN | TEXT | 0x20, b"a"),
    "a reserved kind": frame(FIN | 3, b"a"),
}


@contextlib.contextmanager
def websocket(served, path=b"/", answer=b"HTTP/1.1 101 "):
    """A WebSocket whose handshake is done, and the server."""
    server, port = served
    with connected(port) as client:
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + HELLO + DEFLATE + b"\r\n")
        if answer:
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.recv(1)
            assert received.startswith(answer)
        yield server, client


@pytest.mark.parametrize("kind", BEYOND)
def test_websocket_is_closed_by_a_message_beyond_the_limits(kind, running_server):
    with websocket(running_server) as (_, client):
        with contextlib.suppress(ConnectionError):
            sent = BEYOND[kind]
            client.sendall(sent() if callable(sent) else sent)
        answer = receive_all(client)
        codes = {1002, 1003, 1007, 1009}
        assert not answer or struct.unpack(">H", answer[2:4])[0] in codes
        assert HEARD == []


def test_websocket_messages_within_the_limits_are_received(running_server):
    with websocket(running_server) as (_, client):
        client.sendall(frame(FIN | TEXT, b"a" * MIB))
        client.sendall(frame(FIN | TEXT | COMPRESSED, bomb(MIB)))
        client.sendall(frame(TEXT, b"a") + frame(MORE, b"a") * 1000 + frame(FIN | MORE, b"a"))
        eventually(lambda: HEARD == [MIB, MIB, 1002])


def test_websocket_client_that_pings_without_reading_is_disconnected(running_server):
    """The unread answers take memory."""
    with websocket(running_server) as (server, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        flood, sent = frame(FIN | PING, b"a" * 125) * 100, 0
        with pytest.raises(ConnectionError):
            while sent < 64 * MIB:
                client.sendall(flood)
                sent += len(flood)
        eventually(lambda: not server.server_state.connections)


def test_bytes_before_the_handshake_answer_are_limited(running_server):
    with websocket(running_server, b"/slow", None) as (server, client):
        eventually(lambda: server.server_state.tasks)
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                client.sendall(frame(FIN | TEXT, b"a" * 60000))
        eventually(lambda: not server.server_state.tasks)


HANDSHAKE = b"GET / HTTP/1.1\r\nHost: x\r\n" + HELLO
NO_HANDSHAKE = {
    "too many headers": HANDSHAKE + b"X: y\r\n" * 200 + b"\r\n",
    "a long header": HANDSHAKE + b"X: " + b"y" * 20000 + b"\r\n\r\n",
    "a long target": (HANDSHAKE + b"\r\n").replace(b"GET /", b"GET /" + b"a" * 20000),
    "a body": HANDSHAKE + b"Content-Length: 5\r\n\r\nhello",
    "a body in chunks": HANDSHAKE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another method": (HANDSHAKE + b"\r\n").replace(b"GET", b"POST"),
    "a short key": HANDSHAKE.replace(b"AAAA==", b"AA") + b"\r\n",
    "no key": HANDSHAKE.partition(b"Sec-WebSocket-Key")[0] + b"\r\n",
    "two keys": HANDSHAKE + b"Sec-WebSocket-Key: BAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "an old version": HANDSHAKE.replace(b"13", b"8") + b"\r\n",
    "broken extensions": HANDSHAKE + b"Sec-WebSocket-Extensions: ,,;;=\r\n\r\n",
    "broken protocols": HANDSHAKE + b"Sec-WebSocket-Protocol: a b, c\r\n\r\n",
}


@pytest.mark.parametrize("kind", NO_HANDSHAKE)
def test_invalid_websocket_handshake_is_refused_and_closed(kind, running_server):
    with connected(running_server[1]) as client:
        client.sendall(NO_HANDSHAKE[kind])
        answer = receive_all(client)
        assert answer.split(b" ")[1] in {b"400", b"405", b"414", b"426", b"431"}
        assert answer.count(b"HTTP/1.1 ") == 1
    eventually(lambda: not running_server[0].server_state.connections)
