"""Folders of a fixed size, if the file system supports them and we are root.

btrfs counts each subvolume once its quotas are enabled; ext4 and XFS count each project if they
are mounted with `prjquota`. Only root may set a limit. The programs `btrfs`, or `chattr` and
`setquota`, do it.
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

from prism.kit.programs import PLACES, on_path

MOUNT_TABLE = Path("/proc/self/mountinfo")
ENVIRONMENT = {"LC_ALL": "C", "PATH": PLACES}
BY_PROJECT = {"ext4", "xfs", "f2fs"}
COUNTS = {"prjquota", "pquota"}
COMMAND_TIMEOUT = 20
How = Literal["btrfs", "project"]


class MountedFileSystem(Struct, frozen=True):
    """The file system that a folder is on."""

    at: str
    kind: str
    options: frozenset[str]


def enforced(path: Path) -> How | None:
    """How a size would be enforced at that path; None if it would not be."""
    while not path.exists():
        path = path.parent
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return None
    if (fs := mounted(path.resolve(), MOUNT_TABLE.read_text())) is None:
        return None
    if fs.kind == "btrfs" and on_path("btrfs"):
        return "btrfs" if _run(("btrfs", "qgroup", "show", str(path))) is None else None
    if fs.kind in BY_PROJECT and fs.options & COUNTS and on_path("setquota") and on_path("chattr"):
        return "project"
    return None


def make(folder: Path, size: int, how: How) -> None:
    """A new, empty folder that holds so many bytes and no more; raises `OSError`."""
    if how == "btrfs":
        _must_run(("btrfs", "subvolume", "create", str(folder)))
        folder.chmod(0o700)
        _must_run(("btrfs", "qgroup", "limit", str(size), str(folder)))
        return
    folder.mkdir(mode=0o700)
    fs = mounted(folder.resolve(), MOUNT_TABLE.read_text())
    project = str(_project_id(folder))
    _must_run(("chattr", "-p", project, "+P", str(folder)))
    _must_run(("setquota", "-P", project, "0", str(size // 1024), "0", "0", fs.at if fs else "/"))


def mounted(path: Path, table: str) -> MountedFileSystem | None:
    """The file system of a path, from the kernel's table: the last one of the deepest."""
    deepest: MountedFileSystem | None = None
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        at = before.split()[4].encode().decode("unicode_escape")
        kind, _, options = after.split(None, 2)
        if path.is_relative_to(at) and (deepest is None or len(at) >= len(deepest.at)):
            deepest = MountedFileSystem(at, kind, frozenset(options.split(",")))
    return deepest


def _project_id(folder: Path) -> int:
    """The number of its project, far from those that people choose."""
    return 1 << 30 | int.from_bytes(sha256(os.fsencode(folder)).digest()[:4]) >> 3


def _must_run(argv: Sequence[str]) -> None:
    if (why := _run(argv)) is not None:
        raise OSError(errno.EIO, f"`{' '.join(argv[:3])}` failed: {why}")


def _run(argv: Sequence[str]) -> str | None:
    """Run a program; returns why it failed, or None."""
    try:
        proc = subprocess.run(
            argv,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (proc.stderr.strip() or f"exit code {proc.returncode}") if proc.returncode else None
