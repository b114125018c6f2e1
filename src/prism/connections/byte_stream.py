"""A WebSocket that carries the bytes of one TCP connection into a workspace.

Binary messages contain the bytes, in both directions; an empty one is the end of its direction.
Nothing is kept: each side is read only as fast as the other one takes the bytes.
"""

import asyncio
import socket

from prism.kit.gate import Receive, Send

STREAM_CHUNK_BYTES = 64 * 1024
BUFFER_BYTES = 256 * 1024  # of a direction
GONE, NORMAL, UNSUPPORTED = 0, 1000, 1003


async def join(receive: Receive, send: Send, connection: socket.socket) -> None:
    """Accept the WebSocket, and carry bytes until one side has gone or both have ended."""
    reader, writer = await asyncio.open_connection(sock=connection, limit=STREAM_CHUNK_BYTES)
    writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)
    try:
        await send({"type": "websocket.accept"})
        inward = asyncio.create_task(_carry_in(receive, writer))
        outward = asyncio.create_task(_carry_out(reader, send))
        try:
            await _until_ended(inward, outward)
        finally:
            inward.cancel()
            outward.cancel()
            await asyncio.wait({inward, outward})
        if inward.cancelled() or (code := inward.result()) is not GONE:
            code = NORMAL if inward.cancelled() else code or NORMAL
            await send({"type": "websocket.close", "code": code})
    finally:
        writer.transport.abort()


async def _until_ended(inward: "asyncio.Task[int | None]", outward: "asyncio.Task[bool]") -> None:
    """Wait for the end of both directions, or for the first that breaks."""
    await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
    if inward.done() and inward.result() is None:
        await outward  # the client has sent everything, and still reads
    elif not inward.done() and outward.result():
        await inward  # the workspace has sent everything, and still reads


async def _carry_in(receive: Receive, writer: asyncio.StreamWriter) -> int | None:
    """Write what the client sends; None at its end, else the code to close with, or `GONE`."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return GONE
        if message["type"] == "websocket.connect":
            continue
        data = message.get("bytes")
        if data is None:
            return UNSUPPORTED
        try:
            if not data:
                writer.write_eof()
                return None
            writer.write(data)
            await writer.drain()
        except OSError:
            return NORMAL


async def _carry_out(reader: asyncio.StreamReader, send: Send) -> bool:
    """Send what the workspace writes, and its end; False if it has broken the connection."""
    try:
        while chunk := await reader.read(STREAM_CHUNK_BYTES):
            await send({"type": "websocket.send", "bytes": chunk})
    except OSError:
        return False
    await send({"type": "websocket.send", "bytes": b""})
    return True
