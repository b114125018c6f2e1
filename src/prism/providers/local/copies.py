"""Copies of trees that are being made in the background: what nobody has to wait for.

A copy is made under a name that no survey looks at, and renamed when it is complete and on
the disk. A daemon that dies leaves at most such a draft behind, which is swept away.
"""

import errno
import secrets
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from prism.providers.local import folder as folders
from prism.providers.local.trees import CopyFailed, cleared, copied, copying, measured
from prism.storage.model import Trouble

FULL = {errno.ENOSPC, errno.EDQUOT}
AT_ONCE = 2  # more would only make each other wait for the disk


class Copies:
    """Every copy that this process is making, or could not make, by the id it will have."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Semaphore(AT_ONCE)
        self._running: dict[str, subprocess.Popen[bytes] | None] = {}
        self._keys: dict[str, str] = {}
        self._failed: dict[str, Trouble] = {}
        self._unwanted: set[str] = set()

    def begin(
        self,
        target: Path,
        source: Path,
        about: dict[str, Any],
        tidy: Callable[[Path], None] = lambda _: None,
        prepare: Callable[[Path], None] = lambda _: None,
    ) -> None:
        """Copy `source` to `target/data`, unless that is under way.

        `prepare` may make that folder before, and `tidy` sees what is in it after.
        """
        id = target.name
        with self._lock:
            if id in self._running:
                return
            self._running[id], self._keys[id] = None, about["key"]
            self._failed.pop(id, None)
            self._unwanted.discard(id)
        work = (target, source, about, tidy, prepare)
        threading.Thread(target=self._make, args=work, name=f"copy {id}", daemon=True).start()

    def state(self) -> dict[str, tuple[str, Trouble | None]]:
        """The key of each, and why it could not be made; none while it is being made."""
        with self._lock:
            known = [*self._running, *self._failed]
            return {id: (self._keys[id], self._failed.get(id)) for id in known}

    def forget(self, id: str) -> None:
        """Make it no more, and forget that it failed."""
        with self._lock:
            self._failed.pop(id, None)
            if id in self._running:
                self._unwanted.add(id)
                if process := self._running[id]:
                    process.terminate()

    def close(self) -> None:
        """Make none of them any more; the next process begins them anew."""
        for id in tuple(self._running):
            self.forget(id)

    def _make(
        self,
        target: Path,
        source: Path,
        about: dict[str, Any],
        tidy: Callable[[Path], None],
        prepare: Callable[[Path], None],
    ) -> None:
        id, failure = target.name, None
        draft = target.with_name(f".{id}-{secrets.token_hex(4)}")
        with self._turn:
            try:
                draft.mkdir(mode=0o700, parents=True)
                prepare(draft / "data")
                self._copy(id, source, draft / "data")
                tidy(draft / "data")
                used = measured(draft / "data")
                folders.write(draft / "about.json", msgspec.json.encode({**about, "used": used}))
                with self._lock:
                    if id not in self._unwanted:
                        draft.rename(target)
            except (CopyFailed, OSError) as error:
                failure = _trouble(error)
        cleared(draft)
        with self._lock:
            del self._running[id]
            if failure and id not in self._unwanted:
                self._failed[id] = failure

    def _copy(self, id: str, source: Path, target: Path) -> None:
        with self._lock:
            if id in self._unwanted:
                return
            process = copying(source, target)
            self._running[id] = process
        copied(process, target)


def _trouble(error: Exception) -> Trouble:
    full = isinstance(error, CopyFailed) and error.full
    if full or (isinstance(error, OSError) and error.errno in FULL):
        return Trouble("DISK_FULL", f"The disk is full: make room, and ask again ({error})")
    return Trouble("COPY_FAILED", f"It could not be copied: {error}")
