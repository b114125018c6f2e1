"""The sandbox in which a machine's programs run, controlled from outside over a socket.

Its first program (`init.py`) starts all others. On Linux, with bubblewrap, it is a sandbox
(`bubblewrap.py`); if that is missing or forbidden, the same program runs without one, and the
report says why. A daemon that runs as root gives it a user of its own, in the sandbox
(`identity.py`) or without one (`host_user.py`), or runs nothing.
"""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from prism.agent.machine.machine_config import SYSTEM_PATH
from prism.agent.machine.output_logs import OutputLog, last_words
from prism.agent.network.namespace import (
    MODE_VARIABLE,
    NetworkUnavailable,
    WorkspaceNetwork,
    configured_mode,
    pasta,
    resolver_file,
)
from prism.agent.network.reachable_addresses import HOST_MODE, LAN, STRICT
from prism.agent.packages.package_trees import lower_of
from prism.agent.protocol import NETWORK_SOCKET, LocalMachineSpec, framed_for_init
from prism.agent.sandbox.bubblewrap import (
    NETWORKED,
    bubblewrap,
    bubblewrap_command,
    etc_of,
    has_worked,
    own_folders,
    refresh_etc,
    remember_that_it_works,
    targets_of,
    volumes_of,
)
from prism.agent.sandbox.etc_copy import Account, OwnEtc
from prism.agent.sandbox.handover import hand_over_entry
from prism.agent.sandbox.host_user import HostUser, is_root
from prism.agent.sandbox.identity import (
    LOGIN,
    CannotMap,
    NoIdentity,
    SandboxUser,
    TreeOwner,
    is_privileged,
    processes_allowed,
    user_namespace,
)
from prism.agent.sandbox.landlock import file_rules
from prism.agent.sandbox.seccomp import filter_for
from prism.agent.system import overlay, syscalls
from prism.agent.system.bind_mounts import attach_mounts, hide_mount, make_target, show_mount
from prism.agent.system.kernel_limits import limits_of_a_workspace
from prism.agent.system.processes import LINUX, MACHINE_VARIABLE, Start, descendants, spawn
from prism.agent.system.safe_paths import remove_tree

INIT_PROGRAM = Path(__file__).resolve().parents[1] / "init.py"
HANDOVER_TIMEOUT = 20.0
FILTERED = "filtered"
UNFILTERED = (
    "its network cannot be filtered, so the cloud's metadata service and the computer's other "
    "addresses can be reached"
)
LONGEST_ANSWER = 65536  # bytes of a line
SHARED_ID = (
    "it shares a user id with other workspaces: the file system of PRISM_HOME cannot map ids"
)
NO_SANDBOX = (
    "it runs as a user of its own, but without a sandbox: {why}. No other workspace can enter its "
    "home; it can see this computer's processes and whatever other users may read"
)
NO_LONGER = (
    "a sandbox could be made here before, and cannot be made now: {why}. Nothing is started "
    "without one, because another workspace may have caused that. See `prism doctor`"
)
NEEDS_SANDBOX = (
    "its packages are shared with other workspaces, which needs a sandbox, and there is none: "
    "{why}. See `prism doctor`"
)


class NotConfined(Exception):
    """A workspace is not started, because a protection that it should have is missing."""


class SandboxProcess:
    """A running sandbox; `pid` is its first process as visible from outside."""

    def __init__(
        self,
        folder: Path,
        spec: LocalMachineSpec,
        volumes: list[str],
        prepare: Callable[[], None],
    ) -> None:
        self._folder, self.volumes, self._prepare = folder, volumes, prepare
        self._unattachable: set[str] = set()  # volumes that cannot be attached while it is open
        self._reachable = spec.get("reachable", [])
        self._is_requested = bool(spec.get("sandbox", True))
        self._gpus = spec.get("gpus")
        self._lower = lower_of(folder, spec)
        self.log = OutputLog(folder / "logs" / "inside.log")
        self.kind, self.output_pipe = "", -1
        self.notes: list[str] = []
        """What people should know about its isolation."""
        self.network: WorkspaceNetwork | None = None
        """Its own network; None if it uses this computer's."""
        self.network_kind: str | None = None
        """`own`, or `shared: why`; None without a sandbox."""
        self._network_mode = configured_mode()
        shares = self._network_mode == HOST_MODE
        self._shares_network = (
            f"{MODE_VARIABLE} is {os.environ.get(MODE_VARIABLE)}" if shares else ""
        )
        self._rest = b""
        self._identity: SandboxUser | None = None
        self._host_user: HostUser | None = None
        self._etc: OwnEtc | None = None
        self._passed: list[str] = []  # closed folders, not of Prism, that let its user pass
        self._limits = limits_of_a_workspace()
        try:
            self._open()
        except NotConfined as error:
            self._close_network()
            self._release_identity()
            raise OSError(str(error)) from error

    @property
    def uid(self) -> int | None:
        """The uid of its programs, if only they have it on this computer; else None."""
        return self._host_user.uid if self._host_user else None

    def give(self, path: Path) -> None:
        """Make a tree that was made since it was opened its programs' own."""
        if self._host_user:
            self._host_user.give(str(path))

    def fileno(self) -> int:
        """Readable if there is an answer."""
        return self._socket.fileno()

    def ask(self, request: Mapping[str, Any], fds: list[int]) -> None:
        """Request that a program is started or signalled; raises if the sandbox has ended."""
        if self.kind.startswith("none") and "environment" in request:
            # The common `/tmp` is everybody's, and may be closed to it.
            own = {"TMPDIR": str(self._folder / "tmp")}
            request = {**request, "environment": {**own, **request["environment"]}}
        socket.send_fds(self._socket, [framed_for_init(request)], fds)

    def answers(self) -> tuple[list[dict[str, Any]], list[int]] | None:
        """The next answers, with their terminals; None at the end.

        A program in the workspace may answer instead, with anything: invalid answers are dropped,
        so that other programs go on.
        """
        try:
            chunk, fds, _, _ = socket.recv_fds(self._socket, 65536, 8)
        except BlockingIOError:
            return [], []
        except OSError:
            return None
        if not chunk:
            return None
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest if len(rest) <= LONGEST_ANSWER else b""
        return [_plain_fields(line) for line in lines], _terminals(fds)

    def update_volumes(self, volumes: list[str]) -> None:
        """Attach new volumes and detach removed ones, if that is possible."""
        if self.kind != "bubblewrap":
            if self._host_user:
                self._update_open_volumes(self._host_user, set(volumes))
            return
        present, requested = set(self.volumes), set(volumes)
        self._unattachable &= requested
        if not (added := requested - present - self._unattachable) and present <= requested:
            return
        if self._identity is None or (within := _first_inside(self.pid)) is None:
            self._unattachable |= added
            return
        if self._identity.shared:  # this process has just made the links in it
            hand_over_entry(str(self._folder / "home"), "volumes", self._identity.uid)
        attached = {path for path in added if self._attach(within, path)}
        detached = {
            path
            for path in present - requested
            if (target := self._target(path)) is not None and hide_mount(within, path, target)
        }
        self.volumes = sorted((present | attached) - detached)
        self._unattachable |= added - attached

    def _update_open_volumes(self, user: HostUser, requested: set[str]) -> None:
        """Let the user enter new volumes, and no longer enter removed ones."""
        hand_over_entry(str(self._folder / "home"), "volumes", user.uid)  # the links in it
        present = set(self.volumes)
        for path in present - requested:
            user.close_volume(path)
        for path in requested - present:
            user.open_volume(path)
        self.volumes = sorted(requested)

    def close(self) -> None:
        """Disconnect, upon which the first program inside ends."""
        self._socket.close()
        self._close_network()
        self._release_identity()

    def _attach(self, within: int, path: str) -> bool:
        if self._identity is None or (target := self._target(path)) is None:
            return False
        try:
            if self._identity.shared:  # the folder to attach it to was made just now
                self._identity.give(str(targets_of(self._folder)))
            tree = self._identity.detached_mount(path)
        except (OSError, NoIdentity):
            return False
        try:
            return show_mount(within, tree, path, target)
        finally:
            os.close(tree)

    def _target(self, path: str) -> str | None:
        """Where a volume is attached, as visible from outside; None if it is elsewhere."""
        name = os.path.relpath(path, volumes_of(self._folder))
        outside = name.startswith("..") or os.path.isabs(name)
        return None if outside else make_target(str(targets_of(self._folder)), name)

    def _open(self) -> None:
        bwrap, refusal = bubblewrap() if self._is_requested else None, ""
        if bwrap:
            refresh_etc(self._folder.parent.parent)
        if self._is_requested and is_root():
            self._open_as_another_user(bwrap)
            return
        for closed in (True, False) if bwrap else ():  # an old bubblewrap cannot close it
            if (refusal := self._begin(bwrap, closed=closed)) == "":
                self.kind = "bubblewrap"
                remember_that_it_works(self._folder)
                return
        if refusal and has_worked(self._folder):
            raise OSError(NO_LONGER.format(why=refusal))
        why = refusal or (_no_bubblewrap() if self._is_requested else "switched off")
        if self._lower:
            raise OSError(NEEDS_SANDBOX.format(why=why))
        self.kind = f"none: {why}"
        if why := self._begin(None):
            raise OSError(f"nothing can be started inside of {self._folder.name}: {why}")

    def _open_as_another_user(self, bwrap: str | None) -> None:
        """Start as a user of its own, in a sandbox if that is possible here, or not at all."""
        why = _no_bubblewrap()
        if bwrap and is_privileged():
            try:
                why = self._begin_as(bwrap, shared=False)
            except CannotMap:
                why = self._begin_as(bwrap, shared=True)
                self.notes.append(SHARED_ID)
        elif bwrap:
            why = "root lacks CAP_SYS_ADMIN here"
        if not why:
            self.kind = "bubblewrap"
            remember_that_it_works(self._folder)
            return
        if bwrap and is_privileged() and has_worked(self._folder):
            raise OSError(NO_LONGER.format(why=why))
        if self._lower:
            raise OSError(NEEDS_SANDBOX.format(why=why))
        self._open_without_sandbox(why)

    def _open_without_sandbox(self, why: str) -> None:
        """Start as a user of its own without a sandbox, or not at all."""
        try:
            self._host_user = HostUser(crc32(os.fsencode(self._folder)))
            refusal = self._begin(None)
        except (NoIdentity, OSError) as error:
            refusal = str(error)
        if refusal:
            self._release_identity()
            raise OSError(
                "the daemon runs as root, its workspaces must not, and this one can have no user "
                f"of its own: {refusal} (and no sandbox: {why}). See `prism doctor`, or run Prism "
                "as an ordinary user"
            )
        self.kind, note = f"none: {why}", NO_SANDBOX.format(why=why)
        if self._passed:
            note += f", and what they may read in {' and '.join(self._passed)} by its name"
        self.notes.append(note)

    def _begin_as(self, bwrap: str, *, shared: bool) -> str:
        """Start as another user; empty if that succeeded, else why not."""
        preferred = crc32(os.fsencode(self._folder))
        try:
            self._identity = SandboxUser(preferred, shared=shared)
            self._limits = self._identity.limits
            why = self._begin(bwrap)
        except CannotMap:
            self._release_identity()
            raise
        except (NoIdentity, OSError) as error:
            why = str(error)
        if why:
            self._release_identity()
        return why

    def _release_identity(self) -> None:
        if self._identity:
            self._identity.close()
            self._identity = None
        if self._host_user:
            self._host_user.close()
            self._host_user = None

    def _close_network(self) -> None:
        if self.network:
            self.network.close()
            self.network = None

    def _begin(self, bwrap: str | None, *, closed: bool = False) -> str:
        """Start, with a network of its own if possible; empty if it succeeded, else why not."""
        if not bwrap and self._network_mode in STRICT:
            raise NotConfined(f"{MODE_VARIABLE} is {self._network_mode}, which needs a sandbox")
        self.network_kind = f"shared: {self._shares_network}" if bwrap else None
        (self._folder / NETWORK_SOCKET).unlink(missing_ok=True)  # of an earlier start
        try:
            if bwrap and not self._shares_network:
                self._open_network()
            if why := self._begin_within(bwrap, closed=closed):
                self._close_network()
                return why
            if self.network:
                self.network.wait()
                remember_that_it_works(self._folder, NETWORKED)
        except (NetworkUnavailable, OSError) as error:
            if self._shares_network or not bwrap:  # the network is not the cause
                raise
            return self._share_network(str(error)) or self._begin(bwrap, closed=closed)
        return ""

    def _open_network(self) -> None:
        user = self._identity.uid if self._identity else None
        environment = {"PATH": SYSTEM_PATH, MACHINE_VARIABLE: str(self._folder)}
        mode, counters = self._network_mode, {} if user else self._limits.counters
        self.network = WorkspaceNetwork(self._folder, user, environment, mode, counters)
        self.network_kind = "own"
        if not (why := self.network.unfiltered):
            remember_that_it_works(self._folder, FILTERED)
        elif mode != LAN or has_worked(self._folder, FILTERED):
            self._close_network()
            raise NotConfined(
                f"{UNFILTERED} ({why}), and {MODE_VARIABLE} is {mode}. See `prism doctor`"
            )
        else:
            self.notes.append(f"{UNFILTERED}: {why}")

    def _share_network(self, reason: str) -> str:
        """Use this computer's network from now on; or why nothing is started with that."""
        if hasattr(self, "_socket"):
            self._socket.close()
            os.kill(self.pid, signal.SIGKILL)
        self._close_network()
        if self._network_mode in STRICT:
            raise NotConfined(
                f"{MODE_VARIABLE} is {self._network_mode}, and it cannot be given a network of "
                f"its own: {reason}. See `prism doctor`"
            )
        if pasta() and has_worked(self._folder, NETWORKED):
            return f"it could be given a network of its own before, and cannot now: {reason}"
        self._shares_network = reason
        return ""

    def refresh_names(self) -> None:
        """Write what has changed in this computer's hosts and name servers."""
        if self._etc:
            with suppress(OSError):  # such as a full disk
                self._etc.refresh()

    def _write_etc(self) -> None:
        account = None
        if self._identity:
            account = Account(LOGIN, self._identity.uid, str(self._folder / "home"))
        resolver = resolver_file if self.network else None
        self._etc = OwnEtc(etc_of(self._folder), account, resolver)
        self._etc.write()

    def _begin_within(self, bwrap: str | None, *, closed: bool) -> str:
        """Start; empty if that succeeded, else why not."""
        reachable = [*self._reachable, str(INIT_PROGRAM)]
        if bwrap or self._host_user:
            remove_tree(self._folder / "tmp")
        if self._host_user:
            self._open_folders(self._host_user, reachable)
        mounts = self._detached_mounts(reachable) if self._identity else []
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", str(INIT_PROGRAM), str(theirs.fileno())]
        if bwrap:
            self._write_etc()
            is_another = self._identity is not None
            argv = bubblewrap_command(
                *(bwrap, argv, self._folder, reachable, self.volumes),
                another_user=is_another,
                closed=closed,
                lower=None if is_another else self._lower,
                gpus=self._gpus,
            )
        environment = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", MACHINE_VARIABLE: str(self._folder)}
        namespace = self._limiting_namespace() if bwrap else -1

        def prepare() -> None:
            os.set_inheritable(theirs.fileno(), True)
            self._prepare_child(mounts, namespace)

        try:
            self.pid, self.output_pipe = spawn(Start(argv, environment, Path("/"), prepare))
        finally:
            theirs.close()
            for descriptor in [tree for _, tree in mounts] + [namespace][: namespace >= 0]:
                os.close(descriptor)
        ours.settimeout(HANDOVER_TIMEOUT)
        if not self._send_confinement(ours, sandboxed=bool(bwrap)):
            return self._end_reason(ours)
        # Requests may be large and are sent whole; answers are read when they come.
        self._socket = ours
        return ""

    def _open_folders(self, user: HostUser, reachable: list[str]) -> None:
        """Give its user its own folders, and let it reach what it needs."""
        own = [*own_folders(self._folder), self._folder / "tmp"]
        for folder in own:
            folder.mkdir(mode=0o700, exist_ok=True)
        home = str(self._folder.parent.parent)
        self._passed = user.open(home, [*map(str, own)], reachable, self.volumes)

    def _limiting_namespace(self) -> int:
        """A user namespace with our limits for a sandbox without its own network; -1 for none.

        Some systems let bubblewrap alone make one; then its counters are not limited.
        """
        if self.network or self._identity or os.geteuid() == 0:
            return -1
        user, counters = TreeOwner(os.getuid(), os.getgid()), self._limits.counters
        try:
            return user_namespace(user.uid, user, counters=counters)
        except OSError:
            return -1

    def _prepare_child(self, mounts: list[tuple[str, int]], namespace: int) -> None:
        """Prepare a new child before it runs the first program."""
        self._prepare()
        if self.network:
            self.network.enter()
        elif namespace >= 0:
            syscalls.enter(namespace, syscalls.NEW_USER)
        if mounts:
            attach_mounts(mounts)
            if self._lower and self._identity:
                overlay.mount(self._lower, str(self._folder / "venv"), self._identity.uid)

    def _end_reason(self, ours: socket.socket) -> str:
        ours.close()
        os.set_blocking(self.output_pipe, True)
        with os.fdopen(self.output_pipe, "rb") as pipe:
            return last_words(pipe.read().decode(errors="replace")) or "it ends at once"

    def _send_confinement(self, ours: socket.socket, *, sandboxed: bool) -> bytes:
        """Send the first program its confinement, and that of all others; its answer."""
        confined = sandboxed or self._host_user is not None
        filter = filter_for(os.uname().machine) if confined else None
        confinement: dict[str, Any] = {"filter": (filter or b"").hex()}
        if self._is_requested:
            reachable = [*self._reachable, str(INIT_PROGRAM)]
            confinement["files"] = file_rules(self._folder, reachable, sandboxed=sandboxed)
        # A uid of this computer has its own count of processes, as has a user namespace.
        if confined and (self._host_user or counts_processes_by_place()):
            confinement["processes"] = processes_allowed()
        if confined and not self._host_user:  # that user has limits of its own
            confinement["limits"] = self._limits.programs
        fds = []
        if self._identity:
            fds = [self._identity.namespace]
        if user := self._identity or self._host_user:
            confinement |= {"uid": user.uid, "groups": user.groups}
        try:
            socket.send_fds(ours, [framed_for_init(confinement)], fds)
            return ours.recv(4096)
        except socket.timeout:  # noqa: UP041  until Python 3.10 it was no `TimeoutError`
            os.kill(self.pid, signal.SIGKILL)
        except OSError:  # it has ended
            pass
        return b""

    def _detached_mounts(self, reachable: list[str]) -> list[tuple[str, int]]:
        """Mounts of Prism's installation and of the workspace's own folders."""
        identity = self._identity
        assert identity, "only a workspace with a user of its own needs these mounts"
        targets = targets_of(self._folder)
        make_target(str(targets), "")
        for path in self.volumes:
            self._target(path)
        for folder in own_folders(self._folder):
            folder.mkdir(exist_ok=True)
        own = [str(targets), *map(str, own_folders(self._folder))]
        shared = [self._lower] if self._lower else []
        installed = {
            os.path.realpath(candidate) for candidate in reachable if os.path.exists(candidate)
        }
        mounts: list[tuple[str, int]] = []
        try:
            for path in sorted(installed):
                if (tree := identity.readable_mount(path)) is not None:
                    mounts.append((path, tree))
            for path in (*shared, *own, *self.volumes):
                mounts.append((path, identity.detached_mount(path, may_chown=path not in shared)))
        except BaseException:
            for _, tree in mounts:
                os.close(tree)
            raise
        return mounts


def counts_processes_by_place() -> bool:
    """Whether the kernel counts a user's processes per user namespace (Linux 5.14)."""
    if not LINUX:
        return False
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(re.sub(r"\D.*", "", minor) or 0)) >= (5, 14)


def _first_inside(pid: int) -> int | None:
    """The first process inside, found from the process that made the sandbox."""
    children = [descendant for descendant in descendants(pid) if descendant.parent == pid]
    return min(children, key=lambda child: int(child.began)).pid if children else None


def _no_bubblewrap() -> str:
    return "bubblewrap is not installed" if LINUX else "this system has no bubblewrap"


def _plain_fields(line: bytes) -> dict[str, Any]:
    """The numbers in an answer; a program inside may send anything."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(answer, dict):
        return {}
    return {
        name: number
        for name, number in answer.items()
        if type(number) is int and abs(number) < 1 << 31
    }


def _terminals(fds: list[int]) -> list[int]:
    """Those of these descriptors that are terminals; others, such as a socket, are closed.

    The daemon gets them to read and write: a connection to the daemon itself would then be the
    daemon's own.
    """
    terminals = [descriptor for descriptor in fds if os.isatty(descriptor)]
    for descriptor in set(fds) - set(terminals):
        os.close(descriptor)
    return terminals
