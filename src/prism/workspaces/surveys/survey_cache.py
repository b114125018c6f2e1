"""Surveys of locations, shared by everything that needs one at the same time."""

import logging
from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import NamedTuple

from prism.errors import Problem, Unavailable
from prism.kit.clock import Clock
from prism.workspaces.model import Observed
from prism.workspaces.ports import Compute, Machine

log = logging.getLogger(__name__)
Machines = Mapping[str, Machine]
# What code raises that meets a value in an answer for which it is not made.
ABSURD_ANSWER = (ArithmeticError, LookupError, TypeError, ValueError)


class Survey(NamedTuple):
    """The machines of a location, or why it did not answer; the survey began at `at`."""

    at: datetime
    found: Machines | Unavailable

    def machines(self) -> Machines:
        """The machines by key; raises `Unavailable` if the location did not answer."""
        if isinstance(self.found, Unavailable):
            raise self.found
        return self.found

    @property
    def problem(self) -> str | None:
        """Why the location did not answer."""
        return self.found.message if isinstance(self.found, Unavailable) else None


class SurveyCache:
    """Reuses a survey for half of the pause between two steps of a busy row.

    So a location with a thousand starting machines is listed once for all of them. A row never
    uses a survey that began before its last request or Prism's last action on its machine, because
    that survey may be outdated.
    """

    def __init__(self, computes: Mapping[str, Compute], clock: Clock) -> None:
        self._computes, self._clock, self._lock = computes, clock, Lock()
        self._surveys: dict[str, Survey] = {}
        self._acted_at: dict[str, datetime] = {}

    def at(self, location: str, id: str, requested_at: datetime) -> Machines:
        """The machines in a location, by key; raises `Unavailable`."""
        with self._lock:
            survey = self._surveys.get(location)
            if survey is None or not self._is_recent(survey, location, id, requested_at):
                survey = self._survey(location)
        return survey.machines()

    def anew(self) -> dict[str, Survey]:
        """Survey every location now."""
        with self._lock:
            began = self._clock.now()
            surveys = {location: self._survey(location) for location in self._computes}
            self._acted_at = {id: at for id, at in self._acted_at.items() if at >= began}
        return surveys

    def acted(self, id: str) -> None:
        """Record that this row's machine was changed now."""
        with self._lock:
            self._acted_at[id] = self._clock.now()

    def _is_recent(self, survey: Survey, location: str, id: str, requested_at: datetime) -> bool:
        age, acted_at = self._clock.now() - survey.at, self._acted_at.get(id)
        fresh = abs(age) < self._computes[location].busy / 2
        return fresh and requested_at <= survey.at and (acted_at is None or acted_at < survey.at)

    def _survey(self, location: str) -> Survey:
        began = self._clock.now()
        try:
            machines = self._computes[location].survey()
        except Problem as problem:
            survey = Survey(began, Unavailable.because(problem))
        except ABSURD_ANSWER:  # one location must not end the surveys of the others
            log.exception("the answer of %s cannot be used", location)
            survey = Survey(began, Unavailable(f"The answer of {location} cannot be used"))
        else:
            # Living machines come last, so they replace a machine with the same key that is gone.
            ordered = sorted(machines, key=lambda it: it.observed is not Observed.GONE)
            survey = Survey(began, {machine.key: machine for machine in ordered})
        self._surveys[location] = survey
        return survey
