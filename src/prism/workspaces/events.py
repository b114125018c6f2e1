"""The events of workspaces; `subject` is the name, `workspace` the permanent id.

`project` is the workspace's project at the time of the event, even if the workspace has moved to
another project since, or was forgotten.
"""

from datetime import datetime
from typing import Any, ClassVar

from prism.kit.events import Event
from prism.workspaces.model import LifecycleVerb, Workspace, WorkspaceFailure, WorkspaceState

SYSTEM = "prism"  # the actor of events that no user requested


class WorkspaceEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one workspace."""

    workspace: str
    project: str | None


def about(workspace: Workspace) -> dict[str, Any]:
    """The id and the current project of the workspace that an event is about."""
    return {"subject": workspace.name, "workspace": workspace.id, "project": workspace.project}


class WorkspaceAsked(WorkspaceEvent, frozen=True, kw_only=True):
    """A user requested a verb for the workspace."""

    event: ClassVar[str] = "instance_asked"
    verb: LifecycleVerb
    previous_state: WorkspaceState | None
    state: WorkspaceState
    reason: str | None = None


class WorkspaceStateChanged(WorkspaceEvent, frozen=True, kw_only=True):
    """The state of the workspace changed."""

    event: ClassVar[str] = "instance_state_changed"
    previous_state: WorkspaceState
    state: WorkspaceState
    failure: WorkspaceFailure | None


class WorkspaceProgressed(WorkspaceEvent, frozen=True, kw_only=True):
    """Something other than the state changed: progress, address or failure."""

    event: ClassVar[str] = "instance_progress"
    state: WorkspaceState
    stage: str | None
    progress: int
    failure: WorkspaceFailure | None = None


class WorkspaceFailureChanged(WorkspaceEvent, frozen=True, kw_only=True):
    """The state is the same, but there is a new failure."""

    event: ClassVar[str] = "instance_failure"
    state: WorkspaceState
    failure: WorkspaceFailure


class WorkspaceNoted(WorkspaceEvent, frozen=True, kw_only=True):
    """The machine was launched, but lacks something that it can run without."""

    event: ClassVar[str] = "instance_note"
    note: str


class WorkspaceExtended(WorkspaceEvent, frozen=True, kw_only=True):
    """The expiry changed."""

    event: ClassVar[str] = "instance_extended"
    previous_expires_at: datetime | None
    expires_at: datetime | None


class WorkspaceUpdated(WorkspaceEvent, frozen=True, kw_only=True):
    """Whether the workspace is started again after an interruption was changed."""

    event: ClassVar[str] = "instance_updated"
    previous_restart: bool
    restart: bool


class WorkspaceRollbackAsked(WorkspaceEvent, frozen=True, kw_only=True):
    """A user requested that its files are replaced by those of a snapshot."""

    event: ClassVar[str] = "instance_rollback_asked"
    snapshot: str
    backup: str


class WorkspaceRolledBack(WorkspaceEvent, frozen=True, kw_only=True):
    """Its files are those of the snapshot; with a failure, they are as before."""

    event: ClassVar[str] = "instance_rolled_back"
    failure: WorkspaceFailure | None


class WorkspaceRepriced(WorkspaceEvent, frozen=True, kw_only=True):
    """The hourly price changed; in micro-dollars, null if unknown."""

    event: ClassVar[str] = "instance_repriced"
    money: ClassVar[frozenset[str]] = frozenset({"hourly", "previous_hourly"})
    previous_hourly: int | None
    hourly: int | None


class WorkspaceResized(WorkspaceEvent, frozen=True, kw_only=True):
    """The machine type changes; prices in micro-dollars per hour, null if unknown."""

    event: ClassVar[str] = "instance_resized"
    money: ClassVar[frozenset[str]] = frozenset({"hourly", "previous_hourly"})
    previous_instance_type: str
    previous_hourly: int | None
    instance_type: str
    hourly: int | None


class WorkspaceTransferred(WorkspaceEvent, frozen=True, kw_only=True):
    """Another project, pool or allocation pays for the workspace from now on."""

    event: ClassVar[str] = "instance_moved"
    previous_project: str | None
    previous_budget: str | None
    budget: str | None


class WorkspaceHandedOver(WorkspaceEvent, frozen=True, kw_only=True):
    """The workspace has a new owner."""

    event: ClassVar[str] = "instance_handed_over"
    previous_owner: str
    owner: str


class WorkspaceForgotten(WorkspaceEvent, frozen=True, kw_only=True):
    """The workspace was terminated long enough ago to leave the list."""

    event: ClassVar[str] = "instance_forgotten"
