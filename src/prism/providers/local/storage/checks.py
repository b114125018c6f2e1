"""Background jobs on finished snapshots: hashes, and rehearsals of a restore.

A workspace can make a job last for hours, by a sparse file of terabytes. So a few run at once: one
for each volume or workspace, and never all for one project.

A rehearsal restores a snapshot into a draft, compares every file with the manifest, contents
included, and removes the draft. Its result is in `verified.json` beside the snapshot.
"""

import logging
import secrets
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from prism.agent.protocol import CopyTask, replace_file
from prism.kit.clock import WallClock
from prism.providers.local.storage import mirrored_file
from prism.providers.local.storage.about import About
from prism.providers.local.storage.tree_snapshots import (
    SnapshotInterrupted,
    SnapshotWork,
    TreeSnapshotFailed,
    TreeSnapshots,
    copy_task,
    failure_of,
)
from prism.providers.local.storage.trees import try_remove
from prism.storage.model import StorageFailure
from prism.storage.ports import VerificationResult

log = logging.getLogger(__name__)
MANIFEST, RESULT, ABOUT = "manifest.json", "verified.json", "about.json"
NO_MANIFEST = StorageFailure(
    "NO_MANIFEST",
    "It was made by an older Prism, which kept no manifest: there is nothing to compare it with",
)
MANIFEST_LOST = StorageFailure(
    "MANIFEST_LOST",
    "The manifest that was written when it was taken is gone, so it cannot be told whether the "
    "snapshot is whole",
)
Job = tuple[str, str | None]  # a snapshot, and the token of the rehearsal; none: only its hashes

HASH, VERIFY = "hash", "verify"
THREADS = 3  # for jobs
THREADS_FOR_PROJECT = THREADS - 1


class WaitingJob(NamedTuple):
    """A job, and who is kept from taking the turns of others by it."""

    job: Job
    source: str
    project: str


class SnapshotChecks:
    """Runs the jobs of the snapshots in one folder."""

    def __init__(self, root: Path, copies: TreeSnapshots) -> None:
        self._root, self._copies = root, copies
        self._waiting: list[WaitingJob] = []
        self._running: list[WaitingJob] = []
        self._changed = threading.Condition()
        self._threads = 0
        self._hashing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def hash(self, id: str) -> None:
        """Add the hashes that its manifest lacks."""
        self._enqueue((id, None))

    def verify(self, id: str, token: str) -> None:
        """Rehearse its restore, unless this token's rehearsal is done or under way."""
        if (known := self.result(id)) is None or known.token != token:
            self._enqueue((id, token))

    def forget(self, id: str) -> None:
        """Stop what reads it, because it is deleted: other snapshots wait for that."""
        for job in (HASH, VERIFY):
            self._copies.forget(f"{id}/{job}")
        self._hashing.pop(id, None)

    def had_manifest(self, id: str) -> bool:
        """Whether a manifest was written with the snapshot, as for all but very old ones."""
        try:
            about = mirrored_file.read(self._root / id / ABOUT, About)
        except (mirrored_file.BothCopiesUnreadable, FileNotFoundError):
            return True
        return about.one_moment is not None

    def result(self, id: str) -> VerificationResult | None:
        """How its last rehearsal ended."""
        try:
            return msgspec.json.decode(
                (self._root / id / RESULT).read_bytes(), type=VerificationResult
            )
        except (OSError, msgspec.MsgspecError):
            return None

    def _enqueue(self, job: Job) -> None:
        with self._changed:
            if self._has(job):
                return
        waiting_job = self._described(job)
        with self._changed:
            if self._has(job):
                return
            self._waiting.append(waiting_job)
            self._changed.notify_all()
            if self._threads < THREADS:
                self._threads += 1
                threading.Thread(target=self._run_jobs, name="checks", daemon=True).start()

    def _has(self, job: Job) -> bool:
        return any(job == known_job.job for known_job in (*self._waiting, *self._running))

    def _described(self, job: Job) -> WaitingJob:
        try:
            known = mirrored_file.read(self._root / job[0] / ABOUT, About).known
        except (mirrored_file.BothCopiesUnreadable, OSError):
            known = None
        if known is None:
            return WaitingJob(job, job[0], "")
        return WaitingJob(job, known.source_id or known.source, known.project or known.owner)

    def _take(self) -> WaitingJob | None:
        """The first job whose turn it is."""
        sources = {running_job.source for running_job in self._running}
        projects = Counter(running_job.project for running_job in self._running)
        for waiting_job in self._waiting:
            is_next = projects[waiting_job.project] < THREADS_FOR_PROJECT
            if is_next and waiting_job.source not in sources:
                self._waiting.remove(waiting_job)
                self._running.append(waiting_job)
                return waiting_job
        return None

    def _run_jobs(self) -> None:
        while True:
            with self._changed:
                while (running_job := self._take()) is None:
                    self._changed.wait()
            try:
                self._run(*running_job.job)
            finally:
                with self._changed:
                    self._running.remove(running_job)
                    self._changed.notify_all()

    def _run(self, id: str, token: str | None) -> None:
        try:
            trouble = self.complete_hashes(id) or (self._rehearse(id) if token else None)
            if token is not None:
                result = VerificationResult(token=token, at=WallClock().now(), trouble=trouble)
                replace_file(self._root / id / RESULT, msgspec.json.encode(result))
        except (SnapshotInterrupted, FileNotFoundError):  # the daemon ends, or it was deleted
            return
        except OSError as error:  # such as a full disk; the next survey or request repeats it
            log.warning("%s: the result of a check cannot be written: %s", id, error)

    def complete_hashes(self, id: str) -> StorageFailure | None:
        """Add the hashes that its manifest lacks; returns why that failed."""
        with self._hashing[id]:
            return self._complete_hashes(id)

    def _complete_hashes(self, id: str) -> StorageFailure | None:
        folder = self._root / id
        try:
            about = mirrored_file.read(folder / ABOUT, About)
        except mirrored_file.BothCopiesUnreadable as error:
            return StorageFailure("SNAPSHOT_UNREADABLE", error.message)
        if not (folder / MANIFEST).exists():
            return NO_MANIFEST if about.one_moment is None else MANIFEST_LOST
        if about.hashed:
            return None
        task: CopyTask = {
            "do": "hash",
            "source": str(folder / "data"),
            "manifest": str(folder / MANIFEST),
            "one_moment": about.one_moment,
        }
        try:
            self._copies.perform(f"{id}/{HASH}", task)
            mirrored_file.write(folder / ABOUT, msgspec.json.encode(replace(about, hashed=True)))
        except (TreeSnapshotFailed, OSError) as error:
            return _verification_failure(error)
        return None

    def _rehearse(self, id: str) -> StorageFailure | None:
        """Restore it into a draft; returns why that failed, or how it differs."""
        folder = self._root / id
        draft = folder.with_name(f".{id}-{secrets.token_hex(4)}")
        work = SnapshotWork(folder, folder / "data", {}, expected=folder / MANIFEST)
        try:
            draft.mkdir(mode=0o700)
            self._copies.perform(f"{id}/{VERIFY}", copy_task(draft, work))
        except (TreeSnapshotFailed, OSError) as error:
            return _verification_failure(error)
        finally:
            try_remove(draft)
        return None


def _verification_failure(error: TreeSnapshotFailed | OSError) -> StorageFailure:
    trouble = failure_of(error)
    if trouble.code == "DISK_FULL":
        return trouble
    return StorageFailure("VERIFICATION_FAILED", f"It cannot be restored as it was taken: {error}")
