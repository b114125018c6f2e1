"""The gateway's answers, without a namespace of its own."""

import socket
import sys
import threading

import pytest

from prism.agent.network import gateway
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


def test_connection_is_refused_and_its_slot_freed_if_no_thread_can_start(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(gateway, "CALLERS", 1)
    monkeypatch.setattr(gateway._Relays, "_admits", lambda *_: True)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with socket.socket() as kernel, socket.create_server(("127.0.0.1", 0)) as listener:
        relays = gateway._Relays(kernel, {0})
        for _ in range(2):
            with socket.create_connection(listener.getsockname()) as caller:
                relays.accept(listener, 1)
                assert caller.recv(1) == b""
        assert relays._free.acquire(blocking=False)
