"""Questions about processes, any of which may end while it is being asked."""

import contextlib
from collections.abc import Callable, Iterable

import psutil


def named(processes: Iterable[psutil.Process], program: str) -> list[psutil.Process]:
    """Those that run a program of this name."""
    return _those(processes, lambda one: one.name() == program)


def worded(processes: Iterable[psutil.Process], words: str) -> list[psutil.Process]:
    """Those whose command line has these words in it."""
    return _those(processes, lambda one: words in " ".join(one.cmdline()))


def _those(
    processes: Iterable[psutil.Process], fits: Callable[[psutil.Process], bool]
) -> list[psutil.Process]:
    matching = []
    for process in processes:
        with contextlib.suppress(psutil.Error):  # who is gone fits nothing
            if fits(process):
                matching.append(process)
    return matching
