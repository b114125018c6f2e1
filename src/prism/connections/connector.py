"""Connections of `aiohttp` to ports of one network: a workspace's own, or this computer's."""

import asyncio
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from prism.connections.tls import unverified
from prism.kit.workspace_network import connected

MOST_UNREAD = 32  # answers; a service sends one to each request, and few interim ones (1xx)


class ServiceAnswers(ResponseHandler):
    """What a service answers; a flood of answers ends the connection.

    `aiohttp` keeps any number of them, and passes over interim ones without letting others work.
    """

    is_flooded = False

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Another answer has come."""
        if self.is_flooded:
            return
        if len(self._buffer) < MOST_UNREAD:
            super().feed_data(data, size)
            return
        self.is_flooded = True
        self._buffer.clear()
        if self.transport is not None:
            self.transport.abort()
        self.set_exception(HttpProcessingError(code=502, message="it answers without end"))


class NetworkConnector(aiohttp.BaseConnector):
    """Dials the ports of loopback addresses; it keeps connections for the next request."""

    def __init__(self, network: str, **more: Any) -> None:
        """`network` is the gateway to a workspace's own network; empty is this computer's."""
        super().__init__(**more)
        self._network = network
        self._factory = cast("partial[ResponseHandler]", partial(ServiceAnswers, loop=self._loop))

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109
        """What `aiohttp` asks its connectors for."""
        host, tls = req.url.raw_host, unverified() if req.is_ssl() else None
        try:
            async with asyncio.timeout(timeout.sock_connect):
                one = await connected(host, req.url.port, self._network)
                transport, protocol = await self._loop.create_connection(
                    self._factory, sock=one, ssl=tls, server_hostname=host if tls else None
                )
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"{host}:{req.url.port} is silent") from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        if isinstance(req.ssl, aiohttp.Fingerprint):
            try:
                req.ssl.check(transport)
            except aiohttp.ServerFingerprintMismatch:
                transport.abort()
                raise
        return protocol
