"""A real server with slow, hostile or broken clients, which do not affect other clients."""

import contextlib
import socket
import threading

import httpx
import pytest
from msgspec.structs import replace

from prism.daemon.app import build
from prism.daemon.main import Server, _config
from prism.kit.tables import metadata
from prism.settings import Settings
from tests.conftest import LOCATION
from tests.robustness.explorer import explore
from tests.robustness.world import all_but_every
from tests.waiting import eventually

GET = b"GET /api/v1/daemon/status HTTP/1.1\r\nHost: {host}\r\n"
POST = b"POST /api/v1/projects HTTP/1.1\r\nHost: {host}\r\n"
GARBAGE = [
    *(b"\x00" * 4096, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"\xff" * 100_000),
    *(b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50_000, b"GET / HTTP/1.1\r\n\r\n"),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    *(GET + b"X: " + b"a" * 1_000_000, b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n"),
    GET + b"".join(b"H%d: x\r\n" % number for number in range(20_000)),
    *(
        POST + b"Content-Length: %s\r\n\r\n" % length
        for length in (b"-1", b"1e3", b"9" * 20, b"x")
    ),
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" + GET,
    GET.replace(b"daemon/status", b"ws") + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    (GET + b"\r\n") * 3 + b"\x00\xffrubbish\r\n\r\n" + GET + b"\r\n",
]


@pytest.fixture
def server_port(cloud, disks, clock, tmp_path):
    """The port of a daemon's server, which runs in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"sqlite:///{tmp_path / 'state.db'}"
    settings = Settings(home=str(tmp_path), database_url=url, user="ada")
    settings = replace(settings, port=listener.getsockname()[1])
    daemon = build(settings, {LOCATION: cloud}, clock, volumes={LOCATION: disks})
    metadata.create_all(daemon.db.writer)
    daemon.profiles.first_start({})
    server = Server(_config(daemon, None), daemon)
    # Only the main thread can handle signals.
    vars(server)["capture_signals"] = contextlib.nullcontext
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    eventually(lambda: server.started)
    yield settings.port
    server.stop()
    thread.join(120)
    assert not thread.is_alive()
    daemon.close()


def status(port):
    """The daemon's status, requested by an ordinary client."""
    return httpx.get(f"http://localhost:{port}/api/v1/daemon/status", timeout=120)


def test_real_server_answers_as_described(server_port):
    # It leads a browser to a page, which the client follows, and which is no answer of the API.
    skip = ["/shutdown$", "^/auth/app$", all_but_every(2)]
    exploration = explore(url=f"http://localhost:{server_port}", phases=["fuzzing"], skip=skip)
    assert exploration.wrong == []
    assert set(exploration.statuses) >= {200, 201, 404, 422}


def test_invalid_bytes_are_refused_and_other_clients_are_answered(server_port):
    for words in GARBAGE:
        answer = answer_to_bytes(server_port, words)
        statuses = [line[9:12] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert all(b"200" <= status < b"500" for status in statuses), (words[:80], answer[:300])
        assert status(server_port).status_code == 200, words[:80]


def test_pipelined_requests_are_all_answered(server_port):
    answers = answer_to_bytes(
        server_port, (GET + b"\r\n") * 20 + GET + b"Connection: close\r\n\r\n", hang_up=False
    )
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == 21


def test_slow_clients_do_not_delay_others(server_port):
    """There are more slow clients than threads; they send single bytes, or never finish."""
    head = b"POST /api/v1/projects HTTP/1.1\r\nHost: localhost:%d\r\n" % server_port
    json = head + b"Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    body = b'{"name": "Slow"}'
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server_port)))
            for _ in range(120)
        ]
        for number, client in enumerate(slow):
            client.sendall(json if number % 2 else head[:20])
        for byte in range(len(body) - 1):
            for client in slow[1::2]:
                client.sendall(body[byte : byte + 1])
            if byte % 5 == 0:
                assert status(server_port).status_code == 200
        first = slow[1]
        first.settimeout(10)
        first.sendall(body[-1:])
        assert first.recv(100).startswith(b"HTTP/1.1 201 ")
    projects = httpx.get(f"http://localhost:{server_port}/api/v1/projects", timeout=120)
    assert [entry["name"] for entry in projects.json()] == ["Slow"], (
        "an incomplete request created a project"
    )


def answer_to_bytes(port, words, hang_up=True):
    """Everything that is received until the server closes the connection."""
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port)) as rude,
        contextlib.suppress(ConnectionError),
    ):
        rude.settimeout(10)
        with contextlib.suppress(OSError):
            rude.sendall(words.replace(b"{host}", b"localhost:%d" % port))
            if hang_up:
                rude.shutdown(socket.SHUT_WR)
        while piece := rude.recv(65536):
            answer += piece
    return answer
