"""How often places are looked at unasked: each at its own pace, and only where there is anything.

Looking at this machine costs nothing; looking at a cloud costs calls that everybody shares.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from prism.storage.ports import Volumes

NOWHERE = timedelta(seconds=5)


class SurveySchedule:
    """When each place is to be looked at next."""

    def __init__(self, places: Mapping[str, Volumes]) -> None:
        self._places = places
        self._next: dict[str, datetime] = {}

    def due(self, now: datetime) -> list[str]:
        """The places whose turn has come; they have had it, once they were asked for."""
        places = [place for place in self._places if self._next.get(place, now) <= now]
        self._next |= {place: now + self._places[place].calm for place in places}
        return places

    def pause(self) -> timedelta:
        """How long at most until another turn comes."""
        return min((volumes.calm for volumes in self._places.values()), default=NOWHERE)
