"""`prism tunnel`: forwards a workspace's ports to this computer while the command runs."""

from __future__ import annotations

import errno
import socket

from prism.annotations import TYPE_CHECKING, Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import clean, complain, say, show_json
from prism.cli.parser import UsageError, workspace_argument
from prism.cli.workspace.connect import address
from prism.client.transport.connection import connection, ports
from prism.client.transport.wire import Wire
from prism.errors import AlreadyExists, Problem

if TYPE_CHECKING:
    import asyncio

    from prism.kit.network.peer_credentials import PeerCheck

    Address = tuple[str, int]

HOST = "127.0.0.1"
FRESH = 1.0  # seconds that a port's address is cached


class LocalPortTaken(AlreadyExists, code="LOCAL_PORT_TAKEN"):
    """Another program listens on that port of this computer."""


def parse_ports(word: str) -> tuple[int | None, int]:
    """The local port, if given, and the workspace's, of `LOCAL:PORT` or `PORT`."""
    local, colon, remote = word.rpartition(":")
    if colon and not local:
        raise _invalid_ports(word)
    return (_number(local, word) if colon else None), _number(remote, word)


def _number(text: str, word: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536:
        return int(text)
    raise _invalid_ports(word)


def _invalid_ports(word: str) -> UsageError:
    return UsageError(f"no port: {word}", "Write PORT or LOCAL:PORT, each from 1 to 65535")


def _listen(requested: int | None, usual: int) -> socket.socket:
    """Listen on the wanted port; if None, on the usual port, or on any other if that is taken."""
    for port in (requested,) if requested else (usual, 0):
        try:
            return socket.create_server((HOST, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
    raise LocalPortTaken(
        f"Port {requested} of this computer is taken",
        remediation="Choose another: LOCAL:PORT, such as 18888:8888",
    )


def _tunnel(args: Namespace) -> None:
    wire = daemon()
    # Without a port, the ports of all services.
    requested: list[tuple[int | None, int | None]]
    requested = [parse_ports(word) for word in args.ports] or [(None, None)]
    targets = [
        (local, service) for local, port in requested for service in ports(wire, args.name, port)
    ]
    if not targets:
        say(f"{args.name} has no service that answers; name a port")
        return
    listeners = [(_listen(local, service["port"]), service) for local, service in targets]
    # The pages need their tokens; on the daemon's computer `prism open` passes them.
    services = connection(wire, args.name)["services"] if wire.address.url else {}
    _show(args, listeners, services)
    import asyncio  # noqa: PLC0415  cold start: 60 ms that only a tunnel pays

    try:
        asyncio.run(_serve(wire, args.name, listeners))
    except KeyboardInterrupt:
        say("")


def _show(
    args: Namespace, listeners: list[tuple[socket.socket, Any]], services: dict[str, Any]
) -> None:
    rows = [
        {
            "service": service["service"],
            "port": service["port"],
            "local": (local := listener.getsockname()[1]),
            "url": f"http://{HOST}:{local}",
        }
        for listener, service in listeners
    ]
    if args.json:
        return show_json(rows)
    for row in rows:
        label = clean(row["service"] or f"port {row['port']}")
        access = services.get(row["service"])
        url = address(row["service"], access | {"url": row["url"]}) if access else row["url"]
        print(f"{url}  is {label} of {clean(args.name)}", flush=True)
    say("Open until you press Ctrl-C")
    return None


class PortForward:
    """The current address of a workspace's port, if it has one.

    A workspace that was stopped and started has other ports, and another program may have its old
    ones. So the daemon finds the ports, which asks the kernel for their owner.
    """

    def __init__(self, wire: Wire, name: str, port: int) -> None:
        self._wire, self._name, self._port = wire, name, port
        self._lookup: asyncio.Task[Address | None] | None = None
        self._fresh_until = 0.0
        self._last_problem = ""

    async def __call__(self) -> Address | None:
        """Host and port; simultaneous callers share one request."""
        import asyncio  # noqa: PLC0415  cold start: it is there by now

        loop, task = asyncio.get_running_loop(), self._lookup
        holds = loop.time() < self._fresh_until
        if task is None or (task.done() and (task.exception() or not (holds and task.result()))):
            self._fresh_until = loop.time() + FRESH
            task = self._lookup = loop.create_task(asyncio.to_thread(self._ask))
        return await asyncio.shield(task)

    def _ask(self) -> Address | None:
        try:
            [service] = ports(self._wire, self._name, self._port)
        except Problem as problem:
            if problem.message != self._last_problem:  # a browser retries often
                complain(problem.message, problem.details, problem.remediation)
            self._last_problem = problem.message
            return None
        self._last_problem = ""
        return service["host"], service["target"]


async def _serve(wire: Wire, name: str, listeners: list[tuple[socket.socket, Any]]) -> None:
    import asyncio  # noqa: PLC0415  cold start: it is there by now

    from prism.kit.network.byte_pipe import forward  # noqa: PLC0415  cold start: it brings asyncio
    from prism.kit.network.peer_credentials import PeerCheck, peers_known  # noqa: PLC0415  cold start: it brings `logging`
    from prism.kit.network.workspace_peers import workspaces_here  # noqa: PLC0415  cold start: it brings `ctypes`

    peers = PeerCheck(stranger=workspaces_here().of_a_workspace) if peers_known() else None
    try:
        for listener, service in listeners:
            if wire.address.url:  # it may be on another computer
                await _serve_by_daemon(wire, name, listener, service["port"], peers)
                continue
            port_forward = PortForward(wire, name, service["port"])
            await forward(listener, port_forward, peers.admits if peers else None)
        await asyncio.Event().wait()
    finally:
        if peers:
            peers.close()


async def _serve_by_daemon(
    wire: Wire, name: str, listener: socket.socket, port: int, peers: PeerCheck | None
) -> None:
    """Lead each connection of a listener through the daemon."""
    import asyncio  # noqa: PLC0415  cold start: it is there by now

    from prism.client.transport.byte_stream import carry, open_stream  # noqa: PLC0415  cold start: only here

    last_problem = ""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal last_problem
        try:
            if peers and not await peers.admits(writer.get_extra_info("socket")):
                return
            stream = await open_stream(wire, name, port)
            last_problem = ""
            await carry(stream, reader, writer)
        except Problem as problem:
            if problem.message != last_problem:  # a browser retries often
                complain(problem.message, problem.details, problem.remediation)
            last_problem = problem.message
        finally:
            writer.close()

    await asyncio.start_server(lead, sock=listener)


def _arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument(
        "ports",
        metavar="PORT",
        nargs="*",
        help="a port of the workspace, or LOCAL:PORT; default: those of its services",
    )


VERBS = {"tunnel": (_arguments, _tunnel)}
