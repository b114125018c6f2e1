"""Prints tables for people and JSON for programs; colours only on a terminal."""

from __future__ import annotations

import json
import os
import sys

from prism.annotations import Any, Callable, Mapping, Namespace, Sequence, TextIO
from prism.cli.output.clean_output import control, escaped
from prism.cli.output.failure_text import brief
from prism.errors import Invalid

COLOURS = {"red": "31;1", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
GAP = "  "
VERBOSE: list[str] = []  # not empty with `--verbose`: failures are printed in full
NARROWEST = 8  # characters, the least width of a column


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, unless NO_COLOR is set (https://no-color.org)."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    begin, end = (control(f"\x1b[{code}m", stream) for code in (COLOURS[colour], "0"))
    return f"{begin}{text}{end}"


def width(stream: TextIO) -> int | None:
    """The width of the terminal; `None` if there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def clean(value: object) -> str:
    """A value as one line without control characters, which could drive the terminal."""
    text = "-" if value is None else str(value) or "-"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def cells_of(
    heads: Sequence[str], rows: Sequence[Sequence[object]], flexible: str = ""
) -> tuple[list[list[str]], list[int]]:
    """A table's cells and column widths; a narrow terminal shortens the `flexible` column."""
    cells = [list(heads), *([clean(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = width(sys.stdout) if flexible else None
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - room if room else 0
    if excess > 0:
        at = heads.index(flexible)
        widths[at] = max(min(widths[at], NARROWEST), widths[at] - excess)
        for line in cells:
            line[at] = _cut(line[at], widths[at])
    return cells, widths


def show_table(heads: Sequence[str], rows: Sequence[Sequence[object]], flexible: str = "") -> None:
    """Print a table."""
    cells, widths = cells_of(heads, rows, flexible)
    form = GAP.join(f"%-{wide}s" for wide in widths)
    print("\n".join([(form % tuple(line)).rstrip() for line in cells]))


def show_columns(columns: Mapping[str, Sequence[object]], flexible: str = "") -> None:
    """Print a table of columns of equal length, each under its head."""
    show_table(tuple(columns), list(zip(*columns.values(), strict=True)), flexible)


def show_records(
    records: Sequence[Any],
    *columns: tuple[str, str | Callable[[Any], object]],
    flexible: str = "",
    none: str = "",
) -> None:
    """Print a table with a row for each record, or say `none` if there are none.

    A column is its head, and a field, which may be missing, or a function of the record.
    """
    if none and not records:
        return say(none)
    rows = [
        [record.get(value) if isinstance(value, str) else value(record) for _, value in columns]
        for record in records
    ]
    return show_table([head for head, _ in columns], rows, flexible)


def show_fields(fields: Mapping[str, object]) -> None:
    """Print one object, one line per field."""
    wide = max(map(len, fields))
    print("\n".join(f"{name:<{wide}}{GAP}{clean(value)}" for name, value in fields.items()))


def show_json(answer: Any) -> None:
    """Print an answer as JSON; a list has one item per line."""
    if isinstance(answer, list) and answer:
        encoded = json.JSONEncoder(ensure_ascii=False).encode
        print("[\n" + ",\n".join([escaped(encoded(item)) for item in answer]) + "\n]")
    else:
        print(escaped(json.dumps(answer, indent=2, ensure_ascii=False)))


def say(text: str) -> None:
    """Print a message that is not part of the output, to stderr."""
    print(text, file=sys.stderr, flush=True)


def complain(message: str, details: str = "", hint: str = "") -> None:
    """Print `error: …` and `hint: …`, shortened unless `--verbose` was given."""
    if not VERBOSE:
        message, details, hint = brief(message, details, hint)
    lines = [f"{coloured('error:', 'red', sys.stderr)} {message}"]
    if details and details != message:
        lines.append(f"  {details}")
    if hint:
        lines.append(_hint(hint))
    say("\n".join(lines))


def suggest(hint: str) -> None:
    """Print only `hint: …`."""
    say(_hint(hint))


def ask(question: str) -> str:
    """Print a question; returns the typed answer."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def require_terminal(
    unchanged: str, hint: str, details: str = "there is no terminal to ask on"
) -> None:
    """Raise if nobody can be asked."""
    if not sys.stdin.isatty():
        raise Invalid(unchanged, details=details, remediation=hint)


def confirm(args: Namespace, subject: str, name: str, command: str) -> None:
    """Ask for the name of the object to destroy, unless `--yes`; raises unless it is typed."""
    if args.yes:
        return
    hint = f"To destroy it without this question: `{command}`"
    require_terminal("Nothing was destroyed", hint)
    if ask(f"This destroys {subject}. Type its name to go on: ") != name:
        raise Invalid(
            "Nothing was destroyed", details="the answer was not its name", remediation=hint
        )


def _hint(hint: str) -> str:
    return f"{coloured('hint:', 'cyan', sys.stderr)} {hint}"


def _cut(text: str, wide: int) -> str:
    return text if len(text) <= wide else text[: wide - 1] + "…"
