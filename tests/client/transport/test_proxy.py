"""The way to a remote daemon through a proxy."""

import socket
import threading
from contextlib import contextmanager

import pytest

from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.proxy import proxy_of
from prism.client.transport.wire import Wire
from tests.client.scripted import http
from tests.tls import Authority

PROXY = "http://proxy.example.org:3128"
HOST = "prism.example.org"


@pytest.mark.parametrize(
    ("environ", "host", "expected"),
    [
        ({"HTTPS_PROXY": PROXY}, HOST, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, HOST, PROXY),
        ({"ALL_PROXY": "proxy.example.org:3128"}, HOST, PROXY),
        ({"ALL_PROXY": "socks5://proxy.example.org:1080"}, HOST, None),
        ({"HTTP_PROXY": PROXY}, HOST, None),
        ({"HTTPS_PROXY": PROXY}, "localhost", None),
        ({"HTTPS_PROXY": PROXY}, "mine.localhost", None),
        ({"HTTPS_PROXY": PROXY}, "127.0.0.1", None),
        ({"HTTPS_PROXY": PROXY}, "::1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a.org, .example.org"}, HOST, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "example.org"}, HOST, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, HOST, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "ample.org"}, HOST, PROXY),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "10.0.0.0/8"}, "10.1.2.3", None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "10.0.0.0/8"}, "11.1.2.3", PROXY),
    ],
)
def test_proxy_is_used_for_remote_hosts_that_no_proxy_does_not_name(environ, host, expected):
    assert proxy_of(environ, host) == expected


@contextmanager
def proxy(answer, tls=None):
    """A proxy that gives this answer; with `tls`, it also is the server that it connects to."""
    heads: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve():
            with door.accept()[0] as connection:
                heads.append(connection.recv(4096).decode())
                connection.sendall(answer)
                if tls:
                    with tls.wrap_socket(connection, server_side=True) as secure:
                        heads.append(secure.recv(4096).decode())
                        secure.sendall(http(200, {"a": 1}))

        thread = threading.Thread(target=serve)
        thread.start()
        yield heads, f"http://ada:s%20ecret@127.0.0.1:{door.getsockname()[1]}"
        thread.join(120)


@pytest.fixture
def wire(home, monkeypatch):
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return Wire(DaemonAddress(str(home), f"https://{HOST}", token="abc"))


def test_remote_daemon_is_reached_through_the_proxy_which_reads_nothing(
    wire, tmp_path, monkeypatch
):
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    established = b"HTTP/1.1 200 Connection established\r\n\r\n"
    with proxy(established, authority.context(HOST)) as (heads, url):
        monkeypatch.setenv("HTTPS_PROXY", url)
        assert wire.ask("GET", "/x") == {"a": 1}
    to_proxy, to_daemon = heads
    assert to_proxy == (
        f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n"
        "Proxy-Authorization: Basic YWRhOnMgZWNyZXQ=\r\n\r\n"
    )
    assert to_daemon.startswith("GET /api/v1/x HTTP/1.1\r\nHost: prism.example.org\r\n")
    assert "Authorization: Bearer abc\r\n" in to_daemon


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refused the connection: 407"),
        (b"SSH-2.0-OpenSSH\r\n", "did not answer as a proxy does"),
    ],
)
def test_proxy_that_refuses_is_named_without_its_password(wire, monkeypatch, answer, words):
    with proxy(answer) as (_, url):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(DaemonUnreachable) as refused:
            wire.ask("GET", "/x")
    assert words in refused.value.details
    assert "127.0.0.1" in refused.value.details
    assert "HTTPS_PROXY" in refused.value.remediation
    assert "secret" not in str(refused.value) + refused.value.details


def test_proxy_that_is_not_there_is_named(wire, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(DaemonUnreachable) as refused:
        wire.ask("GET", "/x")
    assert refused.value.details == "the proxy 127.0.0.1:1 cannot be reached: Connection refused"
