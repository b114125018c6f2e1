"""`prism list --watch`: a list that is redrawn in place until Ctrl-C.

It outlives the daemon, and starts none (`StartingWire`).
"""

from __future__ import annotations

import os
import sys
import time

from prism.cli.clean_output import control
from prism.cli.terminal import is_terminal, painted, say
from prism.client.errors import DaemonUnreachable

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from prism.client.wire import Wire

    Found = list[dict[str, Any]]

EVERY = 1.0  # seconds between two looks
HOME, CLEAR, TO_END_OF_LINE, BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
AWAY = "No daemon answers; trying again"


def watch(
    wire: Wire, path: str, show: Callable[[Found], None], lines: Callable[[Found], list[str]]
) -> None:
    """Look again and again: on a terminal redraw, elsewhere show what has changed."""
    look = LiveRows(wire, path)
    if not is_terminal(sys.stdout):
        for found in look:
            if look.changed:
                show(found)
                sys.stdout.flush()
            if look.left:
                say(AWAY)
        return
    sys.stdout.write(control(HIDE + CLEAR, sys.stdout))
    try:
        for found in look:
            _draw(lines(found) + ([painted(AWAY, "red", sys.stdout)] if look.away else []))
    finally:
        sys.stdout.write(control(SHOW, sys.stdout))
        sys.stdout.flush()


class LiveRows:
    """What is there, each time one looks; the last of it while the daemon is away."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire, self._path, self._tag = wire, path, ""
        self._found: Found = []
        self.changed = self.away = self.left = False

    def __iter__(self) -> LiveRows:
        return self

    def __next__(self) -> Found:
        """Look once more, unless it is the first time, after a while."""
        if self._tag or self.away:
            time.sleep(EVERY)
        was_away, self.changed = self.away, False
        try:
            self._look()
            self.away = False
        except DaemonUnreachable:
            if not self._tag:
                raise
            self.away = True
        self.left = self.away and not was_away
        return self._found

    def _look(self) -> None:
        headers = {"If-None-Match": self._tag} if self._tag else {}
        answer = self._wire.send("GET", self._path, headers=headers)
        if answer.status != 304:
            self._found, self._tag = answer.json(), answer.headers.get("etag", "-")
            self.changed = True


def _draw(lines: list[str]) -> None:
    """Put these over what stands there, all at once, as many as there is room for."""
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
