"""What can happen to storage; `subject` is its name, `volume` or `snapshot` its lasting id.

`project` is whose it is. Facts about an attachment carry the workspace's lasting id too, since
its list item changes, and its project, which may be another.
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
    """What a fact is about, and whose it is."""
    kind = "volume" if isinstance(resource, Volume) else "snapshot"
    return {"subject": resource.name, kind: resource.id, "project": resource.project}


class VolumeAsked(_VolumeEvent, frozen=True, kw_only=True):
    """Someone asked for one, or for its end."""

    event: ClassVar[str] = "volume_asked"
    verb: str
    state: VolumeState


class VolumeSeen(_VolumeEvent, frozen=True, kw_only=True):
    """Its state changed."""

    event: ClassVar[str] = "volume_state_changed"
    previous_state: VolumeState
    state: VolumeState
    failure: StorageFailure | None


class VolumeMeasured(_VolumeEvent, frozen=True, kw_only=True):
    """Another amount of it is used."""

    event: ClassVar[str] = "volume_measured"
    used_bytes: int | None


class VolumeAttached(_AttachmentEvent, frozen=True, kw_only=True):
    """A workspace has it now."""

    event: ClassVar[str] = "volume_attached"


class VolumeDetached(_AttachmentEvent, frozen=True, kw_only=True):
    """A workspace has it no more."""

    event: ClassVar[str] = "volume_detached"


class SnapshotAsked(_SnapshotEvent, frozen=True, kw_only=True):
    """Someone asked for one, or for its end."""

    event: ClassVar[str] = "snapshot_asked"
    verb: str
    state: SnapshotState


class SnapshotSeen(_SnapshotEvent, frozen=True, kw_only=True):
    """Its state changed."""

    event: ClassVar[str] = "snapshot_state_changed"
    previous_state: SnapshotState
    state: SnapshotState
    failure: StorageFailure | None
