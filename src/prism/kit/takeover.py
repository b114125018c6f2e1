"""WebSockets that somebody else speaks: the application may take the connection itself.

A proxy that reads every frame must understand all of WebSocket, and buffer each message.
One that takes the connection passes bytes, and so pings, fragments, extensions and close
codes arrive as they were sent. The gate stands before the application as ever.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

TAKE = "prism_take"
Take = Callable[[], tuple[asyncio.Transport, Callable[[], Any]]]


class WebSockets(WebSocketsSansIOProtocol):
    """Uvicorn's own, whose `scope` also has a function that gives the connection away."""

    _taken = False
    left: Callable[[], object] | None = None

    def handle_connect(self, event: Request) -> None:
        """Serve it as ever, unless the application takes it."""
        super().handle_connect(event)
        if not self.handshake_complete:
            cast("dict[str, Any]", self.scope)[TAKE] = self.take

    def take(self) -> tuple[asyncio.Transport, Callable[[], Any]]:
        """The connection, and what to call when it is lost; nothing was answered yet.

        The application must not return before the connection has ended.
        """
        self.transport.pause_reading()
        self.handshake_complete = self.close_sent = self._taken = True
        return self.transport, lambda: self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended; `left` hears of it."""
        if self.left is not None:
            self.left()
            self.left = None
        super().connection_lost(exc)

    async def send(self, message: ASGISendEvent) -> None:
        """Send it, and know that a refusal completes a handshake, too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def shutdown(self) -> None:
        """The server ends."""
        if self._taken:
            self.transport.close()
        else:
            super().shutdown()
