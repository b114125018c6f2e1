"""Points at which a forked daemon can be killed: one before and after each commit, and more.

A test patches `Database.write` with `announced_write`, and calls `point` around what else it
wants to die at. Points count from `arm` on.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from prism.kit.db import CURRENT_TX, Database
from tests.forks import tell

passed: list[str] = []
"""The names of the points since `arm`."""
_lock = threading.RLock()
_die_at: int | None = None


def arm(die_at: int) -> None:
    """Count points from now on, and die at the one with this number; -1 is none."""
    global _die_at
    _die_at = die_at


def disarm() -> None:
    """Count no more."""
    global _die_at
    _die_at = None


def point(name: str) -> None:
    """Announce a point, and kill this process if it is the one to die at."""
    with _lock:
        if _die_at is None:
            return
        passed.append(name)
        if len(passed) - 1 == _die_at:
            tell(passed=passed)
            os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def announced_write(self: Any, original: Any = Database.write) -> Iterator[Any]:
    """Announce every commit; a nested write is not a commit of its own."""
    joined = CURRENT_TX.get() is not None
    with original(self) as tx:
        yield tx
        if not joined:
            point("before commit")
    if not joined:
        point("after commit")
