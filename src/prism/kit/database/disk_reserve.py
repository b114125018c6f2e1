"""A file whose space is freed when the disk is full.

A file in the home holds some megabytes. Freeing space needs a little space first, such as for a
row in the database. So the file is made smaller, piece by piece, when the disk is full, and
restored when there is room. Until it is restored the disk counts as full, so that nothing else
uses up the freed space.

Whether there is room is tried by allocating it. What `statvfs` counts is no answer: for root, ext4
counts blocks that it keeps for itself, Btrfs may have no room for metadata, and a quota shows
nowhere.
"""

import errno
import logging
import os
import secrets
import sys
import threading
from pathlib import Path

from prism.errors import Unavailable

log = logging.getLogger(__name__)
RESERVE_FILE = "reserve"
RESERVE_BYTES = 8 * 2**20  # bytes
SHARE = 16  # of a small disk, one part in so many
NEEDED = 2**18  # bytes that one change may take, with the log of the database
WRITE_CHUNK = 2**16
TRIAL = "reserve.trial"
AMPLE = 2**26  # bytes free for everybody, above which nothing is tried
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
HINT = "Free space: `prism clean`, or terminate workspaces that nobody needs (`prism list`)"


class HomeDiskFull(Unavailable, code="HOME_DISK_FULL"):
    """The disk is full."""


class Reserve:
    """The reserve of one home."""

    def __init__(self, folder: Path, size: int = RESERVE_BYTES) -> None:
        self.folder = folder
        self._path, self._most = folder / RESERVE_FILE, size
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Bytes that the file system says an ordinary process may still write."""
        try:
            filesystem = os.statvfs(self.folder)
        except FileNotFoundError:
            return sys.maxsize
        return filesystem.f_bavail * filesystem.f_frsize

    @property
    def is_full(self) -> bool:
        """Whether the disk counts as full; restores the reserve if there is room."""
        return not self.keep() or not self._has_room(NEEDED)

    def keep(self) -> bool:
        """Restore the reserve if there is room; whether the reserve is complete."""
        with self._lock:
            missing = self._target_size - self._size
            return missing <= 0 or (self._has_room(missing + NEEDED) and self._fill())

    def make_room(self) -> None:
        """Free a piece of the reserve, if one change needs more space than there is."""
        if not self._has_room(NEEDED):
            self.spend()

    def spend(self) -> None:
        """Free a piece of the reserve: something could not be written."""
        with self._lock:
            if not (size := self._size):
                return
            log.warning("the disk of %s is full: some of the reserve is freed", self.folder)
            try:
                os.truncate(self._path, max(0, size - NEEDED))
            except OSError as error:
                log.warning("%s cannot be made smaller: %s", self._path, error)

    def give_up(self) -> None:
        """Free the whole reserve, if a daemon could not start otherwise; it is restored later."""
        with self._lock:
            if self.folder.is_dir() and not self._has_room(NEEDED):
                self._path.unlink(missing_ok=True)

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes can be allocated now."""
        if self.free >= size + AMPLE:
            return True
        trial = self.folder / f"{TRIAL}-{secrets.token_hex(4)}"
        try:
            file = os.open(trial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.unlink(trial)
                return _allocate(file, size)
            finally:
                os.close(file)
        except OSError as error:
            if error.errno not in NO_ROOM:
                log.warning("%s cannot be tried: %s", self.folder, error)
            return error.errno not in NO_ROOM and self.free >= size

    @property
    def _target_size(self) -> int:
        try:
            filesystem = os.statvfs(self.folder)
        except FileNotFoundError:
            return 0  # a home that does not exist yet needs no reserve
        return min(self._most, filesystem.f_blocks * filesystem.f_frsize // SHARE)

    @property
    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _fill(self) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            return _allocate(file, self._target_size)
        except OSError as error:
            os.ftruncate(file, 0)
            if error.errno not in NO_ROOM:
                log.warning("%s cannot be made: %s", self._path, error)
            return False
        finally:
            os.close(file)


def _allocate(file: int, size: int) -> bool:
    """Allocate the blocks for real: a hole, or compressed zeros, would reserve nothing.

    In pieces, because Btrfs frees an extent only as a whole.
    """
    for offset in range(0, size, NEEDED):
        os.posix_fallocate(file, offset, min(NEEDED, size - offset))
    if os.fstat(file).st_blocks * 512 < size:
        os.lseek(file, 0, os.SEEK_SET)
        for _ in range(0, size, WRITE_CHUNK):
            os.write(file, os.urandom(WRITE_CHUNK))
        os.ftruncate(file, size)
    return True
