"""The events of visits; the actor is who enters, `subject` the name of the workspace."""

from datetime import datetime
from typing import ClassVar

from prism.visits.model import WayIn
from prism.workspaces.events import WorkspaceEvent


class WorkspaceEntered(WorkspaceEvent, frozen=True, kw_only=True):
    """Somebody who is not its owner has entered the workspace."""

    event: ClassVar[str] = "instance_entered"
    owner: str
    way: WayIn


class WorkspaceLeft(WorkspaceEvent, frozen=True, kw_only=True):
    """Somebody who is not its owner has left the workspace again."""

    event: ClassVar[str] = "instance_left"
    owner: str
    way: WayIn
    began_at: datetime
    ended_at: datetime
