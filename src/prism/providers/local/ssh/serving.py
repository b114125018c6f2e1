"""What is served to a client: who may connect, and what each channel may do."""

import asyncio
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.forward import SSHForwarder
from msgspec import Struct

from prism.connections.ports import Spot
from prism.kit.workspace_network import connected
from prism.providers.local.ssh.keys import Keys
from prism.providers.local.ssh.session import Session

log = logging.getLogger(__name__)
asyncssh.set_log_level(max(logging.WARNING, log.getEffectiveLevel()))  # it tells every step
FAILURES = (asyncssh.Error, OSError, TimeoutError)
LOGIN_SECONDS = 30
KEEP_ALIVE = 15
NAME_SHOWN = 64
Reach = Callable[[str, int], Spot | None]


class ServedMachine(Struct, frozen=True):
    """What is entered: its name, its folder, and where forwarding leads."""

    name: str
    folder: Path
    reach: Reach


class WorkspaceSshServer(asyncssh.SSHServer):
    """One machine, to one client: the owner's key opens it, under the workspace's name."""

    def __init__(
        self,
        machine: ServedMachine,
        keys: Keys,
        clients: set[asyncssh.SSHServerConnection],
        taken: Callable[[], object] = lambda: None,
    ) -> None:
        """`taken` is called when the client's socket belongs to asyncssh."""
        self._machine, self._guests, self._taken = machine, clients, taken
        self._key = asyncssh.import_public_key(keys.client_public)

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected."""
        self._taken()
        self._connection = conn
        self._guests.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._guests.discard(self._connection)

    def public_key_auth_supported(self) -> bool:
        """By a key, and by nothing else."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is the owner's, and for this workspace."""
        right = hmac.compare_digest(key.public_data, self._key.public_data)
        if not right or username != self._machine.name:
            what = "another name" if right else "a key that is not ours"
            whom = username[:NAME_SHOWN]
            log.warning("%s was refused: %r came with %s", self._machine.name, whom, what)
            return False
        return True

    def session_requested(self) -> Session:
        """A shell, a command, a transfer."""
        return Session(self._machine.folder)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[Any]:
        """`-L`: only to what listens inside of this very machine."""
        return self._forward(dest_host, dest_port)

    async def _forward(self, dest_host: str, dest_port: int) -> object:
        loop = asyncio.get_running_loop()
        spot = await loop.run_in_executor(None, self._machine.reach, dest_host, dest_port)
        if spot is None:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED,
                f"Nothing of {self._machine.name} listens on {dest_host}:{dest_port}",
            )
        try:
            connection = await connected(spot.host, spot.port, spot.network)
            _, there = await loop.create_connection(SSHForwarder, sock=connection)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
        return Forwarding(there)


class Forwarding(SSHForwarder):
    """Carries bytes between a client and a port, and closes when both sides have ended.

    asyncssh never closes a connection whose client is the last to send its end of file.
    """

    def eof_received(self) -> bool:
        """The client sends no more."""
        if stays := super().eof_received():
            return stays
        self.close()
        return False


@cache
def options(keys: Keys) -> asyncssh.SSHServerConnectionOptions:
    """How all clients are met."""
    return asyncssh.SSHServerConnectionOptions(
        server_host_keys=[str(keys.host)],
        encoding=None,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEP_ALIVE,
        agent_forwarding=False,
        x11_forwarding=False,
        line_editor=False,
        allow_scp=False,
        gss_host=None,
    )


async def run(
    client: socket.socket, how: asyncssh.SSHServerConnectionOptions, host: WorkspaceSshServer
) -> asyncssh.SSHServerConnection:
    """Let a client in; raises one of `FAILURES`."""
    return await asyncssh.run_server(client, options=how, server_factory=lambda: host)
