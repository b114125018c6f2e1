"""Finds machines without a row in each survey."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from prism.errors import Unavailable
from prism.kit.clock import whole
from prism.kit.db import Database
from prism.recovery import store
from prism.recovery.model import FoundMachine, SurveyedLocation
from prism.recovery.ports import RecoverableLocation
from prism.workspaces.model import Observed
from prism.workspaces.ports import Compute, Machine
from prism.workspaces.store import workspaces
from prism.workspaces.surveys.survey_cache import Survey

Surveys = Callable[[], Mapping[str, Survey]]


class OrphanScanner:
    """Implements `workspaces.ports.MachineObserver` and `recovery.model.OrphanReader`.

    `surveys` returns the last survey of each location. A location that did not answer keeps the
    machines of the survey before.
    """

    def __init__(self, db: Database, computes: Mapping[str, Compute], surveys: Surveys) -> None:
        self._db, self._computes, self._surveys = db, computes, surveys
        self._machines: Mapping[str, Sequence[FoundMachine]] = {}
        self._known: set[str] = set()
        self._read: int | None = None  # how often the table was written when it was read

    def saw(self, machines: Mapping[str, Iterable[Machine]]) -> None:
        """Read the metadata of machines without a row."""
        every_one = (machine for group in machines.values() for machine in group)
        living = [machine for machine in every_one if machine.observed is not Observed.GONE]
        written = self._db.written(workspaces)
        if written is None or written != self._read:
            with self._db.read() as sql:
                self._known, self._read = store.known(sql), written
        ids = {machine.id for machine in living if machine.key not in self._known}
        self._machines = {
            location: self._at(location, compute, ids)
            for location, compute in dict(self._computes).items()
            if isinstance(compute, RecoverableLocation)
        }

    def orphans(self) -> Sequence[FoundMachine]:
        """The machines of the last surveys without a row; the oldest of each location first."""
        if not any(self._machines.values()):
            return []
        with self._db.read() as sql:
            known = store.known(sql)
        return [
            machine
            for group in self._machines.values()
            for machine in group
            if machine.key not in known
        ]

    def locations(self) -> Sequence[SurveyedLocation]:
        """Every location that this daemon serves, surveyed or not yet."""
        last = self._surveys()
        surveys = ((at, last.get(at)) for at in self._computes)
        return [
            SurveyedLocation(at, whole(survey.at), survey.problem)
            if survey
            else SurveyedLocation(at)
            for at, survey in surveys
        ]

    def _at(
        self, location: str, compute: RecoverableLocation, ids: set[str]
    ) -> Sequence[FoundMachine]:
        survey = self._surveys().get(location)
        if survey is not None and survey.problem is not None:
            return self._machines.get(location, ())
        try:
            answer = compute.found(ids) if ids else ()
        except Unavailable:
            return self._machines.get(location, ())
        ordered = sorted(answer, key=lambda it: it.key)
        return [replace(machine, location=location) for machine in ordered]


class AllOrphans:
    """Implements `recovery.model.OrphanReader`; `unseen` are locations not surveyed yet."""

    def __init__(
        self, scanners: Iterable[OrphanScanner], unseen: Callable[[], Iterable[SurveyedLocation]]
    ) -> None:
        self._scanners, self._unseen = scanners, unseen

    def orphans(self) -> Sequence[FoundMachine]:
        """The machines of the last surveys without a row; the oldest of each location first."""
        return [orphan for scanner in self._scanners for orphan in scanner.orphans()]

    def locations(self) -> Sequence[SurveyedLocation]:
        """Every location that this daemon serves or will serve, surveyed or not yet."""
        surveyed = [looked for scanner in self._scanners for looked in scanner.locations()]
        known = {looked.place for looked in surveyed}
        return [*surveyed, *(looked for looked in self._unseen() if looked.place not in known)]
