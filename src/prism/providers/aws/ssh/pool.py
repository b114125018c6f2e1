"""All connections to machines: one each, for whoever looks inside.

Callers are threads and wait; the connections live in one background loop. A connection
is opened by the first who needs it, and closed when its machine stops or moves, or when
nobody has used it for some minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from prism.agent.protocol import BY_PRISM
from prism.errors import Unavailable
from prism.providers.aws.ssh.background import Background
from prism.providers.aws.ssh.link import Link
from prism.providers.aws.ssh.model import MachineUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asyncssh import SSHClientProcess

    from prism.providers.aws.ssh.hostkeys import HostKeys
    from prism.providers.aws.ssh.model import SshHost, SshHosts

IDLE = 600.0  # seconds that a connection nobody uses is kept
PATIENCE = 20.0
# Root where we are not: every image's user may, without a password.
AS_ROOT = 'as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }\n'


class ScriptResult(Struct, frozen=True):
    """What a script said, and how it ended."""

    out: bytes
    err: str
    code: int


class SshPool:
    """The connections of one place."""

    def __init__(
        self,
        hosts: SshHosts,
        keys: HostKeys,
        *,
        idle: float = IDLE,
        shut: Callable[[str], object] = lambda id: None,
    ) -> None:
        """`shut` is told the id of each machine at whose address nobody answers."""
        self._hosts, self.keys, self._idle, self._shut = hosts, keys, idle, shut
        self.background = Background()
        self._links: dict[str, Link] = {}
        self._tidying: asyncio.Task[None] | None = None

    def host(self, id: str) -> SshHost:
        """How a machine is entered; raises where it is not on. It may have to ask EC2."""
        if (host := self._hosts.host(id)) is None:
            raise Unavailable(f"Machine {id} is not on")
        return host

    def run(
        self, id: str, script: str, given: bytes = b"", seconds: float = PATIENCE
    ) -> ScriptResult:
        """What a script for `sh` says there; raises where nobody answers in time."""
        host = self.host(id)
        return self.background.run(self.said(host, script, given, seconds), seconds + PATIENCE)

    @property
    def open(self) -> frozenset[str]:
        """The machines that there are connections to."""
        return frozenset(self._links)

    def settle(self, on: Iterable[SshHost]) -> None:
        """Hang up on every machine that stopped, moved or was started anew."""
        if self._links:
            now = {ssh_host.id: ssh_host for ssh_host in on}
            self.background.start(self._settled(now))

    def forgive(self) -> None:
        """Machines that could not be reached may be reached now: dial again when asked."""
        if self._links:
            self.background.start(self._forgiven())

    def close(self) -> None:
        """Hang up everywhere."""
        if self._links:
            self.background.run(self._settled({}), PATIENCE)
        self.background.close()

    async def said(
        self, host: SshHost, script: str, given: bytes = b"", seconds: float = PATIENCE
    ) -> ScriptResult:
        """The same as `run`, for who lives in the loop."""
        import asyncssh  # noqa: PLC0415  cold start: 200 ms that only who goes in pays

        link = self.link(host)
        with link.used():
            try:
                async with asyncio.timeout(seconds):
                    return await _run(await self._process(link, script), given)
            except (asyncssh.Error, OSError, TimeoutError) as error:
                raise MachineUnreachable(
                    f"{link.host.name} ended the connection, or takes too long",
                    details=f"{type(error).__name__}: {error}".rstrip(": "),
                ) from error

    def link(self, host: SshHost) -> Link:
        """The connection to a machine as it is now, to be opened; for who lives in the loop."""
        link = self._links.get(host.id)
        if link is None or link.host != host:
            if link is not None:
                link.close()
            link = self._links[host.id] = Link(host, self.keys, self._shut)
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy())
        return link

    async def _process(self, link: Link, script: str) -> SSHClientProcess[bytes]:
        """It has begun; a connection that was found broken is replaced, once."""
        import asyncssh  # noqa: PLC0415  cold start: it is there by now

        command = shlex.join(["sh", "-c", script, BY_PRISM])
        ssh = await link.connection()
        try:
            return await ssh.create_process(command, encoding=None)
        except (asyncssh.Error, OSError):
            if not ssh.is_closed():
                raise
        return await (await link.connection()).create_process(command, encoding=None)

    async def _forgiven(self) -> None:
        for link in self._links.values():
            link.forgive()

    async def _settled(self, now: dict[str, SshHost]) -> None:
        for id, link in list(self._links.items()):
            if now.get(id) != link.host:
                link.close()
                del self._links[id]

    async def _tidy(self) -> None:
        """Hang up where nobody has spoken for long."""
        loop = asyncio.get_running_loop()
        while self._links:
            await asyncio.sleep(self._idle / 4)
            for id, link in list(self._links.items()):
                since = link.idle_since
                if since is not None and loop.time() - since >= self._idle:
                    link.close()
                    del self._links[id]


async def _run(process: SSHClientProcess[bytes], given: bytes) -> ScriptResult:
    try:
        out, err = await process.communicate(given)
        await process.wait_closed()
    except BaseException:
        with contextlib.suppress(OSError):  # it has just ended
            process.terminate()
        process.close()  # and wait for nothing: it may be what does not answer
        raise
    code = process.returncode
    words = (err or b"").decode(errors="replace").strip()
    return ScriptResult(out or b"", words, -1 if code is None else code)
