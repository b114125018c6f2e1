"""Desktops: TLS with a self-signed certificate that is pinned."""

import asyncio

import pytest
from aiohttp import web
from websockets.sync.client import connect

from prism.connections import websockets
from prism.connections.headers import Route
from prism.connections.model import CertificateChanged, ServiceUnreachable
from prism.connections.ports import Address
from prism.connections.proxied_request import ProxiedRequest
from prism.connections.relay import Relay
from prism.connections.routing import PortTarget
from prism.connections.tls import CertificatePins
from tests.conftest import free_port
from tests.connections.upstream import application, self_signed_context
from tests.waiting import eventually

HEADERS = [(b"host", b"mine.localhost:8947")]


def test_desktop_is_reached_over_tls(served_daemon):
    eventually(lambda: served_daemon.http.get("/dcv-proxy/mine/x?a=1").status_code == 200)
    request = served_daemon.http.get("/dcv-proxy/mine/x?a=1").json()
    real = served_daemon.real_port("mine", "desktop")
    assert (request["target"], dict(request["headers"])["host"]) == ("/x?a=1", f"127.0.0.1:{real}")
    assert served_daemon.received_request("GET", "/x", "tls-8443--mine")["target"] == "/x"
    assert served_daemon.received_request("GET", "/x", f"tls-{real}--mine")["target"] == "/x"


def test_desktop_websocket_is_reached_over_tls(served_daemon):
    with served_daemon.socket("/echo", "tls-8443--mine") as connection:
        connection.send(b"\x01" * 100_000)
        assert connection.recv() == b"\x01" * 100_000
    at = f"ws://127.0.0.1:{served_daemon.port}/dcv-proxy/mine/echo"
    with connect(at, proxy=None) as connection:
        connection.send("by the path")
        assert connection.recv() == "by the path"


def test_request_with_and_without_tls_to_the_wrong_port_fails(served_daemon):
    assert served_daemon.ask("GET", "/", "8443--mine").status_code == 503
    assert served_daemon.ask("GET", "/", "tls-8888--mine").status_code == 503


def exchange(port, kind, **address):
    """A request for a listener of this computer, and the list of its answers."""
    peer = Address(host="127.0.0.1", port=port, **{"listener": "1", **address})
    target = PortTarget("mine", peer, True)
    route = Route(netloc=target.netloc.encode(), scheme=b"https")
    scope = {"type": kind, "method": "GET", "headers": HEADERS}
    received = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        received.append(message)

    return ProxiedRequest(scope, receive, send, target, route, b"/page"), received


async def with_two_services(test):
    """Run a test with two services, each with its own certificate."""
    runner = web.AppRunner(application())
    await runner.setup()
    ports = free_port(), free_port()
    for port in ports:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=self_signed_context()).start()
    pins = CertificatePins()
    relay = Relay(pins)
    try:
        return await test(ports, pins, relay)
    finally:
        await relay.close()
        await runner.cleanup()


async def forwarded_status(relay, port, **address):
    request, received = exchange(port, "http", **address)
    await relay.forward(request)
    return received[0]["status"]


def test_other_certificate_is_refused_before_the_request_is_sent():
    async def test(ports, pins, relay):
        assert await forwarded_status(relay, ports[0]) == 200
        first, other = [await pins.of(exchange(port, "http")[0].target) for port in ports]
        assert first != other
        assert await forwarded_status(relay, ports[0], certificate=first) == 200, (
            "the certificate that the machine reported"
        )
        with pytest.raises(CertificateChanged):
            await forwarded_status(relay, ports[0], certificate=other)
        request, received = exchange(ports[0], "websocket", certificate=other)
        with pytest.raises(CertificateChanged):
            await websockets.forward(request, pins)
        assert received == []

    asyncio.run(with_two_services(test))


def test_certificate_pin_is_cached_per_listener():
    async def test(ports, pins, relay):
        del relay
        pin = await pins.of(exchange(ports[0], "http", listener="1")[0].target)
        assert await pins.of(exchange(ports[0], "http", listener="1")[0].target) == pin
        pins._known = dict.fromkeys(pins._known, b"another")
        assert await pins.of(exchange(ports[0], "http", listener="1")[0].target) == b"another"
        assert await pins.of(exchange(ports[0], "http", listener="2")[0].target) == pin

    asyncio.run(with_two_services(test))


def test_missing_tls_service_raises_service_unreachable():
    async def test(ports, pins, relay):
        del ports
        with pytest.raises(ServiceUnreachable):
            await forwarded_status(relay, free_port())
        with pytest.raises(ServiceUnreachable):
            await websockets.forward(exchange(free_port(), "websocket")[0], pins)

    asyncio.run(with_two_services(test))
