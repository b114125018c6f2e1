"""Limits for what the kernel counts for each user: inotify, signals, queues, descriptors sent.

Workspaces that share a user get a part of what this user has, so that one of them cannot take it
all from the others and from the daemon. A workspace with a user of its own shares nothing.

Linux counts inotify instances in each user namespace, and in those above for the user who made it.
Limits of processes (`RLIMIT_…`) are set for each program of a workspace.
"""

import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prism.agent.system.processes import LINUX

SHARE = 4  # workspaces that together may use up what their user has
# Programs may need many files. The kernel refuses to pass descriptors (`SCM_RIGHTS`) for a process
# if its user has more in flight than this process may have open. So programs must have a lower
# limit than the processes outside.
FILES_SHARE = 2
LEAST_INOTIFY = 16  # instances; a JupyterLab with an editor needs fewer
OPEN_FILES, QUEUES, SIGNALS = (
    7,
    12,
    11,
)  # Linux's RLIMIT_NOFILE, RLIMIT_MSGQUEUE, RLIMIT_SIGPENDING
COUNTERS = Path("/proc/sys/user")
INOTIFY = {
    "max_inotify_instances": Path("/proc/sys/fs/inotify/max_user_instances"),
    "max_inotify_watches": Path("/proc/sys/fs/inotify/max_user_watches"),
}
"""The counters of a namespace, each with the file that has the limit of the computer."""


FILES_AT_START = resource.getrlimit(resource.RLIMIT_NOFILE)
"""Our limits of open files until `raise_file_limit`."""


class KernelLimits(NamedTuple):
    """The limits of one workspace."""

    programs: dict[int, tuple[int, int]]
    """The soft and hard limits of each program, by Linux's number of the `RLIMIT_…`."""
    counters: dict[str, int]
    """The limits of its user namespace, by their names in `/proc/sys/user`."""


NO_LIMITS = KernelLimits({}, {})


def limits_of_a_workspace() -> KernelLimits:
    """The limits of a workspace that shares its user with others."""
    if not LINUX:
        return NO_LIMITS
    outer = {kind: resource.getrlimit(kind) for kind in (QUEUES, SIGNALS)}
    outer[OPEN_FILES] = FILES_AT_START
    counters = {}
    for name, path in INOTIFY.items():
        with suppress(OSError, ValueError):
            counters[name] = int(path.read_text())
    return parts_of(outer, counters)


def parts_of(outer: Mapping[int, tuple[int, int]], counters: Mapping[str, int]) -> KernelLimits:
    """The parts of these limits that one workspace gets."""
    programs = {}
    for kind, (soft, hard) in outer.items():
        if hard != resource.RLIM_INFINITY:
            most = hard // (FILES_SHARE if kind == OPEN_FILES else SHARE)
            programs[kind] = (most if soft < 0 else min(soft, most), most)
    parts = {name: max(most // SHARE, LEAST_INOTIFY) for name, most in counters.items()}
    return KernelLimits(programs, parts)


def limit_this_namespace(counters: Mapping[str, int]) -> None:
    """Set the limits of our user namespace, which was just made.

    It keeps those of the one above where `/proc/sys` cannot be written, as in some containers.
    """
    for name, most in counters.items():
        with suppress(OSError):
            (COUNTERS / name).write_text(str(most))


def raise_file_limit() -> None:
    """Take all the open files that we may have: more than our programs may have in flight."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
