"""How many bytes the TCP connections of some processes have carried, asked of the kernel.

Linux tells over netlink, to anybody. What went over UDP, or over a connection that was
opened and closed between two looks, is not in it.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
DONE, ERROR, INFO = 3, 2, 2
STATES = 0xFFF & ~(1 << 10) & ~(1 << 6)  # all but listening and waiting to be forgotten
HEAD, MESSAGE = struct.Struct("=IHHII"), 72
INODE, INODE_AT, CARRIED = (
    struct.Struct("=I"),
    68,
    120,
)  # where they stand in inet_diag_msg and tcp_info
PATIENCE = 0.5


def carried(pids: Iterable[int]) -> dict[int, int] | None:
    """Bytes so far, by socket, of the connections that these hold; none where nobody says."""
    mine = {inode for pid in pids for inode in _held(pid)}
    if not mine:
        return {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(PATIENCE)
            found: dict[int, int] = {}
            for family in (socket.AF_INET, socket.AF_INET6):
                found.update(_asked(kernel, family, mine))
            return found
    except (OSError, ValueError):
        return None


def _held(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):  # it has just ended
        for number in os.listdir(folder):
            with contextlib.suppress(OSError):  # it has just closed it
                link = os.readlink(f"{folder}/{number}")
                if link.startswith("socket:["):
                    yield int(link[8:-1])


def _asked(kernel: socket.socket, family: int, mine: set[int]) -> Iterator[tuple[int, int]]:
    """The inode and bytes of each connection that is ours."""
    what = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 1 << (INFO - 1), 0, STATES)
    kernel.send(HEAD.pack(HEAD.size + len(what), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + what)
    while True:
        said, at = kernel.recv(1 << 18), 0
        while at < len(said):
            length, kind, *_ = HEAD.unpack_from(said, at)
            if kind == DONE:
                return
            if kind == ERROR:
                raise OSError("the kernel does not tell")
            (inode,) = INODE.unpack_from(said, at + HEAD.size + INODE_AT)
            if inode in mine:
                yield inode, _bytes(said[at + HEAD.size : at + length])
            at += (length + 3) & ~3


def _bytes(message: bytes) -> int:
    at = MESSAGE
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == INFO:
            if length - 4 < CARRIED + 16:
                raise ValueError("an old kernel, which does not count")
            sent, received = struct.unpack_from("=QQ", message, at + 4 + CARRIED)
            return int(sent + received)
        at += max((length + 3) & ~3, 4)
    return 0
