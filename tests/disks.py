"""Small disks for tests."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from tests.waiting import eventually

Place = TypeVar("Place", str, Path)


@contextlib.contextmanager
def mounted(
    place: Place, options: str, kind: str = "tmpfs", device: str | Path = "none"
) -> Iterator[Place]:
    """Mounts a file system at `place` until the block ends."""
    subprocess.run(["mount", "-t", kind, "-o", options, device, place], check=True)
    try:
        yield place
    finally:
        unmount(place)


def unmount(place: str | Path) -> None:
    """Unmounts a file system, as soon as the last program that used it has ended."""

    def is_away() -> bool:
        done = subprocess.run(["umount", place], capture_output=True, text=True)
        assert done.returncode == 0 or "busy" in done.stderr, done.stderr
        return done.returncode == 0

    eventually(is_away)
