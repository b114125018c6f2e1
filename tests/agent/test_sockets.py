"""What connections carry is asked of the real kernel, about sockets of this process."""

import contextlib
import os
import socket
import sys

import pytest

from prism.agent import sockets
from prism.agent.sockets import TcpConnections
from tests.optional import not_none

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells over netlink")


class OwnConnections:
    """This process's connections, as one who looks again and again sees them."""

    def __init__(self):
        self.connections = TcpConnections()

    def look(self, *of):
        """What these sockets have carried, those that are told of."""
        carried = not_none(self.connections.carried([os.getpid()]))
        numbers = {os.fstat(tcp_socket.fileno()).st_ino for tcp_socket in of}
        return {inode: carried[inode] for inode in numbers & carried.keys()}


@pytest.fixture
def connect_pair():
    """Connects two sockets over TCP."""
    with contextlib.ExitStack() as stack:

        def connect(host="127.0.0.1", **how):
            server = stack.enter_context(socket.create_server(("", 0), **how))
            client = stack.enter_context(socket.create_connection((host, server.getsockname()[1])))
            return client, stack.enter_context(server.accept()[0]), server

        yield connect


@pytest.fixture
def table_reads(monkeypatch):
    """How often the kernel was made to walk its whole table."""
    count, really = [], sockets._connections

    def listed(kernel):
        count.append(1)
        return really(kernel)

    monkeypatch.setattr(sockets, "_connections", listed)
    return count


def sent(first, other, length):
    first.sendall(b"x" * length)
    while length:
        length -= len(other.recv(length))


@pytest.mark.parametrize(
    ("host", "how"),
    [
        ("127.0.0.1", {}),
        ("::1", {"family": socket.AF_INET6}),
        ("127.0.0.1", {"family": socket.AF_INET6, "dualstack_ipv6": True}),
    ],
)
def test_who_is_known_is_asked_alone_and_tells_the_same(connect_pair, table_reads, host, how):
    sender, other, server = connect_pair(host, **how)
    us = OwnConnections()
    first = us.look(sender, other, server)
    assert len(first) == 2, "who listens carries nothing"
    assert len(table_reads) == 2, "one for each family"
    sent(sender, other, 50_000)
    second = us.look(sender, other, server)
    assert len(table_reads) == 2, "nobody new"
    assert all(50_000 <= second[inode] - first[inode] < 60_000 for inode in second)
    assert second == OwnConnections().look(sender, other, server)


def test_who_is_new_is_found_and_who_is_gone_is_forgotten(connect_pair, table_reads):
    us, (first, other, _) = OwnConnections(), connect_pair()
    us.look()
    del table_reads[:]
    new = connect_pair()
    sent(new[0], new[1], 1000)
    assert sorted(us.look(*new[:2]).values()) == sorted(OwnConnections().look(*new[:2]).values())
    assert len(us.look(*new[:2])) == 2
    assert table_reads
    ended = {os.fstat(tcp_socket.fileno()).st_ino for tcp_socket in (first, other)}
    first.close()
    other.close()
    us.look()
    assert not ended & us.connections._known.keys()


def test_a_socket_that_connects_late_is_not_overlooked(connect_pair):
    *_, server = connect_pair()
    us = OwnConnections()
    with socket.socket() as late:
        assert us.look(late) == {}
        late.connect(server.getsockname())
        with server.accept()[0] as other:
            sent(late, other, 3000)
            assert us.look(late).popitem()[1] >= 3000


def test_unix_sockets_cause_no_listing(table_reads):
    us, pairs = OwnConnections(), socket.socketpair()
    us.look()
    del table_reads[:]
    more = socket.socketpair()
    assert us.look(*pairs, *more) == {}
    unknown = len(table_reads)
    us.look()
    assert len(table_reads) == 2 * unknown, "these were no reason"
    for pair in (*pairs, *more):
        pair.close()


def test_more_connections_than_fit_into_one_message(connect_pair):
    many = [connect_pair()[:2] for _ in range(sockets.AT_ONCE)]
    us = OwnConnections()
    flat = [end for both in many for end in both]
    assert us.look(*flat) == us.look(*flat)
    assert len(us.look(*flat)) == len(flat)


def test_a_kernel_without_an_answer_is_unknown(connect_pair, monkeypatch):
    connect_pair()
    monkeypatch.setattr(sockets, "NETLINK_SOCK_DIAG", 999)
    assert TcpConnections().carried([os.getpid()]) is None
