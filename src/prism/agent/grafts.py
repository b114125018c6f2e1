"""Folders that come into a sandbox, or leave it, while programs run there.

A sandbox sees only what was bound into it when it was made. Root may bind more later: a
child of ours takes the folder as a mount that hangs nowhere yet, enters the sandbox's mount
namespace, and hangs it up at the same path (Linux 5.2). Who is not root may not, and is told.
"""

import ctypes
import os
from collections.abc import Callable

from prism.agent.processes import LINUX

OPEN_TREE, MOVE_MOUNT = 428, 429  # the same number on every architecture
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
CLONE, EMPTY_PATH = 1, 4
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
READ_ONLY, NO_SUID, NO_DEVICES, REMOUNT, BIND = 1, 2, 4, 32, 4096
AT_ONCE_OUT_OF_SIGHT = 2  # MNT_DETACH: who has a file open there keeps it until he closes it


def graft(pid: int, path: str, place: str) -> bool:
    """Show a folder, at its own path, where the process lives; `place` is what holds it there."""

    def work(libc: ctypes.CDLL) -> None:
        tree = libc.syscall(
            OPEN_TREE, AT_FDCWD, path.encode(), CLONE | os.O_CLOEXEC | AT_RECURSIVE
        )
        _enter(libc, pid, tree)
        if not os.path.isdir(path):
            _remount(libc, place, NO_SUID | NO_DEVICES)
            os.makedirs(path)
            _remount(libc, place, NO_SUID | NO_DEVICES | READ_ONLY)
        told = (tree, b"", AT_FDCWD, path.encode(), EMPTY_PATH)
        _checked(libc.syscall(MOVE_MOUNT, *told))
        _remount(libc, path, NO_SUID | NO_DEVICES)

    return _in_a_child(work)


def prune(pid: int, path: str) -> bool:
    """Hide a folder where the process lives."""

    def work(libc: ctypes.CDLL) -> None:
        _enter(libc, pid, 0)
        _checked(libc.umount2(path.encode(), AT_ONCE_OUT_OF_SIGHT))

    return _in_a_child(work)


def _enter(libc: ctypes.CDLL, pid: int, tree: int) -> None:
    _checked(tree)
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    _checked(libc.setns(space, NEW_MOUNTS))


def _remount(libc: ctypes.CDLL, path: str, flags: int) -> None:
    _checked(libc.mount(None, path.encode(), None, REMOUNT | BIND | flags, None))


def _checked(answer: int) -> None:
    if answer < 0:
        raise OSError(ctypes.get_errno(), "the kernel does not let us")


def _in_a_child(work: Callable[[ctypes.CDLL], None]) -> bool:
    """Whether it could be done: it is done in a child, since there is no way back."""
    if not LINUX or os.geteuid() != 0:
        return False
    child = os.fork()
    if not child:
        code = 1
        try:
            work(ctypes.CDLL(None, use_errno=True))
            code = 0
        except OSError:
            code = 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
