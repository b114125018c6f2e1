"""Volumes and snapshots at providers: each part of a location is surveyed once, on demand."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from prism.errors import Problem, Unavailable
from prism.storage.model import Snapshot, StorageObserved, StorageVerb, Volume, VolumeKind
from prism.storage.ports import (
    Disk,
    DiskUnreadable,
    FindsStorageById,
    ProviderSnapshot,
    SnapshotSpec,
    Stored,
    SurveyPart,
    Volumes,
    VolumeSpec,
    as_twin,
)

NOT_MADE = {
    StorageObserved.NONE,
    StorageObserved.UNSURE,
    StorageObserved.MAKING,
    StorageObserved.BROKEN,
}
PART_OF = {VolumeKind.EBS: SurveyPart.EBS, VolumeKind.EFS: SurveyPart.EFS}


class StorageListing(NamedTuple):
    """The volumes and snapshots in a part of a location, by key."""

    disks: dict[str, Disk]
    copies: dict[str, ProviderSnapshot]


class LazySurvey:
    """One survey of volumes and snapshots, for all rows."""

    def __init__(
        self,
        providers: Mapping[str, Volumes],
        named: Callable[[str | None], str | None] = lambda project: project,
    ) -> None:
        """`named` returns the name of the project with an id."""
        self._providers, self._lock, self._named = providers, Lock(), named
        self._listings: dict[tuple[str, SurveyPart], StorageListing | Unavailable] = {}
        self._unreadable: dict[str, str] = {}
        self._not_understood: dict[str, str] = {}  # by key

    def disk(self, volume: Volume) -> Disk | None:
        """A volume, if it is listed; raises `Unavailable` if its location does not answer."""
        disks = self._listing(volume.location, PART_OF[volume.kind]).disks
        self._require_readable(volume.id, volume.disk_id or volume.expected_id)
        listed = disks.get(volume.id)
        if listed is not None and not self._is_twin(volume.location, listed, volume.disk_id):
            return listed
        if volume.disk_id and (provider := self._finder(volume)):
            spec = volume_spec(volume, self._named(volume.project))
            if by_id := provider.find(volume.disk_id, spec):
                disks[volume.id] = by_id
                return by_id
        return None

    def copy(self, snapshot: Snapshot) -> ProviderSnapshot | None:
        """A snapshot, if it is listed; raises `Unavailable` if its location does not answer."""
        copies = self._listing(snapshot.location, SurveyPart.SNAPSHOTS).copies
        self._require_readable(snapshot.id, snapshot.copy_id)
        listed, id = copies.get(snapshot.id), snapshot.copy_id
        exists = snapshot.observed not in NOT_MADE or snapshot.verb is StorageVerb.DELETE
        if listed is not None and not (exists and self._is_twin(snapshot.location, listed, id)):
            return listed
        if id and (provider := self._finder(snapshot)):
            spec = snapshot_spec(snapshot, self._named(snapshot.project))
            if by_id := provider.find_snapshot(id, spec):
                copies[snapshot.id] = by_id
                return by_id
        return None

    def _is_twin(self, location: str, stored: Disk | ProviderSnapshot, id: str | None) -> bool:
        """Whether listed storage has the key of a row, and is not the row's, which has this id."""
        if id in {None, stored.id} or not isinstance(self._providers[location], FindsStorageById):
            return False
        return not isinstance(stored, Disk) or stored.replaces != id

    def everything(
        self, location: str, part: SurveyPart, ids: Mapping[str, str | None]
    ) -> Sequence[Disk | ProviderSnapshot]:
        """All storage in a part of a location; raises `Unavailable` without an answer.

        `ids` are the ids in the rows, by key; what has the key of a row and another id is a twin.
        """
        listing = self._listing(location, part)
        if part is SurveyPart.SNAPSHOTS:
            return [self._with_own_key(location, copy, ids) for copy in listing.copies.values()]
        return [
            self._with_own_key(location, disk, ids)
            for disk in listing.disks.values()
            if part is _part_of(disk)
        ]

    def _with_own_key(
        self, location: str, stored: Stored, ids: Mapping[str, str | None]
    ) -> Stored:
        provider = self._providers[location]
        if isinstance(provider, FindsStorageById) and self._is_twin(
            location, stored, ids.get(stored.key)
        ):
            return as_twin(stored, provider.removal(stored.id))
        return stored

    def _finder(self, resource: Volume | Snapshot) -> FindsStorageById | None:
        """The provider, to look up by its id what is not listed: its tags may be removed.

        None if an earlier lookup found nothing; a deletion looks again.
        """
        provider = self._providers[resource.location]
        gone = (
            resource.observed is StorageObserved.GONE and resource.verb is not StorageVerb.DELETE
        )
        return provider if isinstance(provider, FindsStorageById) and not gone else None

    def _require_readable(self, key: str, id: str | None) -> None:
        """Raise if the resource exists, but its key or its description cannot be read."""
        if id is not None and (why := self._unreadable.get(id)):
            raise DiskUnreadable(why)
        if why := self._not_understood.get(key):
            raise Unavailable(why)

    def _listing(self, location: str, part: SurveyPart) -> StorageListing:
        with self._lock:
            if (location, part) not in self._listings:
                self._listings[location, part] = self._survey(location, part)
        if isinstance(listing := self._listings[location, part], Unavailable):
            raise listing
        return listing

    def _survey(self, location: str, part: SurveyPart) -> StorageListing | Unavailable:
        try:
            part_survey = self._providers[location].survey({part})
        except Problem as problem:
            return Unavailable.because(problem)
        self._unreadable.update(part_survey.unreadable)
        self._not_understood.update(part_survey.not_understood)
        return StorageListing(_by_key(part_survey.disks), _by_key(part_survey.copies))


def _by_key(resources: Sequence[Stored]) -> dict[str, Stored]:
    # Existing resources come last, so they replace those with the same key that are gone.
    ordered = sorted(resources, key=lambda it: it.observed is not StorageObserved.GONE)
    return {resource.key: resource for resource in ordered}


def volume_spec(volume: Volume, project: str | None) -> VolumeSpec:
    """The spec of a volume, for its provider; `project` is a name."""
    return VolumeSpec(
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


def snapshot_spec(snapshot: Snapshot, project: str | None) -> SnapshotSpec:
    """The spec of a snapshot, for its provider; `project` is a name."""
    return SnapshotSpec(
        key=snapshot.id,
        name=snapshot.name,
        owner=snapshot.owner,
        project=project,
        source=snapshot.source_name,
    )


def _part_of(disk: Disk) -> SurveyPart:
    """The part that a location returns: some return everything, whichever part is asked for."""
    return SurveyPart.EFS if disk.id.startswith("fs-") else SurveyPart.EBS
