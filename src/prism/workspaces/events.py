"""What can happen to a workspace; `subject` is its name, `workspace` its lasting id."""

from datetime import datetime
from typing import ClassVar

from prism.kit.events import Event
from prism.workspaces.model import Failure, State, Verb

SYSTEM = "prism"  # the actor of what nobody asked for


class WorkspaceAsked(Event, frozen=True, kw_only=True):
    """Someone asked something of it."""

    event: ClassVar[str] = "instance_asked"
    workspace: str
    verb: Verb
    previous_state: State | None
    state: State
    reason: str | None = None


class WorkspaceSeen(Event, frozen=True, kw_only=True):
    """It is in another state than before."""

    event: ClassVar[str] = "instance_state_changed"
    workspace: str
    previous_state: State
    state: State
    failure: Failure | None


class WorkspaceMoved(Event, frozen=True, kw_only=True):
    """Something else about it changed: how far it is, its address."""

    event: ClassVar[str] = "instance_progress"
    workspace: str
    state: State
    stage: str | None
    progress: int


class WorkspaceExtended(Event, frozen=True, kw_only=True):
    """It may run longer."""

    event: ClassVar[str] = "instance_extended"
    workspace: str
    previous: datetime | None
    expires_at: datetime


class WorkspaceRepriced(Event, frozen=True, kw_only=True):
    """An hour of it costs something else now; micro-dollars, null where nobody knows."""

    event: ClassVar[str] = "instance_repriced"
    workspace: str
    previous: int | None
    hourly: int | None


class WorkspaceResized(Event, frozen=True, kw_only=True):
    """It is to be another type of machine; micro-dollars an hour, null where nobody knows."""

    event: ClassVar[str] = "instance_resized"
    workspace: str
    previous_type: str
    instance_type: str
    hourly: int | None


class WorkspaceTransferred(Event, frozen=True, kw_only=True):
    """Another project, or other money, pays for it from now on."""

    event: ClassVar[str] = "instance_moved"
    workspace: str
    previous_project: str | None
    previous_budget: str | None
    project: str | None
    budget: str | None


class WorkspaceForgotten(Event, frozen=True, kw_only=True):
    """It was terminated long enough ago to leave the list."""

    event: ClassVar[str] = "instance_forgotten"
    workspace: str
