"""The first program in a sandbox: it starts all others, and reports how they ended.

    python -I -S init.py SOCKET                 all of a workspace
    python -I -S init.py SOCKET PROGRAM [ARG…]  one program, which replaces it

It runs within the sandbox and is frozen with it; its supervisor, outside, sends requests over a
socket. A request is a length and a dict of `marshal`, with the program's descriptors beside it; an
answer is a line of JSON. The first request says how the program confines itself and all programs
that it starts: the user, in a namespace that comes with the request, the filter of system calls,
the process limit. It imports only the standard library, because it cannot see the rest of Prism,
and only modules that take little memory: `json`, `socket` and `signal` would take 1.6 MiB more in
each workspace (decision 084).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import ctypes
import errno
import fcntl
import marshal
import os
import resource
import select
import stat
import struct
import sys
import termios

TYPE_CHECKING = False  # `typing` has it too, but importing that costs each workspace 2 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
PR_SET_DUMPABLE = 4
SECCOMP_MODE_FILTER = 2
NEW_USER = 0x10000000
CAPABILITIES_V3 = 0x20080522
CANNOT_START = 127
MAX_DESCRIPTORS, INT_BYTES = 3, 4
# Landlock: its system calls have these numbers on every architecture.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION, LANDLOCK_LEAST, LANDLOCK_BENEATH = 1, 2, 1
LANDLOCK_READ = 0b1101  # execute, read a file, list a folder
LANDLOCK_ALL = (1 << 14) - 1  # also write, make, remove, and move to another folder
LANDLOCK_TRUNCATE = 1 << 14
LANDLOCK_OF_FILES = 0b111 | LANDLOCK_TRUNCATE
LANDLOCK_SCOPED = 6  # the version (Linux 6.12) that keeps these two within the workspace:
LANDLOCK_SCOPES = 0b11  # connections to abstract Unix sockets, and signals
LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"


class Init:
    """Runs the programs of a sandbox; the supervisor gives each a number."""

    def __init__(self, outside: _socket.socket, limits: dict[int, tuple[int, int]]) -> None:
        self._outside, self._limits = outside, limits
        self._running: dict[int, int] = {}  # number by pid
        self._poked, poke = os.pipe()
        for end in (self._poked, poke):
            os.set_blocking(end, False)
        _signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
            _signal.signal(number, _signal.SIG_IGN)  # it ends when its supervisor disconnects

    def live(self) -> None:
        """Serve requests until the supervisor disconnects."""
        self._send({"ready": os.getpid()})
        while True:
            ready, _, _ = select.select([self._outside.fileno(), self._poked], [], [])
            if self._poked in ready:
                os.read(self._poked, 4096)
                self._reap()
            if self._outside.fileno() in ready and not self._handle_request():
                return

    def _handle_request(self) -> bool:
        if (message := _receive(self._outside)) is None:
            return False
        request, fds = message
        if "signal" in request:
            self._signal(request)
        else:
            self._start(request, fds)
        for descriptor in fds:
            os.close(descriptor)
        return True

    def _signal(self, request: dict[str, Any]) -> None:
        for pid, number in self._running.items():
            if number == request["id"]:
                try:
                    os.kill(-pid if request.get("group") else pid, request["signal"])
                except ProcessLookupError:
                    continue

    def _start(self, request: dict[str, Any], fds: list[int]) -> None:
        hand_over: list[int] = []
        ends = list(fds)
        parent = os.getpid()
        try:
            if request.get("tty"):
                hand_over, ends = _open_terminal(request["tty"])
            pid = os.fork()
        except OSError as error:  # too many processes here, or terminals on this computer
            _report_failure(ends, request, error)
            self._send({"id": request["id"], "exit": CANNOT_START})
        else:
            if not pid:
                _exec(request, ends, parent, self._limits)
            self._running[pid] = request["id"]
            self._send({"id": request["id"], "pid": pid}, hand_over)
        for descriptor in {*hand_over, *(ends if hand_over else ())}:
            os.close(descriptor)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (number := self._running.pop(pid, None)) is not None:
                self._send({"id": number, "exit": os.waitstatus_to_exitcode(status)})

    def _send(self, answer: dict[str, int], fds: list[int] | None = None) -> None:
        fields = ", ".join(f'"{name}": {number}' for name, number in answer.items())
        passed = struct.pack(f"{len(fds)}i", *fds) if fds else b""
        beside = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)] if fds else []
        self._outside.sendmsg([b"{" + fields.encode() + b"}\n"], beside)


def _open_terminal(size: list[int]) -> tuple[list[int], list[int]]:
    """A new terminal: the descriptor to pass on, and the three of the program."""
    master, slave = os.openpty()
    columns, rows = size
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return [master], [slave, slave, slave]


def _report_failure(ends: list[int], request: dict[str, Any], error: OSError) -> None:
    if not ends:  # there is no terminal to print it on
        return
    try:
        os.write(ends[-1], f"cannot run {request['argv'][0]}: {error.strerror}\n".encode())
    except OSError:
        return


def _exec(
    request: dict[str, Any], ends: list[int], parent: int, limits: dict[int, tuple[int, int]]
) -> NoReturn:
    try:
        os.setsid()
        for kind, limit in limits.items():  # only here, so that this process can always go on
            resource.setrlimit(kind, limit)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before PR_SET_PDEATHSIG was set
            os._exit(1)
        _signal.set_wakeup_fd(-1)
        for number in _signal.valid_signals():  # a program inherits ignored signals
            if _signal.getsignal(number) == _signal.SIG_IGN:
                _signal.signal(number, _signal.SIG_DFL)
        for target, source in enumerate(ends):
            os.dup2(source, target)
        if request.get("tty"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(request["folder"])
        os.execve(request["argv"][0], request["argv"], request["environment"])
    except OSError as error:
        _report_failure([2], request, error)
    finally:
        os._exit(CANNOT_START)


def _receive(outside: _socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A request with its descriptors; None when the supervisor has disconnected."""
    head, beside, _, _ = outside.recvmsg(4, _socket.CMSG_SPACE(MAX_DESCRIPTORS * INT_BYTES))
    passed = b"".join(content for _, kind, content in beside if kind == _socket.SCM_RIGHTS)
    fds = list(struct.unpack(f"{len(passed) // INT_BYTES}i", passed))
    for descriptor in fds:
        os.set_inheritable(descriptor, False)
    if len(head) < 4:
        return None
    (length,) = struct.unpack("!I", head)
    body = b""
    while len(body) < length:
        body += outside.recv(length - len(body))
    if body.startswith(b'{"'):  # of a supervisor that was started before an upgrade
        import json  # noqa: PLC0415  see the docstring of the module

        return json.loads(body), fds
    return marshal.loads(body), fds


def confine(confinement: dict[str, Any], fds: list[int]) -> dict[int, tuple[int, int]]:
    """Change the user and install the filter for good; returns the programs' limits.

    They are soft and hard limits, by the number of the `RLIMIT_…`.
    """
    # Before the change of the user, who may not be let into all folders yet.
    ruleset = ruleset_of(rules) if (rules := confinement.get("files")) else None
    if "uid" in confinement:
        _become_user(confinement["uid"], confinement["groups"], fds[0] if fds else None)
    for descriptor in fds:
        os.close(descriptor)
    if ruleset is not None:
        restrict_files(ruleset)
    if confinement["filter"]:
        _install_filter(bytes.fromhex(confinement["filter"]))
        # Otherwise a process of the same user could answer instead of this one, and keep
        # descriptors of terminals that the daemon reads and writes.
        _checked(ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    limits = {int(kind): limit for kind, limit in confinement.get("limits", {}).items()}
    if confinement.get("processes"):
        limits[resource.RLIMIT_NPROC] = [confinement["processes"]] * 2
    return {kind: _at_most(kind, limit) for kind, limit in limits.items()}


def _at_most(kind: int, limit: list[int]) -> tuple[int, int]:
    """A soft and a hard limit that this process may set."""
    _, most = resource.getrlimit(kind)
    soft, hard = limit if most == resource.RLIM_INFINITY else (min(n, most) for n in limit)
    return soft, hard


def _become_user(uid: int, groups: list[int], namespace: int | None) -> None:
    """Change to a user without rights, in a namespace without other users if there is one."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups(groups)
    if namespace is not None:
        _checked(libc.setns(namespace, NEW_USER))
    with open(LAST_CAPABILITY) as file:
        last = int(file.read())
    for capability in range(last + 1):
        refused = libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        # Without CAP_SETPCAP they stay possible, but PR_SET_NO_NEW_PRIVS lets no program gain any.
        if refused and (namespace is not None or ctypes.get_errno() != errno.EPERM):
            _checked(refused)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    head = ctypes.create_string_buffer(struct.pack("II", CAPABILITIES_V3, 0))
    _checked(libc.capset(head, ctypes.create_string_buffer(24)))
    # A change of the user resets PR_SET_PDEATHSIG.
    _checked(libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0))


def landlock_version() -> int:
    """The version of the kernel's Landlock; less than 1 if it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION))


def ruleset_of(rules: dict[str, list[str]]) -> int | None:
    """A ruleset that allows these trees; None if the kernel has no Landlock that programs bear.

    Before its second version (Linux 5.19), no file could be moved to another folder. With its
    sixth (Linux 6.12), programs under it also reach no abstract Unix socket that others made, such
    as that of the user's display, and send no signals to others.
    """
    if sys.platform != "linux" or (version := landlock_version()) < LANDLOCK_LEAST:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    change = LANDLOCK_ALL | (LANDLOCK_TRUNCATE if version >= 3 else 0)
    scopes = LANDLOCK_SCOPES if version >= LANDLOCK_SCOPED else 0
    attributes = struct.pack("=QQQ", change, 0, scopes)[: 24 if scopes else 8]
    _checked(ruleset := libc.syscall(LANDLOCK_CREATE, attributes, len(attributes), 0))
    for path in rules["read"]:
        _allow(libc, ruleset, path, LANDLOCK_READ)
    for path in rules["change"]:
        _allow(libc, ruleset, path, change)
    return int(ruleset)


def restrict_files(ruleset: int) -> None:
    """Refuse all files outside of the trees of a ruleset from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    """Add a rule for a tree or a file, if it is there."""
    try:
        tree = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        rule = struct.pack("=Qi", rights if is_folder else rights & LANDLOCK_OF_FILES, tree)
        _checked(libc.syscall(LANDLOCK_ADD, ruleset, LANDLOCK_BENEATH, rule, 0))
    finally:
        os.close(tree)


def _install_filter(filter: bytes) -> None:
    """Refuse these system calls from now on, to this process and its descendants."""
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(filter, len(filter))
    program = struct.pack("HxxxxxxP", len(filter) // 8, ctypes.addressof(held))
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0))


def _checked(answer: int) -> None:
    if answer < 0:
        raise OSError(number := ctypes.get_errno(), os.strerror(number))


if __name__ == "__main__":
    os.umask(0o077)
    os.set_inheritable(number := int(sys.argv[1]), False)
    supervisor = _socket.socket(fileno=number)
    if request := _receive(supervisor):
        limits = confine(*request)
        if program := sys.argv[2:]:
            os.execv(program[0], program)
        Init(supervisor, limits).live()
