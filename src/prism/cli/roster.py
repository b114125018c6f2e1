"""People in a CSV file: a column `email`, and `role` and `message` where they differ.

A file of one column without a heading is a list of addresses.
"""

from __future__ import annotations

import csv
import sys

from prism.cli.words import Usage

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

KNOWN = ("email", "role", "message")


def guests(file: str) -> list[dict[str, str]]:
    """Who is in the file; raises where that cannot be read."""
    try:
        if file == "-":
            return read(sys.stdin)
        # A spreadsheet puts a mark before the first letter.
        with open(file, encoding="utf-8-sig", newline="") as lines:
            return read(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Usage(f"cannot read {file}: {error}", "Save it as CSV in UTF-8") from error


def read(lines: Iterable[str]) -> list[dict[str, str]]:
    """Who is in these lines."""
    rows = [row for row in csv.reader(lines) if any(cell.strip() for cell in row)]
    if not rows:
        raise Usage("nobody is in the file", "Put one address in each line")
    heads = [cell.strip().lower() for cell in rows[0]]
    if "email" in heads:
        rows = rows[1:]
    elif any("@" in cell for cell in rows[0]):
        heads = list(KNOWN)
    else:
        raise Usage("no column is called `email`", "Name the columns email, role, message")
    return [_guest(dict(zip(heads, row, strict=False))) for row in rows]


def _guest(row: dict[str, str]) -> dict[str, str]:
    given = {name: row.get(name, "").strip() for name in KNOWN}
    given["role"] = given["role"].lower()
    return {name: value for name, value in given.items() if value or name == "email"}
