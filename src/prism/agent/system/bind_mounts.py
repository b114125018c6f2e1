"""Mounts volumes into a running sandbox, and removes them, while programs run there.

A sandbox sees only what was bind-mounted when it was made. Root may add mounts later: a child
process of ours enters the sandbox's mount namespace and attaches a mount that was made outside
(Linux 5.12). The target folder is also made outside, in a tree that the workspace can only read,
and is compared with ours. So no path that a workspace can change is resolved, and nothing in the
sandbox becomes writable.
"""

import os
from collections.abc import Callable, Iterable

from prism.agent.system import syscalls
from prism.agent.system.processes import LINUX


def make_target(targets: str, name: str) -> str:
    """The folder where a volume will be attached, in the tree that a workspace can read."""
    path = targets
    for part in ("", *name.split("/")):
        path = os.path.join(path, part) if part else path
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
    return path


def show_mount(pid: int, tree: int, path: str, target: str) -> bool:
    """Attach a detached mount at a path in the process's sandbox; `target` is it from outside."""

    def work() -> None:
        known = os.stat(target, follow_symlinks=False)
        _enter(pid)
        folder = syscalls.open_folder_path(path)
        if not os.path.samestat(known, os.fstat(folder)):
            raise FileExistsError(path)  # something is mounted there already
        syscalls.attach(tree, folder)

    return in_a_child(work)


def hide_mount(pid: int, path: str, target: str) -> bool:
    """Unmount what is at a path in the process's sandbox; `target` is that path outside."""

    def work() -> None:
        known = os.stat(os.path.dirname(target), follow_symlinks=False)
        _enter(pid)
        above = syscalls.open_folder_path(os.path.dirname(path))
        if not os.path.samestat(known, os.fstat(above)):
            raise FileNotFoundError(path)
        os.fchdir(above)
        syscalls.unmount_here(os.path.basename(path))

    return in_a_child(work)


def _enter(pid: int) -> None:
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.enter(space, syscalls.NEW_MOUNTS)


def attach_mounts(mounts: Iterable[tuple[str, int]]) -> None:
    """Attach detached mounts at these paths, for this process and its children."""
    syscalls.unshare(syscalls.NEW_MOUNTS)
    syscalls.make_mounts_private()
    for path, tree in mounts:
        target = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        syscalls.attach(tree, target)
        os.close(target)


def in_a_child(work: Callable[[], None]) -> bool:
    """Run `work`, which cannot be undone, in a child process; returns whether it succeeded."""
    if not LINUX or os.geteuid() != 0:
        return False
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
