"""The clock. No other module reads the time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The current time, in UTC."""


class WallClock:
    """The real one."""

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)


@dataclass
class StoppedClock:
    """A clock that moves only when told to."""

    time: datetime

    def now(self) -> datetime:
        """The time it was set to."""
        return self.time

    def advance(self, **delta: float) -> None:
        """Move forward."""
        self.time += timedelta(**delta)


def whole(at: datetime) -> datetime:
    """`at` to the second, as the wire shows it."""
    return at.replace(microsecond=0)
