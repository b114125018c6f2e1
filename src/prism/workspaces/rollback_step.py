"""The reconciler's step of a rollback: wait for the backup, then replace the files."""

from typing import NamedTuple

from prism.kit.db import Database
from prism.storage import store as storage
from prism.storage.model import Snapshot, SnapshotState
from prism.storage.plan import snapshot_state
from prism.workspaces.model import Observed, Workspace, WorkspaceFailure
from prism.workspaces.plan import WorkspaceAction
from prism.workspaces.ports import Compute, ProviderRefused, ReplacesFiles
from prism.workspaces.rollback import backup_of

ROLLBACK_FAILED = "ROLLBACK_FAILED"
DOWN = {Observed.OFF, Observed.BROKEN}


class RollbackEnd(NamedTuple):
    """The end of a rollback, and why it failed; its files are then as before."""

    failure: WorkspaceFailure | None = None


def rollback_step(
    db: Database,
    compute: Compute,
    workspace: Workspace,
    observed: Observed,
    act: WorkspaceAction,
) -> RollbackEnd | None:
    """Go on with a rollback; None while it is under way."""
    if observed is Observed.GONE:
        return _failed(workspace, "its machine is gone")
    if observed is Observed.ON and act is WorkspaceAction.REST:
        return _failed(workspace, "it could not be stopped, or was started meanwhile")
    if observed not in DOWN or workspace.machine_id is None:
        return None
    with db.read() as sql:
        backup = backup_of(sql, workspace)
        ids = [workspace.rollback_to] if workspace.rollback_to else []
        snapshot = next(iter(storage.by_ids(sql, Snapshot, ids)), None)
    if workspace.rollback_backup is not None:
        state = snapshot_state(backup) if backup else SnapshotState.DELETED
        if state is SnapshotState.PENDING:
            return None
        if backup is None or state is not SnapshotState.COMPLETED:
            why = backup.trouble.message if backup and backup.trouble else f"it is {state}"
            return _failed(workspace, f"its present files could not be saved: {why}")
    return _replace_files(compute, workspace, snapshot)


def _replace_files(
    compute: Compute, workspace: Workspace, snapshot: Snapshot | None
) -> RollbackEnd | None:
    if snapshot is None or snapshot.copy_id is None:
        return _failed(workspace, "the snapshot does not exist any more")
    if not isinstance(compute, ReplacesFiles):
        return _failed(workspace, "its provider cannot replace files")
    machine, token = workspace.machine_id or "", workspace.rollback_backup or snapshot.id
    try:
        is_done = compute.replace_files(machine, snapshot.copy_id, token)
    except ProviderRefused as error:
        return _failed(workspace, error.message)
    return RollbackEnd() if is_done else None


def _failed(workspace: Workspace, why: str) -> RollbackEnd:
    message = (
        f"It was not rolled back: {why.rstrip('.')}. Its files are as before; start it as it is: "
        f"`prism start {workspace.name}`"
    )
    return RollbackEnd(WorkspaceFailure(ROLLBACK_FAILED, message))
