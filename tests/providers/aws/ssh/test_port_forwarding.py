"""Ports of a machine through its SSH connection, for programs that may use them."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

from prism.kit.network.peer_credentials import PeerCheck
from prism.providers.aws.ssh.port_forwarding import V4, V6, AwsPortFinder, listening
from prism.providers.tunnels.background import Background
from prism.providers.tunnels.forwards import Forwards, ForwardTarget
from tests.conftest import free_port
from tests.providers.aws.ssh_machine import ID
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World, page
from tests.waiting import eventually


@pytest.fixture
def reach(machine_pool):
    return AwsPortFinder(machine_pool.pool, machine_pool.forwards)


def fetch(address, path="/"):
    with urllib.request.urlopen(
        f"http://{address.host}:{address.port}{path}", timeout=120
    ) as answer:
        return answer.read().decode()


def test_port_is_reached_through_the_ssh_connection(reach, machine_pool, sshd, service):
    address = reach.address_of(ID, service.port)
    assert address.host == "127.0.0.1"
    assert address.port != service.port, "the forwarded port is another one"
    assert fetch(address, "/x") == "/x of the lab"
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 1
    again = reach.address_of(ID, service.port)
    assert again == address, "the same listener"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://other.localhost:8947"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_forwarded_port_refuses_pages_of_other_sites(reach, service, headers):
    address = reach.address_of(ID, service.port)
    url = f"http://{address.host}:{address.port}/x"
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=120)
    refused.value.close()
    own = urllib.request.Request(url, headers={"Origin": f"http://127.0.0.1:{address.port}"})
    with urllib.request.urlopen(own, timeout=120) as answer:
        assert answer.read() == b"/x of the lab"


def test_address_of_a_port_without_a_listener_is_none(reach):
    assert reach.address_of(ID, free_port()) is None


def test_another_socket_on_the_same_port_is_another_listener(reach, service):
    before = reach.address_of(ID, service.port)
    port = service.port
    service.close()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        reach.forget(ID)
        after = reach.address_of(ID, port)
    assert (after.host, after.port) == (before.host, before.port)
    assert after.listener != before.listener


def echo(socket):
    for word in socket:
        socket.send(word)


def test_websocket_works_through_a_forwarded_port(reach):
    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = reach.address_of(ID, server.socket.getsockname()[1])
            with connect(f"ws://{address.host}:{address.port}/", proxy=None) as client:
                for word in ("one", b"two" * 200_000):
                    client.send(word)
                    assert client.recv(timeout=120) == word
        finally:
            server.shutdown()
            thread.join()


def test_forwarded_port_works_again_after_the_connection_broke(reach, sshd, service):
    address = reach.address_of(ID, service.port)
    assert fetch(address) == "/ of the lab"
    sshd.cut()
    eventually(lambda: fetch(address) == "/ of the lab", passing=(OSError,))
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 2


def test_half_closed_connection_still_receives_the_answer(reach, machine_pool):
    """Both ends are closed afterwards, in either order."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = reach.address_of(ID, server.getsockname()[1])
        with socket.create_connection((address.host, address.port), timeout=120) as caller:
            far, _ = server.accept()
            with far:
                caller.sendall(b"question")
                caller.shutdown(socket.SHUT_WR)
                far.settimeout(20)
                assert far.recv(100) == b"question"
                assert far.recv(100) == b""
                far.sendall(b"answer")
                far.shutdown(socket.SHUT_WR)
                assert caller.recv(100) == b"answer"
                assert caller.recv(100) == b""
    eventually(lambda: machine_pool.pool._links[ID].idle_since is not None)


def test_connection_to_a_closed_port_ends(reach, service):
    address = reach.address_of(ID, service.port)
    service.close()
    with socket.create_connection((address.host, address.port), timeout=120) as caller:
        caller.sendall(b"anybody?")
        answer = b""
        with contextlib.suppress(OSError):  # a client that has sent nothing yet only sees the end
            answer = caller.recv(100)
        assert answer == b""


def test_forwarded_port_refuses_another_user(machine_pool, service):
    nobody = PeerCheck(uid=54321)  # root is always allowed, so the allowed users are faked
    nobody._uids = {54321}
    forwards = Forwards(machine_pool.pool, nobody)
    try:
        port = forwards.port(ForwardTarget(ID, "127.0.0.1", service.port))
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=120).read()
    finally:
        forwards.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root can be somebody else")
def test_forwarded_port_refuses_a_real_other_user(reach, service):
    address = reach.address_of(ID, service.port)
    assert fetch(address) == "/ of the lab"
    ask = f"""
import encodings.idna, os, socket  # that user may not read the first
os.setuid(65534)
one = socket.create_connection(("127.0.0.1", {address.port}))
try:
    one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(len(one.recv(100)))
except OSError:
    print(0)
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_forwarded_port_refuses_a_stranger_of_the_same_user(machine_pool, service):
    questions = []

    def is_stranger(inode):
        questions.append(inode)
        return True

    forwards = Forwards(machine_pool.pool, stranger=is_stranger)
    try:
        port = forwards.port(ForwardTarget(ID, "127.0.0.1", service.port))
        with socket.create_connection(("127.0.0.1", port), timeout=120) as stranger:
            with contextlib.suppress(OSError):
                assert stranger.recv(100) == b""
            assert questions == [os.fstat(stranger.fileno()).st_ino]
    finally:
        forwards.close()


@pytest.mark.needs("bwrap")
def test_forwarded_port_refuses_a_program_in_a_local_sandbox(machine_pool, service, tmp_path):
    """It runs as the daemon's own user, and sees the same loopback."""
    world = World(tmp_path, tmp_path / "cache")
    of_a_workspace = world.compute.peers.of_a_workspace
    forwards = Forwards(machine_pool.pool, stranger=partial(of_a_workspace, daemon_dials=True))
    try:
        id = world.launched(page())
        assert world.report(id)["sandbox"] == "bubblewrap"
        port = forwards.port(ForwardTarget(ID, "127.0.0.1", service.port))
        assert fetch(ForwardTarget(ID, "127.0.0.1", port)) == "/ of the lab"
        ask = f"""
import urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:{port}/", timeout=120).status)
except OSError as refused:
    print("refused")
"""
        assert run(world, id, "python", "-c", ask) == (0, "refused\n")
        done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
        assert done.stdout == "200\n", "other programs of the owner are accepted"
    finally:
        forwards.close()
        world.close()


def test_forwarded_port_is_closed_when_the_machine_stops(reach, machine_pool, service):
    address = reach.address_of(ID, service.port)
    machine_pool.hosts.clear()
    machine_pool.settle()

    def closed():
        with socket.socket() as client:
            return client.connect_ex((address.host, address.port)) != 0

    eventually(closed)


NIL, ONE = "0" * 32, "00000000000000000000000001000000"
REST = "00000000:00000000 00:00000000 00000000  1000        0"
TABLE = f"""abcdef12-0000
   0: 0100007F:22B8 00000000:0000 0A {REST} 111 1 0
   1: 00000000:0016 00000000:0000 0A {REST} 112 1 0
   2: 0200007F:0050 00000000:0000 0A {REST} 113 1 0
   0: {ONE}:1F90 {NIL}:0000 0A {REST} 114 1
   1: {NIL}:0016 {NIL}:0000 0A {REST} 115 1
"""


def test_listening_parses_the_socket_tables_of_the_kernel():
    listeners = listening(TABLE)
    assert {port: listener.host for port, listener in listeners.items()} == {
        8888: V4,
        22: V4,
        8080: V6,
    }
    assert listeners[8888].name == "abcdef12/111"
    assert listeners[22].name == "abcdef12/112"


class InterruptedName(str):
    """Calls `then` once, when it is looked up."""

    then: Callable[[], object] | None = None

    def __hash__(self):
        then, self.then = self.then, None
        if then is not None:
            then()
        return super().__hash__()


def test_port_that_opens_while_others_are_checked_stays_open():
    background = Background()
    pool: Any = SimpleNamespace(background=background)
    forwards, machine = Forwards(pool), InterruptedName(ID)
    forwards.port(ForwardTarget(machine, V4, 80))
    new = ForwardTarget(ID, V4, 81)
    machine.then = lambda: forwards.port(new)
    forwards.settle([ID])
    assert new in forwards._open
    forwards.close()
    background.close()
