"""The files and messages between the agent and the daemon; the daemon imports only this file.

Each document is a `TypedDict`, declared once: it costs nothing in the agent, which uses the
standard library only and starts for every workspace; the daemon decodes into it with msgspec.
Names and meanings of fields stay, because a workspace keeps the supervisor that it was started
with: a new field is optional. The agent's idle watch is also bundled, for Python 3.9.
"""

import errno
import fcntl
import json
import marshal
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

if sys.version_info >= (3, 11):  # noqa: UP036
    from typing import Required  # an older Python only has the bundle, with annotations as text

PROTOCOL_VERSION = (
    1  # increased when a field changes its meaning, because older supervisors may be running
)
DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})  # the errors of a full disk
SEEN = 3  # the exit code of `sandbox_probe.py` if what should be hidden is visible inside

# Files in a machine's folder.
SPEC = "order.json"  # its spec; written by the daemon
INTENT = "wanted.json"  # the requested state; written by the daemon
IDLE_RULE = "idle.json"  # when it counts as idle; written by the daemon
OBSERVED = "seen.json"  # the report; written by the supervisor, which holds `LOCK` while it runs
LOCK = "lock"
TOKEN_FILE = "token"  # the secret of its services
TREE_FILE = "tree.json"  # its tree of packages; written by the supervisor
RESOLUTIONS = "resolutions"
"""The folder of the cache with chosen versions of packages (`package_resolutions.py`)."""
SHARED_SLOT = "shared"
"""The installation slot that any number may have at once: of those who use a finished tree."""
MOUNTS_FILE = (
    ".mounts.json"  # beside the folder, after its name: its volumes; written by the daemon
)
LAB_FOLDER = ".prism-server"  # in the home of a login on a lab server: all that Prism keeps there
REPORTS_SOCKET = "reports.sock"  # in the home: the daemon hears there which report has news

State = Literal["on", "off", "asleep", "gone"]
Phase = Literal["starting", "on", "stopping", "off", "asleep", "failed", "gone"]
SleepAction = Literal["hibernate", "stop"]
IdleState = Literal["active", "idle", "unknown"]
Stamp = tuple[int, int]
ALIVE = frozenset[Phase]({"starting", "on", "stopping", "asleep"})  # phases with a supervisor


class LocalServiceSpec(TypedDict, total=False):
    """A service of the template."""

    command: str
    port: int  # on an EC2 machine; a local machine gets a free port
    health: str | None
    requires: list[str]
    environment: dict[str, str]


class LocalMachineSpec(TypedDict, total=False):
    """The spec of a machine (`SPEC`)."""

    key: Required[str]
    name: Required[str]
    template: str
    packages: list[str]
    post_install: list[str]
    services: dict[str, LocalServiceSpec]
    environment: dict[str, str]
    parameters: dict[str, Any]
    limits: dict[str, int]  # `cpus`, `memory_mb` and `gpus`
    node: str  # the name of the lab server that it belongs to: several may have one home
    gpus: list[str]  # the ids of those that it was given; missing where none are handed out
    uv: str
    python: str
    reachable: list[str]  # paths of Prism's installation that the sandbox shows
    cache: str
    slots: str
    made_at: str  # the folder of the machine when its environment was made, if it was moved since
    grace: float
    patience: float
    sandbox: bool
    launched: dict[str, Any]  # the launch, for a daemon without its rows


class PackageTree(TypedDict):
    """The tree of packages of a workspace (`TREE_FILE`), and how to make it again."""

    tree: str
    pins: str


class MachineIntent(TypedDict, total=False):
    """The requested state of a machine (`INTENT`); each new intent has the next `run`."""

    run: Required[int]
    state: Required[State]
    expires_at: float | None
    expire_action: SleepAction  # the default is `hibernate`


class ObservedService(TypedDict, total=False):
    """One service, as its supervisor reports it."""

    port: int | None
    running: bool
    answered: bool
    exit: int | None
    crashes: int
    token: bool  # whether it asks for the token
    last_words: str


class MachineFailure(TypedDict, total=False):
    """The failure of a machine."""

    code: Required[str]
    message: Required[str]
    ran: bool  # the machine was on or came up, and nobody had requested a stop
    lost: str  # how its memory was lost during hibernation


class IdleSettings(TypedDict, total=False):
    """When a machine counts as idle, and what happens then (`IDLE_RULE`); empty for no rule."""

    profile: str
    seconds: float
    action: SleepAction
    limits: dict[str, float]  # by the name of the figure
    enabled: bool
    awake_until: float | None


class ReportedIdleAct(TypedDict, total=False):
    """A machine's own action because of idleness."""

    at: Required[float]
    action: Required[SleepAction]
    seconds: Required[float]
    profile: Required[str]
    note: str | None


class IdleReport(TypedDict, total=False):
    """A machine's report about its idleness; see `workspaces.idleness.Idleness`."""

    state: IdleState | None
    since: float | None
    until: float | None
    because: tuple[str, ...]
    figures: dict[str, float | None]
    profile: str | None
    acted: ReportedIdleAct | None


class IdleDaemonReport(IdleReport, total=False):
    """The report of the idle watch of an EC2 machine (`OBSERVED`)."""

    build: str  # of the bundle


class IsolationKinds(TypedDict, total=False):
    """How programs are frozen and isolated; all null while nothing runs."""

    freezer: str | None  # `cgroup` or `signals`
    sandbox: str | None  # `bubblewrap`, or `none: why`
    network: str | None  # `own`, or `shared: why`; null without a sandbox
    uid: int | None  # of the programs, if only they have it on this computer, without a sandbox


class ObservedMachine(IsolationKinds, total=False):
    """The supervisor's report of its machine (`OBSERVED`)."""

    key: Required[str]
    name: Required[str]
    phase: Required[Phase]
    protocol: int  # `PROTOCOL_VERSION`; missing in old reports
    run: Required[int]
    since: float | None  # when the phase began
    up: float | None  # when it last became `on`, even if it is off now
    boot: str
    stage: str | None
    progress: int | None
    failure: MachineFailure | None
    expired: float | None  # the expiry that has been acted on
    services: dict[str, ObservedService]
    let_in: list[str]  # the volumes that programs in its sandbox can reach now
    notes: list[str]
    idle: IdleReport | None


class Gpu(TypedDict):
    """A GPU of a computer."""

    id: str  # as `nvidia-smi` and CUDA name it
    name: str
    memory_mb: int  # 0 if that is unknown
    is_used: bool  # a program uses it, or a supervisor of any user holds it


class SlotHolder(TypedDict):
    """What a workspace holds of a computer."""

    id: str
    name: str
    cpus: int
    memory_mb: int
    gpus: list[str]


class Room(TypedDict, total=False):
    """What a computer has for workspaces, and what they hold of it."""

    cpus: Required[int]
    memory_mb: Required[int]
    gpus: list[Gpu]  # missing if that is unknown
    holders: Required[list[SlotHolder]]


class Mount(TypedDict):
    """A volume of a machine."""

    id: str
    name: str
    path: str


class MachineMounts(TypedDict, total=False):
    """The volumes of a machine (`MOUNTS_FILE`).

    `beside` is right wherever the home is moved to. The absolute paths are for supervisors that an
    older Prism started; others compute them.
    """

    root: Required[str]  # the folder of all volumes
    beside: str  # the same, relative to the folder of this file
    volumes: Required[list[Mount]]
    leaving: list[Mount]  # detached volumes whose files programs may still reach


# ------------------------------------------------------------------ the lock of the folder
# struct flock: type, whence, start, length, pid; and in another order on a Mac.
FLOCK = "hhqqi" if sys.platform == "linux" else "qqihh"
_FIELDS = (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_QUERY = struct.pack(FLOCK, *(_FIELDS if sys.platform == "linux" else _FIELDS[2:] + _FIELDS[:2]))


def supervisor_pid(folder: str) -> int:
    """The pid of its supervisor, which holds the lock of the folder, or 0.

    A record lock ends with its process, so no other process passes for a supervisor that died.
    The query takes no lock, so it disturbs no process.
    """
    try:
        lock = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        answer = fcntl.fcntl(lock, fcntl.F_GETLK, _QUERY)
    finally:
        os.close(lock)
    fields = struct.unpack(FLOCK, answer)
    kind, pid = (fields[0], fields[4]) if sys.platform == "linux" else (fields[3], fields[2])
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def poke(folder: Path) -> bool:
    """Notify a machine's supervisor; False if there is none."""
    while pid := supervisor_pid(str(folder)):
        if sys.platform != "linux":
            os.kill(pid, signal.SIGUSR1)
            return True
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if supervisor_pid(str(folder)) == pid:  # the handle is that of the supervisor
                signal.pidfd_send_signal(handle, signal.SIGUSR1)
                return True
        except ProcessLookupError:
            continue
        finally:
            os.close(handle)
    return False


def next_intent(
    state: State, current: MachineIntent | None, report: ObservedMachine | None
) -> MachineIntent | None:
    """The intent to write, or None if the state is reached or on its way."""
    if current is None:
        return {"run": 1, "state": state}
    if current["state"] == "gone":
        return None
    phase = report["phase"] if report and report["run"] >= current["run"] else None
    is_on_its_way = phase == "stopping" and current["state"] == state
    if state == "gone":
        is_done = phase == "gone"
    elif phase is None:  # the supervisor has not read the last intent yet
        is_done = current["state"] == state
    elif state == "on":
        is_done = phase in {"on", "starting", "gone"}
    elif state == "off":
        is_done = phase in {"off", "failed", "gone"} or is_on_its_way
    else:
        is_done = phase in {"asleep", "off", "failed", "gone"} or is_on_its_way
    if is_done:
        return None
    return {**current, "run": current["run"] + 1, "state": state}


# ------------------------------------------------------------------ sockets in the folder
EXEC_SOCKET = "door"
NETWORK_SOCKET = "network"
LENGTH = struct.Struct("!I")  # of a request, in front of its JSON


class ExecRequest(TypedDict, total=False):
    """Run a program in a terminal, or with three descriptors that are sent with the request.

    Answers and later messages are lines of JSON.
    """

    argv: list[str] | None  # null for a login shell
    environment: dict[str, str]
    tty: tuple[int, int] | None  # columns and rows
    copies: bool  # it transfers files, so unlike a command it counts as work only while bytes move


class ExecAnswer(TypedDict, total=False):
    """The program has started, with its terminal sent along; in a later line, how it ended."""

    pid: int
    error: str  # why it was not started
    exit: int


class ExecMessage(TypedDict, total=False):
    """A caller's message while the program runs; a disconnect sends the program SIGHUP."""

    signal: int  # for the program and its process group
    moved: bool  # bytes moved, so somebody uses the machine


# The requests to the gateway of a workspace's network, one packet each.
TCP_SOCKET = {socket.AF_INET: b"4", socket.AF_INET6: b"6"}
SOCKET_TABLES = b"t"  # the kernel's tables of the sockets inside
GATEWAY_TIMEOUT = 5.0  # seconds
PUBLISH = b"p"  # followed by a port inside: forward connections of the listener that is sent along


def framed(request: Mapping[str, Any]) -> bytes:
    """A request in the format of the socket: its length and its JSON."""
    body = json.dumps(request).encode()
    return LENGTH.pack(len(body)) + body


def framed_for_init(request: Mapping[str, Any]) -> bytes:
    """A request in the format that the first program reads, which cannot afford to import JSON."""
    body = marshal.dumps(json.loads(json.dumps(request)))  # of plain types only
    return LENGTH.pack(len(body)) + body


def send_descriptors(connection: socket.socket, request: bytes, descriptors: list[int]) -> None:
    """Send a request with descriptors.

    The kernel refuses them while our user has more in flight than this process may have open. A
    workspace may have fewer than our hard limit in flight (`kernel_limits.py`).
    """
    try:
        socket.send_fds(connection, [request], descriptors)
    except OSError as error:
        if error.errno != errno.ETOOMANYREFS:
            raise
        import resource  # noqa: PLC0415  cold start: it is rarely needed

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        socket.send_fds(connection, [request], descriptors)


# ------------------------------------------------------------------ programs of the agent
class CopyTask(TypedDict, total=False):
    """The task of `tree_copy.py`."""

    # The default is `copy`. `hash` completes a manifest. `check` compares the tree `source`, which
    # nobody else changes, with `expected`, and writes a manifest of its own.
    do: Literal["copy", "hash", "check"]
    source: str
    target: str
    manifest: str
    expected: str | None  # the manifest that the copy must match
    omitted: str  # links in `volumes` to paths below this one are not copied
    draft: str  # removed if the copy is cancelled
    machines: list[str]  # the folders of the machines that may be writing
    one_moment: bool | None


class CopyAnswer(TypedDict, total=False):
    """The result of `tree_copy.py`."""

    one_moment: bool | None
    used: int
    hashed: bool
    left_out: list[str]
    failed: str  # the message about a failure
    full: bool  # the disk is full


class ArchiveAnswer(TypedDict, total=False):
    """The result of `archive_check.py`: how an archive differs from the manifest."""

    differences: list[str]


class FileRules(TypedDict):
    """The trees of files that programs inside may read, and may change."""

    read: list[str]
    change: list[str]


class SandboxProbe(TypedDict):
    """The input of `sandbox_probe.py`: nothing of `home` and `private` may be visible inside."""

    bwrap: str
    home: str
    private: list[str]
    reachable: list[str]


class IsolationProbe(TypedDict, total=False):
    """The input of `isolation.py`."""

    reachable: Required[list[str]]
    told: dict[str, str]  # variables, the settings among them
    home: str


class KeptPromises(TypedDict):
    """Which promises hold inside."""

    capabilities: bool
    namespaces: bool
    filter: bool


class IsolationReport(TypedDict, total=False):
    """The user of programs, and how they are isolated."""

    sandbox: str | None  # as in `IsolationKinds`
    user: Required[int]
    is_shared: Required[bool]
    kept: Required[KeptPromises]
    processes: Required[int | None]
    network: Required[str | None]
    unfiltered: str  # why its network has no filter
    unlimited: str  # why its memory is not limited


# ------------------------------------------------------------------ machines on AWS
BY_PRISM = "prism-looks"  # the last word of commands that the daemon itself runs by SSH
IDLE_ACT = "prism-idle:"  # on the console, before a `ReportedIdleAct`, or `{}` if that failed


class ServedService(TypedDict, total=False):
    """A service of a machine on AWS."""

    port: Required[int]
    token: bool  # its secret is a token
    password: bool  # its secret is a password
    command: str


class ServedByMachine(TypedDict, total=False):
    """The services of a machine on AWS, and their user (`services.json`)."""

    user: str
    home: str
    services: dict[str, ServedService]


@contextmanager
def socket_address(folder: Path, name: str) -> Iterator[str]:
    """A short address for a Unix socket in a folder: the path of one has at most 108 bytes."""
    if sys.platform != "linux":
        yield str(folder / name)
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def stamp(path: str | Path) -> Stamp | None:
    """A value that changes whenever this file is replaced; None if the file is missing."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return None
    return now.st_mtime_ns, now.st_ino


def replace_file(
    path: Path, content: bytes, *, durable: bool = True, permissions: int = 0o600
) -> None:
    """Replace a file atomically; on a full disk, overwrite its existing blocks."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags, permissions)

    draft = path.with_suffix(".new")
    try:
        with open(draft, "wb", opener=opened) as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        if error.errno not in DISK_FULL_ERRORS or not path.exists():
            raise
        draft.unlink(missing_ok=True)
        with open(path, "r+b") as known:
            known.write(content)
            known.truncate()


def ask_gateway(network: str, request: bytes, descriptors: "list[int] | None" = None) -> list[int]:
    """The descriptors in a gateway's answer."""
    path = Path(network)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gateway,
        socket_address(path.parent, path.name) as address,
    ):
        gateway.settimeout(GATEWAY_TIMEOUT)
        gateway.connect(address)
        send_descriptors(gateway, request, descriptors or [])
        reply, received, _, _ = socket.recv_fds(gateway, 16, 2)
        if not reply:
            raise ConnectionResetError("the workspace's network has ended")
        return received
