"""Limits on size, time and number of connections before a caller is authenticated."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import threading

import pytest

from prism.daemon.logs import MAX_REPEATS, RepeatFilter
from prism.kit.limits import PATIENT, ConnectionCounter, RequestLimits, peer_of
from prism.kit.network.http_protocol import LimitedProtocol
from prism.kit.network.peer_credentials import SocketDiagnostics
from tests.attacks.serving import connected, receive_all, send_flood, serving
from tests.project.home import Home
from tests.waiting import eventually

LARGE = 8 * 1024 * 1024  # bytes that an attacker sends; far fewer may be taken
SOCKETS = (
    3 * 1024 * 1024
)  # bytes that the kernel's buffers hold, and that are read after a refusal
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
    "an endless chunk extension": (CHUNKED + b"1;a=", b"b" * 65536),
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


SEEN: list[dict[bytes, bytes]] = []  # the headers of requests that reached the application


async def app(scope, receive, send):
    """Reads every body, except that of a request with the header `X-Unread`."""
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
def test_flood_before_authentication_is_refused_and_not_read(flood, flooded_port, seen_requests):
    first, more = FLOODS[flood]
    port = flooded_port
    with connected(port) as client:
        taken, answer = send_flood(client, first, more, LARGE)
        assert taken < SOCKETS, "the daemon continues to read"
        if answer:  # an answer in the middle of a body would look like the application's
            assert answer.split(b" ")[1] in {b"400", b"431"}, answer[:200]
            assert answer.count(b"HTTP/1.1 ") == 1
        assert seen_requests == []
        with connected(port) as other:
            other.sendall(GET + b"\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"


def test_request_head_is_accepted_up_to_its_limit(loop):
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


def test_trailers_do_not_reach_the_application(seen_requests):
    with serving(app) as (_, port), connected(port) as client:
        client.sendall(CHUNKED + b"2\r\nhi\r\n0\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert seen_requests == [{b"host": b"x", b"transfer-encoding": b"chunked"}]


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize(
    "loop", ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)], indirect=True
)
def test_slow_connection_is_closed(drip, loop):
    """Single bytes do not extend the timeout of a request head."""
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


def test_slow_request_is_answered_408_and_a_silent_connection_is_closed(loop):
    with serving(app, QUICK, loop) as (_, port):
        with connected(port) as client:
            client.sendall(b"GET / HT")
            answer = receive_all(client)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b'"code":"REQUEST_TOO_SLOW"' in answer
        with connected(port) as client:
            assert receive_all(client) == b""


def test_head_timeout_does_not_apply_while_a_request_is_answered(loop, monkeypatch):
    """The timeout applies to the next head only."""
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
        client.sendall(b"\r\n")  # old clients send it; it could begin another head
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_invalid_pipelined_request_adds_no_refusal_to_a_running_answer(loop):
    """Invalid bytes may follow a request that is being answered."""

    async def long(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    with serving(long, loop=loop) as (_, port), connected(port) as client:
        client.sendall(GET + b"\r\n")
        answer = client.recv(65536)
        client.sendall(b"\x00rubbish\r\n\r\n")
        assert (answer + receive_all(client)).count(b"HTTP/1.1") == 1


BODY = 16 * 1024 * 1024


def app_with_large_answer(patient=False):
    """An application with a large answer, which the client may pause if `patient`."""

    async def large(scope, receive, send):
        if patient:
            scope[PATIENT]()
        length = [(b"content-length", b"%d" % BODY)]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for number in range(16):
            body = b"a" * (BODY // 16)
            await send({"type": "http.response.body", "body": body, "more_body": number < 15})

    return large


def test_connection_of_a_client_that_does_not_read_is_closed(loop):
    """Each unread answer takes memory, also that of a caller without a token."""
    with (
        serving(app_with_large_answer(), RequestLimits(stall=0.2), loop) as (server, port),
        connected(port) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(GET + b"\r\n")
        eventually(lambda: server.server_state.total_requests or server.server_state.connections)
        eventually(lambda: not server.server_state.connections)


def test_patient_answer_survives_a_pause_of_the_client(loop, monkeypatch):
    stalled, seen = LimitedProtocol._check_stalled, []

    def counted(self, before):
        stalled(self, before)
        seen.append(before)

    monkeypatch.setattr(LimitedProtocol, "_check_stalled", counted)
    paused = serving(app_with_large_answer(patient=True), RequestLimits(stall=0.05), loop)
    with paused as (_, port), connected(port) as client:
        client.sendall(GET + b"\r\n")
        eventually(lambda: len(seen) > 5)
        assert len(received_of(client, BODY)) > BODY


def received_of(client, size):
    """A head and `size` bytes of the answer."""
    answer = b""
    while len(answer) <= size and (piece := client.recv(1 << 20)):
        answer += piece
    return answer


def test_connections_are_limited_per_peer_and_in_total(tmp_path, loop):
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
        assert b"TOO_MANY_CONNECTIONS" in mine[3][1] + receive_all(mine[3][0])
        other_peers = [opened(f"127.0.0.{number}") for number in (2, 3, 4)]
        assert [answer.split(b" ")[1] for _, answer in other_peers] == [b"200", b"200", b"503"]
        owner = stack.enter_context(socket.socket(socket.AF_UNIX))
        owner.settimeout(20)
        owner.connect(str(unix))
        owner.sendall(GET + b"\r\n")
        assert owner.recv(65536).startswith(b"HTTP/1.1 200"), "the Unix socket has no limit"
        owner.close()
        mine[0][0].close()
        eventually(lambda: len(server.server_state.connections) <= 5)
        eventually(lambda: opened()[1].startswith(b"HTTP/1.1 200"))


def test_websocket_counts_as_a_connection_until_it_ends(loop):
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
                    assert b" 503 " in receive_all(second)

            def free():
                with connected(port) as third:
                    third.sendall(GET + b"\r\n")
                    return third.recv(65536).startswith(b"HTTP/1.1 200")

            eventually(free)


def test_refusals_of_excess_connections_are_limited():
    """Excess connections beyond `turned_away` are closed without an answer."""
    few = RequestLimits(connections=1, turned_away=3)
    with serving(app, few) as (_, port), contextlib.ExitStack() as stack:
        stack.enter_context(connected(port)).sendall(GET + b"\r\n")
        crowd = [stack.enter_context(connected(port)) for _ in range(50)]
        answers = [receive_all(client) for client in crowd]
        assert any(b" 503 " in answer for answer in answers)
        assert all(answer == b"" or b" 503 " in answer for answer in answers)


def test_peer_is_a_local_user_an_ipv4_address_or_an_ipv6_network():
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


def test_connection_limit_follows_the_limit_of_open_files(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    assert ConnectionCounter(RequestLimits())._most == 64


def test_request_with_a_missing_body_is_answered_408(daemon, monkeypatch):
    monkeypatch.setattr("prism.kit.http.BODY_TIMEOUT", 0.05)
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

    asyncio.run(asyncio.wait_for(daemon.app(scope, never, send), 120))
    assert messages[0]["status"] == 408
    assert b"REQUEST_TOO_SLOW" in messages[1]["body"]


def test_repeated_warnings_of_the_server_are_counted_not_logged(capsys):
    """Warnings of Prism itself are always logged."""
    repeats, lines = RepeatFilter(), []
    for second in range(200):
        record = logging.LogRecord("uvicorn.error", 30, "", 0, "Invalid request %s", (1,), None)
        record.created = second / 2
        lines += [record.getMessage()] if repeats.filter(record) else []
    assert lines == [
        *["Invalid request 1"] * MAX_REPEATS,
        "Invalid request 1 (and 115 more since the last of these)",
        *["Invalid request 1"] * (MAX_REPEATS - 1),
    ]
    own = logging.LogRecord("prism.workspaces", 30, "", 0, "Invalid request %s", (1,), None)
    assert all(repeats.filter(own) for _ in range(100))


def test_repeated_errors_of_asyncio_are_counted_although_each_names_other_objects():
    repeats, passed = RepeatFilter(), 0
    for number in range(100):
        text = f"Fatal read error on socket transport\nprotocol: <Protocol at {number:#x}>"
        passed += repeats.filter(logging.LogRecord("asyncio", 40, "", 0, text, (), None))
    assert passed == MAX_REPEATS


def test_daemon_applies_the_connection_limit_of_its_settings(tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon(PRISM_CONNECTIONS_PER_PEER="3"), contextlib.ExitStack() as stack:
            port = json.loads((home.folder / "daemon.lock").read_text())["port"]
            head = b"GET /api/v1/daemon/status HTTP/1.1\r\nHost: localhost:%d\r\n" % port

            def answered():
                """A connection with an answer; refused while one of before is being closed."""
                client = stack.enter_context(connected(port))
                client.sendall(head + b"\r\n")
                return client if client.recv(12) == b"HTTP/1.1 200" else None

            crowd = [eventually(answered) for _ in range(3)]
            crowd.append(stack.enter_context(connected(port)))
            assert b" 503 " in receive_all(crowd[3])
            assert home.client.daemon.status().status == "healthy", "the socket is open"
            with connected(port) as other:
                assert b" 503 " in receive_all(other)
            crowd[0].close()

            def again():
                with connected(port) as other:
                    other.sendall(head + b"X: " + b"a" * 65536 + b"\r\n\r\n")
                    return b" 431 " in receive_all(other)

            eventually(again)
    finally:
        home.clear()
