"""When to survey each location: at its own pace, and only if it has storage.

A survey of this machine costs nothing; a survey of a cloud uses its limited number of calls.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from prism.storage.ports import Volumes

NOWHERE = timedelta(seconds=5)


class SurveySchedule:
    """The time of the next survey of each location."""

    def __init__(self, providers: Mapping[str, Volumes]) -> None:
        self._providers = providers
        self._last: dict[str, datetime] = {}

    def due(self, now: datetime) -> list[str]:
        """The locations that are due now; the call schedules their next survey."""
        locations = [at for at in self._providers if not self._is_recent(at, now)]
        self._last |= dict.fromkeys(locations, now)
        return locations

    def pause(self, now: datetime) -> timedelta:
        """How long to wait at most until the next location is due, after a call of `due`."""
        ends = (self._last[at] + volumes.calm for at, volumes in self._providers.items())
        return min((end - now for end in ends), default=NOWHERE)

    def _is_recent(self, location: str, now: datetime) -> bool:
        last = self._last.get(location)  # later than now if the clock was set back
        return last is not None and last <= now < last + self._providers[location].calm
