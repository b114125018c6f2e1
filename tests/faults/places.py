"""Small disks of their own, of each kind and for each user."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.ordinary import NOBODY, can_be_ordinary
from tests.disks import MEBIBYTES, loop_disk, mounted


@contextlib.contextmanager
def disk_for(kind: str, user: str) -> Iterator[Path]:
    """A folder of a user on a small disk of its own."""
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    if user == "user" and not can_be_ordinary():
        pytest.skip("needs an ordinary user who can run Prism from here")
    folder = Path(tempfile.mkdtemp(prefix="prism-place-", dir="/var/tmp"))
    folder.chmod(0o755)
    place = folder / "disk"
    place.mkdir()
    try:
        if kind == "tmpfs":
            disk = mounted(place, f"size={MEBIBYTES['ext4']}m,mode=755")
        else:
            disk = loop_disk(folder / "image", place, kind)
        with disk:
            if user == "user":
                os.chown(place, NOBODY, NOBODY)
            yield place
    finally:
        shutil.rmtree(folder)
