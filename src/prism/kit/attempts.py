"""Limits how often somebody may try something, such as a code or a password."""

from collections import deque
from datetime import datetime, timedelta
from threading import Lock

from prism.errors import Denied
from prism.kit.clock import Clock

MOST_KEYS = 10_000  # whose attempts are remembered; then the oldest are forgotten


class TooManyAttempts(Denied, code="TOO_MANY_ATTEMPTS"):
    """That was tried too often."""


class AttemptLimit:
    """At most `most` failures for a key in `period`; each daemon counts by itself."""

    def __init__(self, clock: Clock, most: int, period: timedelta) -> None:
        self._clock, self._most, self._period = clock, most, period
        self._failures: dict[str, deque[datetime]] = {}
        self._lock = Lock()

    def check(self, *keys: str) -> None:
        """Raise `TooManyAttempts` if one of these has failed too often."""
        now = self._clock.now()
        with self._lock:
            waits = [self._wait(key, now) for key in keys]
        if seconds := max(waits, default=0):
            raise TooManyAttempts(
                details=f"at most {self._most} in {self._period.total_seconds() / 60:g} minutes",
                remediation=f"Try again in {seconds} seconds",
                data={"retry_after": seconds},
            )

    def is_over(self, key: str) -> bool:
        """Whether this key has failed too often."""
        with self._lock:
            return self._wait(key, self._clock.now()) > 0

    def failed(self, *keys: str) -> None:
        """Count a failure."""
        with self._lock:
            for key in keys:
                # Put at the end again, so that the first is the one that failed longest ago.
                failures = self._failures.pop(key, None) or deque(maxlen=self._most)
                failures.append(self._clock.now())
                self._failures[key] = failures
            while len(self._failures) > MOST_KEYS:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key."""
        with self._lock:
            self._failures.pop(key, None)

    def withdraw(self, key: str) -> None:
        """Take back the last failure of a key, which was none."""
        with self._lock:
            if failures := self._failures.get(key):
                failures.pop()

    def _wait(self, key: str, now: datetime) -> int:
        failures = self._failures.get(key) or deque[datetime]()
        if len(failures) < self._most or failures[0] + self._period <= now:
            return 0
        return int((failures[0] + self._period - now).total_seconds()) + 1
