"""Access to files in trees that a workspace can write, without following any symlink.

A program in a workspace can exchange a folder for a symlink between two system calls. Code
outside of the sandbox therefore never passes the kernel a path that leads through such a
tree. It opens the root of the tree, whose parents no workspace can write, and resolves
everything below relative to that descriptor: in one call with `openat2` (`RESOLVE_BENEATH`
and `RESOLVE_NO_SYMLINKS`, Linux 5.6), elsewhere one component at a time with `O_NOFOLLOW`.

All other modules use this one: `tests/project/test_workspace_paths.py` enforces it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

LINUX = sys.platform == "linux"
OPENAT2 = 437  # the same number on every architecture
NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x02, 0x04, 0x08
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
O_PATH = getattr(os, "O_PATH", 0)  # Linux only
GETFLAGS, SETFLAGS = 0x80086601, 0x40086602  # of `chattr`
INODE_FLAGS_LOCKED = 0x10 | 0x20  # immutable, append only
PASSES = 50  # how often a folder is emptied that a program keeps filling
MOUNT_ID = re.compile(rb"^mnt_id:\s*(\d+)", re.MULTILINE)
LINK = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)  # the errors of O_NOFOLLOW and O_DIRECTORY


class FileIdentity(NamedTuple):
    """The identity of a file, whatever its name."""

    device: int
    inode: int


class Directory:
    """An open folder; every path is relative to it and resolved beneath it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: str | Path) -> Directory:
        """Open the root of a tree; workspaces must not be able to write its parent."""
        return cls(os.open(path, OPEN_FOLDER))

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def fileno(self) -> int:
        """The descriptor, for `dir_fd` with a name of one component."""
        return self._descriptor

    @property
    def identity(self) -> FileIdentity:
        """The identity of the folder."""
        return identity(os.fstat(self._descriptor))

    def open(self, path: str | Path, flags: int, mode: int = 0o600) -> int:
        """A descriptor of a file below; raises `OSError` if the path contains a symlink."""
        parts = _parts(path)
        if len(parts) > 1 and (descriptor := _openat2(self._descriptor, parts, flags, mode)) >= 0:
            return descriptor
        *folders, last = parts
        with self._walk(folders) as parent:
            return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)

    def folder(self, path: str | Path) -> Directory:
        """An open folder below."""
        return Directory(self.open(path, OPEN_FOLDER))

    def make(self, path: str | Path, mode: int = 0o700) -> Directory:
        """Make a folder below, and its parents if they are missing; returns it opened."""
        current = os.dup(self._descriptor)
        for name in _parts(path):
            with suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=current)
            try:
                following = os.open(name, OPEN_FOLDER, dir_fd=current)
            finally:
                os.close(current)
            current = following
        return Directory(current)

    def stat(self, path: str | Path) -> os.stat_result:
        """The status of an entry; symlinks are not followed."""
        with self._parent(path) as (parent, name):
            return os.stat(name, dir_fd=parent, follow_symlinks=False)

    def readlink(self, path: str | Path) -> str | None:
        """The target of a symlink; None if it is no symlink."""
        with self._parent(path) as (parent, name):
            try:
                return os.readlink(name, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOENT):
                    return None
                raise

    def symlink(self, target: str, path: str | Path) -> None:
        """Make a symlink; raises `FileExistsError` if the name exists."""
        with self._parent(path) as (parent, name):
            os.symlink(target, name, dir_fd=parent)

    def unlink(self, path: str | Path) -> None:
        """Remove a file or symlink."""
        with self._parent(path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def write_new(self, path: str | Path, content: bytes) -> None:
        """Write a new file; raises `FileExistsError` if the name exists."""
        descriptor = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def names(self) -> list[str]:
        """The names in the folder."""
        return os.listdir(self._descriptor)

    def scan(self, most: int) -> Iterator[tuple[str, os.stat_result | None]]:
        """At most this many names with their kinds; None for an entry that has just gone."""
        with os.scandir(self._descriptor) as entries:
            for entry in islice(entries, most):
                try:
                    about = os.stat(entry.name, dir_fd=self._descriptor, follow_symlinks=False)
                except OSError:
                    yield entry.name, None
                else:
                    yield entry.name, about

    def rename(self, path: str | Path, target: str | Path) -> None:
        """Rename a file or folder below; an existing target is replaced."""
        with self._parent(path) as (parent, name), self._parent(target) as (other, new):
            os.rename(name, new, src_dir_fd=parent, dst_dir_fd=other)

    def remove(self, name: str) -> None:
        """Remove a file or a whole tree below; raises `OSError` with what could not be removed."""
        _remove(self._descriptor, _single(name))

    @contextmanager
    def _parent(self, path: str | Path) -> Iterator[tuple[int, str]]:
        *folders, last = _parts(path)
        with self._walk(folders) as parent:
            yield parent, last

    @contextmanager
    def _walk(self, names: list[str]) -> Iterator[int]:
        current = self._descriptor
        try:
            for name in names:
                following = os.open(name, OPEN_FOLDER, dir_fd=current)
                if current != self._descriptor:
                    os.close(current)
                current = following
            yield current
        finally:
            if current != self._descriptor:
                os.close(current)


def remove_tree(path: str | Path) -> None:
    """Remove a file or a whole tree; it may be missing, and no workspace may write its parent.

    Long paths, permissions and attributes (`chattr +i`) of its content do not prevent that. Mounts
    in it are not touched: they are an error. Raises `OSError` with what could not be removed.
    """
    parent, name = os.path.split(os.path.abspath(path))
    try:
        # The parents of a root may be symlinks: only the daemon's user can write them.
        descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with Directory(descriptor) as folder:
        folder.remove(name)


def identity(status: os.stat_result) -> FileIdentity:
    """The identity of the file that a `stat` describes."""
    return FileIdentity(status.st_dev, status.st_ino)


def _parts(path: str | Path) -> list[str]:
    """The components of a relative path that does not climb; raises `OSError` for others."""
    text = os.fspath(path)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or not parts or "\0" in text:
        raise OSError(errno.EXDEV, "the path leads out of its folder", text)
    return parts


def _single(name: str) -> str:
    parts = _parts(name)
    if len(parts) != 1:
        raise OSError(errno.EXDEV, "this is not a name", name)
    return parts[0]


_OPEN_HOW = struct.Struct("=QQQ")
_KERNEL: list[Any] = []  # libc, loaded when needed; empty again if it has no openat2


def _openat2(folder: int, parts: list[str], flags: int, mode: int) -> int:
    """A descriptor, or -1 if this system has no `openat2`."""
    if not LINUX or _KERNEL == [None]:
        return -1
    if not _KERNEL:
        _KERNEL.append(ctypes.CDLL(None, use_errno=True))
    creates = mode if flags & os.O_CREAT else 0
    resolve = BENEATH | NO_SYMLINKS | NO_MAGICLINKS
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    how = ctypes.create_string_buffer(_OPEN_HOW.pack(flags, creates, resolve), _OPEN_HOW.size)
    path = os.fsencode("/".join(parts))
    while True:
        descriptor = int(_KERNEL[0].syscall(OPENAT2, folder, path, how, ctypes.c_size_t(24)))
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code in (errno.ENOSYS, errno.EPERM, errno.ENAMETOOLONG):
            # The kernel lacks it, a filter forbids it, or the path is too long for one call.
            if code != errno.ENAMETOOLONG:
                _KERNEL[:] = [None]
            return -1
        if code not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: something was renamed meanwhile
            raise OSError(code, os.strerror(code), "/".join(parts))


class _Level:
    """A folder that is being emptied: its name, its identity, its remaining subfolders."""

    def __init__(self, name: str, folder: int) -> None:
        self.name, self.identity = name, identity(os.fstat(folder))
        self.below = _remove_files(folder)
        self.passes = 0


def _remove(parent: int, name: str) -> None:
    """Remove a tree with two descriptors at a time, however deep it is."""
    if not _is_folder(parent, name):
        _unlink(parent, name)
        return
    levels: list[_Level] = []
    current = os.dup(parent)
    try:
        current = _descend(current, name, levels)
        while levels:
            if levels[-1].below:
                current = _descend(current, levels[-1].below.pop(), levels)
            else:
                current = _ascend(current, parent, levels)
    finally:
        os.close(current)


def _descend(current: int, name: str, levels: list[_Level]) -> int:
    """Enter a folder and remove its files; returns its descriptor, which replaces `current`."""
    try:
        opened = _enter(current, name)
    except FileNotFoundError:
        return current
    except OSError as error:
        if error.errno not in LINK:
            raise
        _unlink(current, name)  # it is not a folder any more
        return current
    try:
        levels.append(_Level(name, opened))
    except OSError:
        os.close(opened)
        raise
    os.close(current)
    return opened


def _ascend(current: int, top: int, levels: list[_Level]) -> int:
    """Leave an empty folder and remove it; returns the descriptor of the folder above.

    If something was put into it meanwhile, it is emptied again, and `current` is returned.
    """
    level = levels[-1]
    above = os.open("..", OPEN_FOLDER, dir_fd=current) if len(levels) > 1 else os.dup(top)
    try:
        if len(levels) > 1 and identity(os.fstat(above)) != levels[-2].identity:
            raise OSError(
                errno.EBUSY, "a program moves folders while they are removed", level.name
            )
        _remove_entry(above, level.name, os.rmdir)
    except OSError as error:
        os.close(above)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        level.passes += 1
        if level.passes > PASSES:
            message = "a program still writes in a folder that is being removed"
            raise OSError(errno.ENOTEMPTY, message, level.name) from None
        level.below = _remove_files(current)
        return current
    os.close(current)
    levels.pop()
    return above


def _remove_files(folder: int) -> list[str]:
    """Remove everything but folders; returns the names of the folders."""
    with os.scandir(folder) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in listed:
        if not is_folder:
            _unlink(folder, name)
    return [name for name, is_folder in listed if is_folder]


def _unlink(folder: int, name: str) -> None:
    try:
        _remove_entry(folder, name, os.unlink)
    except OSError as error:
        if not _is_folder(folder, name):
            raise error from None  # it became a folder meanwhile; the next pass removes it


def _remove_entry(folder: int, name: str, remove: Any) -> None:
    try:
        remove(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except PermissionError:
        _make_writable(folder)
        _clear_entry_flags(folder, name)
        remove(name, dir_fd=folder)


def _enter(folder: int, name: str) -> int:
    """Open a folder, even without permission to enter it; refuses mounts."""
    try:
        opened = os.open(name, OPEN_FOLDER, dir_fd=folder)
    except PermissionError:
        _make_enterable(folder, name)
        opened = os.open(name, OPEN_FOLDER, dir_fd=folder)
    if _mount_of(opened) != _mount_of(folder):
        os.close(opened)
        raise OSError(errno.EBUSY, "something is mounted there, which has to be unmounted", name)
    if os.fstat(opened).st_mode & 0o700 != 0o700:
        _make_writable(opened)
    return opened


def _mount_of(descriptor: int) -> object:
    """The mount of a descriptor, or its device if the system does not show the mount.

    A btrfs subvolume has its own device number, but is not a mount.
    """
    if not LINUX:
        return os.fstat(descriptor).st_dev
    try:
        file = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # without `/proc`
        return os.fstat(descriptor).st_dev
    try:
        match = MOUNT_ID.search(os.read(file, 1024))
    finally:
        os.close(file)
    return match and match[1]


def _make_enterable(folder: int, name: str) -> None:
    """Give its owner access, through the link in `/proc`, which cannot lead to another file."""
    if not O_PATH:
        os.chmod(name, 0o700, dir_fd=folder, follow_symlinks=False)
        return
    opened = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            os.chmod(f"/proc/self/fd/{opened}", 0o700)
    finally:
        os.close(opened)


def _make_writable(folder: int) -> None:
    """Remove `chattr`'s flags from a folder, and make it writable, if that is permitted."""
    _clear_flags(folder)
    with suppress(PermissionError):
        os.fchmod(folder, 0o700)


def _clear_entry_flags(folder: int, name: str) -> None:
    """Remove `chattr`'s flags from a file or folder; other kinds of files have none."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        with suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
            try:
                _clear_flags(descriptor)
            finally:
                os.close(descriptor)


def _clear_flags(descriptor: int) -> None:
    """Clear the flags that forbid changes; only root may, and some file systems have none."""
    if not LINUX:
        return
    with suppress(OSError):
        held = fcntl.ioctl(descriptor, GETFLAGS, struct.pack("l", 0))
        flags = struct.unpack("l", held)[0]
        if flags & INODE_FLAGS_LOCKED:
            fcntl.ioctl(descriptor, SETFLAGS, struct.pack("l", flags & ~INODE_FLAGS_LOCKED))


def _is_folder(folder: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
