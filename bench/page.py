"""The report: prints each measurement with its target, and writes them into the page."""

import os
import platform
import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prism import __version__

PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
TABLE = re.compile(r"(<!-- measured -->\n).*(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    label: str
    value: str
    aim: str = ""
    met: bool | None = None


class Report:
    """Every row of a run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def say(self, label: str, value: str, aim: str = "", met: bool | None = None) -> None:
        """Add a row and print it; `aim` is the target, if there is one."""
        self.rows.append(Row(label, value, aim, met))
        mark = {True: "✓", False: "✗", None: " "}[met]
        print(f"{mark} {label:<70} {value}{f'   (aim {aim})' if aim else ''}", flush=True)

    def write(self) -> None:
        """Put the table into the page, between its marks; the words around it stay."""
        lines = [self._about(), "", "| | measured | aim | |", "|---|---|---|---|"]
        for row in self.rows:
            mark = {True: "✓", False: "✗ missed", None: ""}[row.met]
            lines.append(f"| {row.label} | {row.value} | {row.aim} | {mark} |")
        table = "\n".join(lines)
        PAGE.write_text(TABLE.sub(lambda it: f"{it[1]}{table}\n{it[2]}", PAGE.read_text()))

    def _about(self) -> str:
        busy = os.getloadavg()[2]
        return (
            f"Prism {__version__}, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
            f"{platform.system()} on {platform.machine()}, "
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"SQLite {sqlite3.sqlite_version} (WAL, synchronous=FULL). The average load of the "
            f"last 15 minutes was {busy:.1f}, which includes the benchmarks."
        )
