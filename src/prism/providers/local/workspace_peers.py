"""Whether a connection to the daemon comes from a workspace: asked by its socket's inode.

A workspace in a sandbox runs as the daemon's own user, so the uid of a socket does not tell it
from its owner's; its place in the process tree does. While such workspaces run:

- Every task of theirs in our network is looked at: from a network of its own none connects to a
  port of ours, and it may have opened millions of files. One that holds the socket decides,
  whoever else holds it.
  So does a supervisor or this daemon: neither ever calls the daemon's API, but a workspace can
  hand them a socket of its own. Only the ports that lead to machines on AWS are dialled by the
  daemon itself.
- Somebody else must be seen to hold it. A socket can be hidden (in a thread with descriptors of
  its own, in a message on its way, in a process that cannot be looked into), and is refused then.

Where all of them have networks of their own, none of their programs can have made a socket of
ours. Whoever is first seen to hold it then decides, if it is none of the daemon's own processes.
Whom that does not let in is judged by all of the above.
"""

import ctypes
import os
import platform
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 16  # who knocked lately, and will again: a browser, a notebook
KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272}.get(platform.machine())
KCMP_FILES = 2
PASTA = ("pasta", "passt")
LIBC = ctypes.CDLL(None, use_errno=True)


class WorkspacePeers:
    """Says which sockets are a workspace's; `fenced` whether any runs in a sandbox.

    `networked` says whether each of those has a network of its own at this very moment.
    """

    def __init__(
        self,
        fenced: Callable[[], bool],
        supervisors: Callable[[], set[int]],
        networked: Callable[[], bool],
    ) -> None:
        self._fenced, self._supervisors, self._networked = fenced, supervisors, networked
        self._lately: OrderedDict[int, None] = OrderedDict()
        self._writing = threading.Lock()  # each door asks from a thread of its own

    def of_a_workspace(self, inode: int, *, daemon_dials: bool = False) -> bool:
        """Whether a process of a sandboxed workspace holds it, or nobody can be seen to.

        `daemon_dials` is for ports that the daemon connects to itself, as its proxies do.
        """
        if not self._fenced():
            return False
        link = f"socket:[{inode}]"
        if self._networked() and self._is_held_outside(link, daemon_dials=daemon_dials):
            return False
        within = self._within()
        ours = (pid for pid in within if _is_in_our_network(pid))
        if any(_holds(pid, link) for pid in ours if not daemon_dials or pid != os.getpid()):
            return True
        if daemon_dials and _holds(os.getpid(), link):
            return False
        # Who came in while we looked is judged by where it lives; it may have been handed on, too.
        others = (other for _ in range(2) for other in self._others(within))
        holder = next((other for other in others if _holds(other, link)), None)
        if holder is None or self._came_in(holder):
            return True
        self._remember(holder)
        return False

    def _is_held_outside(self, link: str, *, daemon_dials: bool) -> bool:
        """Whether the first who is seen to hold it is none of what the daemon has running."""
        if daemon_dials and _holds(os.getpid(), link):
            return True
        candidates = (pid for pid in self._others(set()) if _is_in_our_network(pid))
        holder = next((pid for pid in candidates if _holds(pid, link)), None)
        if holder is None or _came_of(holder, {os.getpid(), *self._supervisors()}):
            return False
        self._remember(holder)
        return True

    def _within(self) -> set[int]:
        """The daemon itself, the supervisors, and all that came of them in a sandbox."""
        supervisors = self._supervisors()
        below = {pid for pid in _descendants(supervisors) if _is_apart(pid)}
        return {os.getpid(), *supervisors, *below}

    def _others(self, within: set[int]) -> Iterator[int]:
        """Every other process, the likely ones first: who came lately, then the youngest."""
        with self._writing:
            lately = [pid for pid in reversed(self._lately) if pid not in within]
        yield from lately
        everybody = sorted(
            (int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True
        )
        yield from (pid for pid in everybody if pid not in within and pid not in lately)

    def _came_in(self, pid: int) -> bool:
        return _is_apart(pid) and _came_of(pid, self._supervisors())

    def _remember(self, pid: int) -> None:
        with self._writing:
            self._lately[pid] = None
            self._lately.move_to_end(pid)
            while len(self._lately) > MOST:
                self._lately.popitem(last=False)


def _holds(pid: int, link: str) -> bool:
    """Whether a task of a process is seen to have it open."""
    return any(_opened(tables, link) for tables in _tables(pid))


def _tables(pid: int) -> Iterator[str]:
    """The descriptors of a process, and those of its threads that have others."""
    yield f"/proc/{pid}/fd"
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has just ended
        return
    for task in map(int, tasks):
        if task != pid and not _share(pid, task):
            yield f"/proc/{pid}/task/{task}/fd"


def _share(pid: int, other: int) -> bool:
    """Whether two tasks have the same descriptors; not, where the kernel does not say."""
    return KCMP is not None and LIBC.syscall(KCMP, pid, other, KCMP_FILES, 0, 0) == 0


def _opened(folder: str, link: str) -> bool:
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it has just ended, or may not be looked into
        return False
    try:
        return any(_leads(number, place, link) for number in os.listdir(place))
    except OSError:
        return False
    finally:
        os.close(place)


def _leads(number: str, folder: int, link: str) -> bool:
    try:
        return os.readlink(number, dir_fd=folder) == link
    except OSError:  # it has just closed it; or this one alone is nobody's business
        return False


def _is_in_our_network(pid: int) -> bool:
    """Whether it is, or may be: who cannot be asked is."""
    try:
        theirs = os.stat(f"/proc/{pid}/ns/net")
    except OSError:
        return True
    return os.path.samestat(theirs, os.stat("/proc/self/ns/net"))


def _is_apart(pid: int) -> bool:
    """Whether it lives in a PID namespace within ours, or passes on what such a one sends."""
    status = _status(pid)
    return len(status.get("NSpid", "").split()) > 1 or status.get("Name", "").startswith(PASTA)


def _descendants(of: set[int]) -> Iterator[int]:
    """All processes that came of these, by the table of all processes."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent(int(name)), []).append(int(name))
    queue = list(of)
    while queue:
        found = children.get(queue.pop(), [])
        yield from found
        queue += found


def _parent(pid: int) -> int:
    try:
        stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:  # it has just ended
        return 0
    try:
        said = os.read(stat, 1024)  # half the time of a file object: this is asked of everybody
    except OSError:
        return 0
    finally:
        os.close(stat)
    return int(said[said.rindex(b")") + 2 :].split(None, 2)[1])


def _came_of(pid: int, supervisors: set[int]) -> bool:
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
    return {name: said.strip() for name, _, said in (line.partition(":") for line in lines)}
