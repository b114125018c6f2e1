"""When to survey each location: at its own pace, and only if it has storage.

A survey of this machine costs nothing; a survey of a cloud uses its limited number of calls.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from prism.storage.ports import Volumes

NOWHERE = timedelta(seconds=5)


class SurveySchedule:
    """The time of the next survey of each location."""

    def __init__(self, places: Mapping[str, Volumes]) -> None:
        self._places = places
        self._last: dict[str, datetime] = {}

    def due(self, now: datetime) -> list[str]:
        """The locations that are due now; the call schedules their next survey."""
        places = [place for place in self._places if not self._is_recent(place, now)]
        self._last |= dict.fromkeys(places, now)
        return places

    def pause(self, now: datetime) -> timedelta:
        """How long to wait at most until the next location is due, after a call of `due`."""
        ends = (self._last[place] + volumes.calm for place, volumes in self._places.items())
        return min((end - now for end in ends), default=NOWHERE)

    def _is_recent(self, place: str, now: datetime) -> bool:
        last = self._last.get(place)  # later than now if the clock was set back
        return last is not None and last <= now < last + self._places[place].calm
