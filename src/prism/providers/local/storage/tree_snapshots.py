"""Copies trees in the background.

A separate program (`agent/copies/tree_copy.py`) makes a copy under a name that surveys ignore,
compares it with its manifest, and syncs it to the disk; then the copy is renamed. The program ends
with the daemon. The next daemon removes incomplete copies when it starts.
"""

import json
import logging
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from prism.agent.protocol import DISK_FULL_ERRORS, CopyAnswer, CopyTask
from prism.providers.local import folder as folders
from prism.providers.local.storage import mirrored_file
from prism.providers.local.storage.trees import try_remove
from prism.storage.model import StorageFailure

log = logging.getLogger(__name__)
TREE_COPY_PROGRAM = Path(__file__).parents[3] / "agent" / "copies" / "tree_copy.py"
MAX_SNAPSHOTS_AT_ONCE = 2  # more would only make each other wait for the disk
INTERRUPTED = "COPY_INTERRUPTED"
MAX_ATTEMPTS = 3  # a copy whose program was killed is started again


class TreeSnapshotFailed(Exception):
    """A tree could not be copied; the message is shown to people."""

    def __init__(
        self, message: str, *, full: bool = False, failure: StorageFailure | None = None
    ) -> None:
        """`failure` is what people are shown, if that is more than the message."""
        self.full, self.failure = full, failure
        super().__init__(message)


class SnapshotInterrupted(Exception):
    """The program was killed before its end."""


class SnapshotWork(NamedTuple):
    """What to copy, and to where; the copy must match the manifest `expected`.

    `prepare` may make the folder for the data before. Symlinks in `~/volumes` whose target begins
    with `omitted` are left out. `machines` are the folders of machines that may be writing.
    """

    target: Path
    source: Path
    about: Mapping[str, Any]
    expected: Path | None = None
    omitted: str = ""
    machines: tuple[Path, ...] = ()
    prepare: Callable[[Path], None] = lambda _: None
    task: Callable[[Path], CopyTask] | None = None
    """The task for a draft, if it is not to copy `source`."""


class TreeSnapshots:
    """The copies that this process is making, or that failed, by the id of the result."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Semaphore(MAX_SNAPSHOTS_AT_ONCE)
        self._running: dict[str, subprocess.Popen[bytes] | None] = {}
        self._keys: dict[str, str] = {}
        self._failed: dict[str, StorageFailure] = {}
        self._unwanted: set[str] = set()
        self._ending = False

    def begin(self, work: SnapshotWork) -> None:
        """Copy `source` to `target/data`, unless that is under way."""
        id = work.target.name
        with self._lock:
            if id in self._running or self._ending:
                return
            self._running[id], self._keys[id] = None, work.about["key"]
            self._failed.pop(id, None)
            self._unwanted.discard(id)
        threading.Thread(target=self._copy, args=(work,), name=f"copy {id}", daemon=True).start()

    def state(self) -> dict[str, tuple[str, StorageFailure | None]]:
        """The key of each copy, and why it failed; None while it is being made."""
        with self._lock:
            known = [*self._running, *self._failed]
            keys = self._keys
            return {id: (keys[id], self._failed.get(id)) for id in known if id in keys}

    def forget(self, id: str) -> None:
        """Stop making it, and forget that it failed."""
        with self._lock:
            self._failed.pop(id, None)
            if id not in self._running:
                self._keys.pop(id, None)
            else:
                self._unwanted.add(id)
                if process := self._running[id]:
                    process.terminate()

    def end(self) -> None:
        """Start no more copies; one that fails from now on was interrupted by the shutdown.

        A service manager ends all processes of a daemon at the same time.
        """
        with self._lock:
            self._ending = True

    def close(self) -> None:
        """Stop all copies; the next process begins them anew."""
        self.end()
        for id in tuple(self._running):
            self.forget(id)

    def note_process(self, id: str, process: subprocess.Popen[bytes]) -> None:
        """End a process together with the copy that it belongs to."""
        with self._lock:
            if id in self._unwanted or self._ending:
                process.terminate()
            else:
                self._running[id] = process

    def perform(self, id: str, task: CopyTask) -> CopyAnswer:
        """Run the program, and wait for its answer.

        Raises `TreeSnapshotFailed` if the answer is a failure, `SnapshotInterrupted` if there is
        none.
        """
        with self._lock:
            if id in self._unwanted or self._ending:
                raise SnapshotInterrupted
            self._running[id] = process = copying(task)
        with process:  # its input stays open until it has ended
            assert process.stdout is not None
            output = process.stdout.read()
            process.wait()
        with self._lock:
            if id in self._keys:
                self._running[id] = None
            else:
                del self._running[id]
        if process.returncode:
            log.warning("%s: the program that copies ended with %s", id, process.returncode)
            raise SnapshotInterrupted
        answer = msgspec.json.decode(output, type=CopyAnswer)
        if why := answer.get("failed"):
            raise TreeSnapshotFailed(why, full=answer.get("full", False))
        return answer

    def _copy(self, work: SnapshotWork) -> None:
        id, failure = work.target.name, None
        with self._turn:
            for _ in range(MAX_ATTEMPTS):
                failure = self._attempt(work)
                if failure is None or failure.code != INTERRUPTED or self._ending:
                    break
        with self._lock:
            del self._running[id]
            if failure and id not in self._unwanted and not self._ending:
                self._failed[id] = failure
            else:
                self._keys.pop(id, None)
                self._unwanted.discard(id)

    def _attempt(self, work: SnapshotWork) -> StorageFailure | None:
        """Try once; returns why it failed."""
        id = work.target.name
        draft = work.target.with_name(f".{id}-{secrets.token_hex(4)}")
        try:
            draft.mkdir(mode=0o700, parents=True)
            work.prepare(draft / "data")
            task = work.task(draft) if work.task else copy_task(draft, work)
            answer = self.perform(id, task)
            about = {**work.about, **answer}
            mirrored_file.write(draft / "about.json", msgspec.json.encode(about))
            with self._lock:
                if id not in self._unwanted:
                    draft.rename(work.target)
            folders.sync(draft.parent)  # before it counts as complete
        except (TreeSnapshotFailed, SnapshotInterrupted, OSError) as error:
            return failure_of(error)
        finally:
            try_remove(draft)
        return None


def copy_task(draft: Path, work: SnapshotWork) -> CopyTask:
    """The task of the program that copies."""
    return {
        "source": str(work.source),
        "target": str(draft / "data"),
        "manifest": str(draft / "manifest.json"),
        "expected": str(work.expected) if work.expected else None,
        "omitted": work.omitted,
        "draft": str(draft),
        "machines": [str(path) for path in work.machines],
    }


def copying(task: CopyTask) -> subprocess.Popen[bytes]:
    """Start the program; it ends when the pipe on its standard input closes, as when we end."""
    argv = [sys.executable, "-I", "-S", str(TREE_COPY_PROGRAM), json.dumps(task)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv, env={"LC_ALL": "C.UTF-8"}, stdin=pipe, stdout=pipe, start_new_session=True
    )


def failure_of(error: Exception) -> StorageFailure:
    """The failure for an error."""
    if isinstance(error, SnapshotInterrupted):
        return StorageFailure(INTERRUPTED, "It was interrupted each time that it was copied")
    if isinstance(error, TreeSnapshotFailed) and error.failure:
        return error.failure
    full = isinstance(error, TreeSnapshotFailed) and error.full
    if full or (isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS):
        return StorageFailure(
            "DISK_FULL", f"The disk is full: free space, and try again ({error})"
        )
    return StorageFailure("COPY_FAILED", f"It could not be copied: {error}")
