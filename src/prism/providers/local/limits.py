"""The resources of a machine type that this machine can give."""

import os

from msgspec import Struct

GIB = 2**30


class ResourceLimits(Struct, frozen=True):
    """The limits of a workspace: processors, and bytes of memory."""

    cpus: int
    memory: int


def limits_for(vcpus: int, memory_gib: float) -> tuple[ResourceLimits, tuple[str, ...]]:
    """The limits of a machine type on this computer, and notes on what the computer lacks."""
    cores, memory = os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    requested, notes = int(memory_gib * GIB), []
    if vcpus > cores:
        notes.append(f"{vcpus} vCPUs asked for, this machine has {cores}: it gets {cores}")
    if requested > memory:
        has = f"{memory / GIB:.0f} GiB"
        notes.append(f"{memory_gib:g} GiB of memory asked for, this machine has {has}")
    return ResourceLimits(min(vcpus, cores), min(requested, memory)), tuple(notes)
