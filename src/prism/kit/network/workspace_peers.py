"""Decides by a socket's inode whether a connection to the daemon or a tunnel is a workspace's.

A sandboxed workspace runs as the daemon's own user, so the uid of a socket does not distinguish it
from its owner's programs; the place in the process tree does. While such workspaces run:

- Every process of theirs in our network is checked; one in a network of its own cannot connect to
  our ports, and may have opened millions of files. If one of them holds the socket, it is refused,
  whoever else holds it. The same applies to supervisors and this daemon: they never call the
  daemon's API, but a workspace can pass them a socket. Only the ports that lead to machines on AWS
  are used by the daemon itself.
- Some other process must hold it. A socket can be hidden (in a thread with its own descriptors, in
  a message under way, in a process that we cannot inspect), and is refused then.

If all of them have their own networks, none of their programs can have made a socket in ours. Then
the first process that holds it is admitted, unless it is one of the daemon's own; otherwise all of
the above decides.
"""

import ctypes
import os
import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MAX_RECENT_PIDS = 16  # recent clients, which will connect again: a browser, a notebook
KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272}.get(platform.machine())
KCMP_FILES = 2
SEARCH_SECONDS = 5.0  # for one socket; then it counts as a workspace's
PASTA = ("pasta", "passt")
LIBC = ctypes.CDLL(None, use_errno=True)
SUPERVISOR = b"/prism/agent/supervisor.py"


class WorkspacePeers:
    """Decides which sockets are a workspace's; `sandboxed` returns whether any runs in a sandbox.

    `own_network` returns whether each of those has its own network at this moment.
    """

    def __init__(
        self,
        sandboxed: Callable[[], bool],
        supervisors: Callable[[], set[int]],
        own_network: Callable[[], bool],
    ) -> None:
        self._sandboxed, self._supervisors, self._own_network = sandboxed, supervisors, own_network
        self._recent_pids: OrderedDict[int, None] = OrderedDict()
        self._writing = threading.Lock()  # each listener calls from its own thread

    def of_a_workspace(self, inode: int, *, daemon_dials: bool = False) -> bool:
        """Whether a process of a sandboxed workspace holds it, or no process is seen to.

        Also True if that cannot be found out in time. `daemon_dials` is for ports that the daemon
        connects to itself, as its proxies do.
        """
        if not self._sandboxed():
            return False
        try:
            return self._is_held_inside(f"socket:[{inode}]", daemon_dials, _Deadline())
        except SearchTooLong:
            return True

    def _is_held_inside(self, link: str, daemon_dials: bool, deadline: "_Deadline") -> bool:
        if self._own_network() and self._is_held_outside(link, daemon_dials, deadline):
            return False
        within = self._own_processes()
        ours = (pid for pid in within if _is_in_our_network(pid))
        checked = (pid for pid in ours if not daemon_dials or pid != os.getpid())
        if deadline.holder(checked, link) is not None:
            return True
        if daemon_dials and _holds(os.getpid(), link):
            return False
        # A process that is new since then is judged by its ancestors; the socket may be passed on.
        candidates = (pid for _ in range(2) for pid in self._other_processes(within))
        holder = deadline.holder(candidates, link)
        if holder is None or self._is_in_workspace(holder):
            return True
        self._remember(holder)
        return False

    def _is_held_outside(self, link: str, daemon_dials: bool, deadline: "_Deadline") -> bool:
        """Whether the first process with the socket was not started by the daemon."""
        if daemon_dials and _holds(os.getpid(), link):
            return True
        candidates = (pid for pid in self._other_processes(set()) if _is_in_our_network(pid))
        holder = deadline.holder(candidates, link)
        if holder is None or _descends_from(holder, {os.getpid(), *self._supervisors()}):
            return False
        self._remember(holder)
        return True

    def _own_processes(self) -> set[int]:
        """The daemon itself, the supervisors, and their descendants in a sandbox."""
        supervisors = self._supervisors()
        below = {pid for pid in descendants(supervisors) if _is_sandboxed(pid)}
        return {os.getpid(), *supervisors, *below}

    def _other_processes(self, within: set[int]) -> Iterator[int]:
        """Every other process, the likely ones first: recent clients, then the youngest."""
        with self._writing:
            recent = [pid for pid in reversed(self._recent_pids) if pid not in within]
        yield from recent
        processes = sorted(
            (int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True
        )
        yield from (pid for pid in processes if pid not in within and pid not in recent)

    def _is_in_workspace(self, pid: int) -> bool:
        return _is_sandboxed(pid) and _descends_from(pid, self._supervisors())

    def _remember(self, pid: int) -> None:
        with self._writing:
            self._recent_pids[pid] = None
            self._recent_pids.move_to_end(pid)
            while len(self._recent_pids) > MAX_RECENT_PIDS:
                self._recent_pids.popitem(last=False)


def workspaces_here() -> WorkspacePeers:
    """Decides for another program than the daemon; finds supervisors by their command line."""
    return WorkspacePeers(lambda: any(_supervisors_here()), lambda: {*_supervisors_here()}, _apart)


def _supervisors_here() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit() and _runs_supervisor(name):
            yield int(name)


def _runs_supervisor(pid: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return False
    # A workspace's programs are inside, whatever they are called.
    return any(word.endswith(SUPERVISOR) for word in words) and not _is_sandboxed(int(pid))


def _apart() -> bool:
    """Whether no sandboxed process of a workspace is in our network."""
    below = descendants({*_supervisors_here()})
    return not any(_is_sandboxed(pid) and _is_in_our_network(pid) for pid in below)


class SearchTooLong(Exception):
    """The holder of a socket was not found in time."""


class _Deadline:
    """The end of one search: workspaces may have opened millions of files."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SEARCH_SECONDS

    def holder(self, pids: Iterable[int], link: str) -> int | None:
        """The first of the processes that holds the socket; raises `SearchTooLong`."""
        for pid in pids:
            if time.monotonic() > self._until:
                raise SearchTooLong
            if _holds(pid, link):
                return pid
        return None


def _holds(pid: int, link: str) -> bool:
    """Whether a thread of a process has it open, as far as we may see."""
    return any(_has_open(tables, link) for tables in _descriptor_folders(pid))


def _descriptor_folders(pid: int) -> Iterator[str]:
    """The descriptor folders of a process, and of its threads that have other descriptors."""
    yield f"/proc/{pid}/fd"
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has just ended
        return
    for task in map(int, tasks):
        if task != pid and not _share_descriptors(pid, task):
            yield f"/proc/{pid}/task/{task}/fd"


def _share_descriptors(pid: int, other: int) -> bool:
    """Whether two tasks share their descriptors; False if the kernel does not tell."""
    return KCMP is not None and LIBC.syscall(KCMP, pid, other, KCMP_FILES, 0, 0) == 0


def _has_open(folder: str, link: str) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it has just ended, or may not be looked into
        return False
    try:
        return any(_links_to(number, descriptor, link) for number in os.listdir(descriptor))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _links_to(number: str, folder: int, link: str) -> bool:
    try:
        return os.readlink(number, dir_fd=folder) == link
    except OSError:  # it has just closed it, or this one cannot be read
        return False


def _is_in_our_network(pid: int) -> bool:
    """Whether a process is in our network; True as well if that cannot be read."""
    try:
        theirs = os.stat(f"/proc/{pid}/ns/net")
    except OSError:
        return True
    return os.path.samestat(theirs, os.stat("/proc/self/ns/net"))


def _is_sandboxed(pid: int) -> bool:
    """Whether a process is in a PID namespace within ours, or forwards connections of one."""
    status = _status(pid)
    return len(status.get("NSpid", "").split()) > 1 or status.get("Name", "").startswith(PASTA)


def descendants(ancestors: set[int]) -> Iterator[int]:
    """All descendants of these, by the table of all processes."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent(int(name)), []).append(int(name))
    queue = list(ancestors)
    while queue:
        pids = children.get(queue.pop(), [])
        yield from pids
        queue += pids


def _parent(pid: int) -> int:
    try:
        stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:  # it has just ended
        return 0
    try:
        content = os.read(stat, 1024)  # half the time of a file object, for every process
    except OSError:
        return 0
    finally:
        os.close(stat)
    return int(content[content.rindex(b")") + 2 :].split(None, 2)[1])


def _descends_from(pid: int, supervisors: set[int]) -> bool:
    while pid > 1:
        if pid in supervisors:
            return True
        pid = _parent(pid)
    return False


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
