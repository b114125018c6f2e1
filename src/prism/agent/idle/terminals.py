"""Reads a machine's terminals: when somebody typed, and what runs in the foreground.

The kernel keeps for each terminal when a program last read from it, as `w` shows it. A program
that puts its terminal into raw mode (an editor, a pager, `top`, `ssh`, a tmux client, a shell's
prompt) waits for a person, and a person types; a command in the foreground of a terminal that is
not raw is at work, even if it prints nothing.
"""

import os
import stat
import termios
from collections.abc import Iterable

from prism.agent.idle.samples import ProcessSample
from prism.agent.idle.verdict import Touch

SHELLS = {"sh", "bash", "dash", "zsh", "fish", "ksh", "tcsh", "csh", "ash", "login"}
SHELLS |= {"agetty", "getty", "mingetty"}  # who wait for somebody to log in
ONLOOKERS = {"tail", "watch", "less", "more"}
LOCAL_MODES = 3


def observed(processes: Iterable[ProcessSample]) -> tuple[tuple[str, ...], tuple[Touch, ...]]:
    """What works in terminals, and when somebody last typed into each."""
    sessions: dict[int, list[ProcessSample]] = {}
    for process in processes:
        if process.terminal:
            sessions.setdefault(process.session, []).append(process)
    work, touches = [], []
    for members in sessions.values():
        if (path := _path(members)) is None:
            continue
        try:
            touches.append((os.stat(path).st_atime, "somebody typed into a terminal"))
        except OSError:  # its program has just ended
            continue
        if (name := _at_work(members)) and not _is_raw(path):
            work.append(f"`{name}` runs in the foreground of a terminal")
    return tuple(work), tuple(touches)


def _at_work(members: list[ProcessSample]) -> str:
    """The command in the foreground, unless it is a shell at its prompt or only displays."""
    front = [member for member in members if member.group == member.foreground]
    for member in front:
        at_prompt = member.pid == member.session and member.name.lstrip("-") in SHELLS
        if not at_prompt and member.name not in ONLOOKERS:
            return member.name
    return ""


def _path(members: list[ProcessSample]) -> str | None:
    """A path of the terminal of these processes, which may be one of a sandbox's own."""
    for member in members:
        for number in range(3):
            path = f"/proc/{member.pid}/fd/{number}"
            try:
                status = os.stat(path)
            except OSError:
                continue
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == member.terminal:
                return path
    return None


def _is_raw(path: str) -> bool:
    try:
        terminal = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        modes = termios.tcgetattr(terminal)[LOCAL_MODES]
    except termios.error:
        return False
    finally:
        os.close(terminal)
    return not modes & termios.ICANON
