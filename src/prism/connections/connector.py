"""Connections of `aiohttp` to ports of one network: a workspace's own, or this computer's."""

import asyncio
from typing import Any

import aiohttp

from prism.connections.tls import unverified
from prism.kit.workspace_network import connected


class NetworkConnector(aiohttp.BaseConnector):
    """Dials the ports of loopback addresses; it keeps connections for the next request."""

    def __init__(self, network: str, **more: Any) -> None:
        """`network` is the gateway to a workspace's own network; empty is this computer's."""
        super().__init__(**more)
        self._network = network

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
