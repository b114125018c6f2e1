"""The SSH connections to machines, one each.

Callers are threads, which wait; the connections are in one background loop. A connection is
opened at its first use, and closed when its machine stops or gets another address, or after some
minutes without use.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from prism.agent.protocol import BY_PRISM
from prism.errors import Unavailable
from prism.providers.aws.ssh.link import Link
from prism.providers.aws.ssh.model import MachineUnreachable
from prism.providers.tunnels.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asyncssh import SSHClientProcess

    from prism.providers.aws.ssh.hostkeys import HostKeys
    from prism.providers.aws.ssh.model import SshHost, SshHosts

IDLE_TIMEOUT = 600.0  # seconds until an unused connection is closed
COMMAND_TIMEOUT = 20.0
# Scripts run as root: the user of every image may use sudo without a password.
AS_ROOT = 'as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }\n'


class ScriptResult(Struct, frozen=True):
    """The output of a script, and its exit code."""

    out: bytes
    err: str
    code: int


class SshPool:
    """The connections of one location."""

    def __init__(
        self,
        hosts: SshHosts,
        keys: HostKeys,
        *,
        idle: float = IDLE_TIMEOUT,
        on_unreachable: Callable[[str], object] = lambda id: None,
    ) -> None:
        """`on_unreachable` is called with the id of each machine whose address does not answer."""
        self._hosts, self.keys, self._idle = hosts, keys, idle
        self._on_unreachable = on_unreachable
        self.background = Background()
        self._links: dict[str, Link] = {}
        self._tidying: asyncio.Task[None] | None = None

    def host(self, id: str) -> SshHost:
        """How to log in to a machine; raises if it is not on. May have to ask EC2."""
        if (host := self._hosts.host(id)) is None:
            raise Unavailable(f"Machine {id} is not on")
        return host

    def run(
        self, id: str, script: str, stdin: bytes = b"", seconds: float = COMMAND_TIMEOUT
    ) -> ScriptResult:
        """Run a script with `sh` on a machine; raises if that takes too long."""
        host = self.host(id)
        return self.background.run(
            self.execute(host, script, stdin, seconds), seconds + COMMAND_TIMEOUT
        )

    @property
    def open(self) -> frozenset[str]:
        """The ids of the machines with an open connection."""
        return frozenset(self._links)

    def settle(self, on: Iterable[SshHost]) -> None:
        """Disconnect from machines that stopped, were started anew, or have another address."""
        if self._links:
            hosts = {ssh_host.id: ssh_host for ssh_host in on}
            self.background.start(self._close_stale(hosts))

    def reset_backoff(self) -> None:
        """Forget failures of all machines: the next use connects at once."""
        if self._links:
            self.background.start(self._reset_backoffs())

    def close(self) -> None:
        """Close all connections."""
        if self._links:
            self.background.run(self._close_stale({}), COMMAND_TIMEOUT)
        self.background.close()

    async def execute(
        self, host: SshHost, script: str, stdin: bytes = b"", seconds: float = COMMAND_TIMEOUT
    ) -> ScriptResult:
        """`run` for code in the background loop."""
        import asyncssh  # noqa: PLC0415  cold start: 200 ms, only for SSH

        link = self.link(host)
        with link.used():
            try:
                async with asyncio.timeout(seconds):
                    return await _communicate(await self._start_process(link, script), stdin)
            except (asyncssh.Error, OSError, TimeoutError) as error:
                raise MachineUnreachable(
                    f"{link.host.name} ended the connection, or takes too long",
                    details=f"{type(error).__name__}: {error}".rstrip(": "),
                ) from error

    def link(self, host: SshHost) -> Link:
        """The link to a machine, which opens its connection when needed; for code in the loop."""
        link = self._links.get(host.id)
        if link is None or link.host != host:
            if link is not None:
                link.close()
            link = self._links[host.id] = Link(host, self.keys, self._on_unreachable)
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._close_idle())
        return link

    async def _start_process(self, link: Link, script: str) -> SSHClientProcess[bytes]:
        """Start the script; if the connection turns out to be broken, replaces it once."""
        import asyncssh  # noqa: PLC0415  cold start: it is there by now

        command = shlex.join(["sh", "-c", script, BY_PRISM])
        ssh = await link.connection()
        try:
            return await ssh.create_process(command, encoding=None)
        except (asyncssh.Error, OSError):
            if not ssh.is_closed():
                raise
        return await (await link.connection()).create_process(command, encoding=None)

    async def _reset_backoffs(self) -> None:
        for link in self._links.values():
            link.reset_backoff()

    async def _close_stale(self, hosts: dict[str, SshHost]) -> None:
        for id, link in list(self._links.items()):
            if hosts.get(id) != link.host:
                link.close()
                del self._links[id]

    async def _close_idle(self) -> None:
        """Close connections that nobody has used for `idle` seconds."""
        loop = asyncio.get_running_loop()
        while self._links:
            await asyncio.sleep(self._idle / 4)
            for id, link in list(self._links.items()):
                since = link.idle_since
                if since is not None and loop.time() - since >= self._idle:
                    link.close()
                    del self._links[id]


async def _communicate(process: SSHClientProcess[bytes], stdin: bytes) -> ScriptResult:
    try:
        out, err = await process.communicate(stdin)
        await process.wait_closed()
    except BaseException:
        with contextlib.suppress(OSError):  # the process has just ended
            process.terminate()
        process.close()  # without waiting: it may not answer
        raise
    code = process.returncode
    words = (err or b"").decode(errors="replace").strip()
    return ScriptResult(out or b"", words, -1 if code is None else code)
