"""Forwards ports of this computer to ports of machines, through their SSH connections.

A port stays the same when its SSH connection is replaced. Any user of this computer can connect to
loopback, so Prism looks up who connects (`kit/network/peer_credentials.py`): only the daemon's own
user and root are admitted, but not, for example, a program in a sandboxed workspace. If the system
does not show the peer, everybody is admitted, and only the services' own tokens protect them.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from prism.kit.network.peer_credentials import PeerCheck, peers_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prism.providers.tunnels.pool import TunnelPool

LOOPBACK_HOST = "127.0.0.1"
FORWARD_TIMEOUT = 5.0
LISTEN_BACKLOG = 128
MOST_PORTS = 64  # of one machine: what it says decides how many are wanted


class ForwardTarget(Struct, frozen=True):
    """A port of a machine, and the address where it listens."""

    machine: str
    host: str
    port: int


class Forwards:
    """The forwarded ports: opened at their first use, closed when their machine is off."""

    def __init__(
        self,
        pool: TunnelPool,
        peers: PeerCheck | None = None,
        stranger: Callable[[int], bool] = lambda inode: False,
    ) -> None:
        """`peers` decides who may connect; None allows this user and root, if peers are known.

        `stranger` returns whether one of these sockets, by its inode, is refused nevertheless.
        """
        self._pool, self._peers, self._stranger = pool, peers, stranger
        self._open: dict[ForwardTarget, socket.socket] = {}
        self._ports: dict[ForwardTarget, int] = {}
        self._coming: set[asyncio.Task[Any]] = set()
        self.callers: dict[asyncio.Transport, ForwardTarget] = {}

    def port(self, end: ForwardTarget) -> int:
        """The port of this computer that is forwarded to `end`."""
        if (known := self._ports.get(end)) is not None:
            return known
        return self._pool.background.run(self._open_port(end), FORWARD_TIMEOUT)

    def ports_of(self, machine: str) -> set[int]:
        """The ports of this computer that are forwarded to this machine."""
        return {port for end, port in self._ports.items() if end.machine == machine}

    def settle(self, ids: Iterable[str]) -> None:
        """Close the ports of machines that are not in `ids`."""
        machines = set(ids)
        # A copy: the background loop opens ports meanwhile.
        closed = [target for target in tuple(self._ports) if target.machine not in machines]
        if closed:
            self._pool.background.start(self._close_ports(closed))

    def forget(self, end: ForwardTarget) -> None:
        """Close the port that is forwarded to `end`, if there is one."""
        if end in self._ports:
            self._pool.background.start(self._close_ports([end]))

    def close(self) -> None:
        """Close all."""
        if self._ports:
            self._pool.background.run(self._close_ports(list(self._ports)), FORWARD_TIMEOUT)
        if self._peers is not None:
            self._peers.close()

    async def admitted(self, connection: Any) -> bool:
        """Whether the peer of a connection is admitted."""
        return self._peers is None or await self._peers.admits(connection)

    async def _open_port(self, end: ForwardTarget) -> int:
        from prism.providers.tunnels.caller import LocalForwarder  # noqa: PLC0415  cold start: it brings asyncssh

        if self._peers is None and peers_known():
            self._peers = PeerCheck(stranger=self._stranger)
        if end not in self._open:
            await self._make_room(end.machine)
            loop = asyncio.get_running_loop()
            self._open[end] = listener = socket.create_server(
                (LOOPBACK_HOST, 0), backlog=LISTEN_BACKLOG
            )
            listener.setblocking(False)
            self._ports[end] = listener.getsockname()[1]
            # asyncio's own server loses connections that arrive while it closes.
            loop.add_reader(
                listener, self._accept, listener, partial(LocalForwarder, self, self._pool, end)
            )
        return self._ports[end]

    async def _make_room(self, machine: str) -> None:
        """Close the oldest port of a machine that has too many, rather one that is not in use."""
        ends = [end for end in self._ports if end.machine == machine]
        if len(ends) >= MOST_PORTS:
            used = set(self.callers.values())
            await self._close_ports([min(ends, key=used.__contains__)])

    def _accept(self, listener: socket.socket, make: Callable[[], asyncio.BaseProtocol]) -> None:
        try:
            caller, _ = listener.accept()
        except OSError:  # the client has disconnected already
            return
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(make, caller))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _close_ports(self, ends: list[ForwardTarget]) -> None:
        for end in ends:
            self._ports.pop(end, None)
            if (listener := self._open.pop(end, None)) is not None:
                asyncio.get_running_loop().remove_reader(listener)
                listener.close()
        for transport, end in list(self.callers.items()):
            if end in ends:
                transport.abort()
