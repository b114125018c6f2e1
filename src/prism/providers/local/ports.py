"""Whose a loopback port is: a machine's own programs listen there, or nobody may go there.

The kernel says which sockets listen on a port, and each process which sockets it holds;
all that came of a machine's supervisor are its own programs. In a network of a machine's own
nobody else listens.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from prism.agent.protocol import NETWORK_SOCKET
from prism.connections.ports import Spot
from prism.kit.workspace_network import listeners
from prism.providers.local.folder import holder

V4, V6 = "127.0.0.1", "::1"
# Local addresses as the kernel writes them, by which address of ours reaches them.
REACHED = {
    V4: ("0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"),
    V6: ("00000000000000000000000001000000", "0" * 32),
}
LISTENS = r":\s({}):{:04X}\s0+:0000\s0A\s(?:\S+\s+){{3}}\s*\d+\s+\d+\s+(\d+)\s"
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def spot(folder: Path, port: int) -> Spot | None:
    """Where that port is, if the machine in that folder listens there and nobody else does."""
    supervisor = holder(str(folder))
    if not supervisor:
        return None
    if sys.platform != "linux":
        return _asked_each(supervisor, port)
    network = str(folder / NETWORK_SOCKET)
    if (tables := listeners(network)) is not None:
        return _in_its_own(network, tables, port)
    tables = _tables()
    for host, locals_ in REACHED.items():
        if inodes := _listeners(tables, locals_, port):
            if not inodes <= _sockets(supervisor, inodes):
                return None
            return Spot(host=host, port=port, listener=min(inodes))
    return None


def _in_its_own(network: str, tables: str, port: int) -> Spot | None:
    """Where that port is in a network in which only one machine is."""
    for host, locals_ in REACHED.items():
        if inodes := _listeners(tables, locals_, port):
            return Spot(host=host, port=port, listener=min(inodes), network=network)
    return None


def _tables() -> str:
    said = []
    for table in TABLES:
        with contextlib.suppress(FileNotFoundError), open(table) as file:
            said.append(file.read())
    return "".join(said)


def _listeners(tables: str, locals_: tuple[str, ...], port: int) -> set[str]:
    """The inodes of the sockets that listen on a port, on one of these addresses."""
    row = re.compile(LISTENS.format("|".join(locals_), port))
    return {match[2] for match in row.finditer(tables)}


def _sockets(supervisor: int, wanted: set[str]) -> set[str]:
    """Which of these sockets programs of that supervisor's hold."""
    found: set[str] = set()
    for pid in _family(supervisor):
        with contextlib.suppress(OSError):  # it has just ended
            for number in os.listdir(held := f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):  # it has just closed it
                    link = os.readlink(f"{held}/{number}")
                    if link.startswith("socket:[") and link[8:-1] in wanted:
                        found.add(link[8:-1])
        if found >= wanted:
            break
    return found


def _family(supervisor: int) -> Iterator[int]:
    """All that came of it: it is the reaper, so an orphan of its own is still its child."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                said = file.read()
                parent = int(said[said.rindex(b")") + 2 :].split()[1])
                parents.setdefault(parent, []).append(int(name))
    queue = [supervisor]
    while queue:
        children = parents.get(queue.pop(0), [])
        yield from children
        queue += children


def _asked_each(supervisor: int, port: int) -> Spot | None:
    """The same, where there is no `/proc`: each program is asked for its connections."""
    import psutil  # noqa: PLC0415  cold start: Linux never needs it

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(supervisor).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    here = (
                        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                    )
                    if here:
                        host = V6 if connection.laddr.ip == V6 else V4
                        return Spot(
                            host=host, port=port, listener=f"{process.pid}/{connection.fd}"
                        )
    return None
