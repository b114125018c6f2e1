"""Requests to replace the files of a workspace by those of a snapshot, and how these end.

A running workspace is stopped, and started again afterwards. Its present files are copied into a
snapshot first.
"""

from functools import partial

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.model import AccessVerb, PermissionDenied, current
from prism.access.plan import allows
from prism.errors import Conflict, Problem, Unavailable
from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.storage import store as storage
from prism.storage.model import Snapshot
from prism.storage.snapshot_service import SnapshotService
from prism.workspaces import store
from prism.workspaces.attachment_hosts import host
from prism.workspaces.changes import WorkspaceChanges, asked_event
from prism.workspaces.events import (
    SYSTEM,
    WorkspaceRollbackAsked,
    WorkspaceRolledBack,
    about,
)
from prism.workspaces.model import (
    LifecycleVerb,
    Observed,
    RollbackAnswer,
    RollbackRequest,
    Workspace,
    WorkspaceFailure,
    WorkspaceState,
)
from prism.workspaces.plan import may_roll_back, state_of, with_request


class SnapshotOfAnother(Conflict, code="SNAPSHOT_OF_ANOTHER"):
    """The snapshot is not one of this workspace."""


class RollbackService:
    """Requests rollbacks, and records their ends."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        storage: SnapshotService,
        changes: WorkspaceChanges,
        actor: Who,
    ) -> None:
        self._db, self._clock, self._storage = db, clock, storage
        self._changes, self._actor = changes, actor

    def roll_back(self, name: str, request: RollbackRequest) -> RollbackAnswer:
        """Request that the files of a workspace become those of one of its snapshots."""
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            snapshot = self._storage.usable(tx.sql, request.snapshot, "rolled back to")
            if request.of_another:
                _require_manager(snapshot)
                snapshot_for_launch(tx.sql, self._storage, request.snapshot, before.location)
            else:
                _require_own(snapshot, before)
            may_roll_back(before)
            self._storage.require_not_being_copied(tx.sql, before.id, before.name, "rollback")
            previous = state_of(before)
            backup = self._storage.before_rollback(tx, host(before))
            requested = replace(before, rollback_to=snapshot.id, rollback_backup=backup.id)
            if previous is WorkspaceState.RUNNING:
                now, why = self._clock.now(), f"to get the files of the snapshot {snapshot.name}"
                stopping = with_request(
                    requested, LifecycleVerb.STOP, now, self._actor(), reason=why
                )
                requested = replace(stopping, restarting=True)
            event = WorkspaceRollbackAsked(
                **about(before), actor=self._actor(), snapshot=snapshot.name, backup=backup.name
            )
            after = self._changes.apply(tx, before, requested, lambda _: event)
            return RollbackAnswer(
                name=after.name,
                previous_state=previous,
                new_state=state_of(after),
                snapshot=snapshot.name,
                backup=backup.name,
            )

    def ended(self, tx: Tx, id: str, failure: WorkspaceFailure | None) -> None:
        """Record that the files were replaced, or why they were not.

        After a failure the workspace stays as it is; one that was launched from a snapshot starts
        once it has its files, unless that is refused.
        """
        before, now = store.by_id(tx.sql, id), self._clock.now()
        if before.rollback_to is None:
            return
        if before.rollback_backup is not None:
            self._storage.release(tx, before.rollback_backup)
        after = replace(before, rollback_to=None, rollback_backup=None)
        event = WorkspaceRolledBack(**about(before), actor=SYSTEM, failure=failure)
        after = self._changes.apply(tx, before, after, lambda _: event)
        if failure is None and after.verb is LifecycleVerb.LAUNCH:
            failure = self._start(tx, after)
            if failure is not None:
                as_it_is = replace(after, observed=Observed.OFF)  # it was shown as starting
                after = self._changes.apply(tx, after, as_it_is, observed=True)
        if failure is None or after.verb is LifecycleVerb.TERMINATE:
            return
        if not after.is_done:
            stopped = with_request(after, LifecycleVerb.STOP, now, SYSTEM, reason=failure.message)
            after = self._changes.apply(tx, after, stopped, partial(asked_event, after))
        failed = replace(after, failure=failure, attempted_generation=after.generation)
        self._changes.apply(tx, after, failed, observed=True)

    def _start(self, tx: Tx, before: Workspace) -> WorkspaceFailure | None:
        """Start a workspace that was launched from a snapshot; the failure if that is refused."""
        reason = "it has the files of its snapshot"
        after = with_request(before, LifecycleVerb.START, self._clock.now(), SYSTEM, reason=reason)
        try:
            with self._db.write():
                self._changes.apply(tx, before, after, partial(asked_event, before), admit=True)
        except Unavailable:
            raise
        except Problem as error:
            why = f"It has the files of its snapshot, and is not started: {error.message}"
            return WorkspaceFailure(error.code, why)
        return None


def snapshot_for_launch(
    sql: Connection, storage_service: SnapshotService, name: str, location: str
) -> Snapshot:
    """The snapshot that a new workspace in this location can begin with; raises the refusal."""
    snapshot = storage_service.usable(sql, name, "launched from")
    if snapshot.source != "workspace" or snapshot.location != location:
        raise SnapshotOfAnother(
            f"No workspace can be launched from the snapshot {snapshot.name!r}",
            details="it is a copy of a volume"
            if snapshot.source != "workspace"
            else f"it is at {snapshot.location}, and the workspace would be at {location}",
            remediation=f"Restore it as a volume: `prism snapshot restore {snapshot.name} VOLUME`",
        )
    return snapshot


def backup_of(sql: Connection, workspace: Workspace) -> Snapshot | None:
    """The snapshot that is taken before the rollback."""
    ids = [workspace.rollback_backup] if workspace.rollback_backup else []
    return next(iter(storage.by_ids(sql, Snapshot, ids)), None)


def _require_manager(snapshot: Snapshot) -> None:
    """Raise unless the caller may take files out of the snapshot, as for a launch from it."""
    caller = current()
    role = caller.roles.get(snapshot.project) if snapshot.project else None
    if caller.operator or allows(role, AccessVerb.STORE):
        return
    raise PermissionDenied(
        f"You may not use the snapshot {snapshot.name!r} for another workspace",
        details="only admins of the snapshot's project may",
        remediation="Ask an admin of that project to do it",
    )


def _require_own(snapshot: Snapshot, workspace: Workspace) -> None:
    if (snapshot.source, snapshot.source_id) != ("workspace", workspace.id):
        raise SnapshotOfAnother(
            f"Snapshot {snapshot.name!r} is not one of {workspace.name!r}",
            details=f"it is of the {snapshot.source} {snapshot.source_name!r}",
            remediation=f"See which are: `prism snapshot list`; to use it elsewhere, make a "
            f"volume of it: `prism snapshot restore {snapshot.name} VOLUME`",
            data={"source": snapshot.source_name},
        )
