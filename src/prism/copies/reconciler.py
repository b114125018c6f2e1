"""Makes copies of snapshots: begins each, and records how far it is."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import ColumnElement

from prism.copies import store
from prism.copies.events import SYSTEM, SnapshotCopyStateChanged, about
from prism.copies.model import ENDED, CopyState, SnapshotCopy
from prism.copies.plan import label_of
from prism.copies.ports import CopyOrder, CopyStatus, CopyWorker
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER_DUE, Claim, ReconcileResult, in_locations
from prism.storage import store as storage_rows
from prism.storage.model import Snapshot, StorageFailure

BUSY, CALM = timedelta(seconds=1), timedelta(seconds=5)
GONE = StorageFailure("SNAPSHOT_GONE", "The snapshot was deleted before it was copied")


class CopyReconciler:
    """Brings every copy to its end."""

    rows = store.copies

    def __init__(self, db: Database, clock: Clock, workers: Mapping[str, CopyWorker]) -> None:
        self._db, self._clock, self._workers = db, clock, workers

    def reachable(self) -> ColumnElement[bool]:
        """The copies of snapshots in the locations of this daemon."""
        return in_locations(self.rows, self._workers)

    def mark_due(self) -> timedelta:
        """Stop copies that were cancelled, and forget those whose end is recorded."""
        # First the workers: a copy that begins after that is in neither, and goes on.
        known = [(worker, set(worker.ids())) for worker in self._workers.values()]
        with self._db.read() as sql:
            running = {
                copy.id for copy in store.every(sql, SnapshotCopy) if copy.state not in ENDED
            }
        for worker, ids in known:
            for id in ids - running:
                worker.forget(id)
        return CALM

    def look(self, claims: Sequence[Claim]) -> None:
        """Does nothing: a worker tells about one copy at a time."""

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Begin a copy, or record how far it is."""
        with self._db.read() as sql:
            copy = store.find(sql, SnapshotCopy, claim.id)
            if copy is None or copy.state in ENDED:
                return ReconcileResult(NEVER_DUE - self._clock.now(), lambda _: None)
            snapshot = next(iter(storage_rows.by_ids(sql, Snapshot, [copy.snapshot])), None)
            is_known = store.is_known(sql, copy.destination)
        worker = self._workers[copy.location]
        status = worker.status(copy.id)
        if status is None and (snapshot is None or snapshot.copy_id is None):
            status = CopyStatus(state=CopyState.FAILED, trouble=GONE)
        elif status is None and snapshot is not None and snapshot.copy_id is not None:
            with self._db.write() as tx:  # before it changes anything at the destination
                claim.update(tx, begun=True)
            order = CopyOrder(
                id=copy.id,
                snapshot=snapshot.copy_id,
                label=label_of(snapshot, copy.schedule),
                destination=copy.destination,
                profile=copy.profile,
                verify=copy.verify,
                keep=copy.keep,
                is_known=is_known,
                is_repeated=copy.begun,
            )
            worker.begin(order)
            return ReconcileResult(BUSY, lambda _: None)
        assert status is not None
        rest = NEVER_DUE - self._clock.now() if status.state in ENDED else BUSY
        return ReconcileResult(rest, lambda tx: self._record(tx, claim.id, status))

    def _record(self, tx: Tx, id: str, status: CopyStatus) -> None:
        if (before := store.find(tx.sql, SnapshotCopy, id)) is None:
            return  # cancelled meanwhile
        has_ended = status.state in ENDED
        after = replace(
            before,
            state=status.state,
            progress=None if has_ended else status.progress,
            total_bytes=status.total_bytes,
            added_bytes=status.added_bytes,
            remote_id=status.remote_id,
            same_disk=status.same_disk,
            verified_at=whole(status.verified_at) if status.verified_at else None,
            ended_at=whole(self._clock.now()) if has_ended else None,
            trouble=status.trouble,
        )
        store.observe(tx, before, after)
        if after.state is CopyState.COMPLETED:
            for earlier in store.copies_of(tx.sql, after.snapshot, after.destination):
                if earlier.id != id:
                    store.remove(tx, SnapshotCopy, earlier.id)  # this one says how it is now
            if after.schedule is not None:
                store.remove_ended(tx, after.schedule, status.remaining, except_for=id)
        if after.state is not before.state:
            tx.happened(
                SnapshotCopyStateChanged(
                    **about(after),
                    actor=SYSTEM,
                    previous_state=before.state,
                    state=after.state,
                    added_bytes=after.added_bytes,
                    failure=after.trouble,
                )
            )
