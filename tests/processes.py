"""Filters of processes; a process may end meanwhile."""

import contextlib
from collections.abc import Callable, Iterable

import psutil


def with_name(processes: Iterable[psutil.Process], program: str) -> list[psutil.Process]:
    """The processes that run a program of this name."""
    return matching_processes(processes, lambda process: process.name() == program)


def with_words(processes: Iterable[psutil.Process], words: str) -> list[psutil.Process]:
    """The processes whose command line contains these words."""
    return matching_processes(processes, lambda process: words in " ".join(process.cmdline()))


def matching_processes(
    processes: Iterable[psutil.Process], fits: Callable[[psutil.Process], bool]
) -> list[psutil.Process]:
    matching = []
    for process in processes:
        with contextlib.suppress(psutil.Error):  # an ended process does not match
            if fits(process):
                matching.append(process)
    return matching
