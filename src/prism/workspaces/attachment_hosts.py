"""Gives the storage package the facts about workspaces that it needs."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import cast

from sqlalchemy import Connection

from prism.kit.db import Tx
from prism.storage import store as storage
from prism.storage.model import AttachmentHost, DiskType, StorageObserved, StorageState, Volume
from prism.workspaces import store
from prism.workspaces.model import LifecycleVerb, Observed, Workspace, WorkspaceFailure
from prism.workspaces.plan import WorkspaceAction

# States in which no process runs, or all are frozen.
WAKES = {LifecycleVerb.START, LifecycleVerb.RESUME}
QUIET_OBSERVATIONS = {Observed.NONE, Observed.OFF, Observed.ASLEEP, Observed.BROKEN, Observed.GONE}


class AttachmentHosts:
    """Implements `storage.model.AttachmentHostReader`."""

    def named(self, sql: Connection, name: str) -> AttachmentHost:
        """The workspace with that name or instance id; raises if there is none."""
        return host(store.named(sql, name))

    def of(self, sql: Connection, ids: Collection[str]) -> Mapping[str, AttachmentHost]:
        """The workspaces with these ids that are still listed, by id."""
        return (
            {workspace.id: host(workspace) for workspace in store.by_ids(sql, ids)} if ids else {}
        )

    def on(self, sql: Connection, machines: Collection[str]) -> Mapping[str, AttachmentHost]:
        """The workspaces on these machines, by machine."""
        workspaces = store.on_machines(sql, machines) if machines else []
        return {
            id: host(workspace)
            for workspace in workspaces
            for id in (workspace.machine_id or workspace.expected_id,)
            if id
        }


def host(workspace: Workspace) -> AttachmentHost:
    """The facts about a workspace that the storage package needs."""
    return AttachmentHost(
        id=workspace.id,
        name=workspace.name,
        location=workspace.location,
        machine=workspace.machine_id or workspace.expected_id,
        quiet=workspace.observed in QUIET_OBSERVATIONS,
        up=workspace.observed is Observed.ON,
        ended=workspace.verb is LifecycleVerb.TERMINATE,
        project=workspace.project,
        owner=workspace.owner,
        root_gb=workspace.root_gb,
        root_type=cast("DiskType", workspace.root_type),
    )


class DetachmentCheck:
    """Implements `hooks.AdmissionCheck`: nobody keeps another project's volume by a start.

    A volume that is being detached is still in the memory of a hibernated workspace, and would be
    attached again by a start that is faster than the detachment.
    """

    def allow(self, tx: Tx, workspace: Workspace, *, beyond: datetime | None = None) -> None:
        """Refuse a start or a resume until such a volume is detached."""
        if workspace.verb not in WAKES or workspace.is_done:
            return
        for attachment in storage.attachments_to(tx.sql, workspace.id):
            if attachment.wanted or not attachment.attached:
                continue
            volume = storage.by_id(tx.sql, Volume, attachment.volume)
            if volume.project != workspace.project:
                raise StorageState(
                    f"Volume {volume.name!r} is being detached from {workspace.name!r}",
                    details="it belongs to another project, and a hibernated workspace still has "
                    "it in its memory",
                    remediation="Start the workspace once the volume is detached; if it is "
                    f"hibernated: `prism terminate {workspace.name}`",
                )


def zone_of(sql: Connection, workspace: Workspace) -> str | None:
    """The zone that a workspace's volumes are in; None if it may run in any zone."""
    return next(iter(storage.zones_of(sql, workspace.id)), None)


def termination_step(
    sql: Connection, workspace: Workspace, observed: Observed
) -> tuple[WorkspaceAction, WorkspaceFailure | None]:
    """The action on a workspace that is being terminated, and the failure that delays its end.

    While a snapshot of its disk is incomplete, Prism only stops the workspace, so that nothing is
    written that the snapshot would lack.
    """
    backup = storage.pending_backup(sql, workspace.id)
    if backup is None:
        return WorkspaceAction.TERMINATE, None
    act = (
        WorkspaceAction.STOP
        if observed in {Observed.STARTING, Observed.ON}
        else WorkspaceAction.WAIT
    )
    if backup.observed is not StorageObserved.BROKEN or backup.trouble is None:
        return act, None
    hint = f"`prism workspace terminate {workspace.name} --backup` tries again, "
    hint += "without it gives it up"
    return act, WorkspaceFailure("BACKUP_FAILED", f"{backup.trouble.message}; {hint}")
