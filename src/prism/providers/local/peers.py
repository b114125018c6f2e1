"""Whether whoever knocks at a door of the daemon is a workspace: asked by its socket's inode.

A workspace in a sandbox runs as the daemon's own user, so its uid does not tell it from its
owner; its PID namespace does. Where such workspaces run, somebody must be seen to hold the
socket: who hides it (on its way from one process to another, say) is turned away. Only a
process of the owner's that nobody may look into (an `sshd`) can be the unseen holder.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 16  # who knocked lately, and will again: a browser, a notebook


class Peers:
    """Says which sockets are a workspace's; `fenced` whether any runs in a sandbox."""

    def __init__(self, fenced: Callable[[], bool], supervisors: Callable[[], set[int]]) -> None:
        self._fenced, self._supervisors = fenced, supervisors
        self._lately: OrderedDict[int, None] = OrderedDict()
        self._writing = threading.Lock()  # each door asks from a thread of its own

    def of_a_workspace(self, inode: int) -> bool:
        """Whether a process of a sandboxed workspace holds it, or nobody can be seen to."""
        if not self._fenced():
            return False
        link, unseen = f"socket:[{inode}]", []
        for pid in self._candidates():
            held = _holds(pid, link)
            if held:
                return self._inside(pid)
            if held is None:
                unseen.append(pid)
        return not any(map(_is_of_ours, unseen))

    def _candidates(self) -> Iterator[int]:
        """Every process, the likely ones first: who came lately, then the youngest."""
        with self._writing:
            lately = list(reversed(self._lately))
        yield from lately
        everybody = sorted((int(it) for it in os.listdir("/proc") if it.isdigit()), reverse=True)
        yield from (pid for pid in everybody if pid not in lately)

    def _inside(self, pid: int) -> bool:
        if _nested(pid) and _came_of(pid, self._supervisors()):
            return True
        with self._writing:
            self._lately[pid] = None
            self._lately.move_to_end(pid)
            while len(self._lately) > MOST:
                self._lately.popitem(last=False)
        return False


def _holds(pid: int, link: str) -> bool | None:
    """Whether a process has it open; none where nobody may know."""
    try:
        folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return any(_leads(number, folder, link) for number in os.listdir(folder))
        finally:
            os.close(folder)
    except PermissionError:
        return None
    except OSError:  # it has just ended
        return False


def _leads(number: str, folder: int, link: str) -> bool:
    try:
        return os.readlink(number, dir_fd=folder) == link
    except OSError:  # it has just closed it; or this one alone is nobody's business
        return False


def _nested(pid: int) -> bool:
    """Whether it lives in a PID namespace within ours."""
    return len(_status(pid).get("NSpid", "").split()) > 1


def _is_of_ours(pid: int) -> bool:
    """Whether a process of this user's own, outside of every sandbox, may not be looked into."""
    said = _status(pid)
    ours = said.get("Uid", "").split()[:1] == [str(os.geteuid())]
    return ours and len(said.get("NSpid", "").split()) == 1


def _came_of(pid: int, supervisors: set[int]) -> bool:
    while pid > 1:
        if pid in supervisors:
            return True
        pid = int(_status(pid).get("PPid", "0"))
    return False


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: said.strip() for name, _, said in (line.partition(":") for line in lines)}
