"""What there is in the world: each part of each place is surveyed once, when it is asked for."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from prism.errors import Problem, Unavailable
from prism.storage.model import Seen, Snapshot, Verb, Volume, VolumeKind
from prism.storage.ports import (
    Copy,
    CopyOrder,
    Disk,
    DiskUnreadable,
    FindsStorageById,
    Part,
    Survey,
    VolumeOrder,
    Volumes,
)

PART_OF = {VolumeKind.EBS: Part.EBS, VolumeKind.EFS: Part.EFS}


class Look:
    """One look at the world, for as many rows as there are."""

    def __init__(
        self,
        places: Mapping[str, Volumes],
        named: Callable[[str | None], str | None] = lambda project: project,
    ) -> None:
        """`named` answers with the name of the project with an id."""
        self._places, self._lock, self._named = places, Lock(), named
        self._disks: dict[tuple[str, Part], dict[str, Disk] | Unavailable] = {}
        self._copies: dict[str, dict[str, Copy] | Unavailable] = {}
        self._unreadable: dict[str, str] = {}

    def disk(self, it: Volume) -> Disk | None:
        """A volume, if it is listed; raises `Unavailable` if nobody answers."""
        at = (it.place, PART_OF[it.kind])
        with self._lock:
            if at not in self._disks:
                self._disks[at] = self._volumes(*at)
        if isinstance(found := self._disks[at], Unavailable):
            raise found
        self._readable(it.disk_id or it.expected_id)
        if it.id not in found and (by_id := self._disk_by_id(it)) is not None:
            found[it.id] = by_id
        return found.get(it.id)

    def copy(self, it: Snapshot) -> Copy | None:
        """A snapshot, if it is listed; raises `Unavailable` if nobody answers."""
        with self._lock:
            if it.place not in self._copies:
                self._copies[it.place] = self._snapshots(it.place)
        if isinstance(found := self._copies[it.place], Unavailable):
            raise found
        self._readable(it.copy_id)
        if it.id not in found and (by_id := self._copy_by_id(it)) is not None:
            found[it.id] = by_id
        copy = found.get(it.id)
        if copy is not None and it.verb is Verb.DELETE and it.copy_id not in {None, copy.id}:
            return None  # another one with its key: only the one that it was is to be deleted
        return copy

    def _disk_by_id(self, it: Volume) -> Disk | None:
        """Before a volume is called gone: what was written on it may have been removed."""
        place = self._places[it.place]
        if it.disk_id is None or _is_settled(it) or not isinstance(place, FindsStorageById):
            return None
        return place.find(it.disk_id, volume_order(it, self._named(it.project)))

    def _copy_by_id(self, it: Snapshot) -> Copy | None:
        place = self._places[it.place]
        if it.copy_id is None or _is_settled(it) or not isinstance(place, FindsStorageById):
            return None
        return place.find_snapshot(it.copy_id, copy_order(it, self._named(it.project)))

    def _readable(self, id: str | None) -> None:
        """Raise for what is there and cannot be told from what is gone by its key."""
        if id is not None and (why := self._unreadable.get(id)):
            raise DiskUnreadable(why)

    def everything(self, place: str, part: Part) -> Sequence[Disk | Copy]:
        """All there is of a part of a place; raises `Unavailable` if nobody answers."""
        known: Mapping[str, Disk | Copy] | Unavailable
        with self._lock:
            if part is Part.SNAPSHOTS:
                if place not in self._copies:
                    self._copies[place] = self._snapshots(place)
                known = self._copies[place]
            else:
                if (place, part) not in self._disks:
                    self._disks[place, part] = self._volumes(place, part)
                known = self._disks[place, part]
        if isinstance(known, Unavailable):
            raise known
        return [it for it in known.values() if isinstance(it, Copy) or part is _part_of(it)]

    # The living come last: they win over what had the same key and is gone.

    def _volumes(self, place: str, part: Part) -> dict[str, Disk] | Unavailable:
        if isinstance(seen := self._survey(place, part), Unavailable):
            return seen
        return {it.key: it for it in sorted(seen.disks, key=lambda it: it.seen is not Seen.GONE)}

    def _snapshots(self, place: str) -> dict[str, Copy] | Unavailable:
        if isinstance(seen := self._survey(place, Part.SNAPSHOTS), Unavailable):
            return seen
        return {it.key: it for it in sorted(seen.copies, key=lambda it: it.seen is not Seen.GONE)}

    def _survey(self, place: str, part: Part) -> Survey | Unavailable:
        try:
            seen = self._places[place].survey({part})
        except Problem as away:
            return Unavailable.because(away)
        self._unreadable.update(seen.unreadable)
        return seen


def volume_order(it: Volume, project: str | None) -> VolumeOrder:
    """What is asked of a place for a volume; `project` is its name."""
    return VolumeOrder(
        key=it.id,
        name=it.name,
        kind=it.kind,
        owner=it.owner,
        project=project,
        size_gb=it.size_gb,
        volume_type=it.volume_type,
        iops=it.iops,
        throughput=it.throughput,
    )


def copy_order(it: Snapshot, project: str | None) -> CopyOrder:
    """What is asked of a place for a snapshot; `project` is its name."""
    return CopyOrder(
        key=it.id, name=it.name, owner=it.owner, project=project, source=it.source_name
    )


def _is_settled(it: Volume | Snapshot) -> bool:
    """Whether it was looked for by its id before, and was gone; a deletion looks again."""
    return it.seen is Seen.GONE and it.verb is not Verb.DELETE


def _part_of(it: Disk) -> Part:
    """Some places answer with all of it, whichever part was asked for."""
    return Part.EFS if it.id.startswith("fs-") else Part.EBS
