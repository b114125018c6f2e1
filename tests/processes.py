"""Filters of processes; a process may end meanwhile."""

import contextlib
from collections.abc import Callable, Iterable

import psutil


def named(processes: Iterable[psutil.Process], program: str) -> list[psutil.Process]:
    """The processes that run a program of this name."""
    return _those(processes, lambda one: one.name() == program)


def worded(processes: Iterable[psutil.Process], words: str) -> list[psutil.Process]:
    """The processes whose command line contains these words."""
    return _those(processes, lambda one: words in " ".join(one.cmdline()))


def _those(
    processes: Iterable[psutil.Process], fits: Callable[[psutil.Process], bool]
) -> list[psutil.Process]:
    matching = []
    for process in processes:
        with contextlib.suppress(psutil.Error):  # an ended process does not match
            if fits(process):
                matching.append(process)
    return matching
