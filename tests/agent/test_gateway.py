"""The gateway's answers, without a namespace of its own."""

import socket
import sys

import pytest

from prism.agent import gateway
from prism.agent.protocol import PUBLISH


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a gateway")
def test_gateway_uses_reno_for_connections_to_a_published_port():
    published = []
    daemon, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with daemon, answering, socket.create_server(("127.0.0.1", 0)) as listener:
        socket.send_fds(daemon, [PUBLISH + b"8888"], [listener.fileno()])
        assert gateway._answer(answering, lambda *received: published.append(received))
        [(received, port)] = published
        with received:
            name = received.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        assert (name.rstrip(b"\0"), port) == (b"reno", 8888)
