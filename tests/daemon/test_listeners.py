"""The sockets of the daemon: both addresses of `localhost`, and the Unix socket."""

import contextlib
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from prism.daemon import listeners
from prism.daemon.listeners import (
    AddressInvalid,
    PortTaken,
    SocketUnsafe,
    addresses,
    open_default,
    open_listeners,
)

V6 = listeners._listening("::1", 0)
HAS_V6 = V6 is not None
if V6 is not None:
    V6.close()


def test_port_that_is_taken_on_one_address_is_skipped(socket_path, monkeypatch):
    monkeypatch.setattr(listeners, "NEIGHBOURS", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with contextlib.closing(open_default("localhost", taken, socket_path)) as them:
            assert them.port not in {0, taken}
            assert len({door.getsockname()[1] for door in them.sockets[:-1]}) == 1


@pytest.fixture
def socket_path(tmp_path):
    return tmp_path / "home" / "prism.sock"


@contextlib.contextmanager
def opened(host, port, unix, **more):
    with contextlib.closing(open_listeners(host, port, unix, **more)) as them:
        yield them


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.9"])
def test_localhost_is_bound_on_ipv4_and_ipv6(host, socket_path):
    with opened(host, 0, socket_path) as them:
        hosts = [door.getsockname()[0] for door in them.sockets[:-1]]
        assert hosts == (["127.0.0.1", "::1"] if HAS_V6 else ["127.0.0.1"])
        assert {door.getsockname()[1] for door in them.sockets[:-1]} == {them.port}
        for address in hosts:
            socket.create_connection((address, them.port)).close()


def test_accepted_connection_has_tcp_nodelay(socket_path):
    with opened("localhost", 0, socket_path) as them:
        client = socket.create_connection(("127.0.0.1", them.port))
        accepted, _ = them.sockets[0].accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        accepted.close()
        client.close()


def congestion_control(listener):
    """The congestion control algorithm of a new connection of that listener."""
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
        accepted, _ = listener.accept()
        with accepted:
            name = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            return name.rstrip(b"\0").decode()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a choice")
def test_congestion_control_is_reno_on_localhost_and_default_elsewhere(socket_path):
    with opened("localhost", 0, socket_path) as them:
        assert congestion_control(them.sockets[0]) == "reno"
    with opened("0.0.0.0", 0, socket_path, beyond=True) as them:
        default = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
        assert congestion_control(them.sockets[0]) == default


def test_unix_socket_is_accessible_only_to_its_owner(socket_path):
    with opened("localhost", 0, socket_path):
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(socket_path))
    assert not socket_path.exists()


def test_stale_unix_socket_is_replaced(socket_path):
    socket_path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path))
    with opened("localhost", 0, socket_path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_path))


def test_socket_folder_that_is_a_symlink_is_refused(socket_path, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    socket_path.parent.symlink_to(elsewhere)
    with pytest.raises(SocketUnsafe):
        open_listeners("localhost", 0, socket_path)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", *(["::1"] if HAS_V6 else [])])
def test_port_in_use_error_names_the_port_and_closes_all_sockets(host, socket_path):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as taken:
            open_listeners("localhost", port, socket_path)
        assert str(port) in taken.value.message
        assert host in taken.value.details
        assert "PRISM_PORT" in taken.value.remediation
        assert not socket_path.exists()
    with opened("localhost", port, socket_path):
        pass


def test_free_port_is_searched_until_free_on_every_address(socket_path, monkeypatch):
    tried, listen = [], listeners._listening

    def taken_twice(host, port):
        tried.append((host, port))
        if host == "::1" and len([1 for at, _ in tried if at == "::1"]) <= 2:
            raise PortTaken
        return listen(host, port)

    monkeypatch.setattr(listeners, "_listening", taken_twice)
    with opened("localhost", 0, socket_path) as them:
        assert them.port > 0
    assert [host for host, _ in tried] == ["127.0.0.1", "::1"] * 3


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_external_address_requires_tokens_and_a_public_url(host, socket_path):
    with pytest.raises(AddressInvalid) as no:
        open_listeners(host, 0, socket_path)
    assert "PRISM_AUTH=tokens and PRISM_PUBLIC_URL" in no.value.remediation
    assert not socket_path.parent.exists()


def test_external_address_is_bound_if_allowed(socket_path):
    with opened("0.0.0.0", 0, socket_path, beyond=True) as them:
        socket.create_connection(("127.0.0.1", them.port)).close()


@pytest.mark.parametrize(
    ("host", "all_of"),
    [
        ("0.0.0.0", ("0.0.0.0", "::1")),
        ("::", ("::", "0.0.0.0")),
        ("192.0.2.1", ("192.0.2.1", "127.0.0.1", "::1")),
    ],
)
def test_addresses_always_cover_localhost(host, all_of):
    assert addresses(host) == all_of


def test_address_of_another_computer_is_rejected(socket_path):
    with pytest.raises(AddressInvalid, match=r"192\.0\.2\.1"):
        open_listeners("192.0.2.1", 0, socket_path, beyond=True)


def test_failure_of_the_unix_socket_closes_the_ports(socket_path):
    socket_path.parent.mkdir(mode=0o700)
    socket_path.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(OSError, match=os.strerror(21)):
        open_listeners("localhost", port, socket_path)
    socket.create_server(("127.0.0.1", port)).close()
