"""The connection to one machine, with the host key from its console."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from prism.errors import Problem, Unavailable
from prism.providers.aws.ssh.model import HostKeyChanged, MachineUnreachable
from prism.providers.tunnels.link import ReopenedLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncssh import SSHClientConnection

    from prism.providers.aws.ssh.hostkeys import HostKeys
    from prism.providers.aws.ssh.model import SshHost

log = logging.getLogger(__name__)
CONNECT_TIMEOUT, LOGIN_TIMEOUT = 10, 20  # seconds to connect, and to log in
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 15, 3  # seconds; how many may be lost
NEW_ADDRESS = (
    "If you are in another network now, try again in some seconds: machines are being opened to "
    "your new address. "
)


class ConsoleRefused(MachineUnreachable):
    """AWS did not show the console of a machine, which has its host key."""


class Link(ReopenedLink):
    """One machine's connection; use it only in the background loop."""

    fatal = (ConsoleRefused,)

    def __init__(
        self,
        host: SshHost,
        keys: HostKeys,
        on_unreachable: Callable[[str], object] = lambda id: None,
    ) -> None:
        """`on_unreachable` is called with the id of a machine without an answer; must not wait."""
        super().__init__()
        self.host, self._keys, self._on_unreachable = host, keys, on_unreachable

    async def _dial(self) -> SSHClientConnection:
        try:
            return await self._log_in()
        except Unavailable:
            raise
        except Problem as why:
            raise ConsoleRefused(
                f"{self.host.name} cannot be reached by SSH", details=why.message
            ) from why

    async def _log_in(self) -> SSHClientConnection:
        import asyncssh  # noqa: PLC0415  cold start: 200 ms, only for SSH

        loop = asyncio.get_running_loop()
        asyncssh.set_log_level(max(logging.WARNING, log.getEffectiveLevel()))
        try:
            try:
                return await self._connect()
            except asyncssh.HostKeyNotVerifiable as error:
                # The machine may have new keys, which its console shows.
                if await loop.run_in_executor(None, self._keys.learn_anew, self.host):
                    return await self._connect()
                raise self._host_key_changed() from error
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._host_key_changed() from error
        except (asyncssh.Error, asyncssh.KeyImportError, OSError, TimeoutError) as error:
            silent = isinstance(error, OSError) and not isinstance(error, ConnectionError)
            if silent:  # a security group drops what it does not admit
                self._on_unreachable(self.host.id)
            raise MachineUnreachable(
                f"{self.host.name} cannot be reached by SSH",
                details=f"{self.host.user}@{self.host.address}: {type(error).__name__}: "
                f"{error}".rstrip(": "),
                remediation=(NEW_ADDRESS if silent else "") + "See whether it is on, and its "
                f"console: `prism logs {self.host.name}`",
            ) from error

    async def _connect(self) -> SSHClientConnection:
        import asyncssh  # noqa: PLC0415  cold start: it is there by now

        ssh_host, port = self.host, self._keys.port
        key = await asyncio.get_running_loop().run_in_executor(None, self._keys.of, ssh_host)
        known = asyncssh.import_known_hosts(
            f"[{ssh_host.address}]:{port} {key}\n{ssh_host.address} {key}\n"
        )
        return await asyncssh.connect(
            ssh_host.address,
            port,
            agent_path=None,
            client_keys=[str(ssh_host.key)],
            config=None,
            connect_timeout=CONNECT_TIMEOUT,
            gss_host=None,
            keepalive_count_max=KEEPALIVE_COUNT,
            keepalive_interval=KEEPALIVE_INTERVAL,
            known_hosts=known,
            login_timeout=LOGIN_TIMEOUT,
            password=None,
            preferred_auth="publickey",
            server_host_key_algs=_algorithms(key),
            username=ssh_host.user,
        )

    def _host_key_changed(self) -> HostKeyChanged:
        return HostKeyChanged(
            f"What answers at {self.host.address} is not {self.host.name}",
            details="its host key is not the one that the machine told on its console",
            remediation=f"Compare with the console: `prism logs {self.host.name}`",
        )


def _algorithms(key: str) -> list[str]:
    kind = key.partition(" ")[0]
    return ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]
