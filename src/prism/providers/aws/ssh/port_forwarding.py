"""Ports of machines in the cloud, reached through their SSH connections.

Machines accept SSH only. Prism reads the listening sockets from the machine's kernel, at most once
a second.
"""

import re
import threading
import time

from msgspec import Struct

from prism.connections.ports import Address
from prism.providers.aws.ssh.pool import SshPool
from prism.providers.tunnels.forwards import LOOPBACK_HOST, Forwards, ForwardTarget

FRESH = 1.0  # seconds for which a machine's answer is cached
V4, V6 = "127.0.0.1", "::1"
# Local addresses in the kernel's format, and the address at which the machine reaches each.
REACHED = {
    "0100007F": V4,
    "00000000": V4,
    "0000000000000000FFFF00000100007F": V4,
    "00000000000000000000000001000000": V6,
    "0" * 32: V6,
}
ASK = "cat /proc/sys/kernel/random/boot_id; grep -hs ' 0A ' /proc/net/tcp /proc/net/tcp6; true"
ROW = re.compile(r":\s([0-9A-F]+):([0-9A-F]{4})\s0+:0000\s0A\s(?:\S+\s+){3}\s*\d+\s+\d+\s+(\d+)\s")


class ListeningSocket(Struct, frozen=True):
    """A listening socket of a machine: the address to connect to, and its identity."""

    host: str
    name: str


class AwsPortFinder:
    """Implements `connections.ports.PortFinder`."""

    def __init__(self, pool: SshPool, forwards: Forwards) -> None:
        self._pool, self._forwards = pool, forwards
        self._known: dict[str, tuple[float, dict[int, ListeningSocket]]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def address_of(self, id: str, port: int) -> Address | None:
        """The local address that is forwarded to a port; None if nothing listens on the port."""
        if (listener := self.listeners(id).get(port)) is None:
            return None
        local_port = self._forwards.port(ForwardTarget(id, listener.host, port))
        return Address(host=LOOPBACK_HOST, port=local_port, listener=f"{id} {listener.name}")

    def listeners(self, id: str) -> dict[int, ListeningSocket]:
        """The listening sockets of a machine, by port; raises if it cannot be asked."""
        with self._locks.setdefault(id, threading.Lock()):
            known = self._known.get(id)
            if known and time.monotonic() - known[0] < FRESH:
                return known[1]
            text = self._pool.run(id, ASK).out.decode("ascii", "replace")
            listeners = listening(text)
            self._known[id] = time.monotonic(), listeners
            return listeners

    def forget(self, id: str) -> None:
        """Forget a machine that is off."""
        self._known.pop(id, None)
        self._locks.pop(id, None)


def listening(text: str) -> dict[int, ListeningSocket]:
    """Listening sockets in the kernel's tables, which follow the boot's id; IPv4 is preferred."""
    boot, _, rows = text.partition("\n")
    sockets: dict[int, ListeningSocket] = {}
    for address, port, inode in ROW.findall(rows):
        host, number = REACHED.get(address), int(port, 16)
        better = number not in sockets or (host == V4 and sockets[number].host != V4)
        if host is not None and better:
            sockets[number] = ListeningSocket(host, f"{boot[:8]}/{inode}")
    return sockets
