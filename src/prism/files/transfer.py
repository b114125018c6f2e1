"""Reads and writes files in pieces, never as a whole in memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar.types import Receive

from prism.files.ports import FileReader, FileWriter
from prism.kit.envelope import InvalidRequest
from prism.kit.http import next_piece

FILE_CHUNK = 256 * 1024


async def outgoing(file_reader: FileReader, first: int, size: int) -> AsyncIterator[bytes]:
    """Yield a part of a file, and close it.

    If the file became shorter, the answer is cut off, so that the client notices.
    """
    try:
        while size > 0:
            piece = await asyncio.to_thread(file_reader.read, first, min(FILE_CHUNK, size))
            if not piece:
                raise ConnectionAbortedError("the file became shorter while it was read")
            yield piece
            first, size = first + len(piece), size - len(piece)
    finally:
        await asyncio.shield(asyncio.to_thread(file_reader.close))


async def incoming(receive: Receive, target: FileWriter, most: int | None) -> int:
    """Write the body of a request to a file; its size in bytes."""
    buffer, size, more = bytearray(), 0, True
    while more:
        message: Any = await next_piece(receive)
        if message["type"] == "http.disconnect":
            if buffer:
                await asyncio.to_thread(target.write, bytes(buffer))
            raise InvalidRequest(details="The request ended before its body was complete")
        buffer += message.get("body", b"")
        more = message.get("more_body", False)
        if most is not None and size + len(buffer) > most:
            raise InvalidRequest(
                details=f"its body has more than the {most} bytes that are missing"
            )
        if len(buffer) >= FILE_CHUNK or (buffer and not more):
            await asyncio.to_thread(target.write, bytes(buffer))
            size += len(buffer)
            buffer.clear()
    return size
