"""A file whose space is freed when the disk is full.

A file in the home holds some megabytes. Freeing space needs a little space first, such as for a
row in the database. So the file is made smaller, piece by piece, when the disk is full, and
restored when there is room. Until it is restored the disk counts as full, so that nothing else
uses up the freed space.
"""

import errno
import logging
import os
import sys
import threading
from pathlib import Path

from prism.errors import Unavailable

log = logging.getLogger(__name__)
NAME = "reserve"
SIZE = 8 * 2**20  # bytes
SHARE = 16  # of a small disk, one part in so many
NEEDED = 2**18  # bytes that one change may take, with the log of the database
PIECE = 2**16
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
HINT = "Free space: `prism clean`, or terminate workspaces that nobody needs (`prism list`)"


class HomeDiskFull(Unavailable, code="HOME_DISK_FULL"):
    """The disk is full."""


class Reserve:
    """The reserve of one home."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self.folder = folder
        self._path, self._most = folder / NAME, size
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Bytes that this process may still write, without the reserve."""
        try:
            filesystem = os.statvfs(self.folder)
        except FileNotFoundError:
            return sys.maxsize
        blocks = filesystem.f_bfree if os.geteuid() == 0 else filesystem.f_bavail
        return blocks * filesystem.f_frsize

    @property
    def is_full(self) -> bool:
        """Whether the disk counts as full; restores the reserve if there is room."""
        return not self.keep() or self.free < NEEDED

    def keep(self) -> bool:
        """Restore the reserve if there is room; whether the reserve is complete."""
        with self._lock:
            missing = self._target_size - self._size
            if missing <= 0:
                return True
            return self.free >= missing + NEEDED and self._fill()

    def spend(self) -> None:
        """Free a piece of the reserve, if less space is free than one change needs."""
        with self._lock:
            if self.free >= NEEDED or not (size := self._size):
                return
            log.warning("the disk of %s is full: some of the reserve is freed", self.folder)
            try:
                os.truncate(self._path, max(0, size - NEEDED))
            except OSError as error:
                log.warning("%s cannot be made smaller: %s", self._path, error)

    def give_up(self) -> None:
        """Free the whole reserve, if a daemon could not start otherwise; it is restored later."""
        with self._lock:
            if self.folder.is_dir() and self.free < NEEDED:
                self._path.unlink(missing_ok=True)

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
        """Allocate the blocks for real: a hole, or compressed zeros, would reserve nothing."""
        size = self._target_size
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(file, 0, size)
            if os.fstat(file).st_blocks * 512 < size:
                os.lseek(file, 0, os.SEEK_SET)
                for _ in range(0, size, PIECE):
                    os.write(file, os.urandom(PIECE))
                os.ftruncate(file, size)
        except OSError as error:
            os.ftruncate(file, 0)
            if error.errno not in NO_ROOM:
                log.warning("%s cannot be made: %s", self._path, error)
            return False
        finally:
            os.close(file)
        return True
