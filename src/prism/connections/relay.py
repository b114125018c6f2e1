"""Streams HTTP requests to a service, and its answers back.

Each side is read only as fast as the other side accepts data. If one side disconnects, the other
side is disconnected too.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from prism.connections import splice
from prism.connections.headers import answer_fault, to_client, to_service
from prism.connections.service_connection import ServiceConnection, ServiceConnections
from prism.kit.limits import PATIENT
from prism.kit.network.raw_response import BYPASS, WATCH, RawConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prism.connections.proxied_request import ProxiedRequest
    from prism.connections.tls import CertificatePins

BODILESS = (None, b"0", b"")
WITHOUT_BODY = frozenset({204, 304})
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class ClientGone(Exception):
    """The client has disconnected."""


class Relay:
    """Forwards requests to services, and reuses connections."""

    def __init__(self, pins: CertificatePins) -> None:
        self._pins = pins
        self._connections = ServiceConnections()
        self._endless: set[asyncio.Task[object]] = set()
        self._is_closing = False

    async def forward(self, request: ProxiedRequest) -> None:
        """Forward one request, and its answer."""
        client, target = _Client(request), request.target
        pin, answer = None, None
        try:
            pin = await self._pin(request) if target.tls else None
            answer = await self._ask(request, client, pin)
            if answer.is_endless:
                self._endless.add(client.task)
            await _send_answer(request, answer)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            if not client.gone and not self._is_closing:
                raise
            client.task.uncancel()
            client.forget()
            if not client.gone:
                await _abort(request)
        finally:
            self._endless.discard(client.task)
            client.forget()
            if answer is not None:
                self._connections.give_back(target.address, pin, answer)

    def hang_up(self) -> None:
        """End endless answers; others can finish."""
        self._is_closing = True
        for task in self._endless:
            task.cancel()

    async def close(self) -> None:
        """Close every idle connection."""
        self._connections.close()

    async def _pin(self, request: ProxiedRequest) -> bytes:
        try:
            return await self._pins.of(request.target)
        except OSError as error:
            raise request.unreachable(error) from error

    async def _ask(
        self, request: ProxiedRequest, client: _Client, pin: bytes | None
    ) -> ServiceConnection:
        """The connection on which the service answers; a reused one may just have ended."""
        head, method = _head(request, client), request.scope["method"]
        again = client.body is None and method in REPEATABLE
        try:
            connection = await self._connections.take(request.target.address, pin)
            used = connection.used
            try:
                return await _exchange(connection, method, head, client.body)
            except ConnectionError:
                if not (again and used) or connection.heard or client.gone:
                    raise
            connection = await self._connections.take(request.target.address, pin, new=True)
            return await _exchange(connection, method, head, client.body)
        except OSError as error:
            if client.gone:
                raise ClientGone from error
            raise request.unreachable(error) from error


async def _exchange(
    connection: ServiceConnection, method: str, head: bytes, body: AsyncIterator[bytes] | None
) -> ServiceConnection:
    try:
        await connection.ask(method, head, body)
    except BaseException:
        connection.end()
        raise
    return connection


class _Client:
    """The client: the body that it sends, and whether it is still connected."""

    def __init__(self, request: ProxiedRequest) -> None:
        task = asyncio.current_task()
        assert task is not None, "an application runs in a task"
        self.task, self.gone = task, False
        # Nobody hangs up on an application that is called without a connection.
        self._receive, self._watch = request.receive, request.scope.get(WATCH, lambda _: None)
        named = dict(request.scope["headers"])
        length = named.get(b"content-length")
        bodiless = length in BODILESS and b"transfer-encoding" not in named
        self.body = None if bodiless else self._pieces(length)
        if self.body is None:
            self._watch(self._hung_up)

    def forget(self) -> None:
        """End: the answer was sent, or the client is gone."""
        self._watch(None)

    async def _pieces(self, length: bytes | None) -> AsyncIterator[bytes]:
        more, sent = True, 0
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            more = message.get("more_body", False)
            if piece := message.get("body"):
                sent += len(piece)
                yield piece
        self._watch(self._hung_up)
        if length is not None and sent != int(length):
            # Else the service would read the next request as the rest of this body.
            raise ConnectionError("the body is not as long as its head says")

    def _hung_up(self) -> None:
        self.gone = True
        self.task.cancel()


async def _send_answer(request: ProxiedRequest, answer: ServiceConnection) -> None:
    if why := answer_fault(answer.status, answer.headers):
        raise request.invalid_answer(why)
    if patient := request.scope.get(PATIENT):
        patient()
    headers = to_client(answer.headers, request.route)
    if answer.status in WITHOUT_BODY:  # whatever length they say
        headers = [header for header in headers if header[0] != b"content-length"]
    await request.send(
        {"type": "http.response.start", "status": answer.status, "headers": headers}
    )
    try:
        if not await _splice_body(request, answer):
            while piece := await answer.piece():
                more = not answer.complete
                await request.send(
                    {"type": "http.response.body", "body": piece, "more_body": more}
                )
                if not more:
                    return None
    except OSError:
        return await _abort(request)
    return await request.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _abort(request: ProxiedRequest) -> None:
    """Cut the connection, so that the client sees that the answer is not complete."""
    request.scope["prism_abort"]()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _splice_body(request: ProxiedRequest, answer: ServiceConnection) -> bool:
    """Move a large body inside the kernel; whether that was done."""
    if answer.length < splice.WORTH or not splice.POSSIBLE or answer.complete:
        return False
    plain = not request.target.tls and request.scope["method"] == "GET"
    service, bypass = answer.transport, request.scope.get(BYPASS)
    if not (plain and bypass) or service.is_closing():
        return False
    early = answer.buffered()
    service.pause_reading()  # from here on the rest stays in the kernel
    await request.send({"type": "http.response.body", "body": early, "more_body": True})
    left = answer.length - len(early)
    past: RawConnection | None = await bypass() if left else None
    if past is not None:
        source, target = (
            transport.get_extra_info("socket") for transport in (service, past.transport)
        )
        with contextlib.suppress(splice.CannotSplice):
            await splice.move(source.fileno(), target.fileno(), left)
            past.wrote(left)
            return True
    service.resume_reading()
    return False


def _head(request: ProxiedRequest, client: _Client) -> bytes:
    """The head of the request for the service."""
    lines = to_service(request.scope["headers"], request.route)
    if client.body is not None and all(name != b"content-length" for name, _ in lines):
        lines.append((b"transfer-encoding", b"chunked"))
    start = b"%b %b HTTP/1.1\r\n" % (request.scope["method"].encode(), request.path)
    head = start + b"".join([b"%b: %b\r\n" % line for line in lines]) + b"\r\n"
    if head.count(b"\n") != len(lines) + 2:
        raise request.unreachable(ValueError("a line break in the head of the request"))
    return head
