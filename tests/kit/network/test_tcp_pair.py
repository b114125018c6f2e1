"""Two connected sockets of one process."""

import socket

from prism.kit.network.tcp_pair import tcp_pair


def test_both_ends_are_connected_to_each_other():
    ours, theirs = tcp_pair()
    with ours, theirs:
        assert ours.getsockname() == theirs.getpeername()
        ours.sendall(b"x" * 1000)
        theirs.setblocking(True)
        assert theirs.recv(2000) == b"x" * 1000


def test_program_that_connects_first_gets_no_end(monkeypatch):
    """It finds the port while it is open, and connects before we do."""
    intruders = []
    connect = socket.create_connection

    def intrude(address, timeout):
        intruders.append(connect(address, timeout))
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", intrude)
    ours, theirs = tcp_pair()
    with ours, theirs, intruders[0] as intruder:
        assert ours.getsockname() == theirs.getpeername()
        intruder.settimeout(5)
        assert intruder.recv(1) == b""
