"""Volumes and snapshots at providers: each part of a location is surveyed once, on demand."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from prism.errors import Problem, Unavailable
from prism.storage.model import Snapshot, StorageObserved, StorageVerb, Volume, VolumeKind
from prism.storage.ports import (
    Disk,
    DiskUnreadable,
    FindsStorageById,
    ProviderSnapshot,
    SnapshotOrder,
    StorageSurvey,
    SurveyPart,
    VolumeOrder,
    Volumes,
)

PART_OF = {VolumeKind.EBS: SurveyPart.EBS, VolumeKind.EFS: SurveyPart.EFS}


class LazySurvey:
    """One survey of volumes and snapshots, for all rows."""

    def __init__(
        self,
        places: Mapping[str, Volumes],
        named: Callable[[str | None], str | None] = lambda project: project,
    ) -> None:
        """`named` returns the name of the project with an id."""
        self._places, self._lock, self._named = places, Lock(), named
        self._disks: dict[tuple[str, SurveyPart], dict[str, Disk] | Unavailable] = {}
        self._copies: dict[str, dict[str, ProviderSnapshot] | Unavailable] = {}
        self._unreadable: dict[str, str] = {}
        self._not_understood: dict[str, str] = {}  # by key

    def disk(self, volume: Volume) -> Disk | None:
        """A volume, if it is listed; raises `Unavailable` if its location does not answer."""
        at = (volume.place, PART_OF[volume.kind])
        with self._lock:
            if at not in self._disks:
                self._disks[at] = self._volumes(*at)
        if isinstance(disks := self._disks[at], Unavailable):
            raise disks
        self._require_readable(volume.disk_id or volume.expected_id)
        self._require_understood(volume.id)
        if volume.id not in disks and (by_id := self._disk_by_id(volume)) is not None:
            disks[volume.id] = by_id
        return disks.get(volume.id)

    def copy(self, snapshot: Snapshot) -> ProviderSnapshot | None:
        """A snapshot, if it is listed; raises `Unavailable` if its location does not answer."""
        with self._lock:
            if snapshot.place not in self._copies:
                self._copies[snapshot.place] = self._snapshots(snapshot.place)
        if isinstance(copies := self._copies[snapshot.place], Unavailable):
            raise copies
        self._require_readable(snapshot.copy_id)
        self._require_understood(snapshot.id)
        if snapshot.id not in copies and (by_id := self._copy_by_id(snapshot)) is not None:
            copies[snapshot.id] = by_id
        copy = copies.get(snapshot.id)
        if (
            copy is not None
            and snapshot.verb is StorageVerb.DELETE
            and snapshot.copy_id not in {None, copy.id}
        ):
            return None  # another one with its key: only the one that it was is to be deleted
        return copy

    def _disk_by_id(self, volume: Volume) -> Disk | None:
        """The volume by its id, since somebody may have removed its tags."""
        place = self._places[volume.place]
        if (
            volume.disk_id is None
            or _is_settled(volume)
            or not isinstance(place, FindsStorageById)
        ):
            return None
        return place.find(volume.disk_id, volume_order(volume, self._named(volume.project)))

    def _copy_by_id(self, snapshot: Snapshot) -> ProviderSnapshot | None:
        place = self._places[snapshot.place]
        if (
            snapshot.copy_id is None
            or _is_settled(snapshot)
            or not isinstance(place, FindsStorageById)
        ):
            return None
        return place.find_snapshot(
            snapshot.copy_id, snapshot_order(snapshot, self._named(snapshot.project))
        )

    def _require_readable(self, id: str | None) -> None:
        """Raise if the volume exists and its key cannot be read."""
        if id is not None and (why := self._unreadable.get(id)):
            raise DiskUnreadable(why)

    def _require_understood(self, key: str) -> None:
        """Raise if the volume exists and its description cannot be read."""
        if why := self._not_understood.get(key):
            raise Unavailable(why)

    def everything(self, place: str, part: SurveyPart) -> Sequence[Disk | ProviderSnapshot]:
        """All storage in a part of a location; raises `Unavailable` without an answer."""
        known: Mapping[str, Disk | ProviderSnapshot] | Unavailable
        with self._lock:
            if part is SurveyPart.SNAPSHOTS:
                if place not in self._copies:
                    self._copies[place] = self._snapshots(place)
                known = self._copies[place]
            else:
                if (place, part) not in self._disks:
                    self._disks[place, part] = self._volumes(place, part)
                known = self._disks[place, part]
        if isinstance(known, Unavailable):
            raise known
        return [
            disk
            for disk in known.values()
            if isinstance(disk, ProviderSnapshot) or part is _part_of(disk)
        ]

    # The living come last: they win over what had the same key and is gone.

    def _volumes(self, place: str, part: SurveyPart) -> dict[str, Disk] | Unavailable:
        if isinstance(seen := self._survey(place, part), Unavailable):
            return seen
        return {
            disk.key: disk
            for disk in sorted(seen.disks, key=lambda it: it.seen is not StorageObserved.GONE)
        }

    def _snapshots(self, place: str) -> dict[str, ProviderSnapshot] | Unavailable:
        if isinstance(seen := self._survey(place, SurveyPart.SNAPSHOTS), Unavailable):
            return seen
        return {
            snapshot.key: snapshot
            for snapshot in sorted(seen.copies, key=lambda it: it.seen is not StorageObserved.GONE)
        }

    def _survey(self, place: str, part: SurveyPart) -> StorageSurvey | Unavailable:
        try:
            seen = self._places[place].survey({part})
        except Problem as problem:
            return Unavailable.because(problem)
        self._unreadable.update(seen.unreadable)
        self._not_understood.update(seen.not_understood)
        return seen


def volume_order(volume: Volume, project: str | None) -> VolumeOrder:
    """The order of a volume, for its provider; `project` is a name."""
    return VolumeOrder(
        key=volume.id,
        name=volume.name,
        kind=volume.kind,
        owner=volume.owner,
        project=project,
        size_gb=volume.size_gb,
        volume_type=volume.volume_type,
        iops=volume.iops,
        throughput=volume.throughput,
    )


def snapshot_order(snapshot: Snapshot, project: str | None) -> SnapshotOrder:
    """The order of a snapshot, for its provider; `project` is a name."""
    return SnapshotOrder(
        key=snapshot.id,
        name=snapshot.name,
        owner=snapshot.owner,
        project=project,
        source=snapshot.source_name,
    )


def _is_settled(resource: Volume | Snapshot) -> bool:
    """Whether an earlier look by id found nothing; a deletion looks again."""
    return resource.seen is StorageObserved.GONE and resource.verb is not StorageVerb.DELETE


def _part_of(disk: Disk) -> SurveyPart:
    """The part that a place returns: some return everything, whichever part is asked for."""
    return SurveyPart.EFS if disk.id.startswith("fs-") else SurveyPart.EBS
