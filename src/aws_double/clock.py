"""The double's time: the real one, or one that its owner sets."""

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Runs by itself until it is stopped; moves on order, never back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = timedelta()
        self._stopped: datetime | None = None

    def now(self) -> datetime:
        """The time in the double's world."""
        with self._lock:
            return self._time()

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once."""
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def stop(self) -> None:
        """From now on only `advance` moves the time."""
        with self._lock:
            self._stopped = self._time() - self._ahead

    def reset(self) -> None:
        """The real time again."""
        with self._lock:
            self._ahead = timedelta()
            self._stopped = None

    def _time(self) -> datetime:
        running = datetime.fromtimestamp(time.time(), UTC)
        return (self._stopped or running) + self._ahead
