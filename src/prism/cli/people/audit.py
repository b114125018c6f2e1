"""`prism audit`: who changed what, and the values before."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Callable, Iterator, Namespace
from prism.cli.connection import daemon
from prism.cli.output.clean_output import for_programs
from prism.cli.output.money import in_dollars
from prism.cli.output.terminal import show_json, show_records
from prism.cli.output.time_format import to_the_second
from prism.cli.parser import add_flag
from prism.client.people import AUDIT_PAGE, audit_page

FILTERS = ("actor", "subject", "event", "since", "until")
HEADER_ROWS = 1  # line above the entries of a table


def _audit(args: Namespace) -> None:
    if args.csv:
        return _table(args)
    import json  # noqa: PLC0415  cold start: the table of commands needs none

    entries = [entry for page in _pages(args, "json", json.loads) for entry in page]
    if args.json:
        return show_json(entries)
    return show_records(
        entries,
        ("AT", lambda entry: to_the_second(entry["at"])),
        ("WHO", "actor"),
        ("WHAT", "event"),
        ("OF", "subject"),
        ("BEFORE", lambda entry: _as_text(entry["before"])),
        ("AFTER", lambda entry: _as_text(entry["after"])),
        flexible="AFTER",
        none="No such entries",
    )


def _table(args: Namespace) -> None:
    import csv  # noqa: PLC0415  cold start
    import sys  # noqa: PLC0415  cold start
    from io import StringIO  # noqa: PLC0415  cold start

    csv.field_size_limit(sys.maxsize)  # an entry may be longer than the default limit
    out = csv.writer(for_programs(sys.stdout), lineterminator="\n")
    pages = _pages(args, "csv", lambda text: [*csv.reader(StringIO(text, newline=""))])
    for number, page in enumerate(pages):
        out.writerows(page if number == 0 else page[HEADER_ROWS:])


def _pages(args: Namespace, form: str, read: Callable[[str], list[Any]]) -> Iterator[list[Any]]:
    """The entries, page by page, until there is no next page or the limit is reached.

    A page may be shorter than requested, so the rest is counted from the entries received.
    """
    left, cursor = args.limit, None
    chosen = {name: getattr(args, name) for name in FILTERS}
    while True:
        limit = min(left, AUDIT_PAGE)
        page, cursor = audit_page(daemon(), **chosen, limit=limit, format=form, cursor=cursor)
        entries = read(page.content.decode())
        yield entries
        left -= len(entries) - (HEADER_ROWS if form == "csv" else 0)
        if cursor is None or left <= 0:
            return


def _as_text(values: dict[str, Any] | None) -> str | None:
    if values is None:
        return None
    fields = in_dollars(values).items()
    return " ".join(f"{name}={'-' if value is None else value}" for name, value in fields)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--actor", metavar="WHO", help="only changes by this person")
    parser.add_argument("--subject", metavar="NAME", help="only changes of this object")
    parser.add_argument(
        "--event", metavar="WHAT", help="only this event, such as `member_changed`"
    )
    parser.add_argument("--since", metavar="TIME", help="from this time on, such as 2026-01-31")
    parser.add_argument("--until", metavar="TIME", help="up to this time; a day is included")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="the newest N")
    add_flag(parser, "--csv", help="print CSV")


VERBS = {"audit": (_arguments, _audit)}
