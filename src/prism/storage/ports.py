"""What storage needs from the world."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from msgspec import Struct

from prism.errors import Conflict, Unavailable
from prism.storage.model import DiskType, StorageFailure, StorageObserved, VolumeKind


class StorageRefused(Conflict, code="STORAGE_REFUSED"):
    """The provider refuses, and repeating the request does not help."""


class SurveyPart(StrEnum):
    """What a survey can be about; each costs some providers a call of its own."""

    EBS = "ebs"
    EFS = "efs"
    SNAPSHOTS = "snapshots"


EVERYTHING = frozenset(SurveyPart)


class VolumeOrder(Struct, frozen=True, kw_only=True):
    """A volume to be made. `key` is our id: it is the token and goes into the tags."""

    key: str
    name: str
    kind: VolumeKind
    owner: str = ""
    project: str | None = None  # its name
    size_gb: int | None = None
    volume_type: DiskType | None = None
    iops: int | None = None
    throughput: int | None = None


class SnapshotOrder(Struct, frozen=True, kw_only=True):
    """A snapshot to be made. `key` is our id, and goes into the tags."""

    key: str
    name: str = ""
    owner: str = ""
    project: str | None = None  # its name
    source: str = ""  # what the volume or workspace is called


class Known(Struct, frozen=True, kw_only=True):
    """What is written on a volume or snapshot, for a daemon that has lost its rows.

    `source` is what a snapshot was taken of, `source_id` the provider's id of that.
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
    """A volume as its provider sees it; `attached` holds the ids of machines.

    `unmounted` are those among them that have it and where nobody sees it yet: attaching it
    once more, while they are on, shows it. `zone` is where machines have to be to have it,
    null where that does not matter.
    """

    id: str
    key: str
    seen: StorageObserved
    attached: frozenset[str] = frozenset()
    unmounted: frozenset[str] = frozenset()
    zone: str | None = None
    used_bytes: int | None = None
    trouble: StorageFailure | None = None
    known: Known | None = None


class Verified(Struct, frozen=True, kw_only=True):
    """How the last verification of a snapshot ended; `token` says which that was."""

    token: str
    at: datetime
    trouble: StorageFailure | None = None


class DiskUnreadable(Unavailable):
    """What is written on a volume or snapshot cannot be read: it is there, and not known."""


class ProviderSnapshot(Struct, frozen=True, kw_only=True):
    """A snapshot as its provider sees it; `progress` is 0-100 while it is made.

    `one_moment` says whether all of it is of one moment, null where that is not known.
    `removed_by` is the command that removes a second one of a key, which is only shown.
    """

    id: str
    key: str
    seen: StorageObserved
    progress: int | None = None
    used_bytes: int | None = None
    trouble: StorageFailure | None = None
    known: Known | None = None
    one_moment: bool | None = None
    removed_by: str | None = None
    verified: Verified | None = None


class StorageSurvey(Struct, frozen=True):
    """All of ours in one place, or those parts of it that were asked for."""

    disks: Sequence[Disk] = ()
    copies: Sequence[ProviderSnapshot] = ()
    unreadable: Mapping[str, str] = {}  # what is there and says nothing of itself: id and why
    # What is there and is described in a way that cannot be read: key and why. It is left alone.
    not_understood: Mapping[str, str] = {}


@runtime_checkable
class FindsStorageById(Protocol):
    """A place whose survey finds things by their tags, which somebody may have removed.

    Both methods put the tags back where possible, and raise `Unavailable` if nobody answers.
    """

    def find(self, id: str, order: VolumeOrder) -> Disk | None:
        """The volume with this id; None where there is none any more."""

    def find_snapshot(self, id: str, order: SnapshotOrder) -> ProviderSnapshot | None:
        """The snapshot with this id; None where there is none any more."""


class Volumes(Protocol):
    """Somewhere data is kept.

    Every call may be repeated: what has the same key is made once, and a verb on what is
    already there, or gone, changes nothing. Who does not answer raises `Unavailable`, and
    may have acted all the same; who says no raises `StorageRefused`, or `VolumeElsewhere`
    where a machine is out of a volume's reach. No call waits for data to be copied: it answers
    when the wish is durable, or may be repeated, and `survey` tells the rest. A copy that
    failed is surveyed as `BROKEN` until it is asked for again.
    """

    busy: timedelta
    """How soon to look again while something changes."""

    calm: timedelta
    """How soon to look again while nothing does."""

    patience: timedelta
    """How long something that was promised may be missing from a survey."""

    early: bool
    """Whether a machine can be given volumes before it is on."""

    def survey(self, parts: Collection[SurveyPart] = EVERYTHING) -> StorageSurvey:
        """Every volume and snapshot of ours; a new one may be missing for some seconds."""

    def create(self, order: VolumeOrder) -> Disk:
        """Bring an empty volume into being."""

    def restore(self, order: VolumeOrder, snapshot: str) -> Disk:
        """Bring a volume into being that holds what the snapshot with this id holds."""

    def attach(self, id: str, machine: str, name: str) -> None:
        """Attach it to a machine, which need not exist yet; repeat until `survey` shows that."""

    def detach(self, id: str, machine: str) -> None:
        """Detach it from a machine, which may be gone. It is repeated likewise."""

    def delete(self, id: str) -> None:
        """Destroy it and what it holds."""

    def snapshot(self, order: SnapshotOrder, source: str) -> ProviderSnapshot:
        """Keep what the volume, or the root disk of the machine, with the id `source` holds."""

    def verify(self, id: str, token: str) -> None:
        """Rehearse a restore; a survey reports it with this token. May raise `StorageRefused`."""

    def delete_snapshot(self, id: str) -> None:
        """Destroy a snapshot."""

    def end(self) -> None:
        """The daemon begins to shut down: what is interrupted from now on has not failed."""

    def close(self) -> None:
        """Begin nothing any more; what is under way ends, or is begun anew another time."""
