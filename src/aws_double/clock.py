"""The double's time: the real one, or one that the test sets."""

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Runs until it is stopped; then `advance` moves it, never back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = timedelta()
        self._stopped: datetime | None = None

    def now(self) -> datetime:
        """The time in the double's world."""
        with self._lock:
            return self._time()

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def stop(self) -> None:
        """From now on only `advance` moves the time."""
        with self._lock:
            self._stopped = self._time() - self._ahead

    def reset(self) -> None:
        """Return to the real time."""
        with self._lock:
            self._ahead = timedelta()
            self._stopped = None

    def _time(self) -> datetime:
        running = datetime.fromtimestamp(time.time(), UTC)
        return (self._stopped or running) + self._ahead
