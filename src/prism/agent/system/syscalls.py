"""Linux system calls that Python does not offer, with errors as `OSError`.

All numbers here are the same on every architecture.
"""

import ctypes
import errno
import os
import struct

OPEN_TREE, MOVE_MOUNT, OPENAT2, MOUNT_SETATTR = 428, 429, 437, 442
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x8000, 0x100
OPEN_TREE_CLONE = 1
MOVE_FROM_DESCRIPTOR, MOVE_TO_DESCRIPTOR = 0x04, 0x40
NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
MS_RECURSIVE, MS_PRIVATE = 0x4000, 1 << 18
ATTRIBUTE_NO_SUID, ATTRIBUTE_NO_DEVICES, ATTRIBUTE_ID_MAP = 0x2, 0x4, 0x00100000
RESOLVE_NO_MAGIC_LINKS, RESOLVE_NO_SYMLINKS = 0x02, 0x04
UNMOUNT_NO_FOLLOW = 8
CAP_SYS_ADMIN = 21

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(answer: int, name: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return answer


def detached(path: str) -> int:
    """A copy of the mount at a path, with all mounts below, attached nowhere yet."""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW
    return _checked(_libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(path), flags), path)


def set_attributes(tree: int, attributes: int, namespace: int = 0) -> None:
    """Set attributes of a mount and of all below; `namespace` has the map of ids, if any."""
    change = struct.pack("QQQQ", attributes, 0, 0, namespace)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    _checked(_libc.syscall(MOUNT_SETATTR, tree, b"", flags, change, len(change)), "mount_setattr")


def attach(tree: int, target: int) -> None:
    """Attach a detached mount at an open folder or file."""
    flags = MOVE_FROM_DESCRIPTOR | MOVE_TO_DESCRIPTOR
    _checked(_libc.syscall(MOVE_MOUNT, tree, b"", target, b"", flags), "move_mount")


def open_folder_path(path: str) -> int:
    """An `O_PATH` descriptor of a folder in which nothing is a symbolic link."""
    how = struct.pack(
        "QQQ",
        os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY,
        0,
        RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGIC_LINKS,
    )
    opened: int = _libc.syscall(OPENAT2, AT_FDCWD, os.fsencode(path), how, len(how))
    return _checked(opened, path)


def unmount_here(name: str) -> None:
    """Unmount what is mounted at a name in the working directory.

    A symbolic link is refused, and so is a mount in use (`EBUSY`): programs could go on writing.
    """
    _checked(_libc.umount2(os.fsencode(name), UNMOUNT_NO_FOLLOW), name)


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _checked(_libc.unshare(flags), "unshare")


def enter(namespace: int, kind: int) -> None:
    """Move this process into an existing namespace."""
    _checked(_libc.setns(namespace, kind), "setns")


def make_mounts_private() -> None:
    """Let no mount of this namespace appear in another one."""
    _checked(_libc.mount(None, b"/", None, MS_RECURSIVE | MS_PRIVATE, None), "mount")


def mount_memory(path: str) -> None:
    """Mount an empty file system in memory over a folder."""
    _checked(_libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"mode=755"), path)


def is_unsupported(error: OSError) -> bool:
    """Whether the error says that the kernel or file system lacks the feature."""
    return error.errno in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def change_owner(file: int, uid: int) -> None:
    """Make a uid, and the gid of the same number, the owner of what a descriptor has opened."""
    answer = _libc.fchownat(file, b"", uid, uid, AT_EMPTY_PATH)
    _checked(answer, "fchownat")
