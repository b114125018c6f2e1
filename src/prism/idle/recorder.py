"""The base of recorders of measurements: which time counts, and when sums are written."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.workspaces.idleness import Idleness

LONGEST_GAP = 300  # seconds between two measurements that still count as watched
WRITE_EVERY = 600  # seconds


class Recorder(ABC):
    """Sums up the measurements of workspaces in memory, and writes the sums every ten minutes.

    A measurement counts for the time since the previous one, if that is at most five minutes.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._last: dict[str, int] = {}
        self._due: int | None = None

    def saw(self, known: Mapping[str, Idleness]) -> None:
        """Add new measurements; write the sums if they are due."""
        last, self._last = self._last, {}
        for key, idleness in known.items():
            if idleness.until is None or idleness.state is None:
                continue
            until = self._last[key] = int(idleness.until.timestamp())
            since = last.get(key, until)
            if 0 < until - since <= LONGEST_GAP:
                self._add(key, idleness, since, until)
        now = int(self._clock.now().timestamp())
        if self._due is None or now >= self._due:
            self._due = now + WRITE_EVERY
            self.write()

    @abstractmethod
    def write(self) -> None:
        """Write the sums, in one transaction for all workspaces, and delete old ones."""

    @abstractmethod
    def _add(self, key: str, idleness: Idleness, since: int, until: int) -> None:
        """Add a measurement for that period."""
