"""What can happen to storage; `subject` is its name, `volume` or `snapshot` its lasting id.

Facts about an attachment carry the workspace's lasting id too, since its list item changes.
"""

from typing import ClassVar

from prism.kit.events import Event
from prism.storage.model import SnapshotState, Trouble, VolumeState


class VolumeAsked(Event, frozen=True, kw_only=True):
    """Someone asked for one, or for its end."""

    event: ClassVar[str] = "volume_asked"
    volume: str
    verb: str
    state: VolumeState


class VolumeSeen(Event, frozen=True, kw_only=True):
    """It is in another state than before."""

    event: ClassVar[str] = "volume_state_changed"
    volume: str
    previous_state: VolumeState
    state: VolumeState
    failure: Trouble | None


class VolumeMeasured(Event, frozen=True, kw_only=True):
    """Another amount of it is used."""

    event: ClassVar[str] = "volume_measured"
    volume: str
    used_bytes: int | None


class VolumeAttached(Event, frozen=True, kw_only=True):
    """A workspace has it now."""

    event: ClassVar[str] = "volume_attached"
    volume: str
    workspace: str
    instance: str


class VolumeDetached(Event, frozen=True, kw_only=True):
    """A workspace has it no more."""

    event: ClassVar[str] = "volume_detached"
    volume: str
    workspace: str
    instance: str


class SnapshotAsked(Event, frozen=True, kw_only=True):
    """Someone asked for one, or for its end."""

    event: ClassVar[str] = "snapshot_asked"
    snapshot: str
    verb: str
    state: SnapshotState


class SnapshotSeen(Event, frozen=True, kw_only=True):
    """It is in another state than before."""

    event: ClassVar[str] = "snapshot_state_changed"
    snapshot: str
    previous_state: SnapshotState
    state: SnapshotState
    failure: Trouble | None
