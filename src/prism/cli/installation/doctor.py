"""`prism doctor`: finds problems, and prints how to fix each. It starts no daemon."""

from __future__ import annotations

import gc
import os
import sys

from prism.annotations import TYPE_CHECKING, Iterator, Namespace
from prism.cli.output.terminal import clean, coloured, say, show_json
from prism.cli.parser import argument
from prism.client.transport.address import DaemonAddress
from prism.errors import Conflict
from prism.home import environment

if TYPE_CHECKING:
    from prism.cli.checks.context import Finding
    from prism.cli.checks.trials import ForkedTrial

UNICODE_MARKS = {"ok": "✓", "warning": "!", "broken": "✗", "skipped": "-"}
ASCII_MARKS = {"ok": "ok", "warning": "!", "broken": "X", "skipped": "-"}
COLOURS = {"ok": "green", "warning": "yellow", "broken": "red", "skipped": "dim"}
WIDE, NEEDLESS = 16, "typing_extensions"


def _doctor(args: Namespace) -> None:
    gc.disable()  # the process ends soon, so collecting garbage costs more than it frees
    findings = []
    for finding in _daemon_findings() if args.daemon else here():
        findings.append(finding)
        if not args.json:
            show(finding)
    if args.json:
        show_json([as_json(finding) for finding in findings])
    levels = [finding.level for finding in findings]
    if count := levels.count("broken"):
        raise Conflict("One check failed" if count == 1 else f"{count} checks failed")
    if not args.json:
        say(_summary(levels.count("warning")))


def here() -> Iterator[Finding]:
    """The findings on this computer and in this shell's environment."""
    known = environment(os.environ)
    trials: dict[str, ForkedTrial] = {}
    if not (address := DaemonAddress.read(known)).url:
        from prism.cli.checks.trials import start_trials  # noqa: PLC0415  cold start: before all others

        trials = start_trials(address.home, known)
    # Without it msgspec uses `typing`, and is imported in half of the time.
    extensions = sys.modules.setdefault(NEEDLESS, None)  # type: ignore[arg-type]
    from prism.cli.checks.context import CheckContext  # noqa: PLC0415  cold start
    from prism.cli.checks.rounds import run_checks  # noqa: PLC0415  cold start: it looks at everything

    if extensions is None:
        del sys.modules[NEEDLESS]
    return run_checks(CheckContext.seen(known, trial=lambda check: trials[check].result()))


def _daemon_findings() -> Iterator[Finding]:
    """The findings of the daemon on its computer, which may be another one."""
    from prism.cli.checks.context import Finding  # noqa: PLC0415  cold start
    from prism.client.daemon import Daemon  # noqa: PLC0415  cold start: after the trials
    from prism.client.transport.wire import Wire  # noqa: PLC0415  cold start: the same

    answer = Wire(DaemonAddress.read()).call(Daemon.doctor)
    for finding in answer["findings"]:
        yield Finding(finding["level"], finding["said"], finding["fix"] or "", finding["check"])


def show(finding: Finding) -> None:
    """Print a finding in one line, and the fix below it."""
    utf = "utf" in (sys.stdout.encoding or "").lower()
    mark = coloured(
        (UNICODE_MARKS if utf else ASCII_MARKS)[finding.level], COLOURS[finding.level], sys.stdout
    )
    print(f"{mark} {finding.check:<{WIDE}} {clean(finding.message)}")
    if finding.fix:
        print(f"  {'':<{WIDE}} {coloured('fix:', 'cyan', sys.stdout)} {clean(finding.fix)}")
    sys.stdout.flush()


def _summary(warnings: int) -> str:
    if not warnings:
        return "All is well"
    return f"Prism works, with {'a warning' if warnings == 1 else f'{warnings} warnings'}"


def as_json(finding: Finding) -> dict[str, str | None]:
    """A finding for programs."""
    return {
        "check": finding.check,
        "level": finding.level,
        "said": finding.message,
        "fix": finding.fix or None,
    }


_argument = argument(
    "--daemon", action="store_true", help="check the computer and the environment of the daemon"
)
VERBS = {"doctor": (_argument, _doctor)}
