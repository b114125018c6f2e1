"""The process through which this computer reaches into a workspace's network namespace.

It lives in the namespace, outside of the sandbox, and is a fork of the supervisor. Over a Unix
socket in the workspace's folder, which only the daemon's user can reach, it gives away new TCP
sockets that belong to the namespace; whoever has one connects it to a port of the workspace. On
ports of this computer that were published it lets in the same user and root, and passes on what
they say.
"""

import ctypes
import fcntl
import gc
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

from prism.agent import syscalls
from prism.agent.processes import PR_SET_PDEATHSIG, prctl
from prism.agent.protocol import PUBLISH, SOCKET_TABLES, TCP_SOCKET
from prism.agent.sockets import NETLINK_SOCK_DIAG, owner_of

DIAGNOSIS = b"d"  # what only its supervisor asks for
PATIENCE, DIAL, REQUEST = 20.0, 5.0, 1.0
LONGEST, PIECE, CALLERS, WAITING = 16, 1 << 18, 512, 128
PR_SET_DUMPABLE = 4
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
TITLE = "prism-network"
# Where `/proc/self/stat` says that the words of the command line begin and end, behind the name.
ARGUMENTS = slice(45, 47)


class Gateway:
    """A network namespace, as its supervisor has it: `pid` is the process that keeps it."""

    def __init__(self, folder: Path, name: str, user: int | None) -> None:
        """Make both, for our own user or another one; raises `OSError` where that is refused."""
        self._supervisor, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.user_namespace = self.network_namespace = self.pid = -1
        with ExitStack() as stack:
            stack.callback(theirs.close)
            listener = stack.enter_context(_listening(folder, name))
            kernel = stack.enter_context(
                socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
            )
            admitted = {0, os.geteuid()}
            self.pid = os.fork()
            if not self.pid:
                _live(_Ends(theirs, listener, kernel), user, admitted, f"{TITLE}\0{folder}")
        try:
            self._name_users(os.getuid() if user is None else user, user is None)
            self.user_namespace = self._opened("user")
            self.network_namespace = self._opened("net")
        except OSError:
            self.close()
            raise

    def _name_users(self, user: int, is_ours: bool) -> None:
        group = os.getgid() if is_ours else user
        self._supervisor.settimeout(PATIENCE)
        self._expect()
        Path(f"/proc/{self.pid}/uid_map").write_text(f"{user} {user} 1")
        Path(f"/proc/{self.pid}/gid_map").write_text(f"{group} {group} 1")
        self._supervisor.send(b"named")
        self._expect()

    def _expect(self) -> None:
        said = self._supervisor.recv(4096)
        if said != b"ok":
            raise OSError(said.decode(errors="replace") or "its process ended")

    def _opened(self, kind: str) -> int:
        return os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)

    def ask(self, request: bytes, seconds: float) -> socket.socket:
        """A socket of the namespace."""
        self._supervisor.settimeout(seconds)
        self._supervisor.send(request)
        _, given, _, _ = socket.recv_fds(self._supervisor, LONGEST, 1)
        if not given:
            raise OSError("the workspace's network has ended")
        return socket.socket(fileno=given[0])

    def give(self, request: bytes, socket_given: socket.socket, seconds: float) -> None:
        """Hand over a socket with a request, and wait until it is taken."""
        self._supervisor.settimeout(seconds)
        socket.send_fds(self._supervisor, [request], [socket_given.fileno()])
        if not self._supervisor.recv(LONGEST):
            raise OSError("the workspace's network has ended")

    def close(self) -> None:
        """End it."""
        self._supervisor.close()
        for namespace in (self.user_namespace, self.network_namespace):
            if namespace >= 0:
                os.close(namespace)
        self.user_namespace = self.network_namespace = -1
        if self.pid > 0:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class _Ends:
    """What its process needs of what it inherits."""

    def __init__(
        self, supervisor: socket.socket, listener: socket.socket, kernel: socket.socket
    ) -> None:
        self.supervisor, self.listener, self.kernel = supervisor, listener, kernel

    def close_others(self) -> None:
        """Close all but these; nobody must wait for an end of his that we hold."""
        kept = {0, 1, 2, *(end.fileno() for end in (self.supervisor, self.listener, self.kernel))}
        gc.freeze()  # what is collected later would close numbers that are others' by then
        for number in [int(name) for name in os.listdir("/proc/self/fd")]:
            if number not in kept:
                with suppress(OSError):
                    os.close(number)


class _Relays:
    """Passes on what callers of published ports say, each in threads of its own."""

    def __init__(self, kernel: socket.socket, admitted: set[int]) -> None:
        self._kernel, self._admitted = kernel, admitted
        self._free = threading.Semaphore(CALLERS)
        kernel.settimeout(REQUEST)

    def met(self, listener: socket.socket, port: int) -> None:
        """Let a caller in, or not."""
        with suppress(OSError):
            caller, _ = listener.accept()
            if not self._admits(caller) or not self._free.acquire(blocking=False):
                caller.close()
                return
            caller.settimeout(None)
            threading.Thread(target=self._relay, args=(caller, port), daemon=True).start()

    def _admits(self, caller: socket.socket) -> bool:
        """Whether the user at the other end may come in; a socket that nobody has may not."""
        owner = owner_of(self._kernel, caller.getpeername(), caller.getsockname())
        return owner is not None and owner.inode != 0 and owner.uid in self._admitted

    def _relay(self, caller: socket.socket, port: int) -> None:
        try:
            with caller, _dialled(port) as service:
                back = threading.Thread(target=_pour, args=(service, caller), daemon=True)
                back.start()
                _pour(caller, service)
                back.join()
        except OSError:  # nobody listens there
            return
        finally:
            self._free.release()


def _live(ends: _Ends, user: int | None, admitted: set[int], title: str) -> NoReturn:
    """The child: make the namespaces, say so, and serve until the supervisor is gone."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        ends.close_others()
        _call_yourself(title.encode())
        try:
            _move_in(user)
            ends.supervisor.send(b"ok")
            if ends.supervisor.recv(LONGEST) == b"named":
                _raise_loopback()
                ends.supervisor.send(b"ok")
                _serve(ends, _Relays(ends.kernel, admitted))
        except OSError as error:
            ends.supervisor.send(str(error).encode())
    finally:
        os._exit(0)


def _move_in(user: int | None) -> None:
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    # `pasta`, of the same user, may look where our namespaces are.
    prctl(PR_SET_DUMPABLE, 1)
    syscalls.unshare(syscalls.NEW_USER | syscalls.NEW_NETWORK)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if user is None:
        Path("/proc/self/setgroups").write_text("deny")


def _raise_loopback() -> None:
    with socket.socket() as probe:
        asked = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(probe, SIOCSIFFLAGS, asked)


def _call_yourself(title: bytes) -> None:
    """Show another command line than the supervisor's, whose copy this process is."""
    with open("/proc/self/stat", "rb") as file:
        said = file.read()
    start, end = map(int, said[said.rindex(b")") + 2 :].split()[ARGUMENTS])
    if 0 < start < end:
        room = end - start
        ctypes.memmove(start, title[: room - 1].ljust(room, b"\0"), room)


def _serve(ends: _Ends, relays: _Relays) -> None:
    published: dict[int, tuple[socket.socket, int]] = {}
    watch = select.poll()
    ends.supervisor.settimeout(REQUEST)
    for end in (ends.supervisor, ends.listener):
        watch.register(end, select.POLLIN)

    def publish(listener: socket.socket, port: int) -> None:
        published[listener.fileno()] = listener, port
        watch.register(listener, select.POLLIN)

    while True:
        for number, _ in watch.poll():
            if number == ends.supervisor.fileno():
                if not _answer(ends.supervisor, publish):
                    return
            elif number == ends.listener.fileno():
                with suppress(OSError):
                    client, _ = ends.listener.accept()
                    with client:
                        client.settimeout(REQUEST)
                        _answer(client, publish)
            else:
                relays.met(*published[number])


def _answer(client: socket.socket, publish: Callable[[socket.socket, int], None]) -> bool:
    """Answer a request; false where there will be none."""
    said, given, _, _ = socket.recv_fds(client, LONGEST, 1)
    if said[:1] == PUBLISH and given and said[1:].isdigit():
        listener = socket.socket(fileno=given.pop())
        listener.setblocking(False)
        publish(listener, int(said[1:]))
        _give(client, [])
    elif said == SOCKET_TABLES:
        _give(client, [_open(f"/proc/self/net/{name}") for name in ("tcp", "tcp6")])
    elif said == DIAGNOSIS:
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        _give(client, [kernel.detach()])
    elif family := next(
        (address_family for address_family, name in TCP_SOCKET.items() if name == said), None
    ):
        _give(client, [socket.socket(family).detach()])
    for descriptor in given:
        os.close(descriptor)
    return bool(said)


def _give(client: socket.socket, given: list[int]) -> None:
    try:
        socket.send_fds(client, [b"."], given)
    finally:
        for descriptor in given:
            os.close(descriptor)


def _open(path: str) -> int:
    return os.open(path if os.path.exists(path) else os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _listening(folder: Path, name: str) -> socket.socket:
    """A Unix socket in a folder, through a descriptor, since the path of one must be short."""
    path = folder / name
    path.unlink(missing_ok=True)
    here = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(f"/proc/self/fd/{here}/{name}")
        path.chmod(0o600)
        listener.listen(WAITING)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(here)
    return listener


def _dialled(port: int) -> socket.socket:
    for family, host in LOOPBACK:
        service = socket.socket(family)
        service.settimeout(DIAL)
        with suppress(OSError):
            service.connect((host, port))
            service.settimeout(None)
            return service
        service.close()
    raise ConnectionRefusedError(port)


def _pour(source: socket.socket, target: socket.socket) -> None:
    """Pass on what is said until its end; an end is passed on too."""
    try:
        while piece := source.recv(PIECE):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one of them is gone, and with it both
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
