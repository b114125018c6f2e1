"""Whether the disk with the volumes and snapshots is there.

`storage` may be a mount point. While nothing is mounted there, all volumes and snapshots are
missing at once, which does not mean that they are lost. So `storage` has a marker as soon as it
holds something, and the home has a record that there is one.
"""

import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prism.errors import Unavailable

MARKER = ".disk"
RECORD = "storage-used"


class StorageAway(Unavailable, code="STORAGE_AWAY"):
    """The disk with the volumes and snapshots is not there."""


class StorageDisk:
    """The folder of volumes and snapshots, and whether it is the one that was used before."""

    def __init__(self, folder: Path, home: Path, holds_data: Callable[[], bool]) -> None:
        """`holds_data` says whether there is a volume or snapshot in the folder."""
        self._folder, self._record, self._holds_data = folder, home / RECORD, holds_data
        self.reason = ""
        """Why the last look found nothing, for people; empty if it was there."""

    def require(self) -> None:
        """Raise `StorageAway` if the folder was used before, and is missing or another one."""
        if (self._folder / MARKER).exists():
            is_there = True
        elif is_there := self._holds_data():
            self._note()
        if not is_there and self._record.exists():
            raise self._away()
        self.reason = ""

    def _note(self) -> None:
        """Mark the folder as used; if that fails, the next look does it."""
        with suppress(OSError):
            self._record.touch(mode=0o600)
            (self._folder / MARKER).touch(mode=0o600)

    def _away(self) -> StorageAway:
        nothing = f"{self._folder} has nothing of what was in it"
        self.reason = (
            f"the disk with the volumes and snapshots is not there: {nothing}. Nothing is changed "
            "until it is mounted"
        )
        at = shlex.quote(str(self._folder))
        return StorageAway(
            "The disk with the volumes and snapshots is not there",
            details=nothing,
            remediation="Mount it. If its data does not exist any more, say so: "
            f"`mkdir -p {at} && touch {at}/{MARKER}`",
        )
