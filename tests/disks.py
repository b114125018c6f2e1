"""Small disks for tests."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

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


@contextlib.contextmanager
def overlaid(folder: Path) -> Iterator[Path]:
    """A disk that cannot map ids, and cannot be the upper layer of an overlay: one itself."""
    for name in ("lower", "upper", "work", "merged"):
        (folder / name).mkdir()
    options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    with mounted(folder / "merged", options, "overlay") as place:
        yield place


MAKES = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
# Takes all that this user gets, to the last byte.
FILLER = """
import os, sys
piece = 2**26
with open(sys.argv[1], "wb", buffering=0) as file:
    while piece:
        try:
            if piece > 2**16:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece)
            else:
                file.seek(0, os.SEEK_END)
                file.write(os.urandom(piece))
        except OSError:
            piece //= 2
    try:
        os.fsync(file.fileno())
    except OSError:
        pass
"""
MEBIBYTES = {"ext4": 256, "btrfs": 256, "xfs": 320}  # with room for a workspace


@contextlib.contextmanager
def loop_disk(image: Path, place: Place, kind: str) -> Iterator[Place]:
    """A new small file system of that kind in the file `image`, mounted until the block ends."""
    if kind == "btrfs" and _kernel() < (6, 16):
        pytest.skip("before Linux 6.16, mapped files of a full Btrfs cannot be written")
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program, *options = MAKES[kind]
    if (tool := shutil.which(program, path=search)) is None:
        pytest.skip(f"{program} is not installed")
    with image.open("xb") as file:
        file.truncate(MEBIBYTES[kind] * 2**20)
    try:
        subprocess.run([tool, *options, image], check=True)
        with mounted(place, "loop", kind, image):
            yield place
    finally:
        image.unlink()


def _kernel() -> tuple[int, ...]:
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))


def unmount(place: str | Path) -> None:
    """Unmounts a file system, as soon as the last program that used it has ended."""

    def is_away() -> bool:
        done = subprocess.run(["umount", place], capture_output=True, text=True)
        assert done.returncode == 0 or "busy" in done.stderr, done.stderr
        return done.returncode == 0

    eventually(is_away)


def fill_disk(rest: Path, run_as: Callable[[Sequence[str]], list[str]] = list) -> None:
    """Leave no byte to a user in the file system of the file `rest`; `run_as` names the user."""
    subprocess.run(run_as([sys.executable, "-c", FILLER, str(rest)]), check=True)
