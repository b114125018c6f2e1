"""Forwards WebSockets to services: first the handshake, then raw bytes.

Every frame arrives unchanged: text, binary, pings, fragments, compressed or not, close codes and
reasons. An idle connection costs only two sockets.
"""

import asyncio
import re
from typing import cast

from prism.connections.headers import Header, answer_fault, to_client, to_service
from prism.connections.proxied_request import ProxiedRequest
from prism.connections.service_connection import SWITCHING, dial
from prism.connections.tls import CertificatePins
from prism.kit.gate import TAKE, Receive, Send
from prism.kit.network.byte_pipe import splice

HANDSHAKE_TIMEOUT = 60.0  # seconds for the handshake's answer
MAX_HEADER_BYTES = 64 * 1024  # bytes of a head; and of the body of a refusal
STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |$)")
UPGRADE_HEADERS = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


class HandshakeAnswer(asyncio.Protocol):
    """Reads the head of the answer to a handshake, and the bytes after it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._heard = b""
        self._whole = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """More of the head, or the first frames."""
        self._heard += data
        if b"\r\n\r\n" in self._heard or len(self._heard) > MAX_HEADER_BYTES:
            self.transport.pause_reading()
            self._end_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer."""
        self._end_head()

    def _end_head(self) -> None:
        if not self._whole.done():
            self._whole.set_result(None)

    async def head(self) -> tuple[int, list[Header], bytes]:
        """The status, the headers, and the bytes after them."""
        await self._whole
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = STATUS.match(lines[0])
        pairs = [line.partition(b":") for line in lines[1:]]
        torn = any(not colon or name != name.strip() for name, colon, _ in pairs)
        if not end or not status or torn:
            raise ConnectionError("no answer to the handshake")
        return int(status[1]), [(name.lower(), value.strip()) for name, _, value in pairs], rest


async def forward(request: ProxiedRequest, pins: CertificatePins) -> None:
    """Forward a WebSocket until it ends, or the service's refusal."""
    try:
        pin = await pins.of(request.target) if request.target.tls else None
        service = await dial(HandshakeAnswer, request.target.address, pin)
    except (OSError, TimeoutError) as error:
        raise request.unreachable(error) from error
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            service.transport.write(_handshake(request))
            watching = asyncio.create_task(_until_gone(request.receive, service.transport))
            try:
                status, headers, rest = await service.head()
            finally:
                watching.cancel()
            if why := answer_fault(200 if status == SWITCHING else status, headers):
                raise request.invalid_answer(why)
    except (OSError, TimeoutError) as error:
        raise request.unreachable(error) from error
    else:
        if status == SWITCHING:
            await _join(request, service, to_client(headers, request.route), rest)
        else:
            await _refuse(request.send, status, to_client(headers, request.route))
    finally:
        service.transport.close()


async def _until_gone(receive: Receive, service: asyncio.Transport) -> None:
    """End the connection to the service once the client disconnects."""
    while (await receive())["type"] != "websocket.disconnect":
        pass
    service.abort()


async def _join(
    request: ProxiedRequest, service: HandshakeAnswer, headers: list[Header], rest: bytes
) -> None:
    """Forward bytes between client and service."""
    try:
        client, lost = request.scope[TAKE]()
    except OSError:
        return  # it has disconnected meanwhile
    lines = [*UPGRADE_HEADERS, *headers]
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    client.write(b"HTTP/1.1 101 Switching Protocols\r\n" + head + b"\r\n" + rest)
    await splice(client, service.transport, lost)


def _handshake(request: ProxiedRequest) -> bytes:
    lines = [*to_service(request.scope["headers"], request.route), *UPGRADE_HEADERS]
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (request.path, head)


async def _refuse(send: Send, status: int, headers: list[Header]) -> None:
    """Answer with the service's refusal; the reason is in its own log."""
    body = b"The service refused the WebSocket\n"
    dropped = {b"content-length", b"content-encoding", b"content-type"}  # of the service's body
    passed_on = [header for header in headers if header[0] not in dropped]
    lines = [*passed_on, (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    code = status if status >= 300 and status != 304 else 502  # those have no body
    start = {"type": "websocket.http.response.start", "status": code, "headers": lines}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
