"""Proxied connections end with the rights of their user; invalid answers are not passed on."""

import asyncio
import base64
import contextlib
import itertools
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from prism.access.request_lifetime import LASTS
from prism.kit.http import RAW
from tests.access.people import Team
from tests.attacks.rude import FRAMED
from tests.attacks.serving import receive_all
from tests.conftest import Http, free_port
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("lab")
NUMBER = itertools.count()
SOON = 120  # seconds, on a busy computer


class LastingConnection:
    """A long connection, opened with a token; `alive` asserts that it still works."""

    def __init__(self, token_daemon, token, path, stack):
        self.stack, self.at = stack, f"127.0.0.1:{token_daemon.port}"
        self.head = {"authorization": f"Bearer {token}"}
        self.open(path)

    def open(self, path):
        raise NotImplementedError

    def wait_for_end(self):
        """Wait for the end, and ignore what is received before it."""
        raise NotImplementedError


class Http1(LastingConnection):
    """An endless answer."""

    def open(self, path):
        host, _, port = self.at.partition(":")
        self.socket = self.stack.enter_context(socket.create_connection((host, int(port)), SOON))
        lines = [f"GET {path} HTTP/1.1", f"host: {self.at}"]
        lines += [f"{name}: {value}" for name, value in self.head.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        assert self.socket.recv(65536).startswith(b"HTTP/1.1 200")

    def assert_alive(self):
        assert self.socket.recv(65536)

    def wait_for_end(self):
        receive_all(self.socket)


class Quiet(Http1):
    """An answer that is silent until something happens."""

    def assert_alive(self):
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            assert self.socket.recv(65536), "it has ended"
        self.socket.settimeout(SOON)


class Echo(LastingConnection):
    """A WebSocket of a service."""

    def open(self, path):
        url = f"ws://{self.at}{path}"
        way = connect(url, additional_headers=self.head, proxy=None, ping_interval=None)
        self.socket = self.stack.enter_context(way)

    def assert_alive(self):
        self.socket.send("hello")
        assert self.socket.recv(SOON) == "hello"

    def wait_for_end(self):
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.socket.recv(SOON)


class Shell(Echo):
    """A terminal."""

    def assert_alive(self):
        word = f"said-{next(NUMBER)}"
        self.socket.send(f"echo {word}\n".encode())
        output = b""
        while word.encode() not in output:
            piece = self.socket.recv(SOON)
            output += piece if isinstance(piece, bytes) else b""

    def wait_for_end(self):
        super().wait_for_end()
        assert self.socket.protocol.close_rcvd.code == 1008


class PortStream(Echo):
    """A TCP connection to a port, which sends an answer for each request."""

    def assert_alive(self):
        self.socket.send(f"GET /page HTTP/1.1\r\nhost: {self.at}\r\n\r\n".encode())
        output = b""
        while b"HTTP/1.1 200" not in output:
            output += self.socket.recv(SOON)


class SshStream(Echo):
    """SSH through the daemon, before its login."""

    def open(self, path):
        super().open(path)
        assert self.socket.recv(SOON).startswith(b"SSH-2.0-")

    def assert_alive(self):
        assert self.socket.ping().wait(SOON)


WAYS = {
    "a stream to a port": (PortStream, "/api/v1/instances/mine/stream?port=8888"),
    "a stream to SSH": (SshStream, "/api/v1/instances/mine/stream"),
    "a terminal": (Shell, "/ssh-proxy/mine"),
    "a proxied WebSocket": (Echo, "/web-proxy/mine/echo"),
    "a followed log": (Quiet, "/api/v1/logs/mine?follow=true&tail=1"),
    "a proxied event stream": (Http1, "/web-proxy/mine/events"),
    "a proxied download": (Http1, "/web-proxy/mine/download?size=1000000000000"),
}


class Person:
    """A member of the project with a token."""

    def __init__(self, token_daemon, role="admin"):
        self.lab, self.mail = token_daemon, f"p{next(NUMBER)}@x.org"
        token_daemon.operator.members.add(token_daemon.reef, self.mail, role=role)
        self.parent, first = token_daemon.token(self.mail)
        self.id, self.token = token_daemon.token(self.mail, by=first)


ENDS = {
    "token revoked": lambda p: p.lab.operator.tokens.revoke(p.id),
    "parent token revoked": lambda p: p.lab.operator.tokens.revoke(p.parent),
    "token revoked by itself": lambda p: p.lab.ask(p.token, "DELETE", f"/api/v1/tokens/{p.id}"),
    "member removed": lambda p: p.lab.operator.members.remove(p.lab.reef, p.mail),
    "membership ended": lambda p: p.lab.operator.members.change(
        p.lab.reef, p.mail, until=datetime.now(UTC) + timedelta(seconds=2)
    ),
    "member left": lambda p: p.lab.ask(
        p.token, "DELETE", f"/api/v1/projects/{p.lab.reef}/members/{p.mail}"
    ),
    "role lowered": lambda p: p.lab.operator.members.change(p.lab.reef, p.mail, "viewer"),
    "workspace moved": lambda p: p.lab.operator.workspaces.move("mine", p.lab.other),
}
STAYS = {
    "another token of the user revoked": lambda p: p.lab.operator.tokens.revoke(
        p.lab.token(p.mail)[0]
    ),
    "role raised": lambda p: p.lab.operator.members.change(p.lab.reef, p.mail, "owner"),
    "another member removed": lambda p: p.lab.operator.members.remove(
        p.lab.reef, Person(p.lab).mail
    ),
}


@pytest.fixture
def open_proxy(token_daemon):
    with contextlib.ExitStack() as stack:
        yield lambda way, person: WAYS[way][0](token_daemon, person.token, WAYS[way][1], stack)
    token_daemon.operator.workspaces.move("mine", token_daemon.reef)


@pytest.mark.parametrize("fact", ENDS)
def test_long_connection_ends_with_the_rights_of_its_user(token_daemon, open_proxy, fact):
    person, stays = Person(token_daemon), Person(token_daemon)
    ways = [open_proxy(way, person) for way in WAYS]
    other_ways = [] if fact == "workspace moved" else [open_proxy(way, stays) for way in WAYS]
    for way in ways:
        way.assert_alive()
    ENDS[fact](person)
    for way in ways:
        way.wait_for_end()
    for way in other_ways:
        way.assert_alive()
    for _, path in WAYS.values():
        assert token_daemon.ask(person.token, "GET", path).status_code in {401, 403, 404}


def test_long_connection_survives_events_that_keep_its_rights(token_daemon, open_proxy):
    person, last = Person(token_daemon), Person(token_daemon)
    ways, end = [open_proxy(way, person) for way in WAYS], open_proxy("a followed log", last)
    for fact in STAYS.values():
        fact(person)
    token_daemon.operator.tokens.revoke(last.id)
    end.wait_for_end()  # by now all earlier events have been checked
    for way in ways:
        way.assert_alive()


def test_unread_download_ends_when_its_token_is_revoked(token_daemon, open_proxy):
    """The daemon is blocked while it writes to a client that does not read."""
    service = token_daemon.operator.workspaces.connect("mine").services["page"].url

    def cut():
        return httpx.get(f"{service}/go-on").json()["cut"]

    person, before = Person(token_daemon), cut()
    open_proxy("a proxied download", person)
    token_daemon.operator.tokens.revoke(person.id)
    eventually(lambda: cut() > before)


def test_followed_log_ends_when_its_token_expires(make_daemon, clock):
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    team = Team(daemon, Http(daemon.app))
    team.launch("member", "mine")
    messages, ended = [], asyncio.Event()

    async def follow():
        scope = {
            **{"type": "http", "method": "GET", "path": "/api/v1/logs/mine", "scheme": "http"},
            **{"raw_path": b"/api/v1/logs/mine", "query_string": b"follow=true&type=system"},
            **{"server": ("127.0.0.1", 8947), "client": ("127.0.0.1", 1), "http_version": "1.1"},
            **{"root_path": "", "prism_abort": ended.set},
            "headers": [
                (b"host", b"localhost:8947"),
                (b"authorization", f"Bearer {team.tokens['member']}".encode()),
            ],
        }

        async def receive():
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            messages.append(message)
            if len(messages) == 2:
                clock.advance(days=366)

        async with daemon.long_requests.open():
            await asyncio.wait_for(daemon.app(scope, receive, send), SOON)

    asyncio.run(follow())
    assert messages[0]["status"] == 200
    assert ended.is_set()


def test_route_that_may_last_is_marked_as_lasting(daemon):
    """Proxied routes and WebSockets.

    Not the stream of events, which checks rights itself, and logout by a provider, which reads
    a short body.
    """
    logout = "/auth/backchannel-logout"
    short = {"/api/v1/ws", logout, f"{logout}/{{provider:str}}"}
    for route in daemon.app._app._app.app.routes:  # within the gate and the GUI
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:
            socket_ = type(route).__name__ == "WebSocketRoute"
            if (handler.opt.get(RAW) or socket_) and route.path not in short:
                assert handler.opt.get(LASTS), route.path


RUDE = base64.b64encode(Path(__file__).with_name("rude.py").read_bytes()).decode()
SWITCH = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
UNFIT = {
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "status 101 without a request for it": SWITCH + b"\r\n",
    "status 99": b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
    "a name with a blank": b"HTTP/1.1 200 X\r\nA b: c\r\nContent-Length: 0\r\n\r\n",
    "a lone line feed": b"HTTP/1.1 200 X\r\nA: b\nSet-Cookie: p=1\r\nContent-Length: 0\r\n\r\n",
    "a lone return": b"HTTP/1.1 200 X\r\nA: b\rSet-Cookie: prism=1\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 X\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length and chunks": b"HTTP/1.1 200 X\r\nContent-Length: 9\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n",
    "an interim answer with a body": b"HTTP/1.1 150 X\r\nContent-Length: 18\r\n\r\n"
    b"HTTP/1.1 200 X\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 18\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "nothing": b"",
    "an endless head": b"HTTP/1.1 200 X\r\nA: " + b"b" * 20000,
}
UNFIT_SOCKETS = {
    "a status without a body": b"HTTP/1.1 304 X\r\n\r\n",
    "status 999": b"HTTP/1.1 999 X\r\n\r\n",
    "a lone line feed": SWITCH + b"A: b\nSet-Cookie: prism=1\r\n\r\n",
    "a lone return": SWITCH + b"A: b\rSet-Cookie: prism=1\r\n\r\n",
    "a folded header": SWITCH + b"A: b\r\n Set-Cookie: prism=1\r\n\r\n",
    "a name with a colon's blank": SWITCH + b"Set-Cookie : prism=1\r\n\r\n",
    "a name with a line feed": SWITCH + b"A\nSet-Cookie: prism=1\r\n\r\n",
}


@pytest.fixture(scope="session")
def raw_server_port(token_daemon):
    """The port of a program in the workspace that answers anything."""
    port, python = free_port(), sys.executable
    start = f"echo {RUDE} | base64 -d >rude.py; setsid {python} rude.py {port} >&- 2>&- <&- &"
    done = token_daemon.home.cli("exec", "mine", "--", "sh", "-c", start)
    assert done.returncode == 0, done.stderr
    token = token_daemon.token(token_daemon.mail("reef", "admin"))[1]
    eventually(
        lambda: token_daemon.ask(token, "GET", f"/web-proxy/mine/heard?port={port}").is_success
    )
    return lambda answer: (token, f"/web-proxy/mine/{answer.hex() or 'ff'}?port={port}")


@pytest.mark.parametrize("kind", UNFIT)
def test_invalid_answer_of_a_service_is_not_passed_on(token_daemon, raw_server_port, kind):
    token, path = raw_server_port(UNFIT[kind])
    answer = token_daemon.ask(token, "GET", path)
    assert "set-cookie" not in answer.headers
    if kind == "a lone line feed":  # many clients accept it as the end of a header line
        return
    assert answer.status_code in {502, 503}
    assert answer.json()["error"]["code"] in {"SERVICE_ANSWER_INVALID", "SERVICE_UNREACHABLE"}
    if kind == "status 999":
        assert answer.status_code == 502


def test_flood_of_interim_answers_is_answered_503(token_daemon, raw_server_port):
    """A few interim answers are ignored, and later requests are served."""
    token, path = raw_server_port(b"")
    flood, hinted = path.replace("/ff", "/flood"), path.replace("/ff", "/hinted")
    assert token_daemon.ask(token, "GET", hinted).status_code == 200
    for _ in range(2):
        answer = token_daemon.ask(token, "GET", flood)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "SERVICE_UNREACHABLE"
    assert token_daemon.ask(token, "GET", hinted).status_code == 200


def test_proxied_answer_keeps_its_content_length(token_daemon, raw_server_port):
    """The service lists `Content-Length` in its `Connection` header, as if it were hop-by-hop."""
    token, path = raw_server_port(b"")
    answer = token_daemon.ask(token, "GET", path.replace("/ff", "/lengthless"))
    assert answer.content == FRAMED
    assert answer.headers["content-length"] == str(len(FRAMED))


@pytest.mark.parametrize("status", [204, 304])
def test_proxied_answer_without_a_body_has_no_content_length(
    token_daemon, raw_server_port, status
):
    token, path = raw_server_port(
        b"HTTP/1.1 %d X\r\nContent-Length: 9\r\nETag: x\r\n\r\n" % status
    )
    answer = token_daemon.ask(token, "GET", path)
    assert (answer.status_code, answer.headers["etag"]) == (status, "x")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("kind", UNFIT_SOCKETS)
def test_invalid_websocket_handshake_of_a_service_is_not_passed_on(
    token_daemon, raw_server_port, kind
):
    token, path = raw_server_port(UNFIT_SOCKETS[kind])
    hello = {
        **{"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"},
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    answer = token_daemon.ask(token, "GET", path, hello)
    assert answer.status_code in {502, 503}
    assert "set-cookie" not in answer.headers
