"""Asks the database for the daemon's status, which must not wait for a database that is frozen."""

import threading
import time
from collections.abc import Callable, Sequence

PROBE_TIMEOUT_SECONDS = 1.0


class DatabaseProbe:
    """Asks in a thread of its own, once at a time; meanwhile the last answer counts."""

    def __init__(self, ask: Callable[[], Sequence[str]]) -> None:
        """`ask` returns the problems of the database, and may take long."""
        self._ask, self._lock = ask, threading.Lock()
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._answer: Sequence[str] = ()
        self._error: Exception | None = None

    def troubles(self) -> Sequence[str]:
        """The problems of the database, after a short wait; that it does not answer is one."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._began = time.monotonic()
                self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
                self._thread.start()
            thread, began = self._thread, self._began
        thread.join(max(0.0, began + PROBE_TIMEOUT_SECONDS - time.monotonic()))
        if thread.is_alive():
            seconds = time.monotonic() - began
            silent = f"The database has not answered for {seconds:.0f} s; what is shown is older"
            return [silent, *self._answer]
        if self._error is not None:
            raise self._error
        return self._answer

    def _run(self) -> None:
        try:
            self._answer, self._error = self._ask(), None
        except Exception as error:
            self._error = error
            raise
