"""Copies the content and attributes of one open file to another."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

from prism.agent.copies.manifest import NO_ATTRIBUTES, ManifestEntry

FICLONE = 0x40049409
SMALL = 1 << 18  # a file up to this size is read at once, and hashed
FILE_COPY_CHUNK = 1 << 26
NO_CLONES = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
NOT_ALLOWED = (errno.EPERM, errno.EACCES, errno.ENOENT)
LISTED_ATTRIBUTES = ("user.", "system.posix_acl_")
HAS_ATTRIBUTES = hasattr(os, "listxattr")
HAS_COPY_FILE_RANGE = hasattr(os, "copy_file_range")


# File systems on which a write through a mapping changes the file's times after `sync_file_range`
# has written its pages. tmpfs never changes them, and overlayfs does not pass the call on. The
# numbers are from linux/magic.h; the first is that of ext2, ext3 and ext4.
TRACKED_FILE_SYSTEMS = {0xEF53, 0x58465342, 0x9123683E}
WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER


class TreeCopyFailed(Exception):
    """The tree cannot be copied; the message is for people."""


class TreeCopyStopped(Exception):
    """The daemon has ended, or has cancelled the copy."""


class StopRequest:
    """Set when standard input ends, or on SIGTERM."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGTERM, lambda *_: self._request())
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        self._request()

    def _request(self) -> None:
        self.requested = True


class FileCopier:
    """Copies files, and remembers which features their file systems support."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop
        self._clones = sys.platform == "linux"
        self._is_root = os.geteuid() == 0
        self._owner = (os.geteuid(), os.getegid())
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._tracks: dict[int, bool] = {}  # by device
        self.sees_mapped_writes = True
        """Whether a write through a mapping after `write_protect` was visible, in each file."""

    def write_protect(self, file: int, device: int) -> None:
        """Make the next write through a memory mapping change the times of the file.

        The kernel changes them at the first write to a page, and again only after the page was
        written to the disk. So the pages are written after the times were read, and before the
        content is.
        """
        if device not in self._tracks:
            self._tracks[device] = self._libc is not None and self._is_tracked(file)
        if not self._tracks[device]:
            self.sees_mapped_writes = False
            return
        assert self._libc is not None
        nothing = ctypes.c_int64(0)  # from the beginning to the end
        if self._libc.sync_file_range(file, nothing, nothing, WRITE_AND_WAIT):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def _is_tracked(self, file: int) -> bool:
        status = (ctypes.c_long * 64)()  # larger than any `struct statfs`
        if self._libc is None or self._libc.fstatfs(file, status):
            return False
        return status[0] & 0xFFFFFFFF in TRACKED_FILE_SYSTEMS

    def copy(self, source: int, target: int, status: os.stat_result, entry: ManifestEntry) -> bool:
        """Copy content and attributes; returns whether the file stayed unchanged meanwhile.

        `status` is the status of `source`; the one of the copy is stored in `entry`.
        """
        size = status.st_size
        if size and self._clones and self._is_cloned(source, target):
            size = os.fstat(target).st_size
        elif size <= SMALL:
            content = os.read(source, size)
            if content:
                _write(target, content)
            size, entry.extra = len(content), hashlib.sha256(content).hexdigest()
        else:
            self._copy_extents(source, target, status)
            size = os.fstat(target).st_size
        if size != status.st_size:
            _require_changed(source, status)
            entry.shorten(size)
        entry.attributes = NO_ATTRIBUTES
        if HAS_ATTRIBUTES and (names := _attributes(source)):
            entry.attributes = _copy_attributes(source, target, names)
        owner, mtime = (status.st_uid, status.st_gid), status.st_mtime_ns
        mode = status.st_mode & 0o7777
        is_mine = not self._is_root or owner == self._owner
        if mode & 0o7000 or not is_mine:
            self._set_owner_and_mode(target, status)
        os.utime(target, ns=(mtime, mtime))
        copied = os.fstat(target)
        entry.copied_inode, entry.blocks = copied.st_ino, copied.st_blocks
        return (
            copied.st_size == size
            and copied.st_mtime_ns == mtime
            and copied.st_mode & 0o7777 == mode
            and (not self._is_root or (copied.st_uid, copied.st_gid) == owner)
        )

    def _is_cloned(self, source: int, target: int) -> bool:
        try:
            fcntl.ioctl(target, FICLONE, source)
        except OSError as error:
            if error.errno not in NO_CLONES:
                raise
            self._clones = False
        return self._clones

    def _copy_extents(self, source: int, target: int, status: os.stat_result) -> None:
        """Copy the data of a long file, and leave out its holes."""
        end = status.st_size
        sparse = status.st_blocks * 512 < end
        offset = 0
        while offset < end:
            begin, until = _extent(source, offset, end) if sparse else (offset, end)
            while begin < until:
                if self._stop.requested:
                    raise TreeCopyStopped
                count = _copy_range(source, target, begin, min(until - begin, FILE_COPY_CHUNK))
                if not count:
                    break  # the file became shorter, which the next pass notices
                begin += count
            offset = until
        if sparse:
            os.ftruncate(target, end)

    def _set_owner_and_mode(self, target: int, status: os.stat_result) -> None:
        if self._is_root:
            os.fchown(target, status.st_uid, status.st_gid)
        os.fchmod(target, status.st_mode & 0o7777)


def _extent(file: int, offset: int, end: int) -> tuple[int, int]:
    """The start and the end of the next data at or after `offset`."""
    try:
        begin = os.lseek(file, offset, os.SEEK_DATA)
        return begin, min(end, os.lseek(file, begin, os.SEEK_HOLE))
    except OSError as error:
        if error.errno == errno.ENXIO:  # only a hole follows
            return end, end
        return offset, end


def _copy_range(source: int, target: int, offset: int, count: int) -> int:
    """Copy a piece, within the kernel if possible."""
    if HAS_COPY_FILE_RANGE:
        try:
            if done := os.copy_file_range(source, target, count, offset, offset):
                return done
            # The end, or the file system does not support the call; a read shows which.
        except OSError as error:
            if error.errno not in NO_CLONES:
                raise
    content = os.pread(source, min(count, 1 << 20), offset)
    os.lseek(target, offset, os.SEEK_SET)
    _write(target, content)
    return len(content)


def _require_changed(source: int, status: os.stat_result) -> None:
    """Raise if only a part of a file could be read and it was not made shorter."""
    now = os.fstat(source)
    if (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ):
        raise OSError(errno.EIO, "only a part of it could be read")


def _write(target: int, content: bytes) -> None:
    done = os.write(target, content)
    while done < len(content):
        done += os.write(target, memoryview(content)[done:])


def _attributes(source: int) -> list[str]:
    try:
        return os.listxattr(source)
    except OSError:  # the file system has no attributes
        return []


def _copy_attributes(source: int, target: int, names: list[str]) -> Mapping[str, bytes] | None:
    """Copy extended attributes; the listed ones, or None if the target does not take them all."""
    attributes = {}
    for name in names:
        try:
            attributes[name] = os.getxattr(source, name)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.ENODATA, *NOT_ALLOWED}:
                raise
    are_set = [set_attribute(target, name, value) for name, value in attributes.items()]
    return listed_attributes(attributes) if all(are_set) else None


def set_attribute(target: int, name: str, value: bytes) -> bool:
    """Set an attribute, if the target supports it; whether a manifest may list it."""
    try:
        os.setxattr(target, name, value)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.ENODATA, *NOT_ALLOWED}:
            raise
        return not name.startswith(LISTED_ATTRIBUTES)
    return True


def listed_attributes(attributes: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The attributes that a manifest lists; the kernel sets others by itself."""
    return {
        name: value for name, value in attributes.items() if name.startswith(LISTED_ATTRIBUTES)
    } or NO_ATTRIBUTES


def attributes_of(source: int) -> dict[str, bytes]:
    """All attributes that can be read."""
    attributes = {}
    for name in _attributes(source) if HAS_ATTRIBUTES else ():
        with suppress(OSError):
            attributes[name] = os.getxattr(source, name)
    return attributes
