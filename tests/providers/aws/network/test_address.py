"""The address from which the daemon connects to machines."""

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from prism.providers.aws.network.address import AddressUnknown, caller_cidr
from tests.conftest import free_port


@contextmanager
def address_server(text):
    """A server that answers each request with this text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_configured_address_is_used_without_a_request():
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert caller_cidr("203.0.113.7/32", None, nowhere) == "203.0.113.7/32"
    assert caller_cidr("203.0.113.7/24", None, nowhere) == "203.0.113.0/24"
    assert caller_cidr("2001:db8::/48", None, nowhere) == "2001:db8::/48"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:1"]
)
def test_address_is_loopback_for_an_aws_endpoint_on_this_computer(endpoint):
    assert caller_cidr("", endpoint, "http://127.0.0.1:1") == "127.0.0.1/32"


@pytest.mark.parametrize(("answer", "cidr"), [("203.0.113.9\n", "203.0.113.9/32")])
def test_address_is_requested_from_a_server(answer, cidr):
    with address_server(answer) as url:
        assert caller_cidr("", None, url) == cidr
        assert caller_cidr("", "https://ec2.us-east-1.amazonaws.com", url) == cidr


def test_unknown_address_is_refused_with_the_name_of_the_setting():
    with address_server("<html>log in first") as captive, pytest.raises(AddressUnknown) as raised:
        caller_cidr("", None, captive)
    assert "PRISM_CALLER_CIDR" in raised.value.remediation
    with pytest.raises(AddressUnknown):
        caller_cidr("", None, f"http://127.0.0.1:{free_port()}")


def test_address_is_requested_over_ipv4(monkeypatch):
    with address_server("203.0.113.9") as url, socket.socket(socket.AF_INET6) as other:
        port = int(url.rpartition(":")[2])
        other.bind(("::1", port))
        other.listen()
        other.setblocking(False)
        both = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both)
        assert caller_cidr("", None, url) == "203.0.113.9/32"
        with pytest.raises(BlockingIOError):
            other.accept()


def test_ipv6_address_is_refused():
    with address_server("2001:db8::7") as url, pytest.raises(AddressUnknown):
        caller_cidr("", None, url)
