"""Waits for a condition, not for a time."""

import contextlib
import time
from collections.abc import Callable
from typing import Literal, TypeVar

Answer = TypeVar("Answer")


def eventually(
    holds: Callable[[], Answer | Literal[False] | None],
    seconds: float = 120,
    passing: tuple[type[BaseException], ...] = (),
) -> Answer:
    """Returns the first true answer of `holds`; fails if there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(*passing):
            if answer := holds():
                return answer
        waited = seconds - (until - time.monotonic())
        time.sleep(min(0.1, 0.02 + waited / 20))
    raise AssertionError(f"it never came about within {seconds} s")
