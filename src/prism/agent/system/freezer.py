"""Freezes a machine's processes with their memory, and thaws them.

A cgroup freezes all processes at once, which they do not notice. If we may not make a cgroup,
SIGSTOP goes to parents before children, until a pass finds nothing new, so that no parent notices
a stopped child; SIGCONT goes to children before parents, so that no shell reports a stopped job.
Processes that the user had stopped before stay stopped.
"""

import hashlib
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prism.agent.system.processes import DEAD, LINUX, STOPPED, Process, descendants, process, send

FREEZE_TIMEOUT, FORGOTTEN = 5.0, 3600.0
GUARD = 'read -r _ || echo 1 >"$1"'  # the end of its input without a line: nobody thawed the group


class CannotFreeze(Exception):
    """A process did not stop in time, so all processes were continued."""


class Freezer(Protocol):
    """Freezes the descendants of this process."""

    kind: str

    def join(self) -> None:
        """Add this process, a new child of the supervisor, to the freezer."""

    def freeze(self) -> None:
        """Stop all processes, or raise `CannotFreeze` with all running."""

    def thaw(self) -> None:
        """Continue all processes."""

    def kill(self) -> None:
        """End the processes that only this freezer can end."""

    def close(self) -> None:
        """Remove what this freezer has made in the system."""


class Signals:
    """Freezes with SIGSTOP, which works on all systems and for all users."""

    kind = "signals"

    def __init__(self) -> None:
        self._spared: set[tuple[int, str]] = set()

    def join(self) -> None:
        """Does nothing: descendants are found by their parents."""

    def freeze(self) -> None:
        """Stop parents before children, until a pass finds no running process."""
        until = time.monotonic() + FREEZE_TIMEOUT
        ours = descendants(os.getpid())
        self._spared = {_identity(member) for member in ours if member.state in STOPPED}
        while running := {member.pid for member in ours if member.state not in STOPPED | DEAD}:
            if time.monotonic() > until:
                self.thaw()
                raise CannotFreeze(f"process {min(running)} does not stop")
            # One generation at a time, after the one before has stopped: a running shell would
            # print "Stopped" about its child.
            front = [p.pid for p in ours if p.pid in running and p.parent not in running]
            send(signal.SIGSTOP, front)
            _wait_until_stopped(front)
            ours = descendants(os.getpid())

    def thaw(self) -> None:
        """Continue children before parents."""
        ours = [p for p in reversed(descendants(os.getpid())) if _identity(p) not in self._spared]
        send(signal.SIGCONT, [member.pid for member in ours])

    def kill(self) -> None:
        """Does nothing: SIGKILL ends stopped processes too."""

    def close(self) -> None:
        """Does nothing."""


class Cgroup:
    """Freezes with a control group for this machine."""

    kind = "cgroup"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard: subprocess.Popen[bytes] | None = None

    def join(self) -> None:
        """Move this process into the group, to which its children will belong too."""
        (self.path / "cgroup.procs").write_text("0")

    def freeze(self) -> None:
        """Freeze the group, and wait until the kernel confirms that."""
        (self.path / "cgroup.freeze").write_text("1")
        until = time.monotonic() + FREEZE_TIMEOUT
        while "frozen 1" not in (self.path / "cgroup.events").read_text():
            if time.monotonic() > until:
                self.thaw()
                raise CannotFreeze("the control group does not freeze")
            time.sleep(0.001)
        self._start_guard()

    def thaw(self) -> None:
        """Continue the group."""
        (self.path / "cgroup.freeze").write_text("0")
        if guard := self._guard:
            self._guard = None
            guard.communicate(b"\n")

    def _start_guard(self) -> None:
        """Start a program that ends the frozen group if this process dies.

        PR_SET_PDEATHSIG does not: the monitor of bubblewrap, whose death it follows, has no right
        to send a signal to another user. A program that is not frozen notices the death by itself.
        """
        if self._guard is None and (kill := self.path / "cgroup.kill").exists():
            command = ["/bin/sh", "-c", GUARD, "sh", str(kill)]
            self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def kill(self) -> None:
        """End every member, even if frozen."""
        if (all_at_once := self.path / "cgroup.kill").exists():
            all_at_once.write_text("1")
        else:
            for path in self._all():
                members = (path / "cgroup.procs").read_text().split()
                send(signal.SIGKILL, [int(pid) for pid in members])
        self.thaw()

    def close(self) -> None:
        """Remove the group and those below, which must be empty by now."""
        until = time.monotonic() + FREEZE_TIMEOUT
        while self.path.exists():
            try:
                for path in self._all():
                    path.rmdir()
            except OSError:  # the last process has not ended completely
                if time.monotonic() > until:
                    return
                time.sleep(0.005)

    def _all(self) -> list[Path]:
        """The group and those below, the deepest first."""
        below = [Path(folder) for folder, _, _ in os.walk(self.path)]
        return below[::-1] or [self.path]


def _wait_until_stopped(pids: list[int]) -> None:
    """Wait a moment; the next pass handles those that have not stopped by then."""
    until = time.monotonic() + 0.02
    while LINUX and time.monotonic() < until:
        now = [process(pid) for pid in pids]
        if all(member is None or member.state in STOPPED | DEAD for member in now):
            return


def _identity(process: Process) -> tuple[int, str]:
    return process.pid, process.began


def freezer(folder: Path) -> Freezer:
    """The best freezer that this system allows for a machine.

    An existing group of that name belonged to a supervisor that died. It may be frozen, and would
    freeze new members, so its processes are ended first.
    """
    name = f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    for parent in _places():
        path = parent / "prism" / name
        try:
            path.mkdir(parents=True, exist_ok=True)
            group = Cgroup(path)
            group.kill()
            if _may_join(path):
                _remove_old(path.parent)
                return group
            group.close()
        except OSError:
            continue
    return Signals()


def _remove_old(parent: Path) -> None:
    """Remove the empty groups of machines that do not exist any more."""
    for path in parent.glob("local-*"):
        try:
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.rmdir()  # fails if a process is in it
        except OSError:
            continue


def _places() -> list[Path]:
    """The places for groups: the top for root, else below our own group."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    top = next((Path(line.split()[4]) for line in mounts if " - cgroup2 " in line), None)
    if top is None:
        return []
    ours = next((line[3:].lstrip("/") for line in own if line.startswith("0::")), "")
    return [top, top / ours] if os.geteuid() == 0 else [top / ours]


def _may_join(path: Path) -> bool:
    """Whether our child may join: not if another user owns the common ancestor of both groups."""
    pid = os.fork()
    if not pid:
        try:
            (path / "cgroup.procs").write_text("0")
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def memory_refusal(freezer: Freezer, most: int) -> str:
    """Limit the memory of a machine's programs, in bytes; empty, or why the system refuses."""
    if not isinstance(freezer, Cgroup):
        return "Prism can make no control group here"
    if set_limit(freezer.path, "memory", most):
        return ""
    top = freezer.path.parent.parent
    with suppress(OSError):
        if "memory" in (top / "cgroup.controllers").read_text().split():
            return f"the control groups below {top} do not pass the memory controller on"
    return f"the control groups at {top} have no memory controller"


def set_limit(path: Path, controller: str, most: int) -> bool:
    """Limit a group's bytes of `memory`, or its `pids`; false if the system does not allow that.

    The kernel counts threads as `pids` too.
    """
    try:
        for above in (path.parent.parent, path.parent):
            if controller not in (above / "cgroup.subtree_control").read_text().split():
                (above / "cgroup.subtree_control").write_text(f"+{controller}")
        (path / f"{controller}.max").write_text(str(most))
    except OSError:
        return False
    return True
