"""What a tunnel needs from the SSH connections of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from asyncssh import SSHClientConnection

    from prism.providers.tunnels.background import Background


class TunnelLink(Protocol):
    """The connection to one machine; used in the background loop only."""

    def used(self) -> AbstractContextManager[None]:
        """Count a use of the connection."""

    async def connection(self) -> SSHClientConnection:
        """The connection, opened if needed."""


class TunnelPool(Protocol):
    """The connections of one location."""

    @property
    def background(self) -> Background:
        """The loop of the connections."""

    def host(self, id: str) -> Any:
        """How to log in to a machine; raises if it is not on."""

    def link(self, host: Any) -> TunnelLink:
        """The link to what `host` returned."""
