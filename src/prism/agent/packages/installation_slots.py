"""The rights to install packages, and to use trees of packages, as locks in one folder of a home.

`prism clean` takes all of them before it removes packages.
"""

import fcntl
import os
from pathlib import Path
from typing import Any

from prism.agent.protocol import SHARED_SLOT


class InstallSlot:
    """The right to install: one per core, for all machines of this home."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._held = folder, -1

    def __enter__(self) -> "InstallSlot":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def taken(self) -> bool:
        """Whether a slot is free, and taken by us now."""
        return any(self._take(str(number), fcntl.LOCK_EX) for number in range(os.cpu_count() or 1))

    def taken_shared(self) -> bool:
        """Whether nobody removes packages, and nobody will while we have this slot."""
        return self._take(SHARED_SLOT, fcntl.LOCK_SH)

    def _take(self, name: str, lock: int) -> bool:
        slot = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(slot, lock | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(slot)
            return False
        self._held = slot
        return True

    def __exit__(self, *_: Any) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
