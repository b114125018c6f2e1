"""Connections into workspaces through the daemon, for computers that reach only its port.

Each is a WebSocket whose binary messages are the bytes of one TCP connection; an empty message is
the end of its direction.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from prism.client.errors import problem_of
from prism.client.transport.wire import Wire, query, quoted
from prism.home import environment

if TYPE_CHECKING:
    import ssl

STREAM_CHUNK_BYTES = 64 * 1024
MOST_MESSAGE_BYTES = 1024 * 1024
MOST_MESSAGES = 4  # that were received and are not yet written
OPEN_SECONDS = 30
CLOSE_SECONDS = 2
PING_SECONDS = 20  # so that no router between forgets the connection


async def open_stream(wire: Wire, name: str, port: int | None) -> ClientConnection:
    """A connection to a port of a workspace; without a port, to its SSH.

    Raises the daemon's refusal, or `DaemonUnreachable`.
    """
    path = f"/instances/{quoted(name)}/stream{query(port=port)}"
    token = wire.address.token
    try:
        return await connect(
            wire.websocket_url(path),
            sock=await asyncio.to_thread(wire.dial),
            ssl=_context() if wire.is_secure else None,
            additional_headers={"Authorization": f"Bearer {token}"} if token else {},
            compression=None,
            proxy=None,  # `dial` has used it
            max_size=MOST_MESSAGE_BYTES,
            max_queue=MOST_MESSAGES,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=None,  # nobody answers while the workspace does not read
        )
    except InvalidStatus as error:
        raise problem_of(error.response.status_code, bytes(error.response.body or b"")) from error
    except InvalidHandshake as error:
        raise wire.unreachable(ValueError(str(error))) from error
    except (OSError, EOFError) as error:
        raise wire.unreachable(error) from error


def _context() -> ssl.SSLContext:
    from prism.certificates import client_context  # noqa: PLC0415  only for TLS

    return client_context(environment(os.environ))


async def carry(
    stream: ClientConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry bytes until the connection has ended; each side is read as fast as the other takes."""
    sending = asyncio.create_task(_send(stream, reader))
    try:
        await _receive(stream, writer)
    except (ConnectionClosed, OSError):
        pass  # it was cut, or the local program has gone
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        await stream.close()
        writer.close()


async def _send(stream: ClientConnection, reader: asyncio.StreamReader) -> None:
    try:
        while chunk := await reader.read(STREAM_CHUNK_BYTES):
            await stream.send(chunk)
        await stream.send(b"")
    except OSError:
        await stream.close()
    except ConnectionClosed:
        pass  # `_receive` ends as well


async def _receive(stream: ClientConnection, writer: asyncio.StreamWriter) -> None:
    async for message in stream:
        if isinstance(message, str):
            raise OSError("the daemon sent text")
        if message:
            writer.write(message)
            await writer.drain()
        elif writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
