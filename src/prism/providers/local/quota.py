"""Folders of a fixed size, where the file system can have them and we may say so.

btrfs keeps count for each subvolume once its quotas are switched on; ext4 and XFS for each
project, where they are mounted with `prjquota`. Only root may set a limit. Its own programs are
asked: `btrfs`, or `chattr` and `setquota`.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from msgspec import Struct

from prism.kit.programs import PLACES, there

MOUNTS = Path("/proc/self/mountinfo")
WORDS = {"LC_ALL": "C", "PATH": PLACES}
BY_PROJECT = {"ext4", "xfs", "f2fs"}
COUNTS = {"prjquota", "pquota"}
PATIENCE = 20
How = Literal["btrfs", "project"]


class Mounted(Struct, frozen=True):
    """The file system that a folder is on."""

    at: str
    kind: str
    options: frozenset[str]


def enforced(place: Path) -> How | None:
    """How a size would be enforced at that place; none where it would not be."""
    while not place.exists():
        place = place.parent
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return None
    if (on := mounted(place.resolve(), MOUNTS.read_text())) is None:
        return None
    if on.kind == "btrfs" and there("btrfs"):
        return "btrfs" if _done(("btrfs", "qgroup", "show", str(place))) is None else None
    if on.kind in BY_PROJECT and on.options & COUNTS and there("setquota") and there("chattr"):
        return "project"
    return None


def make(folder: Path, size: int, how: How) -> None:
    """A new, empty folder that holds so many bytes and no more; raises `OSError`."""
    if how == "btrfs":
        _do(("btrfs", "subvolume", "create", str(folder)))
        folder.chmod(0o700)
        _do(("btrfs", "qgroup", "limit", str(size), str(folder)))
        return
    folder.mkdir(mode=0o700)
    on = mounted(folder.resolve(), MOUNTS.read_text())
    project = str(_project(folder))
    _do(("chattr", "-p", project, "+P", str(folder)))
    _do(("setquota", "-P", project, "0", str(size // 1024), "0", "0", on.at if on else "/"))


def mounted(place: Path, table: str) -> Mounted | None:
    """The file system of a place, by the kernel's table; the last of the deepest counts."""
    found: Mounted | None = None
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        at = before.split()[4].encode().decode("unicode_escape")
        kind, _, options = after.split(None, 2)
        if place.is_relative_to(at) and (found is None or len(at) >= len(found.at)):
            found = Mounted(at, kind, frozenset(options.split(",")))
    return found


def _project(folder: Path) -> int:
    """A number for its project, far from those that people give."""
    return 1 << 30 | int.from_bytes(sha256(os.fsencode(folder)).digest()[:4]) >> 3


def _do(argv: Sequence[str]) -> None:
    if (why := _done(argv)) is not None:
        raise OSError(errno.EIO, f"`{' '.join(argv[:3])}` failed: {why}")


def _done(argv: Sequence[str]) -> str | None:
    """Why it failed; none where it did not."""
    try:
        done = subprocess.run(
            argv, env=WORDS, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else None
