"""The connection to one machine: opened when needed, opened again when it broke."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from prism.errors import Problem, Unavailable
from prism.providers.aws.ssh.model import HostKeyChanged, MachineUnreachable
from prism.providers.aws.unavailable import anew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncssh import SSHClientConnection

    from prism.providers.aws.ssh.hostkeys import HostKeys
    from prism.providers.aws.ssh.model import SshHost

log = logging.getLogger(__name__)
CONNECT_TIMEOUT, LOGIN_TIMEOUT = 10, 20  # seconds to connect, and to log in
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 15, 3  # seconds; how many may be lost
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before the next try, doubled each time
NEW_ADDRESS = (
    "If you are in another network now, try again in some seconds: machines are being opened to "
    "your new address. "
)


class Link:
    """One machine's connection; use it only in the background loop."""

    def __init__(
        self,
        host: SshHost,
        keys: HostKeys,
        on_unreachable: Callable[[str], object] = lambda id: None,
    ) -> None:
        """`on_unreachable` is called with the id of a machine without an answer; must not wait."""
        self.host, self._keys, self._on_unreachable = host, keys, on_unreachable
        self._ssh: SSHClientConnection | None = None
        self._opening: asyncio.Task[SSHClientConnection] | None = None
        self._failures, self._again_at = 0, 0.0
        self._why: Unavailable | None = None
        self._users, self.used_at = 0, asyncio.get_running_loop().time()

    @property
    def idle_since(self) -> float | None:
        """Since when the open connection is unused; None if it is used, or not open."""
        return None if self._ssh is None or self._users else self.used_at

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Count a use of the connection."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.used_at = asyncio.get_running_loop().time()

    async def connection(self) -> SSHClientConnection:
        """The connection, opened if needed; after a failure, raises until the next try is due."""
        if self._ssh is not None and not self._ssh.is_closed():
            return self._ssh
        if self._opening is None or self._opening.done():
            wait = self._again_at - asyncio.get_running_loop().time()
            if self._why is not None and wait > 0:
                raise anew(self._why)
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    def reset_backoff(self) -> None:
        """Forget failures: the next use connects at once."""
        self._failures, self._again_at, self._why = 0, 0.0, None

    def close(self) -> None:
        """Disconnect, even if the connection is in use."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._ssh is not None:
            self._ssh.abort()
            self._ssh = None

    async def _open(self) -> SSHClientConnection:
        loop = asyncio.get_running_loop()
        try:
            self._ssh = await self._dial()
        except Unavailable as why:
            pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
            self._failures, self._why = self._failures + 1, why
            self._again_at = loop.time() + pause
            raise
        except Problem as why:  # AWS did not show the console
            self._again_at = loop.time() + LONGEST_PAUSE
            self._why = MachineUnreachable(
                f"{self.host.name} cannot be reached by SSH", details=why.message
            )
            raise self._why from why
        self._failures, self._why = 0, None
        return self._ssh

    async def _dial(self) -> SSHClientConnection:
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
