"""The user at the other end of a connection, determined when it is accepted.

Any user of this machine can connect to loopback, and their programs can forge every
header. The kernel knows both ends of a loopback connection, each with the uid and the
inode of its socket. We ask for the other end (our own with local and remote swapped). If
there is no such socket, or it has no inode (it is closed already, and its uid then reads
0), the connection is refused.

`/proc/net/tcp` lists all sockets and takes milliseconds to read when there are many; the
kernel's socket diagnosis answers for one in microseconds. The tables are used only if it
finds nothing or is not available.
"""

import asyncio
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)
TCP_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ROOT = 0
SOCK_DIAG, DIAG_BY_FAMILY, NLM_F_REQUEST, TCP_ALL_STATES = 4, 20, 1, 0xFFFFFFFF
HEADER, QUESTION = struct.Struct("=IHHII"), struct.Struct("=BBBBI")
SOCKET_ID, DIAG_ANSWER = struct.Struct("!HH16s16s"), struct.Struct("=BBBB48sIIIII")
ANY_INTERFACE_NO_COOKIE = b"\0" * 4 + b"\xff" * 8
Address = tuple[str, int]
SEARCHES = 4  # at once, each in a thread
SEARCH_SECONDS = 10.0


class SocketOwner(NamedTuple):
    """The owner of a socket; inode 0 means that it is closed."""

    uid: int
    inode: int


class PeerCheck:
    """Decides which users may connect: the daemon's own and root."""

    def __init__(
        self, uid: int | None = None, stranger: Callable[[int], bool] | None = None
    ) -> None:
        """`stranger` may refuse the socket with that inode, such as a workspace's."""
        self._uids = {os.geteuid() if uid is None else uid, ROOT}
        self._stranger = stranger
        self._diagnosis = SocketDiagnostics()
        self._searches: ThreadPoolExecutor | None = None

    async def admits(self, connection: Any) -> bool:
        """Whether an accepted connection (of TCP or of a Unix socket) may stay."""
        verdict = self.judge(connection)
        return verdict if isinstance(verdict, bool) else await self.admitted(verdict)

    async def admitted(self, owner: SocketOwner) -> bool:
        """Whether the owner of a socket may stay connected, if that needs a search.

        The search reads the descriptors of other processes, which may have opened very many. It
        does not block the event loop.
        """
        loop = asyncio.get_running_loop()
        if self._searches is None:
            self._searches = ThreadPoolExecutor(SEARCHES, thread_name_prefix="peers")
        search = loop.run_in_executor(self._searches, self._is_strange, owner.inode)
        try:
            return not await asyncio.wait_for(search, SEARCH_SECONDS)
        except TimeoutError:
            log.warning("refused a connection: its process was not found in time")
            return False
        except OSError as error:  # such as too many open files; nobody else ends the connection
            log.warning("refused a connection: its process cannot be searched for: %s", error)
            return False

    def judge(self, connection: Any) -> "bool | SocketOwner":
        """Whether an accepted connection may stay; its owner if that needs a search."""
        try:
            if connection.family == socket.AF_UNIX:
                return caller(connection) in self._uids
            us, them = connection.getsockname()[:2], connection.getpeername()[:2]
        except OSError:
            return False  # it is gone already
        owner = self._diagnosis.owner(them, us) or owner_in(_tables(), them, us)
        if owner is None or owner.inode == 0 or owner.uid not in self._uids:
            log.warning("refused a connection of %s", f"uid {owner.uid}" if owner else "nobody")
            return False
        # Only a process with the daemon's own uid can be a workspace of the daemon.
        return owner if owner.uid == os.geteuid() and self._stranger is not None else True

    def _is_strange(self, inode: int) -> bool:
        if self._stranger is None or not self._stranger(inode):
            return False
        log.warning("refused a connection of a workspace, or of nobody to be seen")
        return True

    def close(self) -> None:
        """Close the diagnosis socket, and begin no more searches."""
        self._diagnosis.close()
        if self._searches is not None:
            self._searches.shutdown(wait=False, cancel_futures=True)


class SocketDiagnostics:
    """Asks the kernel about one TCP socket."""

    def __init__(self) -> None:
        self._sequence = 0
        self._kernel: socket.socket | None = None
        try:
            self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG)
            self._kernel.settimeout(1)
        except (AttributeError, OSError):
            log.info("this kernel does not diagnose sockets; its tables will do")

    def owner(self, local: Address, remote: Address) -> SocketOwner | None:
        """The owner of the socket with these two ends, if the kernel knows it."""
        if self._kernel is None:
            return None
        self._sequence += 1
        local_ip, remote_ip = ip_address(local[0]), ip_address(remote[0])
        family = socket.AF_INET if local_ip.version == 4 else socket.AF_INET6
        ends = SOCKET_ID.pack(local[1], remote[1], _padded(local_ip), _padded(remote_ip))
        question = QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, TCP_ALL_STATES)
        question += ends + ANY_INTERFACE_NO_COOKIE
        size = HEADER.size + len(question)
        try:
            head = HEADER.pack(size, DIAG_BY_FAMILY, NLM_F_REQUEST, self._sequence, 0)
            self._kernel.send(head + question)
            answer = self._kernel.recv(4096)
        except OSError:
            return None
        _, kind, _, sequence, _ = HEADER.unpack_from(answer)
        if kind != DIAG_BY_FAMILY or sequence != self._sequence:
            return None
        *_, id, _, _, _, uid, inode = DIAG_ANSWER.unpack_from(answer, HEADER.size)
        # Without such a connection the kernel may return a listener instead.
        mapped = SOCKET_ID.pack(local[1], remote[1], _mapped(local_ip), _mapped(remote_ip))
        return SocketOwner(uid, inode) if id[: SOCKET_ID.size] in {ends, mapped} else None

    def close(self) -> None:
        """Close the socket; later questions return None."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


def owner_in(tables: Iterable[str], local: Address, remote: Address) -> SocketOwner | None:
    """The owner of the socket with these two ends, from the kernel's tables."""
    local_ip, remote_ip = ip_address(local[0]), ip_address(remote[0])
    pairs = {
        f" {_table_form(form(local_ip), local[1])} {_table_form(form(remote_ip), remote[1])} "
        for form in (lambda address: address.packed, _mapped)
    }
    rows = [
        row.split()
        for table in tables
        if any(ends in table for ends in pairs)
        for row in table.splitlines()
        if any(ends in row for ends in pairs)
    ]
    owners = [SocketOwner(uid=int(row[7]), inode=int(row[9])) for row in rows]
    return max(owners, key=lambda owner: owner.inode, default=None)


def caller(connection: Any) -> int:
    """The uid of the process that connected to a Unix socket."""
    pid_uid_gid = struct.Struct("=3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, pid_uid_gid.size)
    return int(pid_uid_gid.unpack(raw)[1])


def peers_known() -> bool:
    """Whether this system can name the user at the other end."""
    return sys.platform == "linux"


def _tables() -> Iterable[str]:
    for table in TCP_TABLES:
        try:
            yield table.read_text()
        except OSError:
            continue  # without IPv6 there is no table


def _padded(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed.ljust(16, b"\0")


def _mapped(address: IPv4Address | IPv6Address) -> bytes:
    """An address in the form of a socket for both families; the short form of an IPv6 address."""
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.ipv4_mapped.packed if address.ipv4_mapped else address.packed


def _table_form(packed: bytes, port: int) -> str:
    """An address in the form of the tables: words in this machine's byte order, hexadecimal."""
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
