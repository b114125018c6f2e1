"""Whether the machines of a workspace were surveyed since the daemon's start.

Before that, a row says what was true when the last daemon ended: its machine may have died with
the computer. So the first requests about workspaces wait until their locations were surveyed and
the rows that differed were recorded, for a limited time (`first_survey_wait.py`).
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterable

from prism.kit.events import Bus
from prism.workspaces.model import Observed, Workspace

NOT_SEEN = "not looked at since the daemon started, so this is its last known state"


class FirstSurveys:
    """Follows the first survey of each location that had workspaces at the start."""

    def __init__(self, timeout: Callable[[str], float | None]) -> None:
        """`timeout` is how many seconds after the start a request waits for a location.

        None for a location that this daemon does not serve.
        """
        self._timeout, self._lock, self._changed = timeout, threading.Lock(), Bus()
        self._begun = 0.0
        self._open: set[str] = set()  # the locations whose rows were not all compared yet
        self._failed: set[str] = set()  # those of them that did not answer
        self._differing: dict[str, set[str]] = {}  # rows that are not recorded yet, by location
        self._recorded: set[str] = set()  # rows that were recorded meanwhile

    def begin(self, locations: Iterable[str]) -> None:
        """The daemon begins to survey; these are the locations of living workspaces."""
        self._begun = time.monotonic()
        self._open = {location for location in locations if self._timeout(location) is not None}

    def surveyed(self, location: str, differing: Collection[str]) -> None:
        """A location answered; the rows of `differing` are still to be recorded."""
        self._update(location, differing)

    def failed(self, location: str) -> None:
        """A location did not answer; requests do not wait for its next survey."""
        if location in self._open - self._failed:
            self._failed.add(location)
            self._changed.notify()

    def recorded(self, id: str) -> None:
        """The observed state of a row was recorded."""
        self._update(recorded={id})

    def _update(
        self,
        location: str | None = None,
        differing: Collection[str] = (),
        recorded: Collection[str] = (),
    ) -> None:
        if not self._open:
            return
        with self._lock:
            self._recorded.update(recorded)
            if location in self._open:
                self._differing[location] = set(differing)
            for surveyed, rows in [*self._differing.items()]:
                if rows <= self._recorded:
                    del self._differing[surveyed]
                    self._open.discard(surveyed)
            if not self._open:
                self._recorded.clear()
        self._changed.notify()

    @property
    def is_complete(self) -> bool:
        """Whether no state is older than the daemon."""
        return not self._open

    def has_compared(self, location: str) -> bool:
        """Whether the rows of a location were compared with its machines."""
        return location not in self._open

    def has_seen(self, workspace: Workspace) -> bool:
        """Whether the state of a workspace is not older than the daemon."""
        return (
            self.has_compared(workspace.location)
            or workspace.observed is Observed.NONE  # there is no machine yet
            or workspace.ended_at is not None
            or workspace.id in self._recorded
        )

    def _seconds_left(self, locations: Iterable[str]) -> float:
        """How long to wait for these locations; 0 if they are complete, failed, or too late."""
        begun, now = self._begun, time.monotonic()
        awaited = self._open.intersection(locations) - self._failed
        return max([0.0, *(begun + (self._timeout(at) or 0.0) - now for at in awaited)])

    @property
    def is_awaited(self) -> bool:
        """Whether requests about some location would still wait."""
        return bool(self._seconds_left(tuple(self._open)))

    async def wait(self, locations: Collection[str]) -> None:
        """Wait until these locations are complete, but not beyond their timeouts."""
        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        with self._changed.listening(lambda: loop.call_soon_threadsafe(woken.set)):
            while left := self._seconds_left(locations):
                try:
                    await asyncio.wait_for(woken.wait(), left)
                except TimeoutError:
                    return
                woken.clear()
