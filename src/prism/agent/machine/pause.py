"""Pauses a running machine briefly, so that a copy has all its files as of one moment.

The copy writes a token into `pause` in the machine's folder, and the supervisor writes it into
`paused` when it has frozen the machine's programs. The programs continue when `pause` is removed,
when the machine gets another intent, and after `BOUND` seconds at the latest, even if the copy has
died.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prism.agent.protocol import supervisor_pid
from prism.agent.system.freezer import CannotFreeze, Freezer
from prism.agent.system.processes import send

REQUEST_FILE, ANSWER_FILE = "pause", "paused"
BOUND = 5.0  # seconds that programs are frozen for a copy
PAUSE_TIMEOUT = 3.0  # seconds in which a supervisor has to answer
MAX_FILE_BYTES = 100  # bytes of a token


class Pause:
    """The supervisor's part."""

    def __init__(self, folder: Path, freezer: Callable[[], Freezer]) -> None:
        self._request, self._answer = folder / REQUEST_FILE, folder / ANSWER_FILE
        self._freezer = freezer
        self._token, self._until = "", 0.0  # the last token, and until when it is valid
        self.is_on = False

    def step(self, *, allowed: bool) -> bool:
        """Freeze or continue the programs, as requested; returns whether they are frozen."""
        token = _read(self._request)
        if self.is_on:
            if allowed and token == self._token and time.monotonic() < self._until:
                return True
            self._end()
        elif allowed and token and token != self._token:
            self._begin(token)
        return self.is_on

    def _begin(self, token: str) -> None:
        self._token = token  # each request freezes only once
        try:
            self._freezer().freeze()
        except CannotFreeze:
            return
        self.is_on, self._until = True, time.monotonic() + BOUND
        try:
            self._answer.write_text(token)
        except OSError:  # a full disk: the copy gets no answer
            self._end()

    def _end(self) -> None:
        self._freezer().thaw()
        self.is_on = False
        for path in (self._answer, self._request):
            path.unlink(missing_ok=True)


class PausedTree:
    """The copy's part: pauses machines in a `with` block; its value is whether all are frozen."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._token = f"{os.getpid()}-{os.urandom(8).hex()}"

    def __enter__(self) -> bool:
        with suppress(OSError):
            for folder in self._folders:
                (folder / REQUEST_FILE).write_text(self._token)
                _wake(folder)
            until = time.monotonic() + PAUSE_TIMEOUT
            while time.monotonic() < until:
                if all(_read(folder / ANSWER_FILE) == self._token for folder in self._folders):
                    return True
                time.sleep(0.005)
        return False

    def __exit__(self, *_: object) -> None:
        for folder in self._folders:
            if _read(folder / REQUEST_FILE) == self._token:
                (folder / REQUEST_FILE).unlink(missing_ok=True)


def _wake(folder: Path) -> None:
    """Let the machine's supervisor look for the request now."""
    if pid := supervisor_pid(str(folder)):
        send(signal.SIGUSR1, [pid])


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return ""
