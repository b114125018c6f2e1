"""Ports of this computer that lead to ports of machines, through their connections.

They stay where they are while a connection breaks and is replaced, so who was told one
may keep it. They are on loopback, and any user of this computer can connect to that: who
is at the other end is looked up (`kit/peer_credentials.py`), and only the daemon's own user
and root are let through, and of these no stranger, such as a program in a sandboxed
workspace. Where the system cannot say who it is, everybody is; then the services' own tokens
are what protects them.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from prism.kit.peer_credentials import PeerCheck, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prism.providers.aws.ssh.pool import SshPool

HERE = "127.0.0.1"
PATIENCE = 5.0
WAITING = 128


class ForwardTarget(Struct, frozen=True):
    """A port of a machine, and the address under which it is dialled there."""

    machine: str
    host: str
    port: int


class Forwards:
    """Opened when first asked for, closed when their machine is no longer on."""

    def __init__(
        self,
        pool: SshPool,
        peers: PeerCheck | None = None,
        stranger: Callable[[int], bool] = lambda inode: False,
    ) -> None:
        """`peers` says who may connect; None allows this user and root, where that is known.

        Of these, `stranger` says whether the socket with an inode is refused all the same.
        """
        self._pool, self._peers, self._stranger = pool, peers, stranger
        self._open: dict[ForwardTarget, socket.socket] = {}
        self._ports: dict[ForwardTarget, int] = {}
        self._coming: set[asyncio.Task[Any]] = set()
        self.callers: dict[asyncio.Transport, ForwardTarget] = {}

    def port(self, end: ForwardTarget) -> int:
        """The port of this computer that leads there."""
        if (known := self._ports.get(end)) is not None:
            return known
        return self._pool.background.run(self._opened(end), PATIENCE)

    def settle(self, on: Iterable[str]) -> None:
        """Close those of machines that are not on."""
        machines = set(on)
        if gone := [
            forward_target
            for forward_target in self._ports
            if forward_target.machine not in machines
        ]:
            self._pool.background.start(self._shut(gone))

    def close(self) -> None:
        """Close all."""
        if self._ports:
            self._pool.background.run(self._shut(list(self._ports)), PATIENCE)
        if self._peers is not None:
            self._peers.close()

    def admits(self, connection: Any) -> bool:
        """Whether who has connected may stay."""
        return self._peers is None or self._peers.admits(connection)

    async def _opened(self, end: ForwardTarget) -> int:
        from prism.providers.aws.ssh.caller import LocalForwarder  # noqa: PLC0415  cold start: it brings asyncssh

        if self._peers is None and watched():
            self._peers = PeerCheck(stranger=self._stranger)
        if end not in self._open:
            loop = asyncio.get_running_loop()
            self._open[end] = listener = socket.create_server((HERE, 0), backlog=WAITING)
            listener.setblocking(False)
            self._ports[end] = listener.getsockname()[1]
            # A server of asyncio's loses who comes in while it is closed.
            loop.add_reader(
                listener, self._receive, listener, partial(LocalForwarder, self, self._pool, end)
            )
        return self._ports[end]

    def _receive(self, listener: socket.socket, met: Callable[[], asyncio.BaseProtocol]) -> None:
        try:
            caller, _ = listener.accept()
        except OSError:  # they have gone already
            return
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(met, caller))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _shut(self, ends: list[ForwardTarget]) -> None:
        for end in ends:
            self._ports.pop(end, None)
            if (listener := self._open.pop(end, None)) is not None:
                asyncio.get_running_loop().remove_reader(listener)
                listener.close()
        for transport, end in list(self.callers.items()):
            if end in ends:
                transport.abort()
