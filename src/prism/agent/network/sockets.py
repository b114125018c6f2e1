"""Counts the bytes of some processes' TCP connections, as the kernel reports them.

Any user may ask Linux over netlink. Listing all connections makes the kernel walk its whole table,
which takes longer than the rest of a sample; so that is done only if there are new sockets. A
known connection is asked for by its two ends, which is one lookup. UDP, and connections that
opened and closed between two samples, are not counted.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
ONE_SOCKET, DUMP = 0x1, 0x301  # NLM_F_REQUEST, alone and with NLM_F_ROOT | NLM_F_MATCH
NLMSG_DONE, ERROR, INFO = 3, 2, 2
LISTENS, TIME_WAIT = 10, 6
EVERY_STATE = 0xFFF & ~(1 << TIME_WAIT)  # states; in TIME_WAIT, a connection has no owner any more
NETLINK_HEADER = struct.Struct("=IHHII")
# Offsets in a whole message (a header and `inet_diag_msg`), and in `tcp_info`.
STATE, ENDS, INODE_AT, MESSAGE, CARRIED = 17, slice(20, 68), 84, 88, 120
INODE, UID_AND_INODE, UID_AT = struct.Struct("=I"), struct.Struct("=II"), 80
ENOUGH = 1 << 14  # bytes of one answer
KERNEL_TIMEOUT = 0.5
MAX_QUESTIONS_AT_ONCE = (
    64  # questions in one message; their answers fit into the buffer of a socket
)
UNIX = struct.Struct("=BBHIIIII")
ANY_COOKIE = 0xFFFFFFFF
ANY_INTERFACE_NO_COOKIE = b"\0" * 4 + b"\xff" * 8
MAPPED = b"\0" * 10 + b"\xff\xff"

ATTRIBUTE, BYTE_COUNTS = struct.Struct("=HH"), struct.Struct("=QQ")


class SocketHolder(NamedTuple):
    """The owner of a socket; the inode is 0 if no process has the socket open any more."""

    uid: int
    inode: int


def owner_of(
    kernel: socket.socket, local: tuple[str, int], remote: tuple[str, int]
) -> SocketHolder | None:
    """The owner of the TCP socket with these two ends, which are IPv4 addresses."""
    addresses = [socket.inet_aton(host) for host, _ in (local, remote)]
    ports = struct.pack("!HH", local[1], remote[1])
    ends = ports + b"".join(address.ljust(16, b"\0") for address in addresses)
    mapped = ports + b"".join(MAPPED + address for address in addresses)
    kernel.send(_question(socket.AF_INET, ONE_SOCKET, ends + ANY_INTERFACE_NO_COOKIE))
    answer = kernel.recv(ENOUGH)
    # If there is no such connection, the kernel may name a listener instead.
    if NETLINK_HEADER.unpack_from(answer)[1] == ERROR or answer[ENDS][: len(ends)] not in {
        ends,
        mapped,
    }:
        return None
    return SocketHolder(*UID_AND_INODE.unpack_from(answer, UID_AT))


class TcpConnections:
    """The connections of one machine, from one sample to the next."""

    def __init__(
        self,
        kernel: Callable[[], socket.socket] | None = None,
        uid: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`kernel` makes a netlink socket in the machine's network, if that is not ours.

        `uid` returns the uid of the machine's programs, if no others have it: its sockets are
        found by that, because root may lack the capability to look into other users' processes.
        """
        self._kernel, self._uid = kernel or diagnosis, uid
        self._known: dict[int, bytes] = {}  # the question for each, by inode
        self._others: set[int] = set()  # sockets without bytes to count: of UNIX, or listening

    def carried(self, pids: Iterable[int]) -> dict[int, int] | None:
        """The bytes so far of these processes, by inode; None if the kernel does not answer."""
        if (uid := self._uid()) is not None:
            return self._carried_of(uid)
        held = {inode for pid in pids for inode in _inodes_of(pid)}
        self._others &= held
        self._known = {inode: question for inode, question in self._known.items() if inode in held}
        if not held - self._others:
            return {}
        try:
            with self._kernel() as kernel:
                kernel.settimeout(KERNEL_TIMEOUT)
                counts = self._count_known(kernel)
                if new := held - self._others - self._known.keys():
                    counts |= self._count_new(kernel, new)
                return counts
        except (OSError, ValueError):
            return None

    def _carried_of(self, uid: int) -> dict[int, int] | None:
        """The bytes so far of all connections of a user."""
        counts: dict[int, int] = {}
        try:
            with self._kernel() as kernel:
                kernel.settimeout(KERNEL_TIMEOUT)
                for family in (socket.AF_INET, socket.AF_INET6):
                    kernel.send(_question(family, DUMP, bytes(48)))
                    for message in _connections(kernel):
                        owner, inode = UID_AND_INODE.unpack_from(message, UID_AT)
                        if owner == uid and message[STATE] != LISTENS:
                            counts[inode] = _byte_count(message)
        except (OSError, ValueError):
            return None
        return counts

    def _count_known(self, kernel: socket.socket) -> dict[int, int]:
        """Ask for each known connection, and forget those that have ended."""
        counts: dict[int, int] = {}
        questions = list(self._known.items())
        for start in range(0, len(questions), MAX_QUESTIONS_AT_ONCE):
            batch = questions[start : start + MAX_QUESTIONS_AT_ONCE]
            kernel.send(b"".join([question for _, question in batch]))
            for inode, _ in batch:
                answer = kernel.recv(ENOUGH)
                if NETLINK_HEADER.unpack_from(answer)[1] != ERROR and _inode(answer) == inode:
                    counts[inode] = _byte_count(answer)
                else:
                    del self._known[inode]
        return counts

    def _count_new(self, kernel: socket.socket, new: set[int]) -> dict[int, int]:
        """Find new sockets among all of this computer."""
        counts: dict[int, int] = {}
        for inode in [candidate for candidate in new if _is_unix(kernel, candidate)]:
            self._others.add(inode)
            new.discard(inode)
        for family in (socket.AF_INET, socket.AF_INET6) if new else ():
            kernel.send(_question(family, DUMP, bytes(48)))
            for message in _connections(kernel):
                if (inode := _inode(message)) not in new:
                    continue
                if message[STATE] == LISTENS:
                    self._others.add(inode)
                else:
                    self._known[inode] = _question(family, ONE_SOCKET, message[ENDS])
                    counts[inode] = _byte_count(message)
        return counts


def diagnosis() -> socket.socket:
    """A netlink socket for questions about the network of this process."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)


def _inodes_of(pid: int) -> Iterator[int]:
    """The sockets that a process has open."""
    try:
        folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it has just ended
        return
    try:
        for number in os.listdir(folder):
            try:  # `suppress` would take as long as the call
                link = os.readlink(number, dir_fd=folder)
            except OSError:  # it has just closed it
                continue
            if link.startswith("socket:["):
                yield int(link[8:-1])
    except OSError:
        return
    finally:
        os.close(folder)


def _question(family: int, how: int, ends: bytes) -> bytes:
    query = (
        struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (INFO - 1), 0, EVERY_STATE) + ends
    )
    return (
        NETLINK_HEADER.pack(NETLINK_HEADER.size + len(query), SOCK_DIAG_BY_FAMILY, how, 1, 0)
        + query
    )


def _is_unix(kernel: socket.socket, inode: int) -> bool:
    query = UNIX.pack(socket.AF_UNIX, 0, 0, ANY_COOKIE, inode, 0, ANY_COOKIE, ANY_COOKIE)
    kernel.send(
        NETLINK_HEADER.pack(
            NETLINK_HEADER.size + len(query), SOCK_DIAG_BY_FAMILY, ONE_SOCKET, 1, 0
        )
        + query
    )
    return next(_messages(kernel.recv(ENOUGH)))[0] != ERROR


def _connections(kernel: socket.socket) -> Iterator[bytes]:
    while True:
        for kind, message in _messages(kernel.recv(1 << 18)):
            if kind == NLMSG_DONE:
                return
            if kind == ERROR:
                raise OSError("the kernel does not list the connections")
            yield message


def _messages(packet: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(packet):
        length, kind, *_ = NETLINK_HEADER.unpack_from(packet, at)
        yield kind, packet[at : at + length]
        at += (length + 3) & ~3


def _inode(message: bytes) -> int:
    return int(INODE.unpack_from(message, INODE_AT)[0])


def _byte_count(message: bytes) -> int:
    at, end = MESSAGE, len(message)
    while at + 4 <= end:
        length, kind = ATTRIBUTE.unpack_from(message, at)
        if kind == INFO:
            if length - 4 < CARRIED + 16:
                raise ValueError("the kernel is too old to count the bytes of connections")
            sent, received = BYTE_COUNTS.unpack_from(message, at + 4 + CARRIED)
            return int(sent + received)
        at += (length + 3) & ~3 or 4
    return 0
