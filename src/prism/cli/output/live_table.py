"""`prism list --watch`: a list that is redrawn in place until Ctrl-C.

If the daemon stops, it keeps trying and does not start another one (`StartingWire`).
"""

from __future__ import annotations

import os
import sys
import time

from prism.annotations import TYPE_CHECKING, Any, Callable, Iterator
from prism.cli.output.clean_output import control
from prism.cli.output.terminal import coloured, is_terminal, say
from prism.client.errors import DaemonUnreachable
from prism.client.transport.wire import Wire

if TYPE_CHECKING:
    Rows = list[dict[str, Any]]

REFRESH_SECONDS = 1.0  # seconds between two requests
HOME, CLEAR, TO_END_OF_LINE, BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
NO_DAEMON = "No daemon answers; trying again"


def watch(
    wire: Wire, path: str, show: Callable[[Rows], None], lines: Callable[[Rows], list[str]]
) -> None:
    """Fetch the list repeatedly: redraw it on a terminal, else print each change."""
    if not is_terminal(sys.stdout):
        last, was_away = None, False
        for rows, is_away in _fetched(wire, path):
            if rows is not last:
                show(rows)
                sys.stdout.flush()
            if is_away and not was_away:
                say(NO_DAEMON)
            last, was_away = rows, is_away
        return
    sys.stdout.write(control(HIDE + CLEAR, sys.stdout))
    try:
        for rows, is_away in _fetched(wire, path):
            _draw(lines(rows) + ([coloured(NO_DAEMON, "red", sys.stdout)] if is_away else []))
    finally:
        sys.stdout.write(control(SHOW, sys.stdout))
        sys.stdout.flush()


def _fetched(wire: Wire, path: str) -> Iterator[tuple[Rows, bool]]:
    """The list, repeatedly, and whether the daemon is away; then the last one once more."""
    rows, tag = list[Any](), ""
    while True:
        is_away = False
        try:
            answer = wire.send("GET", path, headers={"If-None-Match": tag} if tag else {})
            if answer.status != 304:
                rows, tag = answer.json(), answer.headers.get("etag", "-")
        except DaemonUnreachable:
            if not tag:
                raise
            is_away = True
        yield rows, is_away
        time.sleep(REFRESH_SECONDS)


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
