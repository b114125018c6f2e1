"""Runs schedules: takes a snapshot, copies it, and removes the snapshot of the run before.

Between two runs one snapshot of each schedule stays here. A run that was missed, because the
computer slept or was off, is made up for once.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import ColumnElement

from prism.copies import store
from prism.copies.events import SYSTEM, CopyScheduleRan, about_schedule
from prism.copies.model import CopySchedule, SnapshotCopy
from prism.copies.plan import ScheduleStep, can_reuse, next_run, next_step, snapshot_name
from prism.copies.service import CopyService
from prism.errors import Problem, Unavailable
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER_DUE, Claim, DatabaseReconciler, ReconcileResult, in_locations
from prism.storage import store as storage_rows
from prism.storage.model import Snapshot, StorageFailure
from prism.storage.plan import snapshot_state
from prism.storage.snapshot_service import SnapshotService

BUSY = timedelta(seconds=1)
SELDOM = timedelta(hours=1)
SNAPSHOT_FAILED = StorageFailure("SNAPSHOT_FAILED", "Its snapshot could not be taken")
CANCELLED = StorageFailure("COPY_CANCELLED", "The copy was cancelled")


class ScheduleReconciler(DatabaseReconciler):
    """Does the next step of each schedule."""

    rows = store.schedules

    def __init__(
        self,
        db: Database,
        clock: Clock,
        locations: Collection[str],
        *,
        storage: SnapshotService,
        copies: CopyService,
    ) -> None:
        self._db, self._clock, self._locations = db, clock, locations
        self._storage, self._copies = storage, copies

    def reachable(self) -> ColumnElement[bool]:
        """The schedules of sources in the locations of this daemon."""
        return in_locations(self.rows, self._locations)

    def mark_due(self) -> timedelta:
        """Does nothing: each schedule is due at its next run."""
        return SELDOM

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Do the next step of one schedule."""
        now = self._clock.now()
        with self._db.read() as sql:
            schedule = store.find(sql, CopySchedule, claim.id)
            if schedule is None:
                return ReconcileResult(NEVER_DUE - now, lambda _: None)
            known = storage_rows.by_ids(sql, Snapshot, [schedule.snapshot or ""])
            snapshot = next(iter(known), None)
            copy = store.find(sql, SnapshotCopy, schedule.copy or "")
        step = next_step(
            schedule,
            snapshot_state(snapshot) if snapshot else None,
            copy.state if copy else None,
            now,
        )
        if step is ScheduleStep.BEGIN:
            return ReconcileResult(BUSY, lambda tx: self._begin(tx, schedule, snapshot))
        if step is ScheduleStep.COPY and snapshot is not None:
            return ReconcileResult(BUSY, lambda tx: self._copy(tx, schedule, snapshot))
        if step is ScheduleStep.SUCCEED:
            after = replace(schedule, is_running=False, trouble=None, succeeded_at=whole(now))
            return self._ended(schedule, after)
        if step is ScheduleStep.FAIL:
            trouble = SNAPSHOT_FAILED if schedule.copy is None else CANCELLED
            trouble = (copy.trouble if copy else snapshot.trouble if snapshot else None) or trouble
            return self._ended(schedule, replace(schedule, is_running=False, trouble=trouble))
        rest = max(BUSY, next_run(schedule) - now) if step is ScheduleStep.REST else BUSY
        return ReconcileResult(rest, lambda _: None)

    def _begin(self, tx: Tx, schedule: CopySchedule, snapshot: Snapshot | None) -> None:
        now = self._clock.now()
        begun = replace(schedule, begun_at=whole(now), is_running=True, copy=None)
        if can_reuse(schedule, snapshot, now):
            return store.observe(tx, schedule, begun)
        name = snapshot_name(schedule.source_name, now)
        try:
            with self._db.write() as savepoint:
                taken = self._storage.take_again(
                    savepoint, schedule.source, schedule.source_id, name
                )
        except Unavailable:
            raise
        except Problem as why:
            trouble = StorageFailure(why.code, why.message)
            return self._record(tx, schedule, replace(begun, is_running=False, trouble=trouble))
        previous = schedule.previous or schedule.snapshot
        if schedule.previous is not None and schedule.snapshot is not None:
            self._remove(tx, schedule.snapshot)  # its copy failed, and it is too old by now
        store.observe(tx, schedule, replace(begun, snapshot=taken.id, previous=previous))
        return None

    def _copy(self, tx: Tx, schedule: CopySchedule, snapshot: Snapshot) -> None:
        copy = self._copies.added(tx, snapshot, schedule.destination, schedule.profile, schedule)
        store.observe(tx, schedule, replace(schedule, copy=copy.id))

    def _ended(self, before: CopySchedule, after: CopySchedule) -> ReconcileResult:
        rest = max(BUSY, next_run(after) - self._clock.now())
        return ReconcileResult(rest, lambda tx: self._record(tx, before, after))

    def _record(self, tx: Tx, before: CopySchedule, after: CopySchedule) -> None:
        """Record the end of a run; after a success, the snapshot before it is not needed."""
        if after.trouble is None and after.previous is not None:
            self._remove(tx, after.previous)
            after = replace(after, previous=None)
        store.observe(tx, before, after)
        tx.happened(CopyScheduleRan(**about_schedule(after), actor=SYSTEM, failure=after.trouble))

    def _remove(self, tx: Tx, snapshot: str) -> None:
        """Delete a snapshot that the schedule took, unless it is in use or gone."""
        for known in storage_rows.by_ids(tx.sql, Snapshot, [snapshot]):
            with suppress(Problem):
                self._storage.delete_row(tx, known)
