"""The process through which this computer reaches a workspace's network namespace.

It is a fork of the supervisor that runs in the namespace, but outside of the sandbox. Over a Unix
socket in the workspace's folder, which only the daemon's user can reach, it passes new TCP sockets
of the namespace, with which the daemon connects to ports of the workspace. On published ports of
this computer it accepts the same user and root, and forwards their connections.
"""

import fcntl
import gc
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from prism.agent.network import packet_filter
from prism.agent.network.foreign_requests import REFUSAL, head_of, is_foreign
from prism.agent.network.sockets import NETLINK_SOCK_DIAG, owner_of
from prism.agent.protocol import PUBLISH, SOCKET_TABLES, TCP_SOCKET, socket_address
from prism.agent.system import syscalls
from prism.agent.system.kernel_limits import limit_this_namespace
from prism.agent.system.process_title import set_title
from prism.agent.system.processes import PR_SET_PDEATHSIG, prctl

DIAGNOSIS = b"d"  # a request that only its supervisor sends
SUPERVISOR_TIMEOUT, DIAL, KERNEL_TIMEOUT = 20.0, 5.0, 1.0
REST_SECONDS, START_DELAY = 10, 1.0  # without a request; after a failure
MAX_MESSAGE_BYTES, COPY_CHUNK, CALLERS, LISTEN_BACKLOG = 16, 1 << 18, 512, 128
PR_SET_DUMPABLE = 4
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
LOOPBACK_ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
TITLE = "prism-network"


class Gateway:
    """The supervisor's access to a network namespace.

    Its process ends when nobody has used it for a while, and starts again at the next use: then
    the supervisor calls `start` if one of `sources` is readable. The supervisor itself keeps the
    namespaces and all sockets on which others connect, so nothing is lost meanwhile.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        user: int | None,
        filter: bytes,
        counters: Mapping[str, int],
    ) -> None:
        """Make namespaces and process, for our user or another; raises `OSError` if refused.

        `filter` are the messages of `packet_filter.py`, `counters` the limits of the user
        namespace (`kernel_limits.py`).
        """
        self.unfiltered = ""
        """Why its packets are not filtered; empty if they are."""
        self.pid = 0
        """The process; 0 while it rests."""
        self._user, self._title = user, f"{TITLE}\0{folder}".encode()
        self._next_start = 0.0  # later if the last start has failed
        self._published: list[tuple[socket.socket, int]] = []
        self.user_namespace = self.network_namespace = -1
        self._listener = _listen(folder, name)
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self._supervisor: socket.socket | None = None
        try:
            channel = self._fork(_NewNetwork(user, filter, counters))
            self._map_user(channel, os.getuid() if user is None else user, user is None)
            self.user_namespace = self._open_namespace("user")
            self.network_namespace = self._open_namespace("net")
        except OSError:
            self.close()
            raise

    @property
    def sources(self) -> set[int]:
        """The sockets at which its next user is seen; empty while the process runs."""
        if self.pid or self.network_namespace < 0 or time.monotonic() < self._next_start:
            return set()
        return {self._listener.fileno(), *(listener.fileno() for listener, _ in self._published)}

    def start(self) -> None:
        """Start the process if it rests; raises `OSError`."""
        if self.pid:
            return
        self._next_start = time.monotonic() + START_DELAY
        namespaces = _KnownNetwork(self._user, self.user_namespace, self.network_namespace)
        channel = self._fork(namespaces)
        channel.settimeout(SUPERVISOR_TIMEOUT)
        try:
            _expect_ok(channel)
            self._next_start = 0.0
        except OSError:
            self._end()
            raise

    def reaped(self) -> None:
        """Note that the process has ended."""
        self.pid = 0
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    def ask(self, request: bytes, seconds: float) -> socket.socket:
        """A new socket of the namespace."""
        fds = self._exchange(request, [], seconds)
        if not fds:
            raise OSError("the workspace's network has ended")
        os.set_inheritable(fds[0], False)
        return socket.socket(fileno=fds[0])

    def publish(self, listener: socket.socket, port: int, seconds: float) -> None:
        """Forward connections to a listener of this computer to a port inside."""
        self._exchange(PUBLISH + str(port).encode(), [listener.fileno()], seconds)
        self._published.append((listener, port))

    def close(self) -> None:
        """End the process, and leave the namespaces."""
        for namespace in (self.user_namespace, self.network_namespace):
            if namespace >= 0:
                os.close(namespace)
        self.user_namespace = self.network_namespace = -1
        for end in (self._listener, self._kernel, *(end for end, _ in self._published)):
            end.close()
        self._published = []
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _exchange(self, request: bytes, fds: list[int], seconds: float) -> list[int]:
        for _ in range(2):  # it may end right now, because nobody has used it
            self.start()
            assert self._supervisor is not None
            self._supervisor.settimeout(seconds)
            with suppress(ConnectionError):
                socket.send_fds(self._supervisor, [request], fds)
                answer, received, _, _ = socket.recv_fds(self._supervisor, MAX_MESSAGE_BYTES, 1)
                if answer:
                    return received
            self._end()
        raise OSError("the workspace's network has ended")

    def _end(self) -> None:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.reaped()

    def _fork(self, network: "_NewNetwork | _KnownNetwork") -> socket.socket:
        self._supervisor, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            admitted = {0, os.geteuid()}
            self.pid = os.fork()
            if not self.pid:
                sockets = _Sockets(theirs, self._listener, self._kernel, self._published)
                _main(sockets, network, admitted, self._title)
        return self._supervisor

    def _map_user(self, channel: socket.socket, user: int, is_ours: bool) -> None:
        group = os.getgid() if is_ours else user
        channel.settimeout(SUPERVISOR_TIMEOUT)
        _expect_ok(channel)
        Path(f"/proc/{self.pid}/uid_map").write_text(f"{user} {user} 1")
        Path(f"/proc/{self.pid}/gid_map").write_text(f"{group} {group} 1")
        channel.send(b"named")
        _expect_ok(channel)
        self.unfiltered = channel.recv(4096).decode(errors="replace").strip()

    def _open_namespace(self, kind: str) -> int:
        return os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _expect_ok(channel: socket.socket) -> None:
    answer = channel.recv(4096)
    if answer != b"ok":
        raise OSError(answer.decode(errors="replace") or "its process ended")


class _Sockets:
    """The inherited sockets that the gateway's process keeps."""

    def __init__(
        self,
        supervisor: socket.socket,
        listener: socket.socket,
        kernel: socket.socket,
        published: list[tuple[socket.socket, int]],
    ) -> None:
        self.supervisor, self.listener, self.kernel = supervisor, listener, kernel
        self.published = published

    def close_others(self, needed: Collection[int]) -> None:
        """Close all other descriptors: another process may wait until a socket is closed."""
        published = (end for end, _ in self.published)
        ends = (self.supervisor, self.listener, self.kernel, *published)
        keep = {0, 1, 2, *needed, *(end.fileno() for end in ends)}
        gc.freeze()  # collected objects would close descriptor numbers that are in use again
        for number in [int(name) for name in os.listdir("/proc/self/fd")]:
            if number not in keep:
                with suppress(OSError):
                    os.close(number)


class _Relays:
    """Forwards connections to published ports, each with its own threads."""

    def __init__(self, kernel: socket.socket, admitted: set[int]) -> None:
        self._kernel, self._admitted = kernel, admitted
        self._free = threading.Semaphore(CALLERS)
        self.ports: set[int] = set()
        """The published ports of this computer."""
        kernel.settimeout(KERNEL_TIMEOUT)

    def accept(self, listener: socket.socket, port: int) -> None:
        """Accept a connection, or refuse it."""
        with suppress(OSError):
            caller, _ = listener.accept()
            if not self._admits(caller) or not self._free.acquire(blocking=False):
                caller.close()
                return
            caller.settimeout(None)
            relay = threading.Thread(target=self._relay, args=(caller, port), daemon=True)
            try:
                relay.start()
            except RuntimeError:  # the system has no thread left
                caller.close()
                self._free.release()

    def _admits(self, caller: socket.socket) -> bool:
        """Whether the user at the other end may connect; a socket without an owner may not."""
        owner = owner_of(self._kernel, caller.getpeername(), caller.getsockname())
        return owner is not None and owner.inode != 0 and owner.uid in self._admitted

    def _relay(self, caller: socket.socket, port: int) -> None:
        try:
            with caller, _connect(port) as service:
                back = threading.Thread(target=_forward, args=(service, caller), daemon=True)
                back.start()
                if self._begins(caller, service):
                    _forward(caller, service)
                back.join()
        except OSError:  # nothing listens there
            return
        finally:
            self._free.release()

    def _begins(self, caller: socket.socket, service: socket.socket) -> bool:
        """Forward what comes first, or refuse it as a request of another site's page.

        Later requests are not looked at: a browser uses a connection for the pages of one site.
        """
        sent = b""
        while (head := head_of(sent)) is None or not sent:
            if not (piece := caller.recv(COPY_CHUNK)):
                break
            sent += piece
        if head and is_foreign(head, self.ports):
            caller.sendall(REFUSAL)
            service.shutdown(socket.SHUT_RDWR)
            return False
        service.sendall(sent)
        return True


class _NewNetwork(NamedTuple):
    """What the namespaces are made from."""

    user: int | None
    filter: bytes
    counters: Mapping[str, int]

    @property
    def descriptors(self) -> Collection[int]:
        """The descriptors that `enter` needs."""
        return ()

    def enter(self, supervisor: socket.socket) -> bool:
        """Make the namespaces, and report that; returns false if the supervisor has ended."""
        _become(self.user)
        syscalls.unshare(syscalls.NEW_USER | syscalls.NEW_NETWORK)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.user is None:
            Path("/proc/self/setgroups").write_text("deny")
        limit_this_namespace(self.counters)
        supervisor.send(b"ok")
        if supervisor.recv(MAX_MESSAGE_BYTES) != b"named":
            return False
        _raise_loopback()
        supervisor.send(b"ok")
        supervisor.send(_filter_packets(self.filter).encode() or b" ")
        return True


class _KnownNetwork(NamedTuple):
    """Namespaces that an earlier process has made."""

    user: int | None
    user_namespace: int
    network_namespace: int

    @property
    def descriptors(self) -> Collection[int]:
        """The descriptors that `enter` needs."""
        return self.user_namespace, self.network_namespace

    def enter(self, supervisor: socket.socket) -> bool:
        """Enter the namespaces, and report that."""
        syscalls.enter(self.user_namespace, syscalls.NEW_USER)
        syscalls.enter(self.network_namespace, syscalls.NEW_NETWORK)
        for descriptor in self.descriptors:
            os.close(descriptor)
        _become(self.user)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        supervisor.send(b"ok")
        return True


def _main(
    ends: _Sockets, network: _NewNetwork | _KnownNetwork, admitted: set[int], title: bytes
) -> NoReturn:
    """In the child: enter the namespaces, and serve until nobody uses them."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        ends.close_others(network.descriptors)
        set_title(title)
        try:
            if network.enter(ends.supervisor):
                _serve(ends, _Relays(ends.kernel, admitted))
        except OSError as error:
            ends.supervisor.send(str(error).encode())
    finally:
        os._exit(0)


def _become(user: int | None) -> None:
    """Drop the rights of root; `pasta` runs as the same user, and has to find our namespaces."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    prctl(PR_SET_DUMPABLE, 1)


def _filter_packets(messages: bytes) -> str:
    """Install the filter; returns why that failed, or nothing."""
    try:
        packet_filter.install(messages)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _raise_loopback() -> None:
    with socket.socket() as probe:
        ifreq = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(probe, SIOCSIFFLAGS, ifreq)


def _serve(ends: _Sockets, relays: _Relays) -> None:
    published: dict[int, tuple[socket.socket, int]] = {}
    watch = select.poll()
    ends.supervisor.settimeout(KERNEL_TIMEOUT)
    for end in (ends.supervisor, ends.listener):
        watch.register(end, select.POLLIN)
    for listener, port in ends.published:
        published[listener.fileno()] = listener, port
        relays.ports.add(listener.getsockname()[1])
        watch.register(listener, select.POLLIN)

    def publish(listener: socket.socket, port: int) -> None:
        published[listener.fileno()] = listener, port
        relays.ports.add(listener.getsockname()[1])
        watch.register(listener, select.POLLIN)

    own = len(published)  # those that the supervisor keeps too
    while True:
        events = watch.poll(REST_SECONDS * 1000)
        is_needed = len(published) > own or threading.active_count() > 1  # forwards a connection
        if not events and not is_needed:
            return
        for number, _ in events:
            if number == ends.supervisor.fileno():
                before = len(published)
                if not _answer(ends.supervisor, publish):
                    return
                own += len(published) - before
            elif number == ends.listener.fileno():
                with suppress(OSError):
                    client, _ = ends.listener.accept()
                    with client:
                        client.settimeout(KERNEL_TIMEOUT)
                        _answer(client, publish)
            else:
                relays.accept(*published[number])


def _answer(client: socket.socket, publish: Callable[[socket.socket, int], None]) -> bool:
    """Answer a request; returns False if there will be no more."""
    request, fds, _, _ = socket.recv_fds(client, MAX_MESSAGE_BYTES, 1)
    if request[:1] == PUBLISH and fds and request[1:].isdigit():
        listener = socket.socket(fileno=fds.pop())
        listener.setblocking(False)
        with suppress(OSError):  # see `daemon/listeners.py`
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        publish(listener, int(request[1:]))
        _send_fds(client, [])
    elif request == SOCKET_TABLES:
        _send_fds(client, [_open(f"/proc/self/net/{name}") for name in ("tcp", "tcp6")])
    elif request == DIAGNOSIS:
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        _send_fds(client, [kernel.detach()])
    elif family := next(
        (address_family for address_family, name in TCP_SOCKET.items() if name == request), None
    ):
        _send_fds(client, [socket.socket(family).detach()])
    for descriptor in fds:
        os.close(descriptor)
    return bool(request)


def _send_fds(client: socket.socket, fds: list[int]) -> None:
    try:
        socket.send_fds(client, [b"."], fds)
    finally:
        for descriptor in fds:
            os.close(descriptor)


def _open(path: str) -> int:
    return os.open(path if os.path.exists(path) else os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _listen(folder: Path, name: str) -> socket.socket:
    """A Unix socket in a folder."""
    path = folder / name
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with socket_address(folder, name) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(LISTEN_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _connect(port: int) -> socket.socket:
    for family, host in LOOPBACK_ADDRESSES:
        service = socket.socket(family)
        service.settimeout(DIAL)
        with suppress(OSError):
            service.connect((host, port))
            service.settimeout(None)
            return service
        service.close()
    raise ConnectionRefusedError(port)


def _forward(source: socket.socket, target: socket.socket) -> None:
    """Forward bytes until the end, and then forward the end."""
    try:
        while piece := source.recv(COPY_CHUNK):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone: end the other too
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
