"""The SSH server of a machine: who may log in, and what each channel may do."""

import asyncio
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import asyncssh
from asyncssh.forward import SSHForwarder
from msgspec import Struct

from prism.connections.ports import Address
from prism.kit.network.workspace_network import connect
from prism.providers.local.ssh.keys import Keys
from prism.providers.tunnels.closing import ClosingForwarder

log = logging.getLogger(__name__)
asyncssh.set_log_level(max(logging.WARNING, log.getEffectiveLevel()))  # else it logs every step
FAILURES = (asyncssh.Error, OSError, TimeoutError)
LOGIN_SECONDS = 30
KEEP_ALIVE = 15
NAME_SHOWN = 64
FindAddress = Callable[[str, int], Address | None]


class ServedMachine(Struct, frozen=True):
    """The machine of a server: its name, its sessions, and the addresses of forwarding."""

    name: str
    session: Callable[[], asyncssh.SSHServerSession[bytes]]
    reach: FindAddress


class WorkspaceSshServer(asyncssh.SSHServer):
    """Serves one machine to one client, which logs in with the owner's key and its name."""

    def __init__(
        self,
        machine: ServedMachine,
        keys: Keys,
        clients: set[asyncssh.SSHServerConnection],
        taken: Callable[[], object] = lambda: None,
        *,
        trusted: bool = False,
    ) -> None:
        """`taken` is called when asyncssh owns the client's socket.

        With `trusted`, the client needs no key, because its right was checked before.
        """
        self._trusted = trusted
        self._machine, self._clients, self._taken = machine, clients, taken
        self._key = asyncssh.import_public_key(keys.client_public)

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected."""
        self._taken()
        self._connection = conn
        self._clients.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._clients.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Whether the client has to log in."""
        return not (self._trusted and username == self._machine.name)

    def public_key_auth_supported(self) -> bool:
        """A key is the only way to log in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether this is the owner's key, with this workspace's name."""
        right = hmac.compare_digest(key.public_data, self._key.public_data)
        if not right or username != self._machine.name:
            reason = "another name" if right else "a key that is not ours"
            name = username[:NAME_SHOWN]
            log.warning("%s was refused: %r came with %s", self._machine.name, name, reason)
            return False
        return True

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        """A shell, a command, a transfer."""
        return self._machine.session()

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[Any]:
        """`-L`: only to ports of this machine."""
        return self._forward(dest_host, dest_port)

    async def _forward(self, dest_host: str, dest_port: int) -> object:
        loop = asyncio.get_running_loop()
        address = await loop.run_in_executor(None, self._machine.reach, dest_host, dest_port)
        if address is None:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED,
                f"Nothing of {self._machine.name} listens on {dest_host}:{dest_port}",
            )
        try:
            connection = await connect(address.host, address.port, address.network)
            _, forwarder = await loop.create_connection(SSHForwarder, sock=connection)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
        return ClosingForwarder(forwarder)


@cache
def options(keys: Keys) -> asyncssh.SSHServerConnectionOptions:
    """The options of all servers."""
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
    client: socket.socket, settings: asyncssh.SSHServerConnectionOptions, host: WorkspaceSshServer
) -> asyncssh.SSHServerConnection:
    """Serve a client until it is logged in; raises one of `FAILURES`."""
    return await asyncssh.run_server(client, options=settings, server_factory=lambda: host)
