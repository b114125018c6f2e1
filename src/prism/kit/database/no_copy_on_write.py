"""Keeps SQLite's index of its log in place on Btrfs.

SQLite maps the file `-shm` into memory. Btrfs writes a changed page elsewhere, which needs space:
on a full disk, SIGBUS would kill the daemon at its next read or write. A file without
copy-on-write is overwritten in place (by Linux 6.16 and newer, for mapped pages too). Only an
empty file can get this attribute, so it is made before SQLite opens it. SQLite removes it when the
last connection is closed.
"""

import array
import fcntl
import os
from contextlib import suppress

# Of linux/fs.h, on all architectures that Prism runs on.
GET_ATTRIBUTES, SET_ATTRIBUTES, NO_COPY_ON_WRITE = 0x80086601, 0x40086602, 0x00800000


def keep_index_in_place(database: str) -> None:
    """Make the database's index file, if there is none and its file system copies on write."""
    # Any error means that the file exists, or that the file system has no such attribute.
    with suppress(OSError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open(f"{database}-shm", flags, 0o600)
        try:
            attributes = array.array("L", [0])
            fcntl.ioctl(file, GET_ATTRIBUTES, attributes)
            attributes[0] |= NO_COPY_ON_WRITE
            fcntl.ioctl(file, SET_ATTRIBUTES, attributes)
        finally:
            os.close(file)
