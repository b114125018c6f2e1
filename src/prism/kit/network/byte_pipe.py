"""Joins other connections: bytes of one are written to the other, at the speed of the reader."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

Address = tuple[str, int]


def splice(
    transport: asyncio.Transport,
    other: asyncio.Transport,
    lost: Callable[[], Any] = lambda: None,
    *,
    half: bool = False,
) -> "asyncio.Future[None]":
    """Join other connections; the future is done when both have ended.

    With `half`, one direction can end before the other, as in TCP; else an end ends both.
    `lost` is called when `transport` is lost.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    pair = _PipeState(ended, half)
    for near, far, callback in ((transport, other, lost), (other, transport, lambda: None)):
        near.set_protocol(_PipeEnd(near, far, pair, callback))
    for near in (transport, other):
        if near.is_closing():
            pair.close(transport, other)
        else:
            near.resume_reading()
    return ended


async def forward(
    listener: socket.socket,
    resolve: Callable[[], Awaitable[Address | None]],
    admits: Callable[[Any], Awaitable[bool]] | None = None,
) -> asyncio.Server:
    """Forward each connection of a listener to the address that `resolve` returns.

    `resolve` is called for each connection; None refuses it. `admits` checks the socket first;
    without it, all are admitted.
    """
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _AcceptedConnection(resolve, admits), sock=listener)


class PausedConnection(asyncio.Protocol):
    """A connection that is not read until it is joined to another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stop reading, because nothing would keep the bytes."""
        cast("asyncio.Transport", transport).pause_reading()


class _AcceptedConnection(asyncio.Protocol):
    """An accepted connection, not read until the other side is connected."""

    def __init__(
        self,
        resolve: Callable[[], Awaitable[Address | None]],
        admits: Callable[[Any], Awaitable[bool]] | None,
    ) -> None:
        self._resolve, self._admits = resolve, admits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        caller = cast("asyncio.Transport", transport)
        caller.pause_reading()
        self._work = asyncio.create_task(self._pass_on(caller))

    async def _pass_on(self, caller: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        far = None
        try:
            if await self._is_admitted(caller) and (address := await self._resolve()) is not None:
                far, _ = await loop.create_connection(PausedConnection, *address)
        except OSError:
            pass  # nothing listens there
        finally:
            if far is None:
                caller.abort()
        if far is not None:
            await splice(caller, far, half=True)

    async def _is_admitted(self, caller: asyncio.Transport) -> bool:
        return self._admits is None or await self._admits(caller.get_extra_info("socket"))


class _PipeState:
    """The state that both ends share."""

    def __init__(self, ended: "asyncio.Future[None]", half: bool) -> None:
        self.ended, self.half = ended, half
        self.eof_count = self.lost_count = 0

    def close(self, *ends: asyncio.Transport) -> None:
        for end in ends:
            end.close()  # after what is still to be written


class _PipeEnd(asyncio.Protocol):
    """One direction of a pipe."""

    def __init__(
        self,
        near: asyncio.Transport,
        far: asyncio.Transport,
        pair: _PipeState,
        lost: Callable[[], Any],
    ) -> None:
        self._near, self._far, self._pair, self._lost = near, far, pair, lost

    def data_received(self, data: bytes) -> None:
        self._far.write(data)

    def pause_writing(self) -> None:
        if not self._far.is_closing():
            self._far.pause_reading()

    def resume_writing(self) -> None:
        if not self._far.is_closing():
            self._far.resume_reading()

    def eof_received(self) -> bool:
        self._pair.eof_count += 1
        if self._pair.half and self._pair.eof_count < 2 and self._far.can_write_eof():
            self._far.write_eof()
            return True
        self._pair.close(self._far, self._near)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.close(self._far)
        self._pair.lost_count += 1
        self._lost()
        if self._pair.lost_count == 2 and not self._pair.ended.done():
            self._pair.ended.set_result(None)
