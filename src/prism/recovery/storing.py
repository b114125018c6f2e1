"""Volumes and snapshots without a row: noticed in passing, at each look at what is kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.recovery import store
from prism.storage.look import Look
from prism.storage.model import Seen, VolumeKind
from prism.storage.ports import Copy, Disk, Part

SELDOM = timedelta(minutes=15)
"""How soon to look again at a part of a place where nothing without a row was."""


class Kept(Struct, frozen=True, kw_only=True):
    """A volume or snapshot without a row, and where it is."""

    place: str
    what: Disk | Copy


class Gleaner:
    """Implements `storage.reconciler.Observer`; what had a row at the last look is none of it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._found: dict[tuple[str, Part], Sequence[Kept]] = {}
        self._again: dict[tuple[str, Part], datetime] = {}

    def look(self, view: Look, places: Iterable[str]) -> None:
        """Look at those parts whose turn it is; who does not answer is asked the next time."""
        with self._db.read() as sql:
            known = store.known_storage(sql)
        now = self._clock.now()
        for at in ((place, part) for place in places for part in Part):
            if self._again.get(at, now) > now:
                continue
            try:
                there = view.everything(*at)
            except Unavailable:
                continue
            lost = [Kept(place=at[0], what=it) for it in there if _unknown(it, known)]
            self._found[at] = lost
            self._again[at] = now if lost else now + SELDOM

    def kept(self) -> Iterator[Kept]:
        """Those that have no row yet, volumes first."""
        with self._db.read() as sql:
            known = store.known_storage(sql)
        found = [it for at in sorted(self._found) for it in self._found[at]]
        return (it for it in sorted(found, key=_volumes_first) if _unknown(it.what, known))


Gleaners = Callable[[], Iterable[Gleaner]]


def kind_of(it: Disk | Copy) -> str:
    """`ebs`, `efs` or `snapshot`."""
    if isinstance(it, Copy):
        return "snapshot"
    return str(VolumeKind.EFS if it.id.startswith("fs-") else VolumeKind.EBS)


def _volumes_first(it: Kept) -> bool:
    return isinstance(it.what, Copy)


def _unknown(it: Disk | Copy, known: set[str]) -> bool:
    return bool(it.key) and it.key not in known and it.seen in {Seen.THERE, Seen.MAKING}
