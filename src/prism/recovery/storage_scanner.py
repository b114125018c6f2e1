"""Finds volumes and snapshots without a row in each survey of storage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.recovery import store
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import Disk, ProviderSnapshot, SurveyPart
from prism.storage.survey import LazySurvey

SELDOM = timedelta(minutes=15)
"""How soon to look again at a part of a location where nothing without a row was."""


class UnknownStorage(Struct, frozen=True, kw_only=True):
    """A volume or snapshot without a row, and where it is."""

    location: str
    resource: Disk | ProviderSnapshot


class StorageScanner:
    """Implements `storage.reconciler.StorageObserver`; rows that exist are left out."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._unknown: dict[tuple[str, SurveyPart], Sequence[UnknownStorage]] = {}
        self._due_at: dict[tuple[str, SurveyPart], datetime] = {}

    def look(self, view: LazySurvey, locations: Iterable[str]) -> None:
        """Survey the parts that are due; a location that does not answer is asked again later."""
        with self._db.read() as sql:
            known = store.known_storage(sql)
        now = self._clock.now()
        for at in ((location, part) for location in locations for part in SurveyPart):
            if self._due_at.get(at, now) > now:
                continue
            try:
                resources = view.everything(*at, known)
            except Unavailable:
                continue
            unknown = [
                UnknownStorage(location=at[0], resource=resource)
                for resource in resources
                if _is_unknown(resource, known)
            ]
            self._unknown[at] = unknown
            self._due_at[at] = now if unknown else now + SELDOM

    def orphans(self) -> Iterator[UnknownStorage]:
        """The volumes and snapshots without a row, volumes first."""
        with self._db.read() as sql:
            known = store.known_storage(sql)
        unknowns = [unknown for at in sorted(self._unknown) for unknown in self._unknown[at]]
        return (
            unknown
            for unknown in sorted(unknowns, key=lambda it: kind_of(it.resource) == "snapshot")
            if _is_unknown(unknown.resource, known)
        )


def kind_of(disk: Disk | ProviderSnapshot) -> str:
    """`ebs`, `efs` or `snapshot`."""
    if isinstance(disk, ProviderSnapshot):
        return "snapshot"
    return str(VolumeKind.EFS if disk.id.startswith("fs-") else VolumeKind.EBS)


def _is_unknown(resource: Disk | ProviderSnapshot, known: Mapping[str, str | None]) -> bool:
    return (
        bool(resource.key)
        and resource.key not in known
        and resource.id not in known.values()
        and resource.observed in {StorageObserved.THERE, StorageObserved.MAKING}
    )
