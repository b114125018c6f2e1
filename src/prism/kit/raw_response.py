"""Answers whose body is written straight to the connection, past the server."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BYPASS = "prism_bypass"


class RawConnection(NamedTuple):
    """A connection with nothing left to write, and whom to tell how much was written to it."""

    transport: asyncio.Transport
    wrote: Callable[[int], None]


class RawResponseProtocol(HttpToolsProtocol):
    """Uvicorn's own, whose `scope` also has a way past it."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[BYPASS] = self.bypass

    async def bypass(self) -> RawConnection | None:
        """For who has begun an answer of a known length; None where that cannot be.

        He may write to it alone until he has told how much he wrote, and returned.
        """
        cycle = self.cycle
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
