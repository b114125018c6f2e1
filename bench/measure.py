"""Measure Prism on this machine, in one run, and write docs/bench.md: `make bench`.

With names of parts, it runs only those and writes nothing: `python bench/measure.py reads crowd`.
"""

import sys
from collections.abc import Callable
from statistics import median

from aws import aws
from books import books
from commands import commands
from copies import copies
from crowd import crowds
from growth import growth
from gui import gui
from listeners import listeners
from living import REAL, daemon, home
from logged_in import logged_in
from money import charts
from packages import packages
from page import Report
from proxy import proxied
from reads import launched, reads, writes

STARTS = 7


def starts(report: Report) -> None:
    """The daemon, started as people start it."""
    with home() as folder:
        with daemon(folder, REAL) as server:
            first = server.took
        took, spent, rss = [], [], []
        for _ in range(STARTS):
            with daemon(folder, REAL) as server:
                took.append(server.took)
                spent.append(server.spent)
                rss.append(server.rss)
    report.say("daemon, first start in a new home", f"{first:.0f} ms")
    best = f"{min(took):.0f} ms, median {median(took):.0f} ms"
    report.say("daemon, from its start to its first answer", best, "≤ 600 ms", min(took) <= 600)
    report.say("… CPU time of that", f"{min(spent):.0f} ms, median {median(spent):.0f} ms")
    report.say("… memory (RSS)", f"{median(rss):.0f} MiB", "≤ 90 MB", median(rss) <= 90)


def thousand(report: Report) -> None:
    """A daemon with 1,000 workspaces, and the command line."""
    with home() as folder, daemon(folder) as server:
        launched(server.port, range(1000), report)
        reads(server.port, 1000, report)
        commands(server, report)
        listeners(server, report)
        writes(server.port, report)


def ten_thousand(report: Report) -> None:
    """A daemon with ten times as many workspaces as anybody should have."""
    with home() as folder, daemon(folder) as server:
        launched(server.port, range(10_000), report)
        reads(server.port, 10_000, report)
        met = server.rss <= 350
        report.say("memory with 10,000 workspaces", f"{server.rss:.0f} MiB", "≤ 350 MB", met)


PARTS: dict[str, Callable[[Report], None]] = {
    "starts": starts,
    "copies": copies,
    "thousand": thousand,
    "crowds": crowds,
    "logged_in": logged_in,
    "ten_thousand": ten_thousand,
    "proxy": proxied,
    "charts": charts,
    "books": books,
    "aws": aws,
    "gui": gui,
    "growth": growth,
    "packages": packages,
}


def main() -> None:
    report = Report()
    for part in sys.argv[1:] or PARTS:
        PARTS[part](report)
    if not sys.argv[1:]:
        report.write()


if __name__ == "__main__":
    main()
