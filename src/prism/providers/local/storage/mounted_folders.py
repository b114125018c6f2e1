"""Whether the disks with the workspaces, volumes and snapshots are there.

`workspaces`, `storage`, and the folders of volumes and snapshots in it, may be mount points. While
nothing is mounted there, all that was in one of them is missing at once, which does not mean that
it is lost. So each of them has a marker as soon as it holds something, and the home has a record
that there is one.
"""

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prism.errors import Unavailable

DISK_MARKER = ".disk"
WORKSPACE = re.compile(r"local-[0-9a-f]{17}")
VOLUME_ID, SNAPSHOT = re.compile(r"(vol|fs)-[0-9a-f]{17}"), re.compile(r"snap-[0-9a-f]{17}")


class StorageAway(Unavailable, code="STORAGE_AWAY"):
    """The disk with the workspaces, the volumes or the snapshots is not there."""


class MountedFolder:
    """A folder of the home, and whether it is the one that was used before."""

    def __init__(
        self, folder: Path, home: Path, content: str, parts: Sequence[tuple[Path, re.Pattern[str]]]
    ) -> None:
        """`content` is for people; one name in a part that matches means that it holds data."""
        self._folder, self._content, self._parts = folder, content, parts
        self._record = home / f"{folder.name}-used"
        self.reason = ""
        """Why the last look found nothing, for people; empty if it was there."""

    def require(self) -> None:
        """Raise `StorageAway` if the folder was used before, and is missing or another one."""
        if (self._folder / DISK_MARKER).exists():
            is_there = True
        elif is_there := any(_holds(*part) for part in self._parts):
            self._note()
        if not is_there and self._record.exists():
            raise self._away()
        self.reason = ""

    def _note(self) -> None:
        """Mark the folder as used; if that fails, the next look does it."""
        with suppress(OSError):
            self._record.touch(mode=0o600)
            (self._folder / DISK_MARKER).touch(mode=0o600)

    def _away(self) -> StorageAway:
        nothing = f"{self._folder} has nothing of what was in it"
        self.reason = (
            f"the disk with the {self._content} is not there: {nothing}. Nothing is changed "
            "until it is mounted"
        )
        folders = dict.fromkeys([self._folder, *(folder for folder, _ in self._parts)])
        paths = shlex.join(map(str, folders))
        markers = shlex.join(str(folder / DISK_MARKER) for folder in folders)
        return StorageAway(
            f"The disk with the {self._content} is not there",
            details=nothing,
            remediation="Mount it. If its data does not exist any more, say so: "
            f"`mkdir -p {paths} && touch {markers}`",
        )


class MountedFolders:
    """Several folders that a change needs at once."""

    def __init__(self, folders: Sequence[MountedFolder]) -> None:
        self._folders = folders

    def require(self) -> None:
        """Raise `StorageAway` for the first that is away."""
        for folder in self._folders:
            folder.require()

    @property
    def reason(self) -> str:
        """Why the last look at the first that is away found nothing; empty if all were there."""
        return next((folder.reason for folder in self._folders if folder.reason), "")


def workspace_folder(machines: Path) -> MountedFolder:
    """The folder of all local workspaces."""
    return MountedFolder(machines, machines.parent, "workspaces", [(machines, WORKSPACE)])


def storage_folders(root: Path, machines: Path) -> MountedFolders:
    """The folders that a change of storage needs; beside workspaces are lists of their volumes."""
    home, volumes, snapshots = machines.parent, root / "volumes", root / "snapshots"
    parts = [(volumes, VOLUME_ID), (snapshots, SNAPSHOT)]
    return MountedFolders(
        [
            MountedFolder(root, home, "volumes and snapshots", parts),
            MountedFolder(volumes, home, "volumes", parts[:1]),
            MountedFolder(snapshots, home, "snapshots", parts[1:]),
            workspace_folder(machines),
        ]
    )


def _holds(folder: Path, names: re.Pattern[str]) -> bool:
    with suppress(OSError):
        return any(names.fullmatch(name) for name in os.listdir(folder))
    return False
