"""Ports of a workspace, as a tunnel reaches them from outside of its network."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from prism.agent.machine.folder import read
from prism.agent.network.owned_ports import (
    LISTENING_ADDRESSES,
    V4,
    held_sockets,
    kernel_tables,
    listening_inodes,
)
from prism.agent.protocol import (
    NETWORK_SOCKET,
    PUBLISH,
    SOCKET_TABLES,
    ask_gateway,
    replace_file,
    stamp,
    supervisor_pid,
)
from prism.agent.system.processes import descendants

PUBLISHED = "published.json"
"""The ports of the server that lead to ports inside, for one network of the workspace."""


def reached_port(folder: Path, port: int) -> "dict[str, Any] | None":
    """Where a tunnel reaches a port, and what listens there; None if nothing of it does."""
    supervisor = supervisor_pid(str(folder))
    if not supervisor:
        return None
    network = str(folder / NETWORK_SOCKET)
    inside = _inside(network)
    tables = kernel_tables() if inside is None else inside
    for host, addresses in LISTENING_ADDRESSES.items():
        if not (inodes := set(listening_inodes(tables, addresses, port))):
            continue
        if inside is not None:
            number = _published(folder, network, port)
            return {"host": V4, "port": number, "listener": min(inodes)}
        pids = [entry.pid for entry in descendants(supervisor)]
        if inodes <= held_sockets(pids, inodes):
            return {"host": host, "port": port, "listener": min(inodes)}
        return None
    return None


def _inside(network: str) -> "str | None":
    """The kernel's tables of the workspace's own network; None if it has none."""
    try:
        descriptors = ask_gateway(network, SOCKET_TABLES)
    except FileNotFoundError:
        return None
    texts = []
    for number in descriptors:
        with os.fdopen(number, "rb") as table:
            texts.append(table.read().decode("ascii", "replace"))
    return "".join(texts)


def _published(folder: Path, network: str, port: int) -> int:
    """The port of the server that leads to a port inside, for our own user and root."""
    began = list(stamp(Path(network)) or ())
    known = read(folder / PUBLISHED)
    numbers = known.get("ports", {}) if known.get("began") == began else {}
    number = numbers.get(str(port))
    if number and listening_inodes(kernel_tables(), LISTENING_ADDRESSES[V4], number):
        return int(number)
    with socket.create_server((V4, 0), backlog=128) as listener:
        ask_gateway(network, PUBLISH + str(port).encode(), [listener.fileno()])
        number = int(listener.getsockname()[1])
    document = {"began": began, "ports": {**numbers, str(port): number}}
    replace_file(folder / PUBLISHED, json.dumps(document).encode())
    return number
