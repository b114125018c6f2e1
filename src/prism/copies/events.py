"""The events of copies; `subject` is the snapshot's name."""

from typing import Any, ClassVar

from prism.copies.model import CopySchedule, CopyState, SnapshotCopy
from prism.kit.events import Event
from prism.storage.model import StorageFailure

SYSTEM = "prism"  # the actor of events that no user requested


class _CopyEvent(Event, frozen=True, kw_only=True):
    copy: str
    project: str | None
    destination: str


class _ScheduleEvent(Event, frozen=True, kw_only=True):
    schedule: str
    project: str | None
    destination: str


def about(copy: SnapshotCopy) -> dict[str, Any]:
    """The object of an event, and its project."""
    fields = {"copy": copy.id, "project": copy.project, "destination": copy.destination}
    return {"subject": copy.name, **fields}


def about_schedule(schedule: CopySchedule) -> dict[str, Any]:
    """The object of an event, and its project."""
    fields = {"schedule": schedule.id, "project": schedule.project}
    return {"subject": schedule.source_name, "destination": schedule.destination, **fields}


class SnapshotCopyAsked(_CopyEvent, frozen=True, kw_only=True):
    """A user, or a schedule, requested a copy of a snapshot."""

    event: ClassVar[str] = "snapshot_copy_asked"


class SnapshotCopyForgotten(_CopyEvent, frozen=True, kw_only=True):
    """A user cancelled a copy, or removed it from the list."""

    event: ClassVar[str] = "snapshot_copy_forgotten"


class SnapshotCopyDeleted(_CopyEvent, frozen=True, kw_only=True):
    """A user destroyed a copy; `copy` is its id at the destination."""

    event: ClassVar[str] = "snapshot_copy_deleted"


class SnapshotCopyStateChanged(_CopyEvent, frozen=True, kw_only=True):
    """A copy of a snapshot began, is being verified, is complete, or has failed."""

    event: ClassVar[str] = "snapshot_copy_state_changed"
    previous_state: CopyState
    state: CopyState
    added_bytes: int | None
    failure: StorageFailure | None


class CopyScheduleChanged(_ScheduleEvent, frozen=True, kw_only=True):
    """A user made or removed a schedule of copies."""

    event: ClassVar[str] = "copy_schedule_changed"
    verb: str


class CopyScheduleRan(_ScheduleEvent, frozen=True, kw_only=True):
    """A scheduled copy is complete, or has failed."""

    event: ClassVar[str] = "copy_schedule_ran"
    failure: StorageFailure | None
