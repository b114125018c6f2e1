"""Removes volumes and snapshots in the background.

A folder is first renamed, if the disk has room for that, so that nothing can attach or copy it any
more, and a survey shows it as `deleting` until its last file is gone. What cannot be removed is
reported, and tried again.
"""

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from prism.agent.protocol import DISK_FULL_ERRORS
from prism.agent.system.safe_paths import remove_tree
from prism.storage.model import StorageFailure
from prism.storage.ports import StorageRefused

ASIDE = re.compile(r"\.((?:vol|fs|snap)-[0-9a-f]{17})\.deleted-[0-9a-f]{8}")
LEFT_BEHIND = re.compile(
    r"\.(?:vol|fs|snap)-[0-9a-f]{17}(?:-[0-9a-f]{8}|\.deleted-[0-9a-f]{8})"
)  # incomplete or half removed; other hidden folders there are not Prism's
RETRY_SECONDS = 5.0  # seconds until what could not be removed is tried again


class FolderRemoval(Struct):
    """A folder that is being removed; `key` is empty if no survey shows it."""

    key: str
    trouble: StorageFailure | None = None


class Removals:
    """The removals of this process."""

    def __init__(self) -> None:
        self._known: dict[Path, FolderRemoval] = {}
        self._lock, self._closed = threading.Lock(), threading.Event()

    def begin(self, parent: Path, id: str) -> None:
        """Rename a folder, or raise `StorageRefused`; then remove it in the background."""
        aside = parent / f".{id}.deleted-{secrets.token_hex(4)}"
        try:
            (parent / id).rename(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:  # a mount point, or a read-only disk
                why = f"{parent / id} cannot be removed: {error.strerror}"
                raise StorageRefused(why) from error
            aside = parent / id  # a full disk has no room for the other name
            if aside in self._known:
                return
        self.continue_removal(aside)

    def continue_removal(self, folder: Path) -> None:
        """Remove a folder that was renamed already, or is incomplete."""
        key = _key_of(folder) if ASIDE.fullmatch(folder.name) else ""
        with self._lock:
            self._known[folder] = FolderRemoval(key)
        threading.Thread(target=self._remove, args=(folder,), name="remove", daemon=True).start()

    def state(self, parent: Path) -> Iterator[tuple[str, FolderRemoval]]:
        """The removals in a folder, by id."""
        with self._lock:
            known = dict(self._known)
        for folder, folder_removal in known.items():
            match = ASIDE.fullmatch(folder.name)
            if match and folder_removal.key and folder.parent == parent:
                yield match[1], folder_removal

    def close(self) -> None:
        """Try no more; the next process continues."""
        self._closed.set()

    def _remove(self, folder: Path) -> None:
        while True:
            try:
                remove_tree(folder / "data")  # the file with its key goes last
                remove_tree(folder)
            except OSError as error:
                self._known[folder].trouble = _failure_of(error)
                if self._closed.wait(RETRY_SECONDS):
                    return
            else:
                break
        with self._lock:
            del self._known[folder]


def _failure_of(error: OSError) -> StorageFailure:
    why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    message = f"Not everything of it could be removed yet, which is tried again: {why}"
    return StorageFailure("DELETE_FAILED", message)


def _key_of(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / "about.json").read_bytes())["key"])
    return ""
