"""HTTP/1.1 connections to services, reused for later requests.

Everything that a service sends has a limit: the bytes and headers of a head, the bytes between
pieces of a body, the number of interim answers (1xx), and the part of a body that is buffered.
Unexpected data ends the connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, cast

import httptools

from prism.connections.tls import compare, unverified
from prism.kit.network.workspace_network import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from prism.connections.headers import Header
    from prism.connections.ports import Address

DIAL = 5.0  # seconds to connect; there is no limit for an answer
# Shorter than servers keep idle connections, so that none closes while a request is sent.
IDLE_SECONDS = 1.5
# For a service to accept more of a body; meanwhile a disconnect of the client is not seen.
STALL = 300.0
HIGH = 512 * 1024  # bytes of a body that are buffered
LONGEST_HEAD = 256 * 1024
MOST_HEADERS = 1000  # each costs far more than its bytes
MOST_INTERIM = 32
SWITCHING = 101
EVENT_STREAM = b"text/event-stream"
HUNG_UP = "it hung up"
P = TypeVar("P", bound=asyncio.Protocol)


class ServiceConnection(asyncio.Protocol):
    """One connection; `ask` sends a request, then its answer can be read."""

    transport: asyncio.Transport
    used = False  # whether it has answered before

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._begin("")
        self.complete = True

    def _begin(self, method: str) -> None:
        self.status, self.length, self.is_endless = 0, 0, False
        self.complete = self.heard = False
        self.headers: list[Header] = []
        self._method, self._headed, self._framed = method, False, False
        self._kept = self._paused = False
        self._idle = self._interim = self._size = 0
        self._pieces: list[bytes] = []
        self._error: ConnectionError | None = None
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, method: str, head: bytes, body: AsyncIterator[bytes] | None) -> None:
        """Send a request, and wait until `status` and `headers` are there.

        A body whose length the head does not say goes out in chunks.
        """
        self._begin(method)
        if self.transport.is_closing():
            raise ConnectionError(HUNG_UP)
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
            # Lenient, since some programs print their head themselves.
            self._parser.set_dangerous_leniencies(
                lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
            )
        self.transport.write(head)
        if body is not None:
            chunked = b"\r\ntransfer-encoding: chunked\r\n" in head
            self._sending = asyncio.create_task(self._send(body, chunked))
            self._sending.add_done_callback(self._body_sent)
        while not self._headed:
            await self._wait_for_change()

    async def piece(self) -> bytes:
        """The next piece of the body; empty at its end."""
        while not self._pieces:
            if self.complete:
                return b""
            await self._wait_for_change()
        return self.buffered()

    def buffered(self) -> bytes:
        """The buffered part of the body."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> bool:
        """End the exchange; whether the connection can be reused. If not, it is closed."""
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            self._kept = False
        self.used = True
        if self.complete and self._kept and not self._pieces and not self.transport.is_closing():
            return True
        self.transport.abort()
        return False

    async def _wait_for_change(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.complete and self._error is None:
            self._error = ConnectionError(why)
        self.transport.abort()
        self._wake()

    async def _send(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        async for piece in body:
            if self._room is not None:
                async with asyncio.timeout(STALL):
                    await self._room
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.transport.write(b"0\r\n\r\n")

    def _body_sent(self, sending: asyncio.Task[None]) -> None:
        if not sending.cancelled() and (error := sending.exception()) is not None:
            stalled = isinstance(error, TimeoutError)
            self._fail("it takes no more of the request" if stalled else "the request broke off")

    # ---------------------------------------------------------------- what asyncio calls
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """More of an answer."""
        self.heard = True
        if self.complete or self._parser is None:
            return self.transport.abort()
        self._idle += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._kept = False
        except httptools.HttpParserError as error:
            return self._fail(f"it does not answer in HTTP: {error.__context__ or error}")
        if self._idle > LONGEST_HEAD and not self.complete:
            return self._fail("its answer has no end of its head, of its trailers or of a chunk")
        if self._size > HIGH and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer, if it has no length."""
        self.resume_writing()
        if not self.complete:
            if self._headed and not self._framed and exc is None and self._error is None:
                self.complete = True
            elif self._error is None:
                self._error = ConnectionError(HUNG_UP)
        self._wake()

    def pause_writing(self) -> None:
        """Let a body wait until the service has read some of it."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """Continue the body, because the service has read some of it."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    # ---------------------------------------------------------------- what the parser calls
    def on_message_begin(self) -> None:
        """An answer begins; nobody requested a second one."""
        if self.complete:
            self._kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers come too late to mean anything."""
        if not self._headed:
            if len(self.headers) == MOST_HEADERS:
                raise ConnectionError("it has too many headers")
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is complete; an interim answer (1xx) is skipped."""
        assert self._parser is not None, "it calls"
        status = self._parser.get_status_code()
        if self._headed:
            return
        if 100 <= status < 200 and status != SWITCHING:
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise ConnectionError("it answers without end")
            self.headers = []
            return
        self.status, self._headed = status, True
        named = dict(self.headers)
        self.length = int(named.get(b"content-length", 0))
        self.is_endless = named.get(b"content-type", b"").lower().startswith(EVENT_STREAM)
        coding = named.get(b"transfer-encoding", b"").lower()
        self._framed = b"content-length" in named or coding.endswith(b"chunked")
        self._kept = status != SWITCHING and self._parser.should_keep_alive()
        if self._method == "HEAD" or status == SWITCHING:
            self.complete, self._parser = True, None  # else it would wait for a body

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            self._kept = False
            return
        if not self._headed:
            raise ConnectionError("an interim answer has a body")
        self._idle = 0
        self._pieces.append(body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        self.complete = self.complete or self._headed


class ServiceConnections:
    """Idle connections, by their address and certificate."""

    def __init__(self) -> None:
        self._idle: dict[tuple[Address, bytes | None], list[tuple[float, ServiceConnection]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def take(
        self, address: Address, pin: bytes | None, *, new: bool = False
    ) -> ServiceConnection:
        """A connection; with `new`, an unused one."""
        idle = self._idle.get((address, pin), [])
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while idle and not new:
            since, connection = idle.pop()
            if since > oldest and not connection.transport.is_closing():
                return connection
            connection.transport.abort()
        return await dial(ServiceConnection, address, pin)

    def give_back(
        self, address: Address, pin: bytes | None, connection: ServiceConnection
    ) -> None:
        """Keep a connection for the next request, if it can be reused."""
        if not connection.end():
            return
        loop = asyncio.get_running_loop()
        self._idle.setdefault((address, pin), []).append((loop.time(), connection))
        if self._timer is None:
            self._timer = loop.call_later(IDLE_SECONDS, self._sweep)

    def close(self) -> None:
        """Close every idle connection."""
        self._close_older(float("inf"))
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._close_older(loop.time() - IDLE_SECONDS)
        self._timer = loop.call_later(IDLE_SECONDS, self._sweep) if self._idle else None

    def _close_older(self, oldest: float) -> None:
        for key, idle in [*self._idle.items()]:
            for since, connection in idle:
                if since <= oldest:
                    connection.transport.abort()
            if left := [entry for entry in idle if not entry[1].transport.is_closing()]:
                self._idle[key] = left
            else:
                del self._idle[key]


async def dial(factory: Callable[[], P], address: Address, pin: bytes | None) -> P:
    """Connect to a port; with a pin, by TLS with exactly that certificate."""
    tls = unverified() if pin is not None else None
    async with asyncio.timeout(DIAL):
        connection = await connect(address.host, address.port, address.network)
        transport, protocol = await asyncio.get_running_loop().create_connection(
            factory, sock=connection, ssl=tls, server_hostname=address.host if tls else None
        )
    if pin is not None:
        try:
            compare(transport.get_extra_info("ssl_object"), pin)
        except BaseException:
            transport.abort()
            raise
    return protocol
