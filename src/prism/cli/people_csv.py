"""People in a CSV file: a column `email`, and `role` and `message` where they differ.

A file without a heading has them in this order; so one of one column is a list of addresses. The
cells are parted by commas, semicolons (as spreadsheets do where the comma is in numbers) or tabs.
"""

from __future__ import annotations

import csv
import sys

from prism.cli.parser import UsageError

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

KNOWN = ("email", "role", "message")
# What people call these columns, in small letters and without anything else.
ALSO = {
    **dict.fromkeys(("mail", "emailaddress", "mailaddress", "emails", "address"), "email"),
    **dict.fromkeys(("note", "comment", "text"), "message"),
}
PARTED_BY = ",;\t"


def guests(file: str) -> list[dict[str, str]]:
    """Who is in the file; raises where that cannot be read."""
    try:
        if file == "-":
            return read(sys.stdin)
        # A spreadsheet puts a mark before the first letter.
        with open(file, encoding="utf-8-sig", newline="") as lines:
            return read(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read {file}: {error}", "Save it as CSV in UTF-8") from error


def read(lines: Iterable[str]) -> list[dict[str, str]]:
    """Who is in these lines."""
    text = [line.removeprefix("\ufeff") for line in lines]
    first = next((line for line in text if line.strip(f"{PARTED_BY} \r\n")), "")
    found = csv.reader(text, delimiter=_parted_by(first))
    rows = [row for row in found if any(cell.strip() for cell in row)]
    if not rows:
        raise UsageError("the file has no rows", "Put one address in each line")
    columns = _columns(rows[0])
    if "email" in columns:
        rows = rows[1:]
    elif any("@" in cell for cell in rows[0]):
        columns = {name: place for place, name in enumerate(KNOWN)}
    else:
        raise UsageError("no column is called `email`", "Name the columns email, role, message")
    named = ({name: row[at] for name, at in columns.items() if at < len(row)} for row in rows)
    return [_guest(row) for row in named]


def _parted_by(first: str) -> str:
    """What parts the cells: that which leaves a heading we know, or an address, by itself."""
    for sign in PARTED_BY:
        cells = next(csv.reader([first], delimiter=sign), [])
        if any(_head(cell) == "email" or _is_address(cell) for cell in cells):
            return sign
    return PARTED_BY[0]


def _is_address(cell: str) -> bool:
    return cell.count("@") == 1 and not any(sign in cell.strip() for sign in f"{PARTED_BY} ")


def _columns(cells: list[str]) -> dict[str, int]:
    """Where each column is: under our own name, else under the first other that means it."""
    heads = [_plain(cell) for cell in cells]
    found: dict[str, int] = {}
    for place in sorted(range(len(heads)), key=lambda it: heads[it] not in KNOWN):
        found.setdefault(_head(cells[place]), place)
    return found


def _head(cell: str) -> str:
    """A heading, by the name we have for it."""
    return ALSO.get(_plain(cell), _plain(cell))


def _plain(cell: str) -> str:
    return "".join(letter for letter in cell.lower() if letter.isalpha())


def _guest(row: dict[str, str]) -> dict[str, str]:
    given = {name: row.get(name, "").strip() for name in KNOWN}
    given["role"] = given["role"].lower()
    return {name: value for name, value in given.items() if value or name == "email"}
