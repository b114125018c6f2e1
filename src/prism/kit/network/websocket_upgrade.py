"""WebSocket upgrades whose connection the application may take over.

A proxy that reads every frame must implement all of WebSocket, and buffer each message.
With the connection it can pass bytes, so that pings, fragments, extensions and close codes
arrive as they were sent. The gate checks these requests, too.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from prism.kit.gate import TAKE
from prism.kit.limits import PATIENT

POLICY_VIOLATION = 1008  # the code of a WebSocket that is closed for a reason of ours
TOO_LARGE = 1009
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
EARLY = 64 * 1024  # bytes that may come before the handshake is answered
PIECES = 1024  # fragments of one message
UNREAD = 1024 * 1024  # bytes of answers to pings that may wait to be read
LINGER = 1.0  # seconds for it to be read


class WebSockets(WebSocketsSansIOProtocol):
    """Uvicorn's protocol, whose `scope` also has a function that hands over the connection."""

    _taken = False
    _early = 0
    on_lost: Callable[[], object] | None = None

    def handle_connect(self, event: Request) -> None:
        """Serve a WebSocket as Uvicorn does, unless the application takes it."""
        super().handle_connect(event)
        if not self.handshake_complete:
            scope = cast("dict[str, Any]", self.scope)
            scope[TAKE], scope["prism_abort"] = self.take, self.end
            scope[PATIENT] = self._be_patient

    def data_received(self, data: bytes) -> None:
        """Read more, up to a limit before the answer to the handshake."""
        if self.handshake_initiated and not self.handshake_complete:
            self._early += len(data)
            if self._early > EARLY:
                return self.transport.abort()
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self._refuse_handshake()
        return None

    def handle_cont(self, event: Frame) -> None:
        """Take another fragment of a message; their number is limited."""
        if len(self.frames) >= PIECES:
            return self._fail_too_large("too many fragments")
        return super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, unless the client does not read the answers."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > UNREAD:
            self.transport.abort()

    def _be_patient(self) -> None:
        """Wait for answers to pings without a limit: one side may not be reading for long."""
        self.ping_timeout = None

    def _refuse_handshake(self) -> None:
        """Refuse a complete head that is no handshake, since no more will come."""
        self.handshake_complete = self.close_sent = True
        answer = b"".join(self.conn.data_to_send())
        self.transport.write(answer or BAD_REQUEST)
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)

    def _fail_too_large(self, why: str) -> None:
        self.frames = []
        self.conn.fail(TOO_LARGE, why)
        self.handle_parser_exception()

    def end(self) -> None:
        """Close the connection from this side, with a close code."""
        if self._taken or not self.handshake_complete or self.close_sent:
            return self.transport.abort()
        self.close_sent = True
        self.conn.send_close(POLICY_VIOLATION, "your rights have changed")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.queue.put_nowait({"type": "websocket.disconnect", "code": POLICY_VIOLATION})
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)  # also if the client reads nothing
        return None

    def take(self) -> tuple[asyncio.Transport, Callable[[], Any]]:
        """The connection, and what to call when it is lost; nothing was answered yet.

        The application must not return before the connection has ended. Raises if the
        client has disconnected already.
        """
        if self.disconnected or self.transport.is_closing():
            raise ClientDisconnected
        self.transport.pause_reading()
        self.handshake_complete = self.close_sent = self._taken = True
        return self.transport, lambda: self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Call `on_lost`, since the connection has ended."""
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None
        super().connection_lost(exc)

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; a refusal completes the handshake, too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Close the connection when the server stops."""
        if self._taken:
            self.transport.close()
        else:
            super().shutdown()
