"""`prism list --watch`: a list that is redrawn in place until Ctrl-C.

If the daemon stops, it keeps trying and does not start another one (`StartingWire`).
"""

from __future__ import annotations

import os
import sys
import time

from prism.annotations import TYPE_CHECKING, Any, Callable
from prism.cli.clean_output import control
from prism.cli.terminal import coloured, is_terminal, say
from prism.client.errors import DaemonUnreachable
from prism.client.wire import Wire

if TYPE_CHECKING:
    Rows = list[dict[str, Any]]

EVERY = 1.0  # seconds between two looks
HOME, CLEAR, TO_END_OF_LINE, BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
AWAY = "No daemon answers; trying again"


def watch(
    wire: Wire, path: str, show: Callable[[Rows], None], lines: Callable[[Rows], list[str]]
) -> None:
    """Fetch the list again and again: redraw it on a terminal, else print each change."""
    live_rows = LiveRows(wire, path)
    if not is_terminal(sys.stdout):
        for rows in live_rows:
            if live_rows.changed:
                show(rows)
                sys.stdout.flush()
            if live_rows.left:
                say(AWAY)
        return
    sys.stdout.write(control(HIDE + CLEAR, sys.stdout))
    try:
        for rows in live_rows:
            _draw(lines(rows) + ([coloured(AWAY, "red", sys.stdout)] if live_rows.away else []))
    finally:
        sys.stdout.write(control(SHOW, sys.stdout))
        sys.stdout.flush()


class LiveRows:
    """Iterates over fetched lists; repeats the last one while the daemon is away."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire, self._path, self._tag = wire, path, ""
        self._rows: Rows = []
        self.changed = self.away = self.left = False

    def __iter__(self) -> LiveRows:
        return self

    def __next__(self) -> Rows:
        """Wait, except before the first time, and fetch the list."""
        if self._tag or self.away:
            time.sleep(EVERY)
        was_away, self.changed = self.away, False
        try:
            self._fetch()
            self.away = False
        except DaemonUnreachable:
            if not self._tag:
                raise
            self.away = True
        self.left = self.away and not was_away
        return self._rows

    def _fetch(self) -> None:
        headers = {"If-None-Match": self._tag} if self._tag else {}
        answer = self._wire.send("GET", self._path, headers=headers)
        if answer.status != 304:
            self._rows, self._tag = answer.json(), answer.headers.get("etag", "-")
            self.changed = True


def _draw(lines: list[str]) -> None:
    """Redraw the screen with these lines, as many as fit."""
    try:
        room = os.get_terminal_size(sys.stdout.fileno()).lines - 1
    except OSError:
        room = len(lines)
    if len(lines) > room > 1:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} more"]
    home, end, below = (control(code, sys.stdout) for code in (HOME, TO_END_OF_LINE, BELOW))
    text = "".join(f"{line}{end}\n" for line in lines)
    sys.stdout.write(f"{home}{text}{below}")
    sys.stdout.flush()
