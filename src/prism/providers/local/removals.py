"""Volumes and snapshots that are being destroyed in the background, until nothing is left.

A folder is first renamed, so that nothing can attach or copy it any more, and is surveyed as
`deleting` until its last file is gone. What cannot be removed is said, and tried again.
"""

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from prism.agent.safe_paths import remove_tree
from prism.storage.model import Trouble

ASIDE = re.compile(r"\.((?:vol|fs|snap)-[0-9a-f]{17})\.deleted-[0-9a-f]{8}")
AGAIN = 5.0  # seconds until what could not be removed is tried again


class Removal(Struct):
    """A folder that is being removed; `key` is empty where nobody has to be told."""

    key: str
    trouble: Trouble | None = None


class Removals:
    """Everything that this process removes."""

    def __init__(self) -> None:
        self._known: dict[Path, Removal] = {}
        self._lock, self._closed = threading.Lock(), threading.Event()

    def begin(self, place: Path, id: str) -> None:
        """Put a folder out of reach, which is at once, and remove it in the background."""
        aside = place / f".{id}.deleted-{secrets.token_hex(4)}"
        try:
            (place / id).rename(aside)
        except FileNotFoundError:
            return
        self.go_on(aside)

    def go_on(self, folder: Path) -> None:
        """Remove what is out of reach already, or was left half made."""
        key = _key(folder) if ASIDE.fullmatch(folder.name) else ""
        with self._lock:
            self._known[folder] = Removal(key)
        threading.Thread(target=self._remove, args=(folder,), name="remove", daemon=True).start()

    def state(self, place: Path) -> Iterator[tuple[str, Removal]]:
        """What is being removed there, by id."""
        with self._lock:
            known = dict(self._known)
        for folder, it in known.items():
            if it.key and folder.parent == place and (found := ASIDE.fullmatch(folder.name)):
                yield found[1], it

    def close(self) -> None:
        """Try no more; the next process goes on."""
        self._closed.set()

    def _remove(self, folder: Path) -> None:
        while True:
            try:
                remove_tree(folder / "data")  # what says whose it was goes last
                remove_tree(folder)
            except OSError as error:
                self._known[folder].trouble = _trouble(error)
                if self._closed.wait(AGAIN):
                    return
            else:
                break
        with self._lock:
            del self._known[folder]


def _trouble(error: OSError) -> Trouble:
    why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    message = f"Not everything of it could be removed yet, which is tried again: {why}"
    return Trouble("DELETE_FAILED", message)


def _key(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / "about.json").read_bytes())["key"])
    return ""
