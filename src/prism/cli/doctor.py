"""`prism doctor`: everything that could be wrong, each with its fix. It starts no daemon."""

from __future__ import annotations

import sys

from prism.cli.terminal import clean, painted, say, show_json
from prism.client.place import Place
from prism.client.wire import Wire
from prism.errors import Conflict

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from prism.cli.checks.world import Finding

MARKS = {"ok": "✓", "warning": "!", "broken": "✗", "skipped": "-"}
PLAIN = {"ok": "ok", "warning": "!", "broken": "X", "skipped": "-"}
COLOURS = {"ok": "green", "warning": "yellow", "broken": "red", "skipped": "dim"}
WIDE = 16


def _doctor(asked: Namespace) -> None:
    found = []
    for one in _there() if asked.daemon else _here():
        found.append(one)
        if not asked.json:
            show(one)
    if asked.json:
        show_json([_as_json(one) for one in found])
    levels = [one.level for one in found]
    if count := levels.count("broken"):
        raise Conflict("One thing is broken" if count == 1 else f"{count} things are broken")
    if not asked.json:
        say(_summary(levels.count("warning")))


def _here() -> Iterator[Finding]:
    """What is found on this computer and in this shell's environment."""
    from prism.cli.checks.rounds import rounds  # noqa: PLC0415  cold start: it looks at everything
    from prism.cli.checks.world import World  # noqa: PLC0415  cold start

    return rounds(World.seen())


def _there() -> Iterator[Finding]:
    """What the daemon finds where it runs, which may be another computer."""
    from prism.cli.checks.world import Finding  # noqa: PLC0415  cold start

    answer = Wire(Place.read()).patient().ask("GET", "/daemon/doctor")
    for it in answer["findings"]:
        yield Finding(it["level"], it["said"], it["fix"] or "", it["check"])


def _arguments(made: ArgumentParser) -> None:
    words = "look where the daemon runs, in its environment, in place of here"
    made.add_argument("--daemon", action="store_true", help=words)


def show(one: Finding) -> None:
    """A line a thing, and the fix below it."""
    utf = "utf" in (sys.stdout.encoding or "").lower()
    mark = painted((MARKS if utf else PLAIN)[one.level], COLOURS[one.level], sys.stdout)
    print(f"{mark} {one.check:<{WIDE}} {clean(one.said)}")
    if one.fix:
        print(f"  {'':<{WIDE}} {painted('fix:', 'cyan', sys.stdout)} {clean(one.fix)}")
    sys.stdout.flush()


def _summary(warnings: int) -> str:
    if not warnings:
        return "All is well"
    return f"It works, with {'a warning' if warnings == 1 else f'{warnings} warnings'}"


def _as_json(one: Finding) -> dict[str, str | None]:
    return {"check": one.check, "level": one.level, "said": one.said, "fix": one.fix or None}


VERBS = {"doctor": (_arguments, _doctor)}
