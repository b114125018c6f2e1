"""The events of shares; `subject` is the name of the workspace, `share` the id."""

from datetime import datetime
from typing import ClassVar

from prism.sharing.model import ShareAudience, SharedThing
from prism.workspaces.events import WorkspaceEvent


class ShareEvent(WorkspaceEvent, frozen=True, kw_only=True):
    """Something that happened to a share."""

    share: str
    kind: SharedThing
    app: str | None
    audience: ShareAudience
    guest: str | None


class ShareCreated(ShareEvent, frozen=True, kw_only=True):
    """An app or the terminal of a workspace is shared from now on."""

    event: ClassVar[str] = "share_created"
    until: datetime
    may_wake: bool


class ShareEnded(ShareEvent, frozen=True, kw_only=True):
    """A share was ended, or has ended by itself."""

    event: ClassVar[str] = "share_ended"
    reason: str


class ShareOpened(ShareEvent, frozen=True, kw_only=True):
    """A guest has opened what is shared."""

    event: ClassVar[str] = "share_opened"
