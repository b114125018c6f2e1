"""The events of recovery; `subject` is the workspace's name from now on."""

from typing import ClassVar

from prism.workspaces.events import WorkspaceEvent
from prism.workspaces.model import LifecycleVerb, WorkspaceState


class WorkspaceRecovered(WorkspaceEvent, frozen=True, kw_only=True):
    """A machine without a row is a workspace again, to be kept or destroyed."""

    event: ClassVar[str] = "instance_recovered"
    machine: str
    place: str
    verb: LifecycleVerb
    state: WorkspaceState
    notes: tuple[str, ...] = ()
