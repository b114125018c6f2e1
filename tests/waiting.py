"""Waiting for a fact, not for a time."""

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
    """The first true answer of `holds`; fails when none comes in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(*passing):
            if answer := holds():
                return answer
        time.sleep(0.02)
    raise AssertionError(f"it never came about within {seconds} s")
