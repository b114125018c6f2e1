"""Finds which machine listens on a loopback port: only that machine's ports may be reached.

The kernel tells which sockets listen on a port, and which sockets each process holds. The programs
of a machine are the descendants of its supervisor. If a machine has its own network, only its
programs listen there.
"""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from prism.agent.network.owned_ports import (
    LISTENING_ADDRESSES,
    V4,
    V6,
    held_sockets,
    kernel_tables,
    listening_inodes,
)
from prism.agent.protocol import NETWORK_SOCKET, supervisor_pid
from prism.connections.ports import Address
from prism.kit.network.workspace_network import listeners
from prism.kit.network.workspace_peers import descendants
from prism.providers.local.folder import read_report


def address_of(folder: Path, port: int) -> Address | None:
    """The address of a port, if the machine in that folder listens there and nobody else."""
    supervisor = supervisor_pid(str(folder))
    if not supervisor:
        return None
    if sys.platform != "linux":
        return _address_by_psutil(supervisor, port)
    network = str(folder / NETWORK_SOCKET)
    if (tables := listeners(network)) is not None:
        return _address_in_own_network(network, tables, port)
    tables = kernel_tables()
    for host, locals_ in LISTENING_ADDRESSES.items():
        if inodes := listening_inodes(tables, locals_, port):
            if not _are_of_the_machine(folder, supervisor, inodes):
                return None
            return Address(host=host, port=port, listener=min(inodes))
    return None


def _address_in_own_network(network: str, tables: str, port: int) -> Address | None:
    """The address of a port in a network of one machine."""
    for host, locals_ in LISTENING_ADDRESSES.items():
        if inodes := listening_inodes(tables, locals_, port):
            return Address(host=host, port=port, listener=min(inodes), network=network)
    return None


def _are_of_the_machine(folder: Path, supervisor: int, owners: Mapping[str, int]) -> bool:
    """Whether these sockets are all of the machine's programs, which may have an own uid."""
    report = read_report(folder)
    if report and (uid := report.get("uid")) is not None:
        return set(owners.values()) == {uid}
    return set(owners) <= held_sockets(descendants({supervisor}), set(owners))


def _address_by_psutil(supervisor: int, port: int) -> Address | None:
    """`address_of` without `/proc`: psutil reads the connections of each program."""
    import psutil  # noqa: PLC0415  cold start: Linux never needs it

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(supervisor).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    listens = (
                        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                    )
                    if listens:
                        host = V6 if connection.laddr.ip == V6 else V4
                        return Address(
                            host=host, port=port, listener=f"{process.pid}/{connection.fd}"
                        )
    return None
