"""Joins two connections: bytes of one are written to the other, at the speed of the reader."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

Address = tuple[str, int]


def splice(
    transport: asyncio.Transport,
    two: asyncio.Transport,
    lost: Callable[[], Any] = lambda: None,
    *,
    half: bool = False,
) -> "asyncio.Future[None]":
    """Join two connections; the future is done when both have ended.

    `half`: who has said all may still listen, as TCP has it; else an end ends both.
    `lost` is called when `one` is gone.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    pair = _Pair(ended, half)
    for here, far, gone in ((transport, two, lost), (two, transport, lambda: None)):
        here.set_protocol(_End(here, far, pair, gone))
    for here in (transport, two):
        if here.is_closing():
            pair.close(transport, two)
        else:
            here.resume_reading()
    return ended


async def forward(
    listener: socket.socket,
    where: Callable[[], Awaitable[Address | None]],
    admits: Callable[[Any], bool] = lambda _: True,
) -> asyncio.Server:
    """Pass every connection that comes in at a listener on to where it leads at that moment.

    `where` is asked for each, and may say nowhere; `admits` looks at the socket first.
    """
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Caller(where, admits), sock=listener)


class Unread(asyncio.Protocol):
    """A connection of which nothing is read before it is joined to another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; what comes now would be lost."""
        cast("asyncio.Transport", transport).pause_reading()


class _Caller(asyncio.Protocol):
    """An accepted connection, not read until the other side is connected."""

    def __init__(
        self,
        where: Callable[[], Awaitable[Address | None]],
        admits: Callable[[Any], bool],
    ) -> None:
        self._where, self._admits = where, admits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        caller = cast("asyncio.Transport", transport)
        caller.pause_reading()
        if self._admits(caller.get_extra_info("socket")):
            self._work = asyncio.create_task(self._pass_on(caller))
        else:
            caller.abort()

    async def _pass_on(self, caller: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        far = None
        try:
            if (address := await self._where()) is not None:
                far, _ = await loop.create_connection(Unread, *address)
        except OSError:
            pass  # nobody is there
        finally:
            if far is None:
                caller.abort()
        if far is not None:
            await splice(caller, far, half=True)


class _Pair:
    """What the two ends know in common."""

    def __init__(self, ended: "asyncio.Future[None]", half: bool) -> None:
        self.ended, self.half = ended, half
        self.silent = self.gone = 0

    def close(self, *ends: asyncio.Transport) -> None:
        for end in ends:
            end.close()  # after what is still to be written


class _End(asyncio.Protocol):
    """One direction of a pipe."""

    def __init__(
        self,
        here: asyncio.Transport,
        far: asyncio.Transport,
        pair: _Pair,
        lost: Callable[[], Any],
    ) -> None:
        self._here, self._far, self._pair, self._lost = here, far, pair, lost

    def data_received(self, data: bytes) -> None:
        self._far.write(data)

    def pause_writing(self) -> None:
        if not self._far.is_closing():
            self._far.pause_reading()

    def resume_writing(self) -> None:
        if not self._far.is_closing():
            self._far.resume_reading()

    def eof_received(self) -> bool:
        self._pair.silent += 1
        if self._pair.half and self._pair.silent < 2 and self._far.can_write_eof():
            self._far.write_eof()
            return True
        self._pair.close(self._far, self._here)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.close(self._far)
        self._pair.gone += 1
        self._lost()
        if self._pair.gone == 2 and not self._pair.ended.done():
            self._pair.ended.set_result(None)
