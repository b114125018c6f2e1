"""`prism tunnel`: it looks up the port for each connection and refuses other users."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import threading
from typing import Any

import pytest

from prism.cli.workspace import tunnel
from prism.cli.workspace.tunnel import PortForward
from tests.client.scripted import problem
from tests.optional import not_none
from tests.providers.local.test_life import python_for_all
from tests.waiting import eventually

PORT = "/instances/mine/ports?port=8888"
SEVEN = {"service": "jupyter", "port": 8888, "url": "http://mine.localhost:8947"}
SEVEN |= {"host": "127.0.0.1", "target": 7}
READ_FROM_PORT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as door:
    try:
        sys.stdout.write(door.recv(9).decode())
    except ConnectionError:
        pass
"""


@contextlib.contextmanager
def greeting_server(word):
    """A program that sends a word to each connection, and the answer with its port."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def greet():
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = door.accept()
                    with caller:
                        caller.sendall(word)

        thread = threading.Thread(target=greet)
        thread.start()
        target = door.getsockname()[1]
        way = {
            "service": "jupyter",
            "port": 8888,
            "url": "http://m.localhost:1",
            "host": "127.0.0.1",
        }
        yield way | {"target": target}
        door.shutdown(socket.SHUT_RDWR)
        thread.join(120)


def read_greeting(port):
    """The bytes read from that local port; empty if the connection is closed."""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), 10) as door,
    ):
        return door.recv(9)
    return b""


@pytest.fixture
def open_tunnel(begin_command):
    """A function that starts the command; returns the process and its local port."""

    def open_one():
        child = begin_command("tunnel", "mine", "8888", PYTHONUNBUFFERED="1")
        line = child.stdout.readline()
        assert line, child.stderr.read()
        return child, int(not_none(re.search(r":(\d+) ", line))[1])

    return open_one


def test_tunnel_follows_the_port_of_the_workspace_while_it_runs(server, open_tunnel):
    stopped = problem(409, "INVALID_STATE", "mine is stopped", remediation="Start it")
    with greeting_server(b"old") as old, greeting_server(b"new") as new:
        now: list[object] = [[old]]
        server.on(f"GET {PORT}", lambda *_: now[0])
        child, port = open_tunnel()
        assert read_greeting(port) == b"old"
        now[0] = stopped  # another program may use the old port from now on
        eventually(lambda: read_greeting(port) == b"")
        assert read_greeting(port) == b""
        now[0] = [new]
        eventually(lambda: read_greeting(port) == b"new")
        assert read_greeting(port) == b"new"
    child.terminate()
    assert child.stderr.read().count("error: mine is stopped\nhint: Start it\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root becomes somebody else")
def test_tunnel_refuses_another_user_of_this_computer(server, open_tunnel):
    with greeting_server(b"secret") as way:
        server.on(f"GET {PORT}", [way])
        first, port = open_tunnel()
        argv = [python_for_all("python3"), "-I", "-S", "-c", READ_FROM_PORT, str(port)]
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        how: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "timeout": 20}
        assert subprocess.run([*other, *argv], **how).stdout == ""
        assert subprocess.run(argv, **how).stdout == "secret"
    first.terminate()
    assert "refused a connection of uid 65534" in first.stderr.read()


def look_up(lead, times):
    """The results of several concurrent look-ups, and of one more."""

    async def ask():
        together = await asyncio.gather(*(lead() for _ in range(times)))
        return {*together, await lead()}

    return asyncio.run(ask())


@pytest.mark.parametrize(("fresh", "requests"), [(3600, 1), (0, 2)])
def test_port_look_up_is_cached_for_a_limited_time(server, wire, monkeypatch, fresh, requests):
    monkeypatch.setattr(tunnel, "FRESH", fresh)
    server.on(f"GET {PORT}", [SEVEN])
    assert look_up(PortForward(wire, "mine", 8888), 20) == {("127.0.0.1", 7)}
    assert len(server.asked) == requests


def test_refused_port_look_up_is_not_cached_and_is_printed_once(server, wire, monkeypatch, capsys):
    monkeypatch.setattr(tunnel, "FRESH", 3600)
    server.on(f"GET {PORT}", problem(503, "PORT_SILENT", "mine does not answer there"))
    assert look_up(PortForward(wire, "mine", 8888), 20) == {None}
    assert len(server.asked) == 2
    assert capsys.readouterr().err == "error: mine does not answer there\n"


def test_port_look_up_is_retried_after_an_invalid_answer(server, wire, monkeypatch):
    monkeypatch.setattr(tunnel, "FRESH", 3600)
    server.on(f"GET {PORT}", [])
    lead = PortForward(wire, "mine", 8888)

    async def ask():
        with pytest.raises(ValueError, match="not enough values"):
            await lead()
        server.on(f"GET {PORT}", [SEVEN])
        return await lead()

    assert asyncio.run(ask()) == ("127.0.0.1", 7)
