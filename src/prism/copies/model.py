"""Copies of snapshots outside of this computer's home, and requests and answers about them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from prism.errors import AlreadyExists, Conflict, NotFound, Unavailable
from prism.storage.model import Name, Period, SnapshotSource, StorageFailure, Text

Verify = Literal["full", "quick"]
Address = Annotated[str, Meta(min_length=1, max_length=1000)]
KEEP = 7  # the copies of a schedule that stay, if the request does not say


class CopyNotFound(NotFound, code="COPY_NOT_FOUND"):
    """There is no such copy."""


class CopyScheduleNotFound(NotFound, code="SCHEDULE_NOT_FOUND"):
    """There is no such schedule."""


class CopyScheduleExists(AlreadyExists):
    """There is a schedule for that source and destination."""


class NoCopiesElsewhere(Conflict, code="NO_COPIES_ELSEWHERE"):
    """The provider's snapshots cannot be copied to another disk, computer or bucket."""


class DestinationRefused(Conflict, code="DESTINATION_REFUSED"):
    """The destination cannot be used, and repeating the request does not help."""


class DestinationAway(Unavailable, code="DESTINATION_AWAY"):
    """The destination does not answer."""


class CopyState(StrEnum):
    """The state of a copy."""

    PENDING = "pending"
    COPYING = "copying"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    FAILED = "failed"


ENDED = frozenset({CopyState.COMPLETED, CopyState.FAILED})


class CopyLabel(SnapshotSource, frozen=True, kw_only=True):
    """What a destination stores about a copy: all that another computer needs to list it."""

    key: str  # the id of the snapshot's row
    name: Name
    schedule: str | None = None


class SnapshotCopy(Struct, frozen=True, kw_only=True):
    """A copy of a snapshot that this daemon made or is making."""

    id: str
    snapshot: str  # the id of its row, which may be gone
    name: str
    source: Literal["volume", "workspace"]
    source_name: str
    location: str
    project: str | None = None
    owner: str
    destination: str
    profile: str | None = None  # for S3
    verify: Verify = "full"
    schedule: str | None = None
    keep: int | None = None  # how many copies of the schedule stay at the destination
    created_at: datetime
    # written by the reconciler
    state: CopyState = CopyState.PENDING
    begun: bool = False  # an attempt may have left something at the destination
    progress: int | None = None
    total_bytes: int | None = None
    added_bytes: int | None = None
    remote_id: str | None = None
    same_disk: bool | None = None
    ended_at: datetime | None = None
    verified_at: datetime | None = None  # when everything was read at the destination
    trouble: StorageFailure | None = None


class RemoteCopy(Struct, frozen=True, kw_only=True):
    """A copy as its destination lists it."""

    id: str
    label: CopyLabel
    host: str = ""
    total_bytes: int | None = None


class CopySchedule(Struct, frozen=True, kw_only=True):
    """Regular snapshots of a volume or workspace, and their copies at a destination."""

    id: str
    source: Literal["volume", "workspace"]
    source_id: str
    source_name: str
    location: str
    project: str | None = None
    owner: str
    destination: str
    profile: str | None = None
    every: Period
    keep: int = KEEP
    verify: Verify = "full"
    created_at: datetime
    # written by the reconciler
    begun_at: datetime | None = None  # when the last run began
    snapshot: str | None = None  # the row of the last snapshot, which is removed after the next
    previous: str | None = None  # the row of the snapshot before, until it is removed
    copy: str | None = None  # the last copy
    is_running: bool = False
    succeeded_at: datetime | None = None
    trouble: StorageFailure | None = None


class NewCopy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to copy a snapshot.

    `verify` is `full` to read everything again at the destination and compare it, or `quick` to
    only check that all of it is there. `profile` is the profile whose AWS login is used for S3;
    null for the active one.
    """

    destination: Address
    verify: Verify = "full"
    profile: Text | None = None


class FetchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a snapshot from a destination; `copy` is a name or id that it lists.

    `name` is the name of the new snapshot; null for that of the copy.
    """

    destination: Address
    copy: Text
    name: Name | None = None
    profile: Text | None = None


class NewCopySchedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for regular snapshots of a volume or workspace, and their copies."""

    destination: Address
    every: Period
    volume: Text | None = None
    instance: Text | None = None
    keep: Annotated[int, Meta(ge=1, le=1000)] = KEEP
    verify: Verify = "full"
    profile: Text | None = None


class CopyItem(Struct, frozen=True, kw_only=True):
    """A copy in the API.

    `added_bytes` is what the copy added at the destination. `verified_at` is null if not all of
    it was read there. `same_disk` says whether the destination is on the disk of the home.
    """

    id: str
    snapshot: str
    source_type: Literal["volume", "workspace"]
    source: str
    destination: str
    state: CopyState
    progress: int | None
    total_bytes: int | None
    added_bytes: int | None
    remote_id: str | None
    same_disk: bool | None
    verify: Verify
    verified_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    schedule: str | None
    project: str | None
    failure: StorageFailure | None


class RemoteCopyItem(Struct, frozen=True, kw_only=True):
    """A copy at a destination, in the API; `host` is the computer that made it."""

    id: str
    snapshot: str
    source_type: Literal["volume", "workspace"]
    source: str
    host: str
    taken_at: datetime
    total_bytes: int | None
    schedule: str | None


class CopyScheduleItem(Struct, frozen=True, kw_only=True):
    """A schedule in the API; `failure` is why the last run failed."""

    id: str
    source_type: Literal["volume", "workspace"]
    source: str
    destination: str
    every: Period
    keep: int
    verify: Verify
    next_run: datetime
    running: bool
    last_success: datetime | None
    failure: StorageFailure | None


class ForgottenCopy(Struct, frozen=True):
    """The answer to the removal of a copy or schedule from the list."""

    message: str
