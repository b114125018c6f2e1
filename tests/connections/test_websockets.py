"""WebSockets through the proxy to a real workspace."""

import contextlib
import json
import socket
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from prism.connections.headers import Route
from prism.connections.model import ServiceUnreachable
from prism.connections.ports import Address
from prism.connections.proxied_request import ProxiedRequest
from prism.connections.routing import PortTarget
from prism.connections.tls import CertificatePins
from prism.connections.websockets import forward
from prism.kit.network.workspace_network import listeners
from tests.attacks.serving import connected, receive_all, serving
from tests.optional import not_none
from tests.waiting import eventually


def test_websocket_echoes_text_and_bytes_of_any_size(served_daemon):
    with served_daemon.socket(max_size=None, compression=None) as connection:
        for message in ("", "grüß", b"", b"\x00\xff", "x" * (1 << 16), b"y" * (20 << 20)):
            connection.send(message)
            assert connection.recv() == message


def test_websocket_compression_is_negotiated_with_the_service(served_daemon):
    with served_daemon.socket(compression="deflate") as connection:
        assert "permessage-deflate" in connection.response.headers["sec-websocket-extensions"]
        connection.send("again " * 1000)
        assert connection.recv() == "again " * 1000


def test_ping_is_answered_by_the_service(served_daemon):
    with served_daemon.socket() as connection:
        connection.send("x")
        connection.recv()
        # The pong of the service has another payload; a proxy would answer with ours.
        assert not connection.ping(b"us").wait(0.3)


def test_service_chooses_the_subprotocol(served_daemon):
    with served_daemon.socket(subprotocols=["first", "second", "third"]) as connection:
        assert connection.subprotocol == "second"


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
def test_close_code_of_the_service_is_forwarded(served_daemon, code):
    with served_daemon.socket() as connection:
        connection.send(f"close {code}")
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert (not_none(closed.value.rcvd).code, not_none(closed.value.rcvd).reason) == (
        code,
        "as you wish",
    )


def test_handshake_headers_are_rewritten_for_the_service(served_daemon):
    own = {"cookie": "prism_session=ours; theirs=1", "authorization": "token theirs"}
    with served_daemon.socket(headers=own) as connection:
        connection.send("head")
        head = {name.lower(): value for name, value in json.loads(connection.recv())}
    netloc = f"127.0.0.1:{served_daemon.real_port('mine', 'page')}"
    assert (head["host"], head["origin"]) == (netloc, f"http://{netloc}")
    assert (head["cookie"], head["authorization"]) == ("theirs=1", "token theirs")
    assert head["connection"].lower() == "upgrade"
    assert (head["x-forwarded-for"], head["x-forwarded-proto"]) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("path", "label", "origin", "status"),
    [
        ("/refused", "mine", None, 403),  # by the service
        ("/page", "mine", None, 502),  # the service answers it like a plain request
        ("/echo", "mine", "http://other", 403),
        ("/echo", "mine", "null", 403),
        ("/echo", "nobody", None, 404),
        ("/echo", "99999--mine", None, 400),
        ("/echo", "9--mine", None, 503),
        ("/echo", "bare", None, 503),
    ],
)
def test_handshake_is_refused_with_an_http_status(served_daemon, path, label, origin, status):
    headers = {"origin": origin} if origin else {}
    with pytest.raises(InvalidStatus) as refused, served_daemon.socket(path, label, headers):
        pass
    assert refused.value.response.status_code == status


def test_websocket_on_the_proxy_path_has_no_credentials(served_daemon):
    at = f"ws://127.0.0.1:{served_daemon.port}/web-proxy/mine/echo?port=8888"
    headers = {"cookie": "a=1", "authorization": "Bearer x"}
    with connect(at, proxy=None, additional_headers=headers) as connection:
        connection.send("head")
        head = [name.lower() for name, _ in json.loads(connection.recv())]
        assert not {"cookie", "authorization"} & set(head)


def test_disconnected_client_closes_the_connection_to_the_service(served_daemon):
    port = served_daemon.real_port("mine", "page")
    with served_daemon.socket() as connection:
        eventually(lambda: established(served_daemon, port) == 1)
        connection.socket.shutdown(socket.SHUT_RDWR)  # without a word
        eventually(lambda: established(served_daemon, port) == 0)


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def established(site, port):
    """The number of connections to that port, in all networks of workspaces."""
    tables = [Path("/proc/net/tcp").read_text()]
    for gateway in site.home.folder.glob("workspaces/local-*/network"):
        tables.append(listeners(str(gateway)) or "")
    rows = [line.split() for line in "".join(tables).splitlines()]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_disconnect_during_the_handshake_closes_the_connection_to_the_service():
    """Otherwise connections to a service that never answers would accumulate."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(20)
        address = Address(host="127.0.0.1", port=deaf.getsockname()[1], listener="1")
        target = PortTarget("mine", address, False)
        route = Route(netloc=target.netloc.encode())

        async def app(scope, receive, send):
            with contextlib.suppress(ServiceUnreachable):
                await forward(
                    ProxiedRequest(scope, receive, send, target, route, b"/"), CertificatePins()
                )

        with serving(app) as (_, port), connected(port) as client:
            client.sendall(HANDSHAKE)
            service, _ = deaf.accept()
            client.close()
            with service:
                service.settimeout(20)
                assert receive_all(service).startswith(b"GET / ")
