"""What runs in SSH sessions without a terminal: commands and copies.

Without a terminal, a command at work cannot be distinguished from one that waits for a person, so
each command counts as work while it runs, even if it prints nothing. The exception is a shell that
reads its commands from its input, such as the one that VS Code's remote editing keeps open: as at
a prompt, only its foreground program is work. `sleep` in such a shell is no work, because that
editor waits with it in a loop. A program whose input is `/dev/null` is in the background, since a
shell without job control starts background programs so. A copy is use while it moves bytes.
"""

import os
import stat
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from prism.agent.idle.samples import ProcessSample
from prism.agent.idle.terminals import ONLOOKERS, SHELLS
from prism.agent.idle.verdict import Touch

WAITERS = {"sleep"}
DEV_NULL = os.stat(os.devnull).st_rdev
WITH_A_WORD = {"--rcfile", "--init-file"}  # options of shells that have an argument
Observed = tuple[tuple[str, ...], tuple[Touch, ...]]


class SessionReader(Protocol):
    """Reads a machine's SSH sessions."""

    @property
    def last(self) -> float:
        """When a session was last active; 0 if only a sample shows that."""

    def observed(self, processes: Collection[ProcessSample]) -> Observed:
        """The programs at work in SSH sessions, and when a person last used one."""


class SshSession:
    """One accepted program; `pid` is its number inside, once it runs."""

    def __init__(self, *, is_command: bool) -> None:
        self.is_command = is_command
        self.pid: int | None = None


class SshSessions:
    """The accepted SSH sessions, and what is known of them."""

    def __init__(self) -> None:
        self._open: list[SshSession] = []
        self._event = ""
        self.last = 0.0
        """When a session was last active."""

    def begin(self, session: SshSession) -> None:
        """Note that a session has begun."""
        self._open.append(session)
        self._note("somebody logged in by SSH")

    def end(self, session: SshSession) -> None:
        """Note that a session, or its program, has ended."""
        if session in self._open:
            self._open.remove(session)
            self._note("somebody logged out of SSH")

    def touch(self) -> None:
        """Note that bytes have moved."""
        self._note("bytes came over SSH")

    def observed(self, processes: Collection[ProcessSample]) -> Observed:
        """The programs at work in SSH sessions, and when a person last used one."""
        work = [_work(session, processes) for session in self._open if session.is_command]
        touches = ((self.last, self._event),) if self.last else ()
        return tuple(program for program in work if program), touches

    def _note(self, event: str) -> None:
        self.last, self._event = time.time(), event


def at_work(leader: ProcessSample, processes: Iterable[ProcessSample]) -> str:
    """What works in a session whose first program is `leader`; empty if nothing does."""
    children: dict[int, list[ProcessSample]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    at_prompt = leader.name in SHELLS and takes_commands(words(leader.pid))
    waits, queue = at_prompt, [leader]
    while queue:
        process = queue.pop(0)
        if at_prompt and process is not leader and _has_nothing_to_read(process.pid):
            continue
        if process.name in ONLOOKERS or (at_prompt and process.name in WAITERS):
            waits = True
        elif process.name not in SHELLS:
            return process.name
        queue += children.get(process.pid, ())
    return "" if waits else leader.name


def words(pid: int) -> list[str]:
    """The command line of a process; empty if it cannot be read."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return line.decode(errors="replace").split("\0")[:-1]


def takes_commands(called: list[str]) -> bool:
    """Whether a shell with this command line reads its commands from its input."""
    rest = called[1:]
    while rest:
        word = rest.pop(0)
        short = word[:1] in {"-", "+"} and not word.startswith("--")
        if not word.startswith("--") and not short:
            return False  # a script
        if word.startswith("--c") or (short and "c" in word):
            return False
        if short and "s" in word:
            return True  # what follows are its parameters
        if rest and (word in WITH_A_WORD or (short and word[-1:] in {"o", "O"})):
            rest.pop(0)
    return bool(called)


def _work(session: SshSession, processes: Collection[ProcessSample]) -> str:
    """The text that it is at work; a session whose leader is not found counts as at work."""
    if (leader := _leader(session.pid, processes)) is None:
        return "a command runs over SSH"
    name = at_work(leader, processes)
    return f"`{name}` runs over SSH" if name else ""


def _leader(pid: int | None, processes: Iterable[ProcessSample]) -> ProcessSample | None:
    """The first program of a session, whose pid differs inside.

    A sandbox within that sandbox may use the same pid; the less deep process is ours.
    """
    nearest: tuple[int, ProcessSample] | None = None
    for process in processes:
        if process.pid == process.session:
            numbers = _pids_inside(process.pid)
            is_same = bool(numbers) and numbers[-1] == pid
            if is_same and (nearest is None or len(numbers) < nearest[0]):
                nearest = (len(numbers), process)
    return nearest[1] if nearest else None


def _pids_inside(pid: int) -> list[int]:
    """A process's pids, from our own namespace to its innermost one."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [
        int(field) for line in lines if line.startswith("NSpid:") for field in line.split()[1:]
    ]


def _has_nothing_to_read(pid: int) -> bool:
    try:
        status = os.stat(f"/proc/{pid}/fd/0")
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == DEV_NULL
