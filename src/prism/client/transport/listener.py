"""Asks the kernel which user listens on a loopback address, before a token is sent there.

While the daemon is down, another user of the computer can listen on its port, and would get the
token of every client. Only Linux tells; elsewhere nothing is checked.
"""

from __future__ import annotations

import os
import socket
import sys

from prism.annotations import Iterable
from prism.client.transport.trust import ROOT, DaemonNotTrusted

ESTABLISHED, LISTEN = "01", "0A"
SOCKET_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
ANY_ADDRESSES = ("00000000", "0" * 32)
MAPPED = "0000000000000000FFFF0000"  # an IPv4 address in the table of IPv6


def check_listener(connection: socket.socket, user: str) -> None:
    """Refuse a loopback listener of another user; `user` is whom the daemon runs as, if known."""
    peer = connection.getpeername()
    if sys.platform != "linux" or not _is_loopback(peer[0]):
        return
    server, client = coded(peer), coded(connection.getsockname())
    trusted = {os.geteuid(), ROOT, *user_ids(user)}
    uids = _server_uids(server, client)
    if uids and uids <= trusted:
        return
    strangers = ", ".join(f"uid {uid}" for uid in sorted(uids - trusted)) or "nobody any more"
    raise DaemonNotTrusted(
        f"What listens on port {peer[1]} of this computer may not be your daemon",
        details=f"it is {strangers}, and would get your token",
        remediation="If the daemon runs as that user, set PRISM_DAEMON_USER to the user's name",
    )


def _server_uids(server: str, client: str) -> set[int]:
    """The users who have, or can accept, the other end of this connection."""
    for _ in range(2):  # again, as it may be accepted while the listeners are read
        rows = list(_rows())
        if accepted := socket_owners(server, client, rows):
            return accepted
        _, port = server.split(":")
        addresses = {server, *(f"{address}:{port}" for address in ANY_ADDRESSES)}
        listening = {
            uid for state, local, _, uid, _ in rows if state == LISTEN and local in addresses
        }
    return listening


def socket_owners(
    local: str, remote: str, rows: Iterable[tuple[str, str, str, int, int]] | None = None
) -> set[int]:
    """The users who have this end of an open connection."""
    return {
        uid
        for state, own, other, uid, inode in (_rows() if rows is None else rows)
        if state == ESTABLISHED and (own, other) == (local, remote) and inode
    }


def _rows() -> list[tuple[str, str, str, int, int]]:
    """The state, local and remote address, user and inode of each TCP socket."""
    rows = []
    for table in SOCKET_TABLES:
        try:
            with open(table, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            local, remote = (word.removeprefix(MAPPED) for word in words[1:3])
            rows.append((words[3], local, remote, int(words[7]), int(words[9])))
    return rows


def coded(address: tuple[str, int]) -> str:
    """An address as the kernel's tables have it: words in the order of the processor's bytes."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    packed = socket.inet_pton(family, address[0])
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    coded = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    return f"{coded.removeprefix(MAPPED)}:{address[1]:04X}"


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


def user_ids(user: str) -> list[int]:
    """The uid of a user's name or number; none if it is unknown."""
    if not user:
        return []
    if user.isdecimal():
        return [int(user)]
    import pwd  # noqa: PLC0415  cold start: only for this setting

    try:
        return [pwd.getpwnam(user).pw_uid]
    except KeyError:
        return []
