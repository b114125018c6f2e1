"""Answers that are written in one piece, or directly to the connection."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BYPASS = "prism_bypass"
# In a scope: sets the function to call when the client disconnects; cheaper than a task.
WATCH = "prism_watch"


class RawConnection(NamedTuple):
    """A connection with nothing left to write; `wrote` must be called with the bytes written."""

    transport: asyncio.Transport
    wrote: Callable[[int], None]


class DelayedHeadTransport:
    """A transport that keeps the head of an answer for a body in the same turn of the loop.

    So both take one system call and one packet.
    """

    __slots__ = ("_begun", "_held", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held, self._begun = b"", False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write the bytes, or keep them until this turn of the loop ends."""
        if not self._begun:
            self._begun, self._held = True, data
            self._loop.call_soon(self.flush)
        elif self._held:
            head, self._held = self._held, b""
            self._transport.writelines((head, data))
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what was kept."""
        if self._held:
            head, self._held = self._held, b""
            self._transport.write(head)

    def close(self) -> None:
        """Write what was kept, and close the connection."""
        self.flush()
        self._transport.close()


class RawResponseProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, whose `scope` also has functions to bypass it."""

    _hung_up: Callable[[], object] | None = None

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        scope = cast("dict[str, Any]", self.scope)
        scope[BYPASS], scope[WATCH] = self.bypass, self.watch

    def on_headers_complete(self) -> None:
        """Note that its answer may begin."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # else it is a handshake
            self.cycle.transport = cast(
                "asyncio.Transport", DelayedHeadTransport(self.transport, self.loop)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client has disconnected."""
        super().connection_lost(exc)
        if self._hung_up is not None:
            self._hung_up()

    def watch(self, hung_up: Callable[[], object] | None) -> None:
        """Call a function when the client disconnects; None removes it."""
        self._hung_up = hung_up
        if hung_up is None:
            return
        self.flow.resume_reading()
        if self.parser is None:  # it has hung up already
            self.loop.call_soon(hung_up)

    async def bypass(self) -> RawConnection | None:
        """The bare connection, for the rest of an answer of known length; None if impossible.

        Nothing else writes to it until the caller has called `wrote` and returned.
        """
        cycle = self.cycle
        # Chunks have no place for it, and with a next request waiting, `cycle` is that one's.
        if cycle.chunked_encoding or self.pipeline:
            return None
        if self.transport.get_extra_info("sslcontext") is not None:  # what goes out is encrypted
            return None
        cast("DelayedHeadTransport", cycle.transport).flush()
        self.transport.set_write_buffer_limits(high=0)  # so that drained means empty
        try:
            await self.flow.drain()
        finally:
            if not self.transport.is_closing():
                self.transport.set_write_buffer_limits()
        if cycle is not self.cycle or cycle.disconnected or self.transport.is_closing():
            return None

        def wrote(size: int) -> None:
            cycle.expected_content_length -= size

        return RawConnection(self.transport, wrote)
