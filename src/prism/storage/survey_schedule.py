"""When to survey each location: at its own pace, and only if it has storage.

A survey of this computer costs nothing; a survey of a cloud costs calls, which are limited.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from prism.storage.ports import Volumes

NOWHERE = timedelta(seconds=5)


class SurveySchedule:
    """The time of the next survey of each location."""

    def __init__(self, places: Mapping[str, Volumes]) -> None:
        self._places = places
        self._next: dict[str, datetime] = {}

    def due(self, now: datetime) -> list[str]:
        """The locations that are due now; the call schedules their next survey."""
        places = [place for place in self._places if self._next.get(place, now) <= now]
        self._next |= {place: now + self._places[place].calm for place in places}
        return places

    def pause(self) -> timedelta:
        """How long to wait at most until the next location is due."""
        return min((volumes.calm for volumes in self._places.values()), default=NOWHERE)
