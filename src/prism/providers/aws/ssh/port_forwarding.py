"""Ports of machines in the cloud, reached through their SSH connections.

Nothing but SSH is open to the world. What listens on a machine's own loopback is asked of
its kernel, once a second at most, and what does is dialled through the connection.
"""

import re
import threading
import time

from msgspec import Struct

from prism.connections.ports import Spot
from prism.providers.aws.ssh.forwards import HERE, Forwards, ForwardTarget
from prism.providers.aws.ssh.pool import SshPool

FRESH = 1.0  # seconds that an answer of a machine is cached
V4, V6 = "127.0.0.1", "::1"
# Local addresses as the kernel writes them, by which address of the machine's reaches them.
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
    """A socket of a machine that listens: where it is dialled there, and which one it is."""

    host: str
    name: str


class AwsReach:
    """Implements `connections.ports.Reach`."""

    def __init__(self, pool: SshPool, forwards: Forwards) -> None:
        self._pool, self._forwards = pool, forwards
        self._known: dict[str, tuple[float, dict[int, ListeningSocket]]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def spot(self, id: str, port: int) -> Spot | None:
        """Where a port is dialled on this computer, if something of the machine listens there."""
        if (there := self.listeners(id).get(port)) is None:
            return None
        here = self._forwards.port(ForwardTarget(id, there.host, port))
        return Spot(host=HERE, port=here, listener=f"{id} {there.name}")

    def listeners(self, id: str) -> dict[int, ListeningSocket]:
        """What listens on a machine now, by its port; raises where it cannot be asked."""
        with self._locks.setdefault(id, threading.Lock()):
            known = self._known.get(id)
            if known and time.monotonic() - known[0] < FRESH:
                return known[1]
            text = self._pool.run(id, ASK).out.decode("ascii", "replace")
            found = listening(text)
            self._known[id] = time.monotonic(), found
            return found

    def forget(self, id: str) -> None:
        """That machine is not on any more."""
        self._known.pop(id, None)
        self._locks.pop(id, None)


def listening(text: str) -> dict[int, ListeningSocket]:
    """What the kernel's tables say, behind the name of the boot; IPv4 wins where both are."""
    boot, _, rows = text.partition("\n")
    found: dict[int, ListeningSocket] = {}
    for address, port, inode in ROW.findall(rows):
        host, number = REACHED.get(address), int(port, 16)
        better = number not in found or (host == V4 and found[number].host != V4)
        if host is not None and better:
            found[number] = ListeningSocket(host, f"{boot[:8]}/{inode}")
    return found
