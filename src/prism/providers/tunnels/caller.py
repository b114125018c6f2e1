"""Carries bytes between a caller on this computer and a port of a machine."""

import asyncio
import logging
from functools import partial
from typing import Any, cast

import asyncssh
from asyncssh.forward import SSHForwarder

from prism.agent.network.foreign_requests import REFUSAL, head_of, is_foreign
from prism.errors import Unavailable
from prism.providers.tunnels.closing import ClosingForwarder
from prism.providers.tunnels.forwards import Forwards, ForwardTarget
from prism.providers.tunnels.pool import TunnelPool

log = logging.getLogger(__name__)


class LocalForwarder(SSHForwarder):
    """The local side of a forwarded connection; reads once the machine's side is connected."""

    def __init__(self, forwards: Forwards, pool: TunnelPool, end: ForwardTarget) -> None:
        super().__init__()
        self._forwards, self._pool, self._end = forwards, pool, end
        self._own: asyncio.Transport | None = None
        self._gone = asyncio.get_running_loop().create_future()
        self._sent, self._has_begun = b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Forward a client, or disconnect one that is not admitted."""
        self._own = own = cast("asyncio.Transport", transport)
        super().connection_made(own)
        self._forwards.callers[own] = self._end
        self.pause_reading()
        self._work = asyncio.get_running_loop().create_task(self._forward())

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Forward bytes, unless a page of another site sent the first request."""
        if not self._has_begun:
            self._sent += data
            if (head := head_of(self._sent)) is None:
                return
            if head and is_foreign(head, self._forwards.ports_of(self._end.machine)):
                self.write(REFUSAL)
                self.close()
                return
            self._has_begun, data = True, self._sent
        super().data_received(data, datatype)

    def eof_received(self) -> bool:
        """Forward the end, and what came before it."""
        if not self._has_begun and self._sent:
            self._has_begun = True
            super().data_received(self._sent)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect the machine's side."""
        super().connection_lost(exc)
        if self._own is not None:
            self._forwards.callers.pop(self._own, None)
        if not self._gone.done():
            self._gone.set_result(None)

    async def _forward(self) -> None:
        end = self._end
        try:
            loop = asyncio.get_running_loop()
            own = self._own
            if own is None or not await self._forwards.admitted(own.get_extra_info("socket")):
                return
            host = await loop.run_in_executor(None, self._pool.host, end.machine)
            link = self._pool.link(host)
            with link.used():
                ssh = await link.connection()
                # it is a session, despite its declared type
                far: Any = partial(ClosingForwarder, self)
                await ssh.create_connection(far, end.host, end.port)
                if self._transport is None:  # the client has disconnected meanwhile
                    self.close()
                    return
                self.resume_reading()
                await self._gone
        except (Unavailable, asyncssh.Error, OSError) as error:
            log.info("port %s of %s: %s", end.port, end.machine, error)
        finally:
            if self._own is not None:
                self._own.abort()
