"""The SSH ports of all local machines: one loopback port each, open while its machine is on.

The SSH library costs 200 ms and 20 MB at a start: it is imported when the first client
connects, and until then a port is a plain listening socket.
"""

import asyncio
import contextlib
import importlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from prism.connections.ports import Address
from prism.kit.limits import peer_of
from prism.kit.network.peer_credentials import SocketDiagnostics
from prism.providers.local.ssh.keys import Keys, keys_of, pin
from prism.workspaces.ports import Access, ServiceEndpoint

if TYPE_CHECKING:
    from asyncssh import SSHServerConnection, SSHServerSession

SERVING = "prism.providers.local.ssh.serving"
log = logging.getLogger(__name__)
HOST = "127.0.0.1"
FORWARDED_HOSTS = {"localhost", HOST, "::1"}  # to which clients may forward
LISTEN_BACKLOG = 128
# Connections before their login: of one peer (on this computer, a user), and of all.
MOST_OF_ONE_PEER, MOST_KNOCKING = 16, 64
ACCEPT_AGAIN = 1.0  # seconds until the next try if the system has no resources left
Running = Callable[[], Mapping[str, str]]
MayReach = Callable[[str, str, int], Address | None]


class SshSource(Struct, frozen=True, kw_only=True):
    """Machines of one place that are reached by SSH.

    `running` returns the names of those that are on, by id; `may_reach` returns the address of a
    client's forwarding, which is always one of that machine's own ports. `folder` has a file with
    the last port of each machine; `session` is what a client's channel talks to.
    """

    running: Running
    may_reach: MayReach
    folder: Path
    session: Callable[[str], "SSHServerSession[bytes]"]


class SshPort:
    """One machine's port, and its clients."""

    def __init__(self, id: str, name: str, listener: socket.socket, source: SshSource) -> None:
        self.id, self.name, self.listener, self.source = id, name, listener, source
        self.port: int = listener.getsockname()[1]
        self.clients: set[SSHServerConnection] = set()


class SshGate:
    """Opens and closes ports as machines start and stop; there is one for each home."""

    def __init__(self, home: Path, *sources: SshSource) -> None:
        self._home, self._sources = home, sources
        self._ports: dict[str, SshPort] = {}
        # Connections before their login, in order: the port, and the peer by the kernel.
        self._unauthenticated: dict[asyncio.Task[None], tuple[SshPort, str]] = {}
        self._diagnosis: SocketDiagnostics | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def port_of(self, id: str) -> int | None:
        """The port of a machine, if it is open."""
        open_port = self._ports.get(id)
        return open_port.port if open_port else None

    def access(self, id: str, user: str, endpoints: dict[str, ServiceEndpoint]) -> Access:
        """How to connect to a machine: its services, and its SSH port if that is open."""
        if (ssh_port := self.port_of(id)) is None:
            return Access(host=HOST, user=user, endpoints=endpoints)
        keys = self.keys
        return Access(
            host=HOST,
            user=user,
            ssh_port=ssh_port,
            ssh_key=str(keys.client),
            ssh_host_key=keys.host_public,
            known_hosts=str(keys.known_hosts),
            ssh_by_daemon=True,
            endpoints=endpoints,
        )

    @property
    def waiting(self) -> list[str]:
        """The peers of connections before their login."""
        return [peer for _, peer in self._unauthenticated.values()]

    @property
    def keys(self) -> Keys:
        """The keys of this home."""
        return keys_of(self._home)

    async def serve(self, id: str, client: socket.socket) -> None:
        """Serve a client whose right was checked already, until it is logged in, without a key."""
        client.setblocking(False)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(client.close)
            if (open_port := self._ports.get(id)) is not None:
                await self._serve_client(open_port, client, cleanup.pop_all, trusted=True)

    def add(self, source: SshSource) -> None:
        """Serve the machines of another place too; any thread may call it."""
        self._sources = (*self._sources, source)
        self.look()

    def look(self) -> None:
        """Update the ports, after machines have started or stopped; any thread may call it."""
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # it has just come to its end
                loop.call_soon_threadsafe(self._changed.set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the right ports open, until the end."""
        self._changed, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._diagnosis = SocketDiagnostics()
        keeping = self._loop.create_task(self._keep_ports(self._loop))
        try:
            yield
        finally:
            keeping.cancel()
            for open_port in list(self._ports.values()):
                self._close_port(self._loop, open_port)
            self._diagnosis.close()
            self._loop = None

    async def _keep_ports(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            self._changed.clear()
            running = {
                id: (name, source)
                for source in self._sources
                for id, name in source.running().items()
            }
            for id in self._ports.keys() - running.keys():
                self._close_port(loop, self._ports[id])
            for id in running.keys() - self._ports.keys():
                await self._add_port(loop, id, *running[id])
            await self._changed.wait()

    async def _add_port(
        self, loop: asyncio.AbstractEventLoop, id: str, name: str, source: SshSource
    ) -> None:
        try:
            file = source.folder / id / "ssh_port"
            listener = await asyncio.to_thread(_listen_on_last_port, file)
            open_port = SshPort(id, name, listener, source)
            ports = [open_port.port, *(ssh_port.port for ssh_port in self._ports.values())]
            await asyncio.to_thread(pin, self.keys, ports)
        except OSError as error:
            log.warning("no SSH into %s: %s", id, error)
            return
        self._ports[id] = open_port
        loop.add_reader(listener, self._accept, loop, open_port)

    def _close_port(self, loop: asyncio.AbstractEventLoop, open_port: SshPort) -> None:
        """Close the port, and disconnect its clients."""
        del self._ports[open_port.id]
        loop.remove_reader(open_port.listener)
        open_port.listener.close()
        for task in [task for task, (at, _) in self._unauthenticated.items() if at is open_port]:
            task.cancel()
        for client in list(open_port.clients):
            client.abort()

    def _accept(self, loop: asyncio.AbstractEventLoop, open_port: SshPort) -> None:
        try:
            client, _ = open_port.listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # such as too many open files
            log.warning("nobody can come into %s: %s", open_port.name, error)
            loop.remove_reader(open_port.listener)
            loop.call_later(ACCEPT_AGAIN, self._accept_again, loop, open_port)
            return
        client.setblocking(False)
        peer = peer_of(client, self._diagnosis)
        if (first := index_to_evict(self.waiting, peer)) is not None:
            evicted = list(self._unauthenticated)[first]
            del self._unauthenticated[evicted]
            evicted.cancel()
        cleanup = contextlib.ExitStack()  # closes the socket until asyncssh owns it
        cleanup.callback(client.close)
        task = loop.create_task(self._serve_client(open_port, client, cleanup.pop_all))
        task.add_done_callback(lambda _: cleanup.close())
        self._unauthenticated[task] = open_port, peer
        task.add_done_callback(lambda _: self._unauthenticated.pop(task, None))

    def _accept_again(self, loop: asyncio.AbstractEventLoop, open_port: SshPort) -> None:
        if self._ports.get(open_port.id) is open_port:
            loop.add_reader(open_port.listener, self._accept, loop, open_port)

    async def _serve_client(
        self,
        open_port: SshPort,
        client: socket.socket,
        taken: Callable[[], object],
        *,
        trusted: bool = False,
    ) -> None:
        await asyncio.to_thread(importlib.import_module, SERVING)  # it takes long, and only once
        from prism.providers.local.ssh import serving as ssh  # noqa: PLC0415  cold start

        options = await asyncio.to_thread(ssh.options, self.keys)
        source, id = open_port.source, open_port.id
        machine = ssh.ServedMachine(
            open_port.name, partial(source.session, id), partial(source.may_reach, id)
        )
        try:
            await ssh.run(
                client,
                options,
                ssh.WorkspaceSshServer(
                    machine, self.keys, open_port.clients, taken, trusted=trusted
                ),
            )
        except ssh.FAILURES as error:
            log.info("a client of %s did not come in: %s", open_port.name, error)


def index_to_evict(peers: Sequence[str], newcomer: str) -> int | None:
    """The index of the waiting connection, in order of arrival, that is closed for a new one.

    If the peer of the new one has too many, this is the first of that peer. If all together are
    too many, it is the first of the peer with the most, so only a peer that floods the port loses.
    """
    if peers.count(newcomer) >= MOST_OF_ONE_PEER:
        return peers.index(newcomer)
    if len(peers) < MOST_KNOCKING:
        return None
    counts = Counter(peers)
    return peers.index(max(counts, key=counts.__getitem__))


def _listen_on_last_port(file: Path) -> socket.socket:
    """Listen on the last port if it is free, else on another one, which is stored."""
    with contextlib.suppress(OSError, ValueError, OverflowError):
        return _bind(int(file.read_text("ascii")))
    listener = _bind(0)
    file.write_text(str(listener.getsockname()[1]), "ascii")
    return listener


def _bind(port: int) -> socket.socket:
    listener = socket.create_server((HOST, port), backlog=LISTEN_BACKLOG)
    listener.setblocking(False)
    return listener
