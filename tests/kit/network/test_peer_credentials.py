"""The owner of the other end of a connection, as the kernel reports it."""

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
from datetime import UTC, datetime
from threading import Event, Thread

import httpx
import pytest
import uvicorn
import websockets.sync.client

from prism.kit.clock import StoppedClock
from prism.kit.network import peer_credentials
from prism.kit.network.http_protocol import http_protocol
from prism.kit.network.peer_credentials import (
    PeerCheck,
    SocketDiagnostics,
    SocketOwner,
    _tables,
    caller,
    owner_in,
)
from tests.providers.local.test_life import python_for_all
from tests.waiting import eventually

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
# a client's end, the server's end, a closed client's TIME_WAIT and FIN_WAIT2, a listener
TCP = f"""{HEAD} inode
   0: 0100007F:22F3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 7 1 0
   1: 0100007F:9C40 0100007F:22F3 01 00000000:00000000 00:00000000 00000000  1000        0 41 1 0
   2: 0100007F:22F3 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 42 1 0
   3: 0100007F:9C41 0100007F:22F3 06 00000000:00000000 03:00001762 00000000     0        0 0 3 0
   4: 0100007F:9C42 0100007F:22F3 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   5: 0100007F:9C43 0100007F:22F3 06 00000000:00000000 03:00001762 00000000     0        0 0 3 0
   6: 0100007F:9C43 0100007F:22F3 01 00000000:00000000 00:00000000 00000000  1000        0 43 1 0
"""
ONE6, MAPPED = "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F"
TCP6 = f"""{HEAD} inode
   0: {ONE6}:9C40 {ONE6}:22F3 01 00000000:00000000 00:00000000 00000000  1002        0 51 1 0
   1: {MAPPED}:9C50 {MAPPED}:22F3 01 00000000:00000000 00:00000000 00000000  1003        0 52 1 0
"""
V4, V6 = "127.0.0.1", "::1"


@pytest.mark.parametrize(
    ("client", "server", "owner"),
    [
        ((V4, 0x9C40), (V4, 0x22F3), SocketOwner(1000, 41)),
        (
            (V4, 0x22F3),
            (V4, 0x9C40),
            SocketOwner(1001, 42),
        ),  # the reverse direction is the other end
        ((V4, 0x9C41), (V4, 0x22F3), SocketOwner(0, 0)),  # closed; only looks like root's
        ((V4, 0x9C42), (V4, 0x22F3), SocketOwner(0, 0)),
        (
            (V4, 0x9C43),
            (V4, 0x22F3),
            SocketOwner(1000, 43),
        ),  # an old row does not hide the new row
        ((V4, 0x9C44), (V4, 0x22F3), None),
        ((V4, 0x22F3), (V4, 0), None),
        (("127.0.0.2", 0x9C40), (V4, 0x22F3), None),
        ((V6, 0x9C40), (V6, 0x22F3), SocketOwner(1002, 51)),
        ((V6, 0x9C41), (V6, 0x22F3), None),
        (
            (V4, 0x9C50),
            (V4, 0x22F3),
            SocketOwner(1003, 52),
        ),  # an IPv4 connection of an IPv6 socket
        (("::ffff:127.0.0.1", 0x9C40), ("::ffff:127.0.0.1", 0x22F3), SocketOwner(1000, 41)),
    ],
)
def test_owner_is_read_from_the_tables_of_the_kernel(client, server, owner):
    assert owner_in([TCP, TCP6], client, server) == owner


def test_empty_table_has_no_owner():
    assert owner_in([], (V4, 1), (V4, 2)) is None
    assert owner_in([HEAD, ""], (V4, 1), (V4, 2)) is None


@pytest.fixture
def peer_check():
    with contextlib.closing(PeerCheck()) as own:
        yield own


@pytest.fixture
def socket_diagnostics():
    with contextlib.closing(SocketDiagnostics()) as diagnostics:
        yield diagnostics


@contextlib.contextmanager
def pair(host=V4, family=socket.AF_INET):
    """A connection: the client's end and the server's end."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, 0), family=family))
        client = socket.create_connection(server.getsockname()[:2])
        stack.enter_context(client)
        yield client, stack.enter_context(server.accept()[0])


@pytest.mark.parametrize(("host", "family"), [(V4, socket.AF_INET), (V6, socket.AF_INET6)])
def test_diagnostics_and_tables_return_the_same_owner(host, family, socket_diagnostics):
    with pair(host, family) as (client, accepted):
        them, us = accepted.getpeername()[:2], accepted.getsockname()[:2]
        inode = os.fstat(client.fileno()).st_ino
        assert owner_in(_tables(), them, us) == SocketOwner(os.geteuid(), inode)
        assert socket_diagnostics.owner(them, us) == SocketOwner(os.geteuid(), inode)


def test_ipv4_connection_of_an_ipv6_socket_has_an_owner_in_both(socket_diagnostics):
    with socket.create_server((V4, 0)) as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        accepted, _ = server.accept()
        with accepted:
            them, us = accepted.getpeername(), accepted.getsockname()
            mine = SocketOwner(os.geteuid(), os.fstat(client.fileno()).st_ino)
            assert owner_in(_tables(), them, us) == mine
            assert socket_diagnostics.owner(them, us) == mine


def test_listener_is_not_returned_as_owner_of_a_closed_connection(socket_diagnostics):
    with socket.create_server((V4, 0)) as listener:
        us, them = (V4, 9), listener.getsockname()
        assert socket_diagnostics.owner(them, us) is None
        assert owner_in(_tables(), them, us) is None


def test_peer_check_admits_own_connections_and_refuses_closed_or_foreign_ones(peer_check):
    inodes = []
    with pair() as (client, accepted):
        assert asyncio.run(peer_check.admits(accepted))

        def is_foreign(inode):
            inodes.append(inode)
            return True

        peer_check._stranger = is_foreign
        assert not asyncio.run(peer_check.admits(accepted))
        assert inodes == [os.fstat(client.fileno()).st_ino]
        client.close()
        assert not asyncio.run(peer_check.admits(accepted)), (
            "a closed connection has uid 0 and inode 0 in the table"
        )
        accepted.close()
        assert not asyncio.run(peer_check.admits(accepted))


def test_peer_check_refuses_a_connection_whose_process_cannot_be_searched_for(peer_check):
    def out_of_files(inode):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    peer_check._stranger = out_of_files
    with pair() as (_, accepted):
        assert not asyncio.run(peer_check.admits(accepted))


def test_peer_check_uses_the_tables_without_diagnostics(peer_check):
    peer_check.close()
    with pair() as (client, accepted):
        assert asyncio.run(peer_check.admits(accepted))
        client.close()
        assert not asyncio.run(peer_check.admits(accepted))


def test_peer_check_reads_the_caller_of_a_unix_socket(tmp_path, peer_check):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        accepted, _ = server.accept()
        with accepted:
            assert caller(accepted) == os.geteuid()
            assert asyncio.run(peer_check.admits(accepted))


def test_peer_check_asks_for_one_socket_without_reading_the_tables(peer_check, monkeypatch):
    """Reading the tables takes milliseconds if many sockets are open."""
    monkeypatch.setattr(peer_credentials, "_tables", lambda: pytest.fail("the tables were read"))
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(pair()) for _ in range(3)]
        assert all(asyncio.run(peer_check.admits(accepted)) for _, accepted in pairs)


SERVED: list[str] = []  # the paths of the requests that were read


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        return await send({"type": "websocket.close", "code": 1000})
    SERVED.append(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    return await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture(params=["uvloop", "asyncio"])
def serve(request):
    """A real server; the test decides who may connect."""

    @contextlib.contextmanager
    def serve(peers):
        SERVED.clear()
        listener = socket.create_server((V4, 0))
        config = uvicorn.Config(
            app,
            http=http_protocol(peers, StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))),
            log_config=None,
            loop=request.param,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        with (
            contextlib.closing(peers) if peers else contextlib.nullcontext(),
            asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
        ):
            thread = Thread(target=lambda: runner.run(server.serve([listener])))
            thread.start()
            eventually(lambda: server.started)
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                thread.join()

    return serve


def test_server_serves_http_and_websocket_to_the_own_user(serve):
    with serve(PeerCheck()) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/") as socket_:
            assert socket_.recv() == "hello"


def test_invalid_http_is_answered_with_the_error_envelope(serve):
    with serve(None) as port, socket.create_connection((V4, port), timeout=120) as client:
        client.sendall(b"\x00\x01\x02\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 400 Bad Request")
        assert b'"code":"INVALID_REQUEST"' in answer


CLIENT = """
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" * int(sys.argv[2]))
while piece := client.recv(4096):
    sys.stdout.write(piece.decode())
"""


def request_on(connection):
    """Send a request, and return the first line of the answer."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n")[0]


def test_search_for_one_peer_delays_no_other_connection(serve):
    begun, end, searched = Event(), Event(), list[int]()

    def is_strange(inode):
        searched.append(inode)
        if len(searched) == 1:
            begun.set()
            assert end.wait(120)
            return True
        return False

    with (
        serve(PeerCheck(stranger=is_strange)) as port,
        socket.create_connection((V4, port), timeout=120) as slow,
    ):
        assert begun.wait(120)
        with socket.create_connection((V4, port), timeout=120) as other:
            assert request_on(other) == b"HTTP/1.1 200 OK"
        end.set()
        assert request_on(slow) == b"HTTP/1.1 403 Forbidden"


def test_connection_that_ends_during_the_search_is_forgotten(serve):
    begun, end = Event(), Event()

    def is_strange(inode):
        begun.set()
        assert end.wait(120)
        return False

    with serve(PeerCheck(stranger=is_strange)) as port:
        with socket.create_connection((V4, port), timeout=120):
            assert begun.wait(120)
        end.set()
        with socket.create_connection((V4, port), timeout=120) as other:
            assert request_on(other) == b"HTTP/1.1 200 OK"


def test_peer_that_is_not_found_in_time_is_refused(serve, monkeypatch):
    monkeypatch.setattr(peer_credentials, "SEARCH_SECONDS", 0)
    end = Event()
    try:
        with (
            serve(PeerCheck(stranger=lambda inode: not end.wait(120))) as port,
            socket.create_connection((V4, port), timeout=120) as client,
        ):
            assert request_on(client) == b"HTTP/1.1 403 Forbidden"
    finally:
        end.set()


def as_another_user():
    """The prefix that runs a program as another user, and the uid that the daemon then has."""
    if os.geteuid() == 0:
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], 0
    return [], os.geteuid() + 1  # without root, the daemon gets another uid instead


def test_request_of_another_user_is_refused_with_peer_rejected(serve):
    prefix, daemon = as_another_user()
    with serve(PeerCheck(uid=daemon)) as port:
        run = subprocess.run(
            [*prefix, python_for_all("python3"), "-I", "-S", "-c", CLIENT, str(port), "50"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert run.stdout.startswith("HTTP/1.1 403 Forbidden")
        assert '"code":"PEER_REJECTED"' in run.stdout
        assert run.stdout.count("HTTP/1.1") == 1
        assert SERVED == [], "no request of the other user is read"


def test_connection_closed_early_by_another_user_is_refused():
    prefix, daemon = as_another_user()
    hit_and_run = CLIENT.partition("while")[0] + "client.close()"
    with (
        contextlib.closing(PeerCheck(uid=daemon)) as peers,
        socket.create_server((V4, 0)) as server,
    ):
        port = str(server.getsockname()[1])
        subprocess.run(
            [*prefix, python_for_all("python3"), "-I", "-S", "-c", hit_and_run, port, "1"],
            timeout=120,
            check=True,
        )
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(3) == b"GET", "the request has arrived"
            assert not asyncio.run(peers.admits(accepted))
