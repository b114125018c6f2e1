"""Carries bytes between a caller on this computer and a port of a machine."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import asyncssh
from asyncssh.forward import SSHForwarder

from prism.errors import Unavailable
from prism.providers.aws.ssh.forwards import End
from prism.providers.aws.ssh.pool import Pool


class Caller(SSHForwarder):
    """Who has connected here; unread until the machine's side is there."""

    def __init__(self, pool: Pool, end: End, admits: Callable[[Any], bool]) -> None:
        super().__init__()
        self._pool, self._end, self._admits = pool, end, admits
        self._gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come; a stranger goes at once."""
        if not self._admits(transport.get_extra_info("socket")):
            cast("asyncio.Transport", transport).abort()
            return
        super().connection_made(transport)
        self.pause_reading()
        self._work = asyncio.get_running_loop().create_task(self._pass_on())

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        super().connection_lost(exc)
        if not self._gone.done():
            self._gone.set_result(None)

    async def _pass_on(self) -> None:
        end, transport = self._end, self._transport
        try:
            link = self._pool.link(end.machine)
            with link.used():
                ssh = await link.connection()
                far: Any = partial(Far, self)  # a session, though its type does not say so
                await ssh.create_connection(far, end.host, end.port)
                if self._transport is None:  # they went away meanwhile
                    self.close()
                    return
                self.resume_reading()
                await self._gone
        except (Unavailable, asyncssh.Error, OSError):
            if transport is not None:
                transport.abort()


class Far(SSHForwarder):
    """The machine's side; asyncssh leaves a channel open for good that is the last to end."""

    def eof_received(self) -> bool:
        """The service says no more."""
        if stays := super().eof_received():
            return stays
        self.close()
        return False
