"""The memory of the daemon: the least that it needs, and what it keeps."""

import ctypes
import resource

from prism.errors import Conflict

LEAST = 2 * 2**30  # bytes of address space; 43 busy threads took 1.4 GiB
M_ARENA_MAX, ARENAS = -8, 2  # `mallopt(3)`


class TooLittleMemory(Conflict, code="TOO_LITTLE_MEMORY"):
    """The limit of the daemon's memory is too low."""


def check_memory(limit: int) -> None:
    """Refuse a limit of the address space under which threads and libraries fail at random."""
    if limit != resource.RLIM_INFINITY and limit < LEAST:
        raise TooLittleMemory(
            f"The daemon needs {LEAST // 2**20} MiB of address space, and may use "
            f"{limit // 2**20} MiB",
            remediation="Raise the limit in the shell or service that starts it: `ulimit -v`",
        )


def limit_arenas() -> None:
    """Let all threads share two arenas of malloc, in place of eight for each core.

    See docs/decisions/045-two-arenas-of-malloc.md; a C library without arenas has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
