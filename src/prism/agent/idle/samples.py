"""Measures what a machine's processes use, from one sample to the next.

The kernel's counts of a process include its reaped children, so the use of a short-lived program
is in its parent's counts. Only the machine's own processes are read, not the whole process table,
so a sample costs the same on a crowded computer.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple, TypeVar

from prism.agent.network.sockets import TcpConnections
from prism.agent.system.processes import LINUX

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
KB = 1024
ENOUGH = 1 << 14  # bytes to read at once
SHORT = 2000  # bytes; a shorter answer is the end of the file
DISKS = {b"read_", b"write"}  # `read_bytes`, `write_bytes`; `rchar` would include caches
Key = TypeVar("Key")
HALF = 0.5  # of the time; a process that uses or waits for a CPU for so long is working
SLOWEST = 4096.0  # bytes per second; a process that moves less is not working on its disks


class ProcessSample(NamedTuple):
    """The use of one process, and its terminal."""

    pid: int
    name: str
    began: str
    group: int
    session: int
    terminal: int
    foreground: int
    own: float  # seconds of processor
    children: float
    memory: int
    wants: bool = False  # it waits for a CPU or a disk, or runs, at this moment
    parent: int = 0
    waited: float | None = None  # seconds it has waited for a CPU, if it `wants`; None if unknown
    moved: int | None = None  # bytes to and from disks, if it `wants`; None if unknown
    hides: bool = False  # it `wants`, and lets nobody read what it moves


class SystemSample(NamedTuple):
    """All figures at one moment; None for those that are unknown."""

    at: float
    wall: float
    processes: dict[tuple[int, str], ProcessSample]
    moved: dict[tuple[int, str], int] | None  # bytes to and from disks
    carried: dict[int, int] | None  # bytes, by socket


def look(
    of: int,
    figure_names: Iterable[str],
    connections: TcpConnections | None = None,
    passed_over: Collection[int] = (),
) -> SystemSample:
    """Sample all descendants of a process, for these figures only.

    `connections` remembers the sockets of the last sample; `passed_over` are pids to leave out.
    """
    processes = {(p.pid, p.began): p for p in _samples(of) if p.pid not in passed_over}
    pids = [pid for pid, _ in processes]
    moved = carried = None
    if LINUX and "disk" in figure_names:
        moved = {}
        for key in processes:
            with contextlib.suppress(PermissionError):  # `wanting` judges it
                moved[key] = _bytes_moved(key[0])
    if LINUX and "network" in figure_names:
        carried = (connections or TcpConnections()).carried(pids)
    return SystemSample(time.monotonic(), time.time(), processes, _if_all(moved), carried)


def figures(before: SystemSample, now: SystemSample, memory: int) -> dict[str, float | None]:
    """What was used between two samples; `memory` is how many bytes the machine may use."""
    seconds = max(now.at - before.at, 1e-3)
    used, was = (sum(p.memory for p in sample.processes.values()) for sample in (now, before))
    return {
        "cpu": round(100 * _cpu_seconds(before, now) / seconds, 2),
        "memory": round(100 * max(used - was, 0) / memory, 2) if memory else None,
        "resident": round(100 * used / memory, 2) if memory else None,
        "network": _rate(before.carried, now.carried, seconds),
        "disk": _rate(before.moved, now.moved, seconds),
    }


def wanting(before: SystemSample, now: SystemSample) -> tuple[str, ...]:
    """The working processes to which a crowded computer gives little CPU or disk.

    A process that waits for a CPU in both samples may still be idle in between. So what counts is
    how long it ran or waited between the samples, or how much it read and wrote. Delays by disks
    are not read: Linux does not count them by default.

    Some programs, such as `ssh-agent`, hide that from all but root. One that waits in both samples
    counts as working.
    """
    seconds, names = max(now.at - before.at, 1e-3), []
    for key, process in now.processes.items():
        was = before.processes.get(key)
        if was is None or not (process.wants and was.wants):
            continue
        if process.waited is None or was.waited is None:
            names.append(process.name)  # unknown on this system: staying awake is the safe choice
        elif (
            (process.hides and was.hides)
            or (process.waited - was.waited) + (process.own - was.own) >= HALF * seconds
            or (
                process.moved is not None
                and was.moved is not None
                and process.moved - was.moved >= SLOWEST * seconds
            )
        ):
            names.append(process.name)
    return tuple(names)


def _cpu_seconds(before: SystemSample, now: SystemSample) -> float:
    """Seconds of CPU, without children that their parents did not wait for."""
    all_now, all_then = (
        sum(p.own + p.children for p in sample.processes.values()) for sample in (now, before)
    )
    none = ProcessSample(0, "", "", 0, 0, 0, 0, 0.0, 0.0, 0)
    used = sum(max(p.own - before.processes.get(k, none).own, 0) for k, p in now.processes.items())
    return max(all_now - all_then, used)


def _rate(
    before: dict[Key, int] | None, now: dict[Key, int] | None, seconds: float
) -> float | None:
    if before is None or now is None:
        return None
    grown = sum(max(count - before.get(key, 0), 0) for key, count in now.items())
    return round(max(grown, sum(now.values()) - sum(before.values())) / KB / seconds, 2)


def _if_all(moved: dict[tuple[int, str], int | None] | None) -> dict[tuple[int, str], int] | None:
    """The figures; None if that of any process is unknown."""
    if moved is None or None in moved.values():
        return None
    return {key: count for key, count in moved.items() if count is not None}


def _samples(of: int) -> list[ProcessSample]:
    if not LINUX:
        return _listed_by_ps(of)
    samples, queue = [], _children(of)
    while queue:
        pid = queue.pop()
        if line := _read(f"/proc/{pid}/stat"):
            sample, threads = _parse_stat(pid, line)
            if sample:
                samples.append(_with_waits(sample) if sample.wants else sample)
                queue += _children(pid, threads)
    return samples


def _read(path: str) -> bytes:
    """The content of a `/proc` file; empty if its process has ended.

    Hundreds of these are read, and `open` would make twice as many system calls for each.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    try:
        content = more = os.read(file, ENOUGH)
        while len(more) > SHORT:
            content += (more := os.read(file, ENOUGH))
        return content
    except ProcessLookupError:
        return b""
    finally:
        os.close(file)


def _children(pid: int, threads: int = 0) -> list[int]:
    """The children of all threads; a single thread is the process itself."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task") if threads != 1 else [str(pid)]
    except OSError:
        return []
    contents = [_read(f"/proc/{pid}/task/{task}/children") for task in tasks]
    return [int(child) for line in contents for child in line.split()]


def _parse_stat(pid: int, line: bytes) -> tuple[ProcessSample | None, int]:
    """The fields of a line of `stat`, and the number of threads."""
    end = line.rindex(b")")
    rest = line[end + 2 :].split()
    if rest[0] in b"ZX":
        return None, 0
    name = line[line.index(b"(") + 1 : end].decode(errors="replace")
    parent, group, session, terminal, foreground = map(int, rest[1:6])
    user, system, childrens_user, childrens_system = map(int, rest[11:15])
    sample = ProcessSample(
        pid,
        name,
        rest[19].decode(),
        group,
        session,
        terminal,
        foreground,
        (user + system) / TICKS,
        (childrens_user + childrens_system) / TICKS,
        int(rest[21]) * PAGE_BYTES,
        rest[0] in b"RD",
        parent,
    )
    return sample, int(rest[17])


def _with_waits(process_sample: ProcessSample) -> ProcessSample:
    """The process, with what it has waited for and moved so far."""
    try:
        tasks = os.listdir(f"/proc/{process_sample.pid}/task")
        rows = [
            _read(f"/proc/{process_sample.pid}/task/{task}/schedstat").split() for task in tasks
        ]
        waited = (
            sum(int(fields[1]) for fields in rows if len(fields) > 1) / 1e9 if any(rows) else None
        )
    except OSError:
        waited = None
    try:
        return process_sample._replace(waited=waited, moved=_bytes_moved(process_sample.pid))
    except PermissionError:
        return process_sample._replace(waited=waited, hides=True)


def _bytes_moved(pid: int) -> int | None:
    """The bytes to and from disks, None if unknown; raises `PermissionError` if it hides them."""
    try:
        content = _read(f"/proc/{pid}/io")
        return sum(int(line.split()[1]) for line in content.splitlines() if line[:5] in DISKS)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def _listed_by_ps(of: int) -> list[ProcessSample]:
    """All processes without `/proc`; terminals are not read."""
    with os.popen("/bin/ps -axo pid=,ppid=,time=,rss=,comm=") as out:
        rows = [line.split(None, 4) for line in out]
    children: dict[int, list[list[str]]] = {}
    for row in rows:
        children.setdefault(int(row[1]), []).append(row)
    samples, queue = [], [of]
    while queue:
        for pid, _, used, memory, name in children.get(queue.pop(), ()):
            queue.append(int(pid))
            sample = ProcessSample(
                int(pid), name, "", 0, 0, 0, 0, _seconds(used), 0.0, int(memory) * KB
            )
            samples.append(sample)
    return samples


def _seconds(text: str) -> float:
    """The seconds in a time of `ps`, such as `1-02:03:04.5`."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86400 * int(days or 0)
