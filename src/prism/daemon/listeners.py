"""The sockets that a daemon listens on, open to this computer only.

`localhost` has two addresses. The daemon listens on both if there is IPv6, because another user of
this machine could listen on the other one. Only its owner may open the Unix socket and enter its
folder.
"""

import errno
import os
import socket
import stat
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prism.errors import Conflict, Invalid
from prism.settings import is_loopback

LOOPBACK_HOSTS = ("127.0.0.1", "::1")
BACKLOG = 1024
PORT_ATTEMPTS = 20  # to find a port that is free on every address
NEIGHBOURS = 100  # ports after the usual one; the system gives none of them to other programs
NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL}


class PortTaken(Conflict, code="PORT_TAKEN"):
    """Another program listens on that port."""


class AddressInvalid(Invalid, code="ADDRESS_INVALID"):
    """Prism cannot listen on that address."""


class SocketUnsafe(Conflict, code="SOCKET_UNSAFE"):
    """The folder of the Unix socket belongs to another user."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The open sockets; clients can connect before the daemon is ready, and wait."""

    sockets: list[socket.socket]
    port: int
    unix: Path
    tls: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        """Remove the Unix socket's file and close all sockets."""
        self.unix.unlink(missing_ok=True)
        for listener in (*self.sockets, *self.tls):
            listener.close()


def open_listeners(
    host: str, port: int, unix: Path, *, beyond: bool = False, tls_port: int = 0
) -> Listeners:
    """Listen; port 0 takes a free one. `beyond` allows addresses beyond this machine.

    With a `tls_port`, the daemon speaks TLS at `host` there, and without TLS to this machine only.
    """
    if not (beyond or is_loopback(host)):
        raise AddressInvalid(
            f"Prism does not listen on {host}, which other computers can reach",
            details="everybody who can reach the address could use the daemon",
            remediation="That needs both PRISM_AUTH=tokens and PRISM_PUBLIC_URL",
        )
    with ExitStack() as undo:
        sockets = _tcp(LOOPBACK_HOSTS if tls_port else addresses(host), port)
        for listener in sockets:
            undo.callback(listener.close)
        tls = _tcp(addresses(host), tls_port) if tls_port else []
        for listener in tls:
            undo.callback(listener.close)
        sockets.append(_unix(unix))
        undo.pop_all()
    return Listeners(sockets, sockets[0].getsockname()[1], unix, tls)


def open_default(host: str, port: int, unix: Path) -> Listeners:
    """Listen on this port of the default, else on the first free one after it, else on any."""
    for candidate in (*range(port, min(port + NEIGHBOURS, 65536)), 0):
        try:
            return open_listeners(host, candidate, unix)
        except PortTaken:
            if candidate == 0:
                raise
    raise AssertionError("port 0 was tried last")


def addresses(host: str) -> tuple[str, ...]:
    """The addresses to listen on for a host; always all of `localhost`."""
    if is_loopback(host):
        return LOOPBACK_HOSTS
    if host == "::":
        return ("::", "0.0.0.0")
    if host == "0.0.0.0":
        return ("0.0.0.0", "::1")
    return (host, *LOOPBACK_HOSTS)


def _tcp(hosts: tuple[str, ...], port: int) -> list[socket.socket]:
    for left in reversed(range(PORT_ATTEMPTS if port == 0 else 1)):
        with ExitStack() as undo:
            listeners: list[socket.socket] = []
            try:
                for host in hosts:
                    same = listeners[0].getsockname()[1] if listeners else port
                    if listener := _listening(host, same):
                        undo.callback(listener.close)
                        listeners.append(listener)
            except PortTaken:
                if not left:
                    raise
                continue
            undo.pop_all()
            return listeners
    raise PortTaken("No port is free on every address")


def _listening(host: str, port: int) -> socket.socket | None:
    """A listening socket; None where this machine has no IPv6."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host.strip("[]"), port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno in NO_SUCH_ADDRESS and host == "::1":
            return None
        raise _refused(host, port, error) from error
    # Accepted sockets inherit it; without it, an answer in two pieces waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if host in LOOPBACK_HOSTS and sys.platform == "linux":
        with suppress(OSError):
            # BBR, the default of many servers, paces packets, which only slows down loopback.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    return listener


def _refused(host: str, port: int, error: OSError) -> PortTaken | AddressInvalid:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"Port {port} is taken",
            details=f"another program listens on {host}",
            remediation="Stop it, or choose another port with PRISM_PORT; 0 finds a free one",
        )
    return AddressInvalid(
        f"Cannot listen on {host}, port {port}",
        details=os.strerror(error.errno or 0),
        remediation="Choose another with PRISM_HOST and PRISM_PORT",
    )


def _unix(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.parent.lstat()
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
        raise SocketUnsafe(
            f"{path.parent} is not yours",
            details="its owner could answer in Prism's place",
            remediation="Remove it, or choose a shorter PRISM_HOME",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SocketUnsafe(
            f"Others may write to {path.parent}",
            details="so one of them could answer in Prism's place",
            remediation=f"`chmod go-w {path.parent}`",
        )
    path.unlink(missing_ok=True)  # we hold the home's lock, so it is from a daemon that has ended
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # 0600 from the first moment on, not after a chmod
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener
