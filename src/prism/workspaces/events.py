"""What can happen to a workspace; `subject` is its name, `workspace` its lasting id.

`project` is whose it was when it happened: it stays true of a fact when the workspace has
moved on, or is forgotten.
"""

from datetime import datetime
from typing import Any, ClassVar

from prism.kit.events import Event
from prism.workspaces.model import Failure, LifecycleVerb, State, Workspace

SYSTEM = "prism"  # the actor of what nobody asked for


class WorkspaceEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one workspace."""

    workspace: str
    project: str | None


def about(workspace: Workspace) -> dict[str, Any]:
    """Which workspace a fact is about, and whose it is now."""
    return {"subject": workspace.name, "workspace": workspace.id, "project": workspace.project}


class WorkspaceAsked(WorkspaceEvent, frozen=True, kw_only=True):
    """Someone asked something of it."""

    event: ClassVar[str] = "instance_asked"
    verb: LifecycleVerb
    previous_state: State | None
    state: State
    reason: str | None = None


class WorkspaceSeen(WorkspaceEvent, frozen=True, kw_only=True):
    """Its state changed."""

    event: ClassVar[str] = "instance_state_changed"
    previous_state: State
    state: State
    failure: Failure | None


class WorkspaceProgressed(WorkspaceEvent, frozen=True, kw_only=True):
    """Something else about it changed: how far it is, its address, what went wrong."""

    event: ClassVar[str] = "instance_progress"
    state: State
    stage: str | None
    progress: int
    failure: Failure | None = None


class WorkspaceFailing(WorkspaceEvent, frozen=True, kw_only=True):
    """Its state is the same, and something is wrong now."""

    event: ClassVar[str] = "instance_failure"
    state: State
    failure: Failure


class WorkspaceNoted(WorkspaceEvent, frozen=True, kw_only=True):
    """Its machine was launched, and lacks something that does not keep it from running."""

    event: ClassVar[str] = "instance_note"
    note: str


class WorkspaceExtended(WorkspaceEvent, frozen=True, kw_only=True):
    """Its expiry changed."""

    event: ClassVar[str] = "instance_extended"
    previous_expires_at: datetime | None
    expires_at: datetime | None


class WorkspaceUpdated(WorkspaceEvent, frozen=True, kw_only=True):
    """Whether it is started again after an interruption was changed."""

    event: ClassVar[str] = "instance_updated"
    previous_restart: bool
    restart: bool


class WorkspaceRepriced(WorkspaceEvent, frozen=True, kw_only=True):
    """An hour of it costs something else now; micro-dollars, null where nobody knows."""

    event: ClassVar[str] = "instance_repriced"
    money: ClassVar[frozenset[str]] = frozenset({"hourly", "previous_hourly"})
    previous_hourly: int | None
    hourly: int | None


class WorkspaceResized(WorkspaceEvent, frozen=True, kw_only=True):
    """Its machine type changes; micro-dollars per hour, null if not known."""

    event: ClassVar[str] = "instance_resized"
    money: ClassVar[frozenset[str]] = frozenset({"hourly", "previous_hourly"})
    previous_instance_type: str
    previous_hourly: int | None
    instance_type: str
    hourly: int | None


class WorkspaceTransferred(WorkspaceEvent, frozen=True, kw_only=True):
    """Another project, or other money, pays for it from now on."""

    event: ClassVar[str] = "instance_moved"
    previous_project: str | None
    previous_budget: str | None
    budget: str | None


class WorkspaceHandedOver(WorkspaceEvent, frozen=True, kw_only=True):
    """It has a new owner."""

    event: ClassVar[str] = "instance_handed_over"
    previous_owner: str
    owner: str


class WorkspaceForgotten(WorkspaceEvent, frozen=True, kw_only=True):
    """It was terminated long enough ago to leave the list."""

    event: ClassVar[str] = "instance_forgotten"
