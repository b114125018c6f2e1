"""A progress bar on a terminal; elsewhere one line per stage."""

from __future__ import annotations

import sys
import time

from prism.annotations import Any, Self, TextIO
from prism.cli.output.clean_output import control
from prism.cli.output.terminal import GAP, clean, is_terminal, say, suggest, width
from prism.cli.output.time_format import duration, seconds_until
from prism.cli.workspace.standstill import Standstill, waiting_reason
from prism.client.transport.wire import Wire
from prism.client.waiting import (
    FIRST_POLL_DELAY,
    GROWTH,
    MAX_POLL_DELAY,
    follow,
    is_old,
    judge,
    look,
    stage_of,
)
from prism.lifecycle import UNDER_WAY

CELLS = 24
START_OF_LINE, CLEAR_TO_END = "\r", "\x1b[K"


class Progress:
    """Shows the progress of a workspace on stderr; `command` shows it again."""

    def __init__(self, name: str, command: str, ready_at: str | None = None) -> None:
        self.state = "under way"
        self._name, self._command, self._ready_at = name, command, ready_at
        self._stream = sys.stderr
        self._moving = is_terminal(self._stream)
        self._begun, self._last = time.monotonic(), ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Clear the line; if the user stops waiting, say that the work continues."""
        if self._moving and self._last:
            self._redraw("")
        if kind is KeyboardInterrupt:
            say(f"\nStopped waiting; {self._name} continues ({self.state})")
            suggest(f"See how far it is: `{self._command}`")

    def show(self, seen: dict[str, Any], why: str | None = None) -> None:
        """Show the current stage, and why the location does not answer."""
        stage, percent = stage_of(seen)
        status = clean(stage or seen["state"])
        if why:
            status = f"{status}, waiting: {waiting_reason(why)}"
        if self._moving:
            self._redraw(self._line(percent, status))
        elif status != self._last:
            share = "" if percent is None else f" ({percent}%)"
            self._write(f"{self._name}: {status}{share}\n")
        self._last = status

    def _line(self, percent: int | None, status: str) -> str:
        parts = [] if percent is None else [f"{_bar(percent, self._stream)} {percent:>3}%"]
        line = GAP.join((self._name, *parts, status, self._time()))
        room = width(self._stream)
        return line if room is None else line[: room - 1]  # a wrapped line cannot be redrawn

    def _time(self) -> str:
        passed = time.monotonic() - self._begun
        left = seconds_until(self._ready_at) if self._ready_at else 0.0
        return f"about {duration(left)} left" if left >= 1 else f"{duration(passed)} so far"

    def _redraw(self, line: str) -> None:
        begin, end = (control(code, self._stream) for code in (START_OF_LINE, CLEAR_TO_END))
        self._write(f"{begin}{line}{end}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def wait_with_progress(
    wire: Wire, name: str, goal: str, ready_at: str | None = None, *, silent: bool = False
) -> dict[str, Any]:
    """Wait until a workspace reaches a state, and show the progress; returns the workspace."""
    standstill, workspace = Standstill(wire), dict[str, Any]()
    with Progress(name, f"prism show {name}", ready_at) as progress:
        for workspace in follow(wire, name, goal):
            progress.state = workspace["state"]
            if progress.state not in UNDER_WAY and not is_old(workspace):
                continue
            why = standstill.look(workspace)
            if not silent:
                progress.show(workspace, why)
    return workspace


def wait_for_rollback(
    wire: Wire, name: str, previous: str, *, silent: bool = False
) -> dict[str, Any]:
    """Wait until a rollback has ended; raises if it failed, or the start afterwards did."""
    pause, goal = FIRST_POLL_DELAY, "running" if previous == "running" else ""
    with Progress(name, f"prism show {name}") as progress:
        while (workspace := look(wire, name, goal)).get("rolling_back"):
            progress.state = "being rolled back"
            if not silent:
                progress.show(workspace)
            time.sleep(pause)
            pause = min(pause * GROWTH, MAX_POLL_DELAY)
    failure = workspace.get("failure") or {}
    if failure.get("code") == "ROLLBACK_FAILED":
        judge(workspace, "rolled back")
    return wait_with_progress(wire, name, goal, silent=silent) if goal else workspace


def _bar(percent: int, stream: TextIO) -> str:
    full, empty = ("█", "░") if "utf" in (stream.encoding or "").lower() else ("#", ".")
    cells = CELLS * max(0, min(percent, 100)) // 100
    return full * cells + empty * (CELLS - cells)
