"""The disk usage of folders, measured in the background now and then."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from prism.providers.local.storage.trees import measured

FRESH = 60.0  # seconds for which a size counts


class FolderSizes:
    """The last known sizes; callers never wait for the disk."""

    def __init__(self, fresh: float = FRESH) -> None:
        self._fresh, self._lock = fresh, threading.Lock()
        self._sizes: dict[str, int | None] = {}
        self._due: dict[str, float] = {}
        self._at_work = False

    def sizes(self, folders: Mapping[str, Path]) -> dict[str, int | None]:
        """The known size of each folder; starts measuring those that are old."""
        with self._lock:
            for name in self._due.keys() - folders.keys():
                del self._due[name], self._sizes[name]
            now = time.monotonic()
            old = {name: path for name, path in folders.items() if self._due.get(name, 0) <= now}
            if old and not self._at_work:
                self._at_work = True
                work = threading.Thread(
                    target=self._measure, args=(old,), name="measure", daemon=True
                )
                work.start()
            return {name: self._sizes.get(name) for name in folders}

    def _measure(self, folders: Mapping[str, Path]) -> None:
        for name, folder in folders.items():
            began = time.monotonic()
            size = measured(folder)
            took = time.monotonic() - began
            with self._lock:
                self._sizes[name] = size
                # A tree that takes a minute to count is not counted every minute.
                self._due[name] = time.monotonic() + max(self._fresh, 20 * took)
        with self._lock:
            self._at_work = False
