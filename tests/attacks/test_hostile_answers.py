"""Programs in a workspace send anything to supervisor and daemon, which continue to work."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from functools import partial
from typing import Any

import pytest

from prism.agent.idle import jupyter
from prism.agent.machine import folder as supervisors
from prism.agent.machine.output_logs import LineBuffer
from prism.agent.machine.services import _ending
from prism.agent.network import ports
from prism.errors import Unavailable
from prism.providers.local import exec_client, folder
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.world import page
from tests.waiting import eventually

HALF = "\\ud800"  # a lone surrogate: Python keeps it, the daemon's decoder refuses it
LONG = "x" * 100_000
# JSON texts, each of which may replace any field.
FIELDS = (
    *("null", "true", "7", "1e999", "NaN", "[]", "{}", '[["x"]]', '{"id": []}'),
    *(f'"{HALF}"', f'"{LONG}"', '"\\u001b[2J"', '"\\u202e"', '"\\u0000"', '"../../x"', '"/etc"'),
)
ANSWERS = ["", "null", "7", '"x"', "[null]", "[7]", "[[]]", "{}", "[" * 200_000, "[" + "7" * 5000]
NAMES = ("id", "name", "path", "execution_state", "last_activity")
TIMES = ('"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59-23:59"', '"2026-01-01"', '"x"')


def kernels():
    """All pairs of answers about kernels and sessions that the test tries."""
    yield from ((answer, answer) for answer in ANSWERS)
    for name in NAMES:
        for text in (*FIELDS, *TIMES):
            fields = {name: '"busy"' for name in NAMES} | {name: text}
            kernel = "{" + ", ".join(f'"{key}": {value}' for key, value in fields.items()) + "}"
            yield f"[{kernel}]", f'[{{"kernel": {text}, "path": "x"}}]'
            yield f"[{kernel}]", f'[{{"kernel": {{"id": "busy"}}, "path": {text}}}]'
    many = ", ".join('{"id": "a", "name": "b", "execution_state": "busy"}' for _ in range(5000))
    yield f"[{many}]", "[]"


class Server:
    """A Jupyter server with fixed answers, for one connection after the other."""

    def __init__(self):
        self.answers, self.requests = ("", ""), []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def _live(self):
        with contextlib.suppress(OSError):
            while True:
                guest, _ = self._listener.accept()
                with guest, contextlib.suppress(OSError), guest.makefile("rb") as request:
                    for text in self.answers:
                        while (line := request.readline()) not in {b"\r\n", b""}:
                            self.requests.append(line)
                        body = text.encode()
                        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                        guest.sendall(head.encode() + body)

    def close(self):
        """Stop the server."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def result(asking):
    while True:
        try:
            next(asking)
        except StopIteration as done:
            return done.value


def test_report_with_hostile_jupyter_answers_is_read_by_the_daemon(server, tmp_path):
    for answers in kernels():
        server.answers = answers
        report = result(jupyter.kernels(server.port, "secret", tmp_path))
        words = [*report.work, *report.doubts, *(touch for _, touch in report.touches)]
        assert all(word.isprintable() and len(word) < 500 for word in words), answers
        assert len(words) <= 300
        idle = {"state": "active", "because": words, "since": 1.0, "until": 1.0}
        read = write_and_read_report(tmp_path, idle=idle)
        assert read is not None, answers
        assert read["idle"]["because"] == tuple(words)


def write_and_read_report(place, **fields):
    """Write a report as the supervisor does; return what the daemon reads of it."""
    seen = {"key": "k", "name": "mine", "phase": "on", "run": 1} | fields
    supervisors.write(place / "seen.json", seen, durable=False)
    return folder.read_report(place)


@pytest.mark.parametrize("text", ["\ud800", "\udcff", "a\x00b", "\x1b[2J", "ü" * 10, "\U0001f600"])
def test_report_with_hostile_text_is_read_by_the_daemon(tmp_path, text):
    """The text could be a file name in an error; a machine with no readable report seems off."""
    failure = {"code": "CANNOT_REMOVE", "message": f"cannot remove {text}"}
    read = write_and_read_report(tmp_path, failure=failure, notes=[text], stage=text)
    assert read is not None
    assert read["phase"] == "on"
    assert read["failure"]["message"].startswith("cannot remove ")


def test_endpoint_is_hidden_when_a_foreign_process_listens_on_its_port(world, machine):
    assert list(world.compute.access(machine.name).endpoints) == ["page"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        seen = json.loads((machine / "seen.json").read_bytes())
        seen["services"]["page"]["port"] = other.getsockname()[1]
        (machine / "seen.json").write_text(json.dumps(seen))
        assert world.compute.access(machine.name).endpoints == {}


def test_jupyter_token_is_not_sent_to_a_foreign_listener(server, tmp_path):
    server.answers = ("[]", "[]")
    report = result(jupyter.kernels(server.port, "secret", tmp_path, ports.is_ours))
    assert report.doubts == ["Jupyter does not say what its kernels do"]
    assert server.requests == []
    result(jupyter.kernels(server.port, "secret", tmp_path))
    assert any(b"secret" in line for line in server.requests)


SHARE_PORT = """
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def test_port_is_not_ours_when_another_process_listens_too():
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mine.bind(("127.0.0.1", 0))
        port = mine.getsockname()[1]
        with subprocess.Popen([sys.executable, "-c", SHARE_PORT, str(port)], **pipes) as other:
            assert not_none(other.stdout).readline() == "ready\n"
            assert ports.is_ours(port)
            mine.listen()
            assert not ports.is_ours(port), "a connection may come to either"
            not_none(other.stdin).close()


@pytest.mark.parametrize("code", [-9999, -(10**30), 10**30, -65, 300])
def test_message_contains_any_exit_code(code):
    assert str(code) in _ending(code)


@pytest.mark.parametrize(
    "line",
    ["", "x", "7", "[]", "[" * 50_000, '{"exit": "x"}', '{"exit": 99999}', '{"exit": -1e9}', "{}"],
)
def test_exec_session_raises_unavailable_for_an_invalid_end(line):
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(line.encode() + b"\n")
        session = exec_client.ExecSession(ours, 1, None, b"")
        with pytest.raises(Unavailable):
            session.wait(120)
        session.close()


def test_line_buffer_rejects_an_endless_line():
    lines = LineBuffer(100)
    assert lines.add(b"a\nb") == [b"a"]
    assert lines.add(b"c\n") == [b"bc"]
    with pytest.raises(ValueError, match="too long"):
        for _ in range(200):
            lines.add(b"x")
    assert lines.add(b"d\n") == [b"d"]


GARBAGE = (
    *(b"\n", b"x\n", b"7\n", b"[]\n", b"{}\n", b"null\n", b'"moved"\n', b"\xff\xfe\n"),
    *(b'{"signal": 99}\n', b'{"signal": []}\n', b'{"signal": "x"}\n', b"[" * 4000 + b"\n"),
    b"x" * 5000,
)
BODIES = (
    *(b"[]", b"null", b"[" * 100_000, b'{"environment": 700}', b'{"argv": 70}', b'{"argv": [[]]}'),
    *(b'{"tty": [1]}', b'{"tty": [-1, "x"]}', b'{"tty": [80, -24]}', b'{"tty": [80, 70000]}'),
    *(b'{"tty": [80, 1e999]}', b'{"tty": {}, "argv": ["/"]}', b'{"tty": 7}', b"\xff"),
)
REQUESTS = (
    *(b"", b"x", struct.pack("!I", 0xFFFFFFFF) + b"x"),
    *(struct.pack("!I", len(body)) + body for body in BODIES),
)


@pytest.fixture
def machine(world):
    """A machine that is on, and its folder."""
    id = world.launched(page())
    return world.root / id


def connected(place):
    descriptor = os.open(place, os.O_RDONLY)
    try:
        guest = socket.socket(socket.AF_UNIX)
        guest.settimeout(10)
        guest.connect(f"/proc/self/fd/{descriptor}/door")
    finally:
        os.close(descriptor)
    return guest


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="by a descriptor, on Linux")
def test_invalid_requests_at_the_exec_socket_end_only_their_connection(world, machine):
    supervisor = world.supervisor(machine.name).pid
    for request in REQUESTS:
        with connected(machine) as guest:
            guest.sendall(request)
            guest.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while guest.recv(65536):
                    pass
    sessions = []
    for number, line in enumerate(GARBAGE):
        code = f"sleep 1000.{number:03}"
        session = exec_client.enter(machine, ["sh", "-c", code], tty=(80, 24))
        sessions.append(session)
        raw = socket.socket(fileno=os.dup(session.fileno()))
        with raw:
            raw.settimeout(10)
            raw.sendall(line)
            with contextlib.suppress(ConnectionError):
                while raw.recv(65536):
                    pass  # until the supervisor closes the connection
        eventually(partial(world.worded, machine.name, code))  # the program still runs
    for session in sessions:
        session.close()
    assert world.supervisor(machine.name).pid == supervisor
    assert world.machine(machine.name).observed is Observed.ON
    with contextlib.closing(exec_client.enter(machine, ["true"], tty=(80, 24))) as session:
        assert session.wait(120) == 0
