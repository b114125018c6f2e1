"""What a machine's processes use, from one look to the next.

The kernel counts for each process what it and its buried children have used, so what a
short-lived program did is found with its parent. Only the tree itself is read, never the
whole process table: a look costs the same on a crowded computer.
"""

import contextlib
import os
import time
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from prism.agent import sockets
from prism.agent.processes import LINUX

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
KB = 1024
Key = TypeVar("Key")


class Life(NamedTuple):
    """One process: what it has used, and the terminal it belongs to."""

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
    wants: bool = False  # the processor, or a disk, at this moment


class Look(NamedTuple):
    """Everything at one moment; none where it cannot be known."""

    at: float
    wall: float
    lives: dict[tuple[int, str], Life]
    moved: dict[tuple[int, str], int] | None  # bytes to and from disks
    carried: dict[int, int] | None  # bytes, by socket


def look(of: int, wanted: Iterable[str]) -> Look:
    """Look at everything that came of a process; only what is wanted is asked for."""
    lives = {(it.pid, it.began): it for it in _lives(of)}
    pids = [pid for pid, _ in lives]
    moved = carried = None
    if LINUX and "disk" in wanted:
        moved = {key: _moved(key[0]) for key in lives}
    if LINUX and "network" in wanted:
        carried = sockets.carried(pids)
    return Look(time.monotonic(), time.time(), lives, _whole(moved), carried)


def figures(before: Look, now: Look, memory: int) -> dict[str, float | None]:
    """What was used between two looks; `memory` is how many bytes it may use."""
    seconds = max(now.at - before.at, 1e-3)
    used, was = (sum(it.memory for it in one.lives.values()) for one in (now, before))
    return {
        "cpu": round(100 * _busy(before, now) / seconds, 2),
        "memory": round(100 * max(used - was, 0) / memory, 2) if memory else None,
        "network": _rate(before.carried, now.carried, seconds),
        "disk": _rate(before.moved, now.moved, seconds),
    }


def wanting(before: Look, now: Look) -> tuple[str, ...]:
    """Who wanted a processor or a disk at both looks: at work, on however crowded a computer."""
    there = {key for key, it in before.lives.items() if it.wants}
    return tuple(it.name for key, it in now.lives.items() if it.wants and key in there)


def _busy(before: Look, now: Look) -> float:
    """Seconds of processor. A child whose parent did not care was counted nowhere."""
    all_now, all_then = (
        sum(it.own + it.children for it in one.lives.values()) for one in (now, before)
    )
    none = Life(0, "", "", 0, 0, 0, 0, 0.0, 0.0, 0)
    living = sum(max(it.own - before.lives.get(k, none).own, 0) for k, it in now.lives.items())
    return max(all_now - all_then, living)


def _rate(
    before: dict[Key, int] | None, now: dict[Key, int] | None, seconds: float
) -> float | None:
    if before is None or now is None:
        return None
    grown = sum(max(it - before.get(key, 0), 0) for key, it in now.items())
    return round(max(grown, sum(now.values()) - sum(before.values())) / KB / seconds, 2)


def _whole(moved: dict[tuple[int, str], int | None] | None) -> dict[tuple[int, str], int] | None:
    """The figures, if every process gave its own; a part of them is no measurement."""
    if moved is None or None in moved.values():
        return None
    return {key: it for key, it in moved.items() if it is not None}


def _lives(of: int) -> list[Life]:
    if not LINUX:
        return _listed_by_ps(of)
    found, queue = [], _children(of)
    while queue:
        pid = queue.pop()
        if life := _life(pid):
            found.append(life)
            queue += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
            found += map(int, file.read().split())
    return found


def _life(pid: int) -> Life | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except OSError:
        return None
    end = line.rindex(b")")
    rest = line[end + 2 :].split()
    if rest[0] in b"ZX":
        return None
    name = line[line.index(b"(") + 1 : end].decode(errors="replace")
    group, session, terminal, foreground = map(int, rest[2:6])
    user, system, childrens_user, childrens_system = (int(it) / TICKS for it in rest[11:15])
    return Life(
        pid,
        name,
        rest[19].decode(),
        group,
        session,
        terminal,
        foreground,
        user + system,
        childrens_user + childrens_system,
        int(rest[21]) * PAGE,
        rest[0] in b"RD",
    )


def _moved(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            said = dict(line.split(b": ") for line in file.read().splitlines())
    except FileNotFoundError:
        return 0  # it has just ended
    except (OSError, ValueError):
        return None
    return int(said[b"read_bytes"]) + int(said[b"write_bytes"])


def _listed_by_ps(of: int) -> list[Life]:
    """The same without `/proc`; which terminal a process has is not asked."""
    with os.popen("/bin/ps -axo pid=,ppid=,time=,rss=,comm=") as out:
        rows = [line.split(None, 4) for line in out]
    children: dict[int, list[list[str]]] = {}
    for row in rows:
        children.setdefault(int(row[1]), []).append(row)
    found, queue = [], [of]
    while queue:
        for pid, _, used, memory, name in children.get(queue.pop(), ()):
            queue.append(int(pid))
            life = Life(int(pid), name, "", 0, 0, 0, 0, _seconds(used), 0.0, int(memory) * KB)
            found.append(life)
    return found


def _seconds(said: str) -> float:
    """What `ps` means by `1-02:03:04.5`."""
    days, _, rest = said.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86400 * int(days or 0)
