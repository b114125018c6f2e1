"""Connections to a service: parsing of answers, reuse, and limits."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from prism.connections import service_connection
from prism.connections.headers import Route
from prism.connections.model import ServiceUnreachable
from prism.connections.ports import Address
from prism.connections.proxied_request import ProxiedRequest
from prism.connections.relay import Relay
from prism.connections.routing import PortTarget
from prism.connections.service_connection import (
    LONGEST_HEAD,
    MOST_HEADERS,
    MOST_INTERIM,
    ServiceConnections,
)
from prism.connections.tls import CertificatePins

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n"


class Service:
    """Answers each request with the next of its answers, and closes after `CLOSE`."""

    def __init__(self, answers):
        self.answers, self.heard, self.connections = list(answers), [], 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"chunked" in head:
                    head += await reader.readuntil(b"0\r\n\r\n")
                self.heard.append(head)
                answer, *close = self.answers.pop(0).split(b"CLOSE")
                writer.write(answer)
                if close:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers):
    service, connections = Service(answers), ServiceConnections()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1], listener="1")
    try:
        yield service, connections, address
    finally:
        connections.close()
        server.close()


async def exchange_once(connections, address, method="GET", head=GET, body=None):
    """One exchange: status, headers and body."""
    connection = await connections.take(address, None)
    try:
        await connection.ask(method, head, body)
        pieces = []
        while piece := await connection.piece():
            pieces.append(piece)
        return connection.status, dict(connection.headers), b"".join(pieces)
    finally:
        connections.give_back(address, None, connection)


def exchange(*answers, **more):
    async def run():
        async with serving(*answers) as (service, connections, address):
            received = [await exchange_once(connections, address, **more) for _ in answers]
            return received, service

    return asyncio.run(run())


def test_connection_is_reused():
    received, service = exchange(OK, OK, OK)
    assert received == [(200, {b"content-length": b"2"}, b"hi")] * 3
    assert service.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.0 200 OK\r\n\r\nhiCLOSE",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhiCLOSE",
        b"HTTP/1.1 200 OK\r\nEmpty:\r\nConnection: close\r\n\r\nhiCLOSE",
        HINT * MOST_INTERIM + OK,
    ],
)
def test_answer_body_is_read_with_every_framing(answer):
    [(status, headers, body)], _ = exchange(answer)
    assert (status, body) == (200, b"hi")
    assert b"a" not in headers, "a trailer is not a header"
    assert b"link" not in headers
    if b"Empty" in answer:
        assert headers == {b"empty": b"", b"connection": b"close"}


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (OK, 1),
        (b"HTTP/1.1 204 X\r\n\r\n", 1),
        (b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", 1),
        (b"HTTP/1.0 200 X\r\nContent-Length: 2\r\n\r\nhi", 2),
        (b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 2),
        (OK + OK, 2),
        (OK + b"more", 2),
    ],
)
def test_connection_is_reused_only_after_a_complete_answer(answer, connections):
    received, service = exchange(answer, OK)
    assert received[1][2] == b"hi", "each request gets its own answer"
    assert service.connections == connections


@pytest.mark.parametrize("length", [b"Content-Length: 1000\r\n", b""])
def test_answer_to_head_has_no_body(length):
    received, service = exchange(b"HTTP/1.1 200 X\r\n" + length + b"\r\n", method="HEAD")
    assert received[0][2] == b""
    assert service.heard == [GET]


@pytest.mark.parametrize(
    "answer",
    [
        b"CLOSE",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhiCLOSE",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nCLOSE",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HINT * (MOST_INTERIM + 1) + OK,
        b"HTTP/1.1 150 X\r\nContent-Length: 2\r\n\r\nhi" + OK,
        b"HTTP/1.1 150 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \r\n\r\n2\r\nhi\r\nCLOSE",
        b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * MOST_HEADERS + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 X\r\nA: " + b"b" * 2 * LONGEST_HEAD,
    ],
)
def test_invalid_or_oversized_answer_raises_connection_error(answer):
    with pytest.raises(ConnectionError):
        exchange(answer)


@pytest.mark.parametrize("begin", [b"0\r\nA: ", b"1;a="], ids=["trailer", "chunk size"])
def test_endless_trailer_or_chunk_size_raises_connection_error(begin):
    """It is buffered until its end, so it would fill the memory."""
    with pytest.raises(ConnectionError, match="no end"):
        exchange(CHUNKED + begin + b"b" * 4 * LONGEST_HEAD + b"CLOSE")


def test_trailing_whitespace_of_a_header_value_is_removed():
    [(_, headers, body)], _ = exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 2 \t\r\n\r\nhi")
    assert (headers, body) == ({b"content-length": b"2"}, b"hi")


def test_request_body_is_sent_in_chunks():
    async def pieces():
        yield b"one "
        yield b"two"

    head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    _, service = exchange(OK, method="POST", head=head, body=pieces())
    assert service.heard == [head + b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"]


def test_unsolicited_bytes_close_an_idle_connection():
    async def run():
        async with serving(OK, OK) as (service, connections, address):
            await exchange_once(connections, address)
            [[(_, connection)]] = connections._idle.values()
            connection.data_received(OK)
            assert await exchange_once(connections, address) == (
                200,
                {b"content-length": b"2"},
                b"hi",
            )
            return service.connections

    assert asyncio.run(run()) == 2


def test_interrupted_request_body_raises_connection_error():
    async def pieces():
        yield b"one"
        raise RuntimeError

    head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    with pytest.raises(ConnectionError, match="broke off"):
        exchange(OK, method="POST", head=head, body=pieces())


async def status_through_relay(relay, address, method, *headers):
    """Send one request without a body through the relay; return the status."""
    messages, bodies = [], [{"type": "http.request"}] if headers else []

    async def receive():
        if bodies:
            return bodies.pop()
        return await asyncio.Future[dict[str, object]]()  # never

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": method, "headers": [(b"host", b"m"), *headers]}
    target = PortTarget("mine", address, False)
    route = Route(netloc=target.netloc.encode())
    await relay.forward(ProxiedRequest(scope, receive, send, target, route, b"/"))
    return messages[0]["status"]


def test_safe_request_is_repeated_if_an_idle_connection_was_closed():
    """A GET is repeated, because the service did not receive it; a POST is not."""

    async def run(method):
        async with serving(OK, b"CLOSE", OK) as (service, _, address):
            relay = Relay(CertificatePins())
            try:
                assert await status_through_relay(relay, address, "GET") == 200
                return await status_through_relay(relay, address, method), len(service.heard)
            finally:
                await relay.close()

    assert asyncio.run(run("GET")) == (200, 3)
    with pytest.raises(ServiceUnreachable):
        asyncio.run(run("POST"))


def test_body_shorter_than_its_content_length_closes_the_connection():
    """Otherwise the service would read the next request as the rest of the body."""

    async def run():
        async with serving(OK, OK, OK) as (service, _, address):
            relay = Relay(CertificatePins())
            try:
                with pytest.raises(ServiceUnreachable):
                    await status_through_relay(relay, address, "POST", (b"content-length", b"50"))
                assert await status_through_relay(relay, address, "GET") == 200
                return service.connections
            finally:
                await relay.close()

    assert asyncio.run(run()) == 2


def test_request_body_that_is_not_read_raises_connection_error(monkeypatch):
    """Otherwise each such upload would hold two connections for ever."""
    monkeypatch.setattr(service_connection, "STALL", 0.01)

    async def pieces():
        while True:
            yield b"x" * 65536

    async def run(address):
        connection = await ServiceConnections().take(address, None)
        try:
            await connection.ask("POST", GET, pieces())
        finally:
            connection.end()

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = Address(host="127.0.0.1", port=deaf.getsockname()[1], listener="1")
        with pytest.raises(ConnectionError, match="takes no more"):
            asyncio.run(run(address))
