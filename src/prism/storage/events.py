"""The events of storage; `subject` is the name, `volume` or `snapshot` the permanent id.

`project` is the owner's. Events about an attachment also have the permanent id and the project of
the workspace, because its entry in lists changes.
"""

from typing import Any, ClassVar

from prism.kit.events import Event
from prism.storage.model import Snapshot, SnapshotState, StorageFailure, Volume, VolumeState


class _VolumeEvent(Event, frozen=True, kw_only=True):
    volume: str
    project: str | None


class _AttachmentEvent(_VolumeEvent, frozen=True, kw_only=True):
    workspace: str
    instance: str
    instance_project: str | None


class _SnapshotEvent(Event, frozen=True, kw_only=True):
    snapshot: str
    project: str | None


def about(resource: Volume | Snapshot) -> dict[str, Any]:
    """The object of an event, and its project."""
    kind = "volume" if isinstance(resource, Volume) else "snapshot"
    return {"subject": resource.name, kind: resource.id, "project": resource.project}


class VolumeAsked(_VolumeEvent, frozen=True, kw_only=True):
    """A user requested a volume, or its deletion."""

    event: ClassVar[str] = "volume_asked"
    verb: str
    state: VolumeState


class VolumeStateChanged(_VolumeEvent, frozen=True, kw_only=True):
    """The state of a volume changed."""

    event: ClassVar[str] = "volume_state_changed"
    previous_state: VolumeState
    state: VolumeState
    failure: StorageFailure | None


class VolumeMeasured(_VolumeEvent, frozen=True, kw_only=True):
    """The used space of a volume changed."""

    event: ClassVar[str] = "volume_measured"
    used_bytes: int | None


class VolumeAttached(_AttachmentEvent, frozen=True, kw_only=True):
    """A volume was attached to a workspace."""

    event: ClassVar[str] = "volume_attached"


class VolumeDetached(_AttachmentEvent, frozen=True, kw_only=True):
    """A volume was detached from a workspace."""

    event: ClassVar[str] = "volume_detached"


class SnapshotAsked(_SnapshotEvent, frozen=True, kw_only=True):
    """A user requested a snapshot, or its deletion."""

    event: ClassVar[str] = "snapshot_asked"
    verb: str
    state: SnapshotState


class SnapshotStateChanged(_SnapshotEvent, frozen=True, kw_only=True):
    """The state of a snapshot changed."""

    event: ClassVar[str] = "snapshot_state_changed"
    previous_state: SnapshotState
    state: SnapshotState
    failure: StorageFailure | None
