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
    """The computer's clock."""

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)


@dataclass
class StoppedClock:
    """A clock that moves only when a test moves it."""

    time: datetime

    def now(self) -> datetime:
        """The time to which the clock was set."""
        return self.time

    def advance(self, **delta: float) -> None:
        """Move forward."""
        self.time += timedelta(**delta)


def whole(at: datetime) -> datetime:
    """`at` without fractions of a second, as the API shows times."""
    return at.replace(microsecond=0)
