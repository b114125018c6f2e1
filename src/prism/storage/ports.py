"""What storage needs from providers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

from msgspec import Struct, structs

from prism.errors import Conflict, Unavailable
from prism.storage.model import (
    DiskType,
    SnapshotOrigin,
    StorageFailure,
    StorageObserved,
    VolumeKind,
)


class StorageRefused(Conflict, code="STORAGE_REFUSED"):
    """The provider refuses, and repeating the request does not help."""


class SurveyPart(StrEnum):
    """A part of a survey; some providers need a call for each."""

    EBS = "ebs"
    EFS = "efs"
    SNAPSHOTS = "snapshots"


EVERYTHING = frozenset(SurveyPart)


class VolumeSpec(Struct, frozen=True, kw_only=True):
    """A volume to create. `key` is its id, the idempotency token and a tag."""

    key: str
    name: str
    kind: VolumeKind
    owner: str = ""
    project: str | None = None  # its name
    size_gb: int | None = None
    volume_type: DiskType | None = None
    iops: int | None = None
    throughput: int | None = None


class SnapshotSpec(Struct, frozen=True, kw_only=True):
    """A snapshot to create. `key` is its id, and a tag."""

    key: str
    name: str = ""
    owner: str = ""
    project: str | None = None  # its name
    source: str = ""  # the name of the volume or workspace


class StorageMetadata(Struct, frozen=True, kw_only=True):
    """The metadata on a volume or snapshot, for a recovery without the database.

    `source` is the volume or workspace of a snapshot, `source_id` the provider's id for that.
    """

    name: str = ""
    owner: str = ""
    project: str | None = None  # its name
    kind: VolumeKind = VolumeKind.EBS
    size_gb: int | None = None
    volume_type: DiskType | None = None
    iops: int | None = None
    throughput: int | None = None
    source: str = ""
    source_id: str | None = None
    created_at: datetime | None = None


class Disk(Struct, frozen=True, kw_only=True):
    """A volume as its provider sees it; `attached` has the ids of machines.

    `unmounted` are those of these machines that have not mounted the volume; attaching it again
    while they are on mounts it. `zone` is the zone that a machine must be in, None for any zone.
    `replaces` is the id of the empty volume that this one replaces. `removed_by` is the command
    that removes a twin: it has the tags of a row's volume, and is only shown.
    """

    id: str
    key: str
    observed: StorageObserved
    attached: frozenset[str] = frozenset()
    unmounted: frozenset[str] = frozenset()
    zone: str | None = None
    used_bytes: int | None = None
    trouble: StorageFailure | None = None
    known: StorageMetadata | None = None
    replaces: str | None = None
    removed_by: str | None = None


class VerificationResult(Struct, frozen=True, kw_only=True):
    """The result of the last verification of a snapshot; `token` identifies it."""

    token: str
    at: datetime
    trouble: StorageFailure | None = None


class DiskUnreadable(Unavailable):
    """The metadata of an existing volume or snapshot cannot be read."""


class ProviderSnapshot(Struct, frozen=True, kw_only=True):
    """A snapshot as its provider sees it; `progress` is 0-100 while it is made.

    `one_moment` says whether all files are from one moment, None if unknown. `removed_by` is the
    command that removes a second snapshot with the same key, which is only shown.
    """

    id: str
    key: str
    observed: StorageObserved
    progress: int | None = None
    used_bytes: int | None = None
    trouble: StorageFailure | None = None
    known: StorageMetadata | None = None
    one_moment: bool | None = None
    removed_by: str | None = None
    verified: VerificationResult | None = None


Stored = TypeVar("Stored", Disk, ProviderSnapshot)


def as_twin(stored: Stored, removal: str) -> Stored:
    """Storage with the tags of a row that it does not belong to; its own id is its key."""
    return structs.replace(stored, key=stored.id, removed_by=removal)


class StorageSurvey(Struct, frozen=True):
    """All storage of Prism in one location, or the requested parts of it."""

    disks: Sequence[Disk] = ()
    copies: Sequence[ProviderSnapshot] = ()
    unreadable: Mapping[str, str] = {}  # existing resources without readable metadata: id and why
    # Existing resources without a readable description: key and why. Prism does not change them.
    not_understood: Mapping[str, str] = {}


@runtime_checkable
class FindsStorageById(Protocol):
    """A location whose survey finds storage by tags, which somebody may have removed.

    Lookups add missing tags if possible, and raise `Unavailable` without an answer. Others may
    have the same tags, so a row's storage is the one that has the row's id, too.
    """

    def removal(self, id: str) -> str:
        """The command that removes what has the tags of a row, but is not the row's."""

    def find(self, id: str, spec: VolumeSpec) -> Disk | None:
        """The volume with this id; None if it does not exist any more."""

    def find_snapshot(self, id: str, spec: SnapshotSpec) -> ProviderSnapshot | None:
        """The snapshot with this id; None if it does not exist any more."""


@runtime_checkable
class FetchesSnapshots(Protocol):
    """A location to which snapshots can be fetched from other disks and computers."""

    def fetch(
        self, spec: SnapshotSpec, kind: VolumeKind, origin: SnapshotOrigin
    ) -> ProviderSnapshot:
        """Fetch a snapshot in the background; may be repeated."""


class Volumes(Protocol):
    """The volumes and snapshots of a provider in one location.

    Every call may be repeated: one key makes one volume, and a verb changes nothing if it was done
    already. If a provider does not answer, `Unavailable` is raised, and the request may have
    succeeded. A refusal raises `StorageRefused`, or `VolumeElsewhere` if the machine is in another
    zone. No call waits for data to be copied: it returns when the request is stored or may be
    repeated, and `survey` shows the rest. A survey shows a failed copy as `BROKEN` until it is
    requested again.
    """

    busy: timedelta
    """How soon to look again while something changes."""

    calm: timedelta
    """How soon to look again while nothing changes."""

    patience: timedelta
    """How long a new volume or snapshot may be missing from a survey."""

    early: bool
    """Whether volumes can be attached to a machine before it is on."""

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """Every volume and snapshot of Prism; a new one may be missing for some seconds."""

    def create(self, spec: VolumeSpec) -> Disk:
        """Create an empty volume."""

    def restore(self, spec: VolumeSpec, snapshot: str) -> Disk:
        """Create a volume from the snapshot with this id."""

    def attach(self, id: str, machine: str, name: str) -> None:
        """Attach a volume to a machine, which may not exist yet; repeat until it is listed."""

    def detach(self, id: str, machine: str) -> None:
        """Detach a volume from a machine, which may be gone; repeat until `survey` shows that."""

    def delete(self, id: str) -> None:
        """Delete a volume and its data."""

    def snapshot(self, spec: SnapshotSpec, source: str) -> ProviderSnapshot:
        """Copy the volume with the id `source`, or the root disk of the machine with that id."""

    def verify(self, id: str, token: str) -> None:
        """Test a restore; a survey reports it with this token. May raise `StorageRefused`."""

    def delete_snapshot(self, id: str) -> None:
        """Destroy a snapshot."""

    def end(self) -> None:
        """Note that the daemon is stopping: an interrupted operation has not failed."""

    def close(self) -> None:
        """Start no more operations; a running one ends, or is started again later."""
