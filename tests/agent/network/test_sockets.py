"""The traffic of connections, as the kernel reports it for sockets of this process."""

import contextlib
import os
import socket
import sys

import pytest

from prism.agent.network import sockets
from prism.agent.network.sockets import TcpConnections
from tests.optional import not_none

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has netlink")


class OwnConnections:
    """The connections of this process, measured repeatedly."""

    def __init__(self):
        self.connections = TcpConnections()

    def carried(self, *only):
        """The bytes that these sockets have carried, by inode."""
        by_inode = not_none(self.connections.carried([os.getpid()]))
        numbers = {os.fstat(tcp_socket.fileno()).st_ino for tcp_socket in only}
        return {inode: by_inode[inode] for inode in numbers & by_inode.keys()}


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
    """One entry for each time that the kernel listed its whole table."""
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
def test_known_connection_is_queried_alone_with_the_same_result(
    connect_pair, table_reads, host, how
):
    sender, other, server = connect_pair(host, **how)
    us = OwnConnections()
    first = us.carried(sender, other, server)
    assert len(first) == 2, "a listening socket carries nothing"
    assert len(table_reads) == 2, "one for each family"
    sent(sender, other, 50_000)
    second = us.carried(sender, other, server)
    assert len(table_reads) == 2, "there was no new connection"
    assert all(50_000 <= second[inode] - first[inode] < 60_000 for inode in second)
    assert second == OwnConnections().carried(sender, other, server)


def test_new_connection_is_measured_and_a_closed_one_is_forgotten(connect_pair, table_reads):
    us, (first, other, _) = OwnConnections(), connect_pair()
    us.carried()
    del table_reads[:]
    new = connect_pair()
    sent(new[0], new[1], 1000)
    assert sorted(us.carried(*new[:2]).values()) == sorted(
        OwnConnections().carried(*new[:2]).values()
    )
    assert len(us.carried(*new[:2])) == 2
    assert table_reads
    ended = {os.fstat(tcp_socket.fileno()).st_ino for tcp_socket in (first, other)}
    first.close()
    other.close()
    us.carried()
    assert not ended & us.connections._known.keys()


def test_socket_that_connects_later_is_measured(connect_pair):
    *_, server = connect_pair()
    us = OwnConnections()
    with socket.socket() as late:
        assert us.carried(late) == {}
        late.connect(server.getsockname())
        with server.accept()[0] as other:
            sent(late, other, 3000)
            assert us.carried(late).popitem()[1] >= 3000


def test_unix_sockets_do_not_cause_a_table_read(table_reads):
    us, pairs = OwnConnections(), socket.socketpair()
    us.carried()
    del table_reads[:]
    more = socket.socketpair()
    assert us.carried(*pairs, *more) == {}
    unknown = len(table_reads)
    us.carried()
    assert len(table_reads) == 2 * unknown, "known Unix sockets caused a table read"
    for pair in (*pairs, *more):
        pair.close()


def test_connections_that_do_not_fit_into_one_message_are_all_measured(connect_pair):
    many = [connect_pair()[:2] for _ in range(sockets.MAX_QUESTIONS_AT_ONCE)]
    us = OwnConnections()
    flat = [end for both in many for end in both]
    assert us.carried(*flat) == us.carried(*flat)
    assert len(us.carried(*flat)) == len(flat)


def test_traffic_is_unknown_when_the_kernel_does_not_answer(connect_pair, monkeypatch):
    connect_pair()
    monkeypatch.setattr(sockets, "NETLINK_SOCK_DIAG", 999)
    assert TcpConnections().carried([os.getpid()]) is None


def test_connections_of_a_uid_are_measured_without_looking_into_its_processes(connect_pair):
    ours, theirs = TcpConnections(uid=os.getuid), TcpConnections(uid=lambda: 1879048999)
    client, server, _ = connect_pair()
    sent(client, server, 70_000)
    inode = os.fstat(client.fileno()).st_ino
    assert not_none(ours.carried([]))[inode] >= 70_000
    assert theirs.carried([os.getpid()]) == {}
