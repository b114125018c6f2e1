"""Limits of connections before the caller is known.

A head is read before its token is known, so its size and its time are limited, and so is the
number of connections: of each peer, and of all. Only its owner can use the Unix socket; some
connections are reserved for it, so that the operator can connect when others use the rest.
"""

import resource
import socket
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from msgspec import Struct

from prism.kit.envelope import TooManyConnections
from prism.kit.network.peer_credentials import SocketDiagnostics

# In a scope: the function to call if the client may pause the answer, as for a download.
PATIENT = "prism_patient"
RESERVED_FILES = 64  # connections that only the Unix socket may take
FILES_EACH = 2  # a proxied connection takes two of the files that a process may open


class RequestLimits(Struct, frozen=True, kw_only=True):
    """The limits of a request's size and time."""

    head: int = 64 * 1024
    """Bytes of a head with its URL; also of the framing between pieces of a body."""
    head_timeout: float = 10.0
    """Seconds until a head, or the rest of a body after the answer, must be complete."""
    stall: float = 60.0
    """Seconds that an answer waits for a client that reads none of it."""
    connections: int = 4000
    per_peer: int = 2000
    turned_away: int = 64
    """Refused connections that may stay open for a moment, to read why."""


class ConnectionCounter:
    """Counts open connections."""

    def __init__(self, limits: RequestLimits) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = files // FILES_EACH if files > 0 else limits.connections
        self._most = max(1, min(limits.connections, most - RESERVED_FILES))
        self._per_peer = min(limits.per_peer, self._most)
        self._open: Counter[str] = Counter()
        self._all = 0

    def open(self, peer: str) -> None:
        """Count a connection; raises if there are too many. The empty peer is the Unix socket."""
        room = self._most + (0 if peer else RESERVED_FILES)
        if self._all >= room:
            raise TooManyConnections(
                details=f"all {room} are taken",
                remediation="Try again later; PRISM_CONNECTIONS says how many there may be",
            )
        if peer and self._open[peer] >= self._per_peer:
            raise TooManyConnections(
                f"There are too many connections of {peer}",
                details=f"it has {self._per_peer}",
                remediation="Close some; PRISM_CONNECTIONS_PER_PEER says how many there may be",
            )
        self._open[peer] += 1
        self._all += 1

    def close(self, peer: str) -> None:
        """Count a connection as ended."""
        self._all -= 1
        self._open[peer] -= 1
        if not self._open[peer]:
            del self._open[peer]


def peer_of(connection: Any, diagnosis: SocketDiagnostics | None = None) -> str:
    """The peer to count: a local user, an IPv4 address, an IPv6 /64; empty for the socket."""
    if connection.family == socket.AF_UNIX:
        return ""
    try:
        us, them = connection.getsockname()[:2], connection.getpeername()[:2]
        address = _ip(them[0])
    except (OSError, ValueError):
        return "nobody"  # it is gone already
    if address.is_loopback and diagnosis and (owner := diagnosis.owner(them, us)):
        return f"uid {owner.uid}"
    return _network(address)


def network_of(address: str) -> str:
    """The network to count an address of a client as: whoever has an IPv6 address has its /64."""
    try:
        return _network(_ip(address))
    except ValueError:
        return address


def _ip(text: str) -> IPv4Address | IPv6Address:
    """An address; as IPv4 if it is an IPv4 address in IPv6's form."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
