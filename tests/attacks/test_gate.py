"""The gate, before anybody knows who is asking: size, time and number have a bound."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import threading

import pytest

from prism.daemon.logs import AT_MOST, Repeats
from prism.kit.http_protocol import LimitedProtocol
from prism.kit.limits import PATIENT, ConnectionCounter, RequestLimits, peer_of
from prism.kit.peer_credentials import SocketDiagnostics
from tests.attacks.serving import connected, heard, poured, serving
from tests.project.living import Home
from tests.waiting import eventually

LARGE = 8 * 1024 * 1024  # bytes that an attacker sends; far fewer may be taken
SOCKETS = 3 * 1024 * 1024  # bytes that the kernel's buffers and the bin for the refused hold
GET, POST = b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "an endless address": (b"GET /", b"a" * 65536),
    "an endless query": (b"GET /?", b"a=b&" * 16384),
    "an endless method": (b"", b"G" * 65536),
    "an endless value": (GET + b"X: ", b"a" * 65536),
    "an endless name": (GET, b"a" * 65536),
    "endless headers": (GET, b"X: y\r\n" * 10000),
    "one folded header": (GET + b"X: y", b"\r\n " + b"z" * 60000),
    "endless empty lines": (b"", b"\r\n" * 32768),
    "an endless size of a chunk": (CHUNKED, b"0" * 65536),
    "an endless margin of a chunk": (CHUNKED + b"1;a=", b"b" * 65536),
    "an endless value of a trailer": (CHUNKED + b"1\r\nx\r\n0\r\nT: ", b"a" * 65536),
    "endless trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"T: y\r\n" * 10000),
    "a WebSocket's endless headers": (
        GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"X: y\r\n" * 10000,
    ),
}
DRIPS = {
    "nothing": b"",
    "an address": b"GET /",
    "a header": GET + b"X: ",
    "empty lines": b"\r\n",
    "a second request": GET + b"\r\n" + GET[:-2],
    "a WebSocket's header": GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\nX: ",
    "the rest of a body that was answered": POST + b"X-Unread: 1\r\nContent-Length: 99999\r\n\r\n",
}
QUICK = RequestLimits(head_timeout=0.5)


SEEN: list[dict[bytes, bytes]] = []  # the headers of what has come to the application


async def app(scope, receive, send):
    """Reads every body, but not that of who says so."""
    more = not any(name == b"x-unread" for name, _ in scope["headers"])
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message.get("more_body", False)
    SEEN.append(dict(scope["headers"]))
    length = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(autouse=True)
def seen_requests():
    SEEN.clear()
    return SEEN


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    return request.param


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def flooded_port(request):
    """The port of a server for all floods."""
    with serving(app, loop=request.param) as (_, port):
        yield port


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_before_the_token_is_refused_and_not_kept(flood, flooded_port, seen_requests):
    first, more = FLOODS[flood]
    port = flooded_port
    with connected(port) as client:
        taken, answer = poured(client, first, more, LARGE)
        assert taken < SOCKETS, "the daemon goes on taking it"
        if answer:  # an answer in the middle of a body would pass for that of the application
            assert answer.split(b" ")[1] in {b"400", b"431"}, answer[:200]
            assert answer.count(b"HTTP/1.1 ") == 1
        assert seen_requests == []
        with connected(port) as other:
            other.sendall(GET + b"\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"


def test_a_head_may_be_as_large_as_it_says_and_no_larger(loop):
    frame = GET + b"X: \r\n\r\n"
    room = RequestLimits().head - len(frame)
    with serving(app, loop=loop) as (_, port):
        for size, status in ((room, b"200"), (room + 1, b"431")):
            with connected(port) as client:
                client.sendall(frame[:-4] + b"a" * size + b"\r\n\r\n")
                assert client.recv(65536).split(b" ")[1] == status
        with connected(port) as client:  # each head has its own bound
            for _ in range(3):
                client.sendall(frame[:-4] + b"a" * room + b"\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 200"
                while not client.recv(65536).endswith(b"ok"):
                    pass


def test_trailers_change_no_request_that_was_judged(seen_requests):
    with serving(app) as (_, port), connected(port) as client:
        client.sendall(CHUNKED + b"2\r\nhi\r\n0\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert seen_requests == [{b"host": b"x", b"transfer-encoding": b"chunked"}]


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize(
    "loop", ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)], indirect=True
)
def test_who_drips_is_let_go(drip, loop):
    """One byte now and then keeps no connection open."""
    with serving(app, QUICK, loop) as (server, port), connected(port) as client:
        client.sendall(DRIPS[drip])
        eventually(lambda: server.server_state.connections)

        def gone():
            with contextlib.suppress(ConnectionError):
                client.sendall(
                    b"\n" if drip == "empty lines" else b"a" if drip != "nothing" else b""
                )
            return not server.server_state.connections

        eventually(gone)


def test_the_slow_hear_why_and_the_silent_nothing(loop):
    with serving(app, QUICK, loop) as (_, port):
        with connected(port) as client:
            client.sendall(b"GET / HT")
            answer = heard(client)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b'"code":"REQUEST_TOO_SLOW"' in answer
        with connected(port) as client:
            assert heard(client) == b""


def test_who_waits_for_an_answer_may_be_silent(loop, monkeypatch):
    """However long it takes: only what is to come has its time."""
    late, passed = LimitedProtocol._head_timed_out, []
    waits, go = threading.Event(), asyncio.Event()

    def counted(self):
        late(self)
        passed.append(self)
        if len(passed) == 3:
            go.set()

    monkeypatch.setattr(LimitedProtocol, "_head_timed_out", counted)

    async def slow(scope, receive, send):
        await receive()
        waits.set()
        await go.wait()
        await app(scope, receive, send)

    with serving(slow, QUICK, loop) as (_, port), connected(port) as client:
        client.sendall(POST + b"X-Unread: 1\r\nContent-Length: 2\r\n\r\nhi")
        eventually(waits.is_set)
        client.sendall(b"\r\n")  # of clients of old, and the beginning of another head
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_refusal_never_stands_in_the_middle_of_an_answer(loop):
    """What comes behind a request that is being answered may be rubbish."""

    async def long(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    with serving(long, loop=loop) as (_, port), connected(port) as client:
        client.sendall(GET + b"\r\n")
        answer = client.recv(65536)
        client.sendall(b"\x00rubbish\r\n\r\n")
        assert (answer + heard(client)).count(b"HTTP/1.1") == 1


BODY = 16 * 1024 * 1024


def reading(patient=False):
    """An application whose answer is large, and the server's side of its connection."""

    async def large(scope, receive, send):
        if patient:
            scope[PATIENT]()
        length = [(b"content-length", b"%d" % BODY)]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for number in range(16):
            body = b"a" * (BODY // 16)
            await send({"type": "http.response.body", "body": body, "more_body": number < 15})

    return large


def test_who_asks_and_does_not_read_is_let_go(loop):
    """An answer in memory for each, and none of them needs a token for it."""
    with (
        serving(reading(), RequestLimits(stall=0.2), loop) as (server, port),
        connected(port) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(GET + b"\r\n")
        eventually(lambda: server.server_state.total_requests or server.server_state.connections)
        eventually(lambda: not server.server_state.connections)


def test_who_pauses_what_may_be_paused_is_not(loop, monkeypatch):
    stalled, seen = LimitedProtocol._check_stalled, []

    def counted(self, before):
        stalled(self, before)
        seen.append(before)

    monkeypatch.setattr(LimitedProtocol, "_check_stalled", counted)
    paused = serving(reading(patient=True), RequestLimits(stall=0.05), loop)
    with paused as (_, port), connected(port) as client:
        client.sendall(GET + b"\r\n")
        eventually(lambda: len(seen) > 5)
        assert len(heard_of(client, BODY)) > BODY


def heard_of(client, size):
    """So much of what is said, and a head."""
    answer = b""
    while len(answer) <= size and (piece := client.recv(1 << 20)):
        answer += piece
    return answer


def test_connections_have_a_number_of_one_peer_and_of_all(tmp_path, loop):
    few, unix = RequestLimits(per_peer=3, connections=5), tmp_path / "s"
    with contextlib.ExitStack() as stack:
        server, port = stack.enter_context(serving(app, few, loop, unix=unix))

        def opened(source="127.0.0.1"):
            client = stack.enter_context(socket.socket())
            client.settimeout(20)
            client.bind((source, 0))
            client.connect(("127.0.0.1", port))
            client.sendall(GET + b"\r\n")
            return client, client.recv(65536)

        mine = [opened() for _ in range(4)]
        assert [answer.split(b" ")[1] for _, answer in mine] == [b"200", b"200", b"200", b"503"]
        assert b"TOO_MANY_CONNECTIONS" in mine[3][1] + heard(mine[3][0])
        other_peers = [opened(f"127.0.0.{number}") for number in (2, 3, 4)]
        assert [answer.split(b" ")[1] for _, answer in other_peers] == [b"200", b"200", b"503"]
        owner = stack.enter_context(socket.socket(socket.AF_UNIX))
        owner.settimeout(20)
        owner.connect(str(unix))
        owner.sendall(GET + b"\r\n")
        assert owner.recv(65536).startswith(b"HTTP/1.1 200"), "there is room for the operator"
        owner.close()
        mine[0][0].close()
        eventually(lambda: len(server.server_state.connections) <= 5)
        eventually(lambda: opened()[1].startswith(b"HTTP/1.1 200"))


def test_what_was_a_websocket_counts_until_it_ends(loop):
    async def sockets(scope, receive, send):
        if scope["type"] == "http":
            return await app(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        return await receive()

    hello = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    hello += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with serving(sockets, RequestLimits(per_peer=1), loop) as (_, port):
        for _ in range(3):
            with connected(port) as first:
                first.sendall(GET + hello)
                assert first.recv(65536).startswith(b"HTTP/1.1 101")
                with connected(port) as second:
                    assert b" 503 " in heard(second)

            def free():
                with connected(port) as third:
                    third.sendall(GET + b"\r\n")
                    return third.recv(65536).startswith(b"HTTP/1.1 200")

            eventually(free)


def test_those_who_are_turned_away_are_few_at_a_time():
    """A crowd of strangers costs no more files than this."""
    few = RequestLimits(connections=1, turned_away=3)
    with serving(app, few) as (_, port), contextlib.ExitStack() as stack:
        stack.enter_context(connected(port)).sendall(GET + b"\r\n")
        crowd = [stack.enter_context(connected(port)) for _ in range(50)]
        answers = [heard(client) for client in crowd]
        assert any(b" 503 " in answer for answer in answers)
        assert all(answer == b"" or b" 503 " in answer for answer in answers)


def test_peers_are_told_apart():
    with (
        contextlib.closing(SocketDiagnostics()) as diagnosis,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0] as accepted,
    ):
        assert peer_of(accepted, diagnosis) == f"uid {os.geteuid()}"
        assert peer_of(accepted) == "127.0.0.1"

    class From:
        family = socket.AF_INET6

        def __init__(self, address):
            self.getpeername = lambda: (address, 1, 0, 0)
            self.getsockname = lambda: ("2001:db8::1", 2, 0, 0)

    for address, peer in (
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
    ):
        assert peer_of(From(address)) == peer


def test_the_files_that_a_process_may_open_bound_its_connections(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    assert ConnectionCounter(RequestLimits())._most == 64


def test_a_body_that_never_comes_is_not_waited_for(daemon, monkeypatch):
    monkeypatch.setattr("prism.kit.http.PAUSE", 0.05)
    head = [(b"host", b"localhost:8947"), (b"content-length", b"9")]
    scope = {
        **{"type": "http", "method": "POST", "path": "/api/v1/projects", "scheme": "http"},
        **{"raw_path": b"/api/v1/projects", "query_string": b"", "root_path": "", "headers": head},
        **{"server": ("127.0.0.1", 8947), "client": ("127.0.0.1", 1), "http_version": "1.1"},
    }
    messages = []

    async def never():
        await asyncio.Event().wait()

    async def send(message):
        messages.append(message)

    asyncio.run(asyncio.wait_for(daemon.app(scope, never, send), 20))
    assert messages[0]["status"] == 408
    assert b"REQUEST_TOO_SLOW" in messages[1]["body"]


def test_strangers_do_not_fill_the_log(capsys):
    """However often they are refused, few lines say so, and the number is not lost."""
    repeats, lines = Repeats(), []
    for second in range(200):
        record = logging.LogRecord("uvicorn.error", 30, "", 0, "Invalid request %s", (1,), None)
        record.created = second / 2
        lines += [record.getMessage()] if repeats.filter(record) else []
    assert lines == [
        *["Invalid request 1"] * AT_MOST,
        "Invalid request 1 (and 115 more since the last of these)",
        *["Invalid request 1"] * (AT_MOST - 1),
    ]
    own = logging.LogRecord("prism.workspaces", 30, "", 0, "Invalid request %s", (1,), None)
    assert all(repeats.filter(own) for _ in range(100))


def test_a_daemon_keeps_the_bounds_that_it_was_given(tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.living(PRISM_CONNECTIONS_PER_PEER="3"), contextlib.ExitStack() as stack:
            port = json.loads((home.folder / "daemon.lock").read_text())["port"]
            head = b"GET /api/v1/daemon/status HTTP/1.1\r\nHost: localhost:%d\r\n" % port
            crowd = [stack.enter_context(connected(port)) for _ in range(4)]
            for client in crowd[:3]:
                client.sendall(head + b"\r\n")
                assert client.recv(12) == b"HTTP/1.1 200"
            assert b" 503 " in heard(crowd[3])
            assert home.client.daemon.status().status == "healthy", "the socket is open"
            with connected(port) as other:
                assert b" 503 " in heard(other)
            crowd[0].close()

            def again():
                with connected(port) as other:
                    other.sendall(head + b"X: " + b"a" * 65536 + b"\r\n\r\n")
                    return b" 431 " in heard(other)

            eventually(again)
    finally:
        home.clear()
