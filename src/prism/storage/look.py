"""What there is in the world: each part of each place is surveyed once, when it is asked for."""

from collections.abc import Mapping, Sequence
from threading import Lock

from prism.errors import Problem, Unavailable
from prism.storage.model import Kind, Seen, Snapshot, Verb, Volume
from prism.storage.ports import Copy, Disk, DiskUnreadable, Part, Survey, Volumes

PART_OF = {Kind.EBS: Part.EBS, Kind.EFS: Part.EFS}


class Look:
    """One look at the world, for as many rows as there are."""

    def __init__(self, places: Mapping[str, Volumes]) -> None:
        self._places, self._lock = places, Lock()
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
        return found.get(it.id)

    def copy(self, it: Snapshot) -> Copy | None:
        """A snapshot, if it is listed; raises `Unavailable` if nobody answers."""
        with self._lock:
            if it.place not in self._copies:
                self._copies[it.place] = self._snapshots(it.place)
        if isinstance(found := self._copies[it.place], Unavailable):
            raise found
        self._readable(it.copy_id)
        copy = found.get(it.id)
        if copy is not None and it.verb is Verb.DELETE and it.copy_id not in {None, copy.id}:
            return None  # another one with its key: only the one that it was is to be deleted
        return copy

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


def _part_of(it: Disk) -> Part:
    """Some places answer with all of it, whichever part was asked for."""
    return Part.EFS if it.id.startswith("fs-") else Part.EBS
