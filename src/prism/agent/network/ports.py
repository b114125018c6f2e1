"""Loopback ports: finds a free one, tests whether one answers, and whose it is."""

import errno
import os
import socket
import time
from collections.abc import Callable, Generator

from prism.agent.system.processes import LINUX, descendants

HOST = "127.0.0.1"
RETRY_ERRORS = {errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN, errno.EINTR}
LISTENING = "0A"
# The listening addresses, in the kernel's format, that a connection to `HOST` can reach.
LISTENING_ADDRESSES = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}


def free_port(preferred: int | None) -> int:
    """The preferred port if it is still free, else another."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port or 0))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(errno.EADDRINUSE, "no free port")


def answers(
    port: int,
    path: str | None,
    patience: float = 5,
    tcp_socket: Callable[[], socket.socket] = socket.socket,
) -> Generator[None, None, bool]:
    """Whether a port answers an HTTP GET of `path`, or without a path accepts a connection.

    `tcp_socket` makes a socket in the network that the port belongs to.
    """
    until = time.monotonic() + patience
    with tcp_socket() as client:
        client.setblocking(False)
        if not (yield from connects(client, port, until)):
            return False
        if path is None:
            return True
        ask = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
        received = b""
        try:
            client.send(ask.encode())
            while b"\r\n" not in received and time.monotonic() < until:
                yield
                try:
                    received += (chunk := client.recv(4096))
                except BlockingIOError:
                    continue
                if not chunk:
                    break
        except OSError:
            return False
    parts = received.split(None, 2)
    return len(parts) > 1 and parts[0].startswith(b"HTTP/") and parts[1][:1] in b"234"


def connects(client: socket.socket, port: int, until: float) -> Generator[None, None, bool]:
    """Connect a socket that hardly waits to a port; whether that succeeds in time."""
    code = client.connect_ex((HOST, port))
    while code in RETRY_ERRORS and time.monotonic() < until:
        yield
        code = client.connect_ex((HOST, port))
    return code in {0, errno.EISCONN}


def is_ours(port: int, uid: int | None = None) -> bool:
    """Whether all listeners on a port are descendants of this process, or of the programs' uid."""
    if not LINUX:
        return True
    if uid is not None:
        return {owner for _, owner in _listeners(port)} == {uid}
    sockets = {f"socket:[{inode}]" for inode, _ in _listeners(port)}
    foreign = set(sockets)
    for descendant in descendants(os.getpid()):
        try:
            for number in os.listdir(folder := f"/proc/{descendant.pid}/fd"):
                foreign.discard(os.readlink(f"{folder}/{number}"))
        except OSError:  # the process has just closed it, or ended
            continue
        if not foreign:
            break
    return bool(sockets) and not foreign


def _listeners(port: int) -> set[tuple[str, int]]:
    """The inode and the uid of each socket that listens on a port."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                rows = [line.split() for line in list(file)[1:]]
        except FileNotFoundError:
            continue
        sockets |= {
            (row[9], int(row[7]))
            for row in rows
            if row[3] == LISTENING
            and int(row[1].rpartition(":")[2], 16) == port
            and row[1].rpartition(":")[0] in LISTENING_ADDRESSES
        }
    return sockets
