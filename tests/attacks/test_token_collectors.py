"""A program of another user that listens on the daemon's port gets no token."""

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from prism.client.errors import DaemonUnreachable
from prism.client.transport import listener
from prism.client.transport.address import DaemonAddress
from prism.client.transport.trust import DaemonNotTrusted
from prism.client.transport.wire import Wire

COLLECTOR = """
import os, socket, sys
host, user, accepts = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "accepts"
if user != os.getuid(): os.setresuid(user, user, user)
server = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
print(server.getsockname()[1], flush=True)
if not accepts: sys.stdin.read()
client, _ = server.accept()
print(client.recv(65536).decode(), flush=True)
client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
"""
OTHER = 65534


@contextlib.contextmanager
def collecting(user, host="127.0.0.1", does="accepts"):
    """A listener that prints its port, then what it was sent."""
    words = [sys.executable, "-c", COLLECTOR, host, str(user), does]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def ask(port, host="127.0.0.1", **more):
    name = f"[{host}]" if ":" in host else host
    address = DaemonAddress("/nowhere", f"http://{name}:{port}", "prism_secret", **more)
    return Wire(address, timeout=30).ask("GET", "/daemon/status")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("does", ["accepts", "waits"])
def test_token_is_not_sent_to_another_user(host, does):
    with collecting(OTHER, host, does) as (process, port):
        with pytest.raises(DaemonNotTrusted) as raised:
            ask(port, host)
        assert f"uid {OTHER}" in raised.value.details
        assert "PRISM_DAEMON_USER" in raised.value.remediation
        process.stdin.close()
        assert "prism_secret" not in process.stdout.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("user", ["nobody", str(OTHER)])
def test_token_is_sent_to_the_named_user(user):
    with collecting(OTHER) as (_, port):
        assert ask(port, daemon_user=user) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_token_is_sent_to_a_daemon_of_the_same_user(host):
    with collecting(os.geteuid(), "127.0.0.1" if host == "localhost" else host) as (process, port):
        assert ask(port, host) == {}
        assert "prism_secret" in process.stdout.read()


def test_listener_of_all_addresses_counts():
    with (
        collecting(os.geteuid(), "0.0.0.0", "waits") as (_, port),
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        listener.check_listener(client, "")


def test_connection_without_a_known_listener_gets_no_token(monkeypatch):
    """A program that stopped listening, whatever the table says of its sockets."""
    monkeypatch.setattr(listener, "SOCKET_TABLES", ("/nowhere",))
    with collecting(os.geteuid()) as (process, port):
        with pytest.raises(DaemonNotTrusted, match="may not be your daemon"):
            ask(port)
        assert "prism_secret" not in process.stdout.read()


def test_unknown_user_trusts_nobody_more():
    assert listener.user_ids("no such user") == []
    assert listener.user_ids("") == []
    with pytest.raises(DaemonUnreachable):
        ask(1)
