"""`prism clean`."""

from __future__ import annotations

from prism.annotations import Any, Namespace
from prism.cli.connection import daemon
from prism.cli.installation.backup import run_daemon_program
from prism.cli.output.terminal import say, show_records, suggest
from prism.cli.parser import argument
from prism.client.daemon import Daemon
from prism.client.errors import DaemonUnreachable

SIZE_UNITS = ("B", "KiB", "MiB", "GiB")


def _clean(args: Namespace) -> Any:
    try:
        return daemon().call(Daemon.clean, dry_run=args.dry_run)
    except DaemonUnreachable:  # a disk may be too full for it to start
        words = ["--dry-run"] if args.dry_run else []
        return run_daemon_program("cleaning", *words)


def _show(args: Namespace, answer: Any) -> None:
    show_records(
        answer["kinds"],
        ("KIND", "kind"),
        ("ITEMS", "items"),
        ("SIZE", lambda kind: readable_size(kind["bytes"])),
    )
    for kind in answer["kinds"]:
        for why in kind["in_use"]:
            say(f"left alone: {kind['kind']}: {why}")
    would = "would be freed" if answer["dry_run"] else "freed"
    freed, free = readable_size(answer["freed_bytes"]), readable_size(answer["free_bytes"])
    say(f"{freed} {would}; {free} are free now")
    if answer["dry_run"] and answer["freed_bytes"]:
        suggest("Do it: `prism clean`")


def readable_size(size: float) -> str:
    """A number of bytes for people."""
    unit = 0
    while size >= 1024 and unit < len(SIZE_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {SIZE_UNITS[unit]}" if unit else f"{size:.0f} B"


_argument = argument("--dry-run", action="store_true", help="only show how much would be freed")
VERBS = {"clean": (_argument, _clean, _show)}
