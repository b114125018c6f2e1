"""Questions about processes, any of which may end while it is being asked."""

import contextlib

import psutil


def named(processes, program):
    """Those that run a program of this name."""
    return _those(processes, lambda one: one.name() == program)


def worded(processes, words):
    """Those whose command line has these words in it."""
    return _those(processes, lambda one: words in " ".join(one.cmdline()))


def _those(processes, fits):
    found = []
    for one in processes:
        with contextlib.suppress(psutil.Error):  # who is gone fits nothing
            if fits(one):
                found.append(one)
    return found
