"""Copies snapshots to destinations, in threads."""

import contextlib
import logging
import subprocess
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from socket import gethostname

from msgspec.structs import replace

from prism.copies.destinations import DestinationKind, parse
from prism.copies.model import (
    ENDED,
    CopyState,
    DestinationAway,
    DestinationRefused,
    RemoteCopy,
)
from prism.copies.ports import CopyOrder, CopyStatus
from prism.errors import Problem
from prism.kit.clock import WallClock
from prism.providers.local.restic.access import RepositoryAccess
from prism.providers.local.restic.failures import (
    RepositoryFailed,
    is_reachable_later,
    why_not_mounted,
)
from prism.providers.local.restic.repository import Repository
from prism.providers.local.storage.checks import MANIFEST, SnapshotChecks
from prism.providers.local.storage.tree_snapshots import SnapshotInterrupted
from prism.storage.model import StorageFailure

log = logging.getLogger(__name__)
UNEXPECTED = StorageFailure("COPY_FAILED", "The copy failed; `prism daemon logs` says why")
MAX_COPIES_AT_ONCE = 2  # more would only make each other wait for the disk


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Raise the problem of a destination instead of `RepositoryFailed`."""
    try:
        yield
    except RepositoryFailed as why:
        kind = DestinationAway if is_reachable_later(why.failure) else DestinationRefused
        problem = kind(why.failure.message)
        problem.code = why.failure.code
        raise problem from why


class _Stopped(Exception):
    """The copy was cancelled, or the daemon ends."""


class SnapshotCopies:
    """Implements `copies.ports.CopyWorker`."""

    def __init__(self, snapshots: Path, checks: SnapshotChecks, access: RepositoryAccess) -> None:
        self._snapshots, self._checks, self._access = snapshots, checks, access
        self._lock, self._turn = threading.Lock(), threading.Semaphore(MAX_COPIES_AT_ONCE)
        # The end of a copy may remove others, which restic refuses while one is being made there.
        self._destinations: dict[str, threading.Lock] = {}
        self._statuses: dict[str, CopyStatus] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._unwanted: set[str] = set()
        self._ending = False

    def begin(self, order: CopyOrder) -> None:
        """Begin a copy, unless it is known."""
        with self._lock:
            if order.id in self._statuses or self._ending:
                return
            self._statuses[order.id] = CopyStatus()
            self._unwanted.discard(order.id)
        name = f"copy {order.id}"
        threading.Thread(target=self._carry_out, args=(order,), name=name, daemon=True).start()

    def status(self, id: str) -> CopyStatus | None:
        """How far a copy is; None if it was not begun since the start."""
        with self._lock:
            return self._statuses.get(id)

    def ids(self) -> Collection[str]:
        """The copies that it knows."""
        with self._lock:
            return [*self._statuses]

    def forget(self, id: str) -> None:
        """Stop a copy, and forget how it ended."""
        with self._lock:
            status = self._statuses.get(id)
            if status is not None and status.state in ENDED:
                del self._statuses[id]
            elif status is not None:
                self._unwanted.add(id)
                if process := self._processes.get(id):
                    process.terminate()

    def end(self) -> None:
        """Start no more copies; one that fails from now on was interrupted by the shutdown."""
        with self._lock:
            self._ending = True

    def close(self) -> None:
        """Stop all copies; the next process begins them anew."""
        self.end()
        for id in self.ids():
            self.forget(id)

    def listing(self, destination: str, profile: str | None) -> Sequence[RemoteCopy]:
        """What is at a destination, the oldest first."""
        with _problems():
            return self._access.open(destination, profile).repository.copies()

    def delete(self, destination: str, profile: str | None, remote_id: str) -> None:
        """Destroy a copy and the data that only it has."""
        with _problems():
            repository = self._access.open(destination, profile).repository
            repository.unlock()
            repository.delete(remote_id)

    # ------------------------------------------------------------ in the thread
    def _carry_out(self, order: CopyOrder) -> None:
        failure: StorageFailure | None = UNEXPECTED
        with self._lock:
            destination = self._destinations.setdefault(order.destination, threading.Lock())
        try:
            with destination, self._turn:
                failure = self._attempt(order)
        finally:
            self._note_end(order, failure)

    def _attempt(self, order: CopyOrder) -> StorageFailure | None:
        """Copy; why it failed."""
        try:
            self._copy(order)
        except _Stopped:
            return None
        except RepositoryFailed as why:
            return why.failure
        except (SnapshotInterrupted, OSError, Problem) as error:
            log.warning("%s: %s", order.id, error)
            return StorageFailure("COPY_FAILED", f"The copy failed: {error}")
        return None

    def _note_end(self, order: CopyOrder, failure: StorageFailure | None) -> None:
        with self._lock:
            self._processes.pop(order.id, None)
            if order.id in self._unwanted or self._ending:
                self._unwanted.discard(order.id)
                del self._statuses[order.id]
            elif failure is not None:
                status = self._statuses[order.id]
                self._statuses[order.id] = replace(status, state=CopyState.FAILED, trouble=failure)

    def _copy(self, order: CopyOrder) -> None:
        folder = self._snapshots / order.snapshot
        self._require_copyable(order, folder)
        opened = self._access.open(
            order.destination, order.profile, lambda process: self._note(order.id, process)
        )
        self._change(order.id, state=CopyState.COPYING, same_disk=opened.same_disk)
        repository = opened.repository
        self._prepare(repository, order)
        if (known := repository.of_key(order.label.key)) is None:
            added = repository.add(
                folder,
                order.label,
                gethostname(),
                lambda percent, total: self._change(
                    order.id, progress=percent, total_bytes=total or None
                ),
            )
            remote_id = added.id
            self._change(order.id, total_bytes=added.total_bytes, added_bytes=added.added_bytes)
        else:
            remote_id = known.id
            self._change(order.id, total_bytes=known.total_bytes, added_bytes=0)
        self._change(order.id, state=CopyState.VERIFYING, progress=None, remote_id=remote_id)
        verified_at = None
        if order.verify == "full":
            repository.require_whole(remote_id, folder / MANIFEST)
            verified_at = WallClock().now()
        else:
            repository.require_complete()
        remaining = None
        if order.keep is not None and order.label.schedule is not None:
            remaining = repository.keep_last(order.label.schedule, order.keep)
        self._change(
            order.id, state=CopyState.COMPLETED, verified_at=verified_at, remaining=remaining
        )

    def _require_copyable(self, order: CopyOrder, folder: Path) -> None:
        """Complete its manifest, with which the copy is compared."""
        if not folder.is_dir():
            raise RepositoryFailed(
                StorageFailure("SNAPSHOT_GONE", "The snapshot was deleted before it was copied")
            )
        if failure := self._checks.complete_hashes(order.snapshot):
            raise RepositoryFailed(failure)

    def _prepare(self, repository: Repository, order: CopyOrder) -> None:
        """Make the repository, if it is new; repair it, if a copy was interrupted."""
        if repository.exists():
            if order.is_repeated:
                repository.repair()
            else:
                repository.unlock()
            return
        destination = parse(order.destination)
        if order.is_known and destination.kind is not DestinationKind.S3:
            reason = f"The earlier copies are not at {destination.text} any more"
            raise RepositoryFailed(why_not_mounted(destination, reason))
        repository.make()

    def _note(self, id: str, process: subprocess.Popen[bytes]) -> None:
        """Remember the process, which is ended if the copy is not wanted any more."""
        with self._lock:
            self._processes[id] = process
            if id in self._unwanted or self._ending:
                process.terminate()

    def _change(self, id: str, **values: object) -> None:
        with self._lock:
            if id in self._unwanted or self._ending:
                raise _Stopped
            self._statuses[id] = replace(self._statuses[id], **values)
