"""The events of files; downloads and listings are not recorded."""

from typing import ClassVar, Literal

from prism.workspaces.events import WorkspaceEvent

Action = Literal["uploaded", "folder_created", "renamed", "removed"]


class FilesChanged(WorkspaceEvent, frozen=True, kw_only=True):
    """Somebody changed the files of a workspace through the API."""

    event: ClassVar[str] = "instance_files_changed"
    action: Action
    path: str
    to: str | None = None
