"""People in a CSV file: a column `email`, and `role`, `message` and `until` where they differ.

Without a heading, the first three are in this order, so a plain list of addresses works too.
The delimiter is a comma, a semicolon (as in countries with a decimal comma) or a tab.
"""

from __future__ import annotations

import csv
import sys

from prism.annotations import Any, Iterable
from prism.cli.output.time_format import last_moment
from prism.cli.parser import UsageError
from prism.cli.people.members import NO_END

KNOWN = ("email", "role", "message", "until")
WITHOUT_HEADING = KNOWN[:3]  # a message may have commas that nobody has quoted
# Other names of these columns, in lower case and without other characters than letters.
ALSO = {
    **dict.fromkeys(("mail", "emailaddress", "mailaddress", "emails", "address"), "email"),
    **dict.fromkeys(("note", "comment", "text"), "message"),
    **dict.fromkeys(("lastday", "memberuntil"), "until"),
}
DELIMITERS = ",;\t"


def guests(file: str) -> list[dict[str, Any]]:
    """The people in the file; raises `UsageError` if it cannot be read."""
    try:
        if file == "-":
            return read(sys.stdin)
        # Spreadsheets write a byte order mark.
        with open(file, encoding="utf-8-sig", newline="") as lines:
            return read(lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read {file}: {error}", "Save it as CSV in UTF-8") from error


def read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The people in these lines."""
    text = [line.removeprefix("\ufeff") for line in lines]
    first = next((line for line in text if line.strip(f"{DELIMITERS} \r\n")), "")
    reader = csv.reader(text, delimiter=_delimiter(first))
    rows = [row for row in reader if any(cell.strip() for cell in row)]
    if not rows:
        raise UsageError("the file has no rows", "Put one address in each line")
    columns = _columns(rows[0])
    if "email" in columns:
        rows = rows[1:]
    elif any("@" in cell for cell in rows[0]):
        columns = {name: index for index, name in enumerate(WITHOUT_HEADING)}
    else:
        raise UsageError(
            "no column is called `email`", "Name the columns email, role, message, until"
        )
    named = ({name: row[at] for name, at in columns.items() if at < len(row)} for row in rows)
    return [_person(row) for row in named]


def _delimiter(first: str) -> str:
    """The delimiter with which a cell is a known heading or an address."""
    for sign in DELIMITERS:
        cells = next(csv.reader([first], delimiter=sign), [])
        if any(_head(cell) == "email" or _is_address(cell) for cell in cells):
            return sign
    return DELIMITERS[0]


def _is_address(cell: str) -> bool:
    return cell.count("@") == 1 and not any(sign in cell.strip() for sign in f"{DELIMITERS} ")


def _columns(cells: list[str]) -> dict[str, int]:
    """The index of each column; its main name takes precedence over its other names."""
    heads = [_letters(cell) for cell in cells]
    columns: dict[str, int] = {}
    for index in sorted(range(len(heads)), key=lambda it: heads[it] not in KNOWN):
        columns.setdefault(_head(cells[index]), index)
    return columns


def _head(cell: str) -> str:
    """The column that a heading names."""
    return ALSO.get(_letters(cell), _letters(cell))


def _letters(cell: str) -> str:
    return "".join(letter for letter in cell.lower() if letter.isalpha())


def _person(row: dict[str, str]) -> dict[str, Any]:
    texts = {name: row.get(name, "").strip() for name in KNOWN}
    texts["role"] = texts["role"].lower()
    person: dict[str, Any] = {
        name: value for name, value in texts.items() if value or name == "email"
    }
    if texts["until"]:
        person["until"] = _end(texts["until"])
    return person


def _end(text: str) -> str | None:
    """An end for the daemon, which refuses only the person whose end is no time."""
    if text.lower() == NO_END:
        return None
    try:
        return last_moment(text)
    except UsageError:
        return text
