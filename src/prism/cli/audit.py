"""`prism audit`: who did what, and what it was before."""

from __future__ import annotations

from prism.cli.link import daemon
from prism.cli.moments import to_the_second
from prism.cli.terminal import say, show_json, show_table
from prism.client.wire import API, query

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from typing import Any

HEADS = ("AT", "WHO", "WHAT", "OF", "BEFORE", "AFTER")
FILTERS = ("actor", "subject", "event", "since", "until")
PAGE = 1000


def _audit(asked: Namespace) -> None:
    if asked.csv:
        for number, page in enumerate(_pages(asked, "csv")):
            text = page.decode()
            print(text if number == 0 else text.partition("\n")[2], end="")
        return None
    import json  # noqa: PLC0415  cold start: the table of commands needs none

    found = [entry for page in _pages(asked, "json") for entry in json.loads(page)]
    if asked.json:
        return show_json(found)
    if not found:
        return say("Nothing of that kind was done")
    return show_table(HEADS, [_row(it) for it in found], flexible="AFTER")


def _pages(asked: Namespace, form: str) -> Iterator[bytes]:
    """The answers, page by page, until there is no next one or enough."""
    wire, left = daemon(), asked.limit
    chosen = {name: getattr(asked, name) for name in FILTERS}
    path = f"/audit{query(**chosen, limit=min(left, PAGE), format=form)}"
    while path:
        answer = wire.send("GET", path)
        yield answer.content
        left -= PAGE
        link = answer.headers.get("link", "")
        path = link.partition("<")[2].partition(">")[0].removeprefix(API) if left > 0 else ""


def _row(it: dict[str, Any]) -> tuple[object, ...]:
    at = to_the_second(it["at"])
    return (at, it["actor"], it["event"], it["subject"], _said(it["before"]), _said(it["after"]))


def _said(values: dict[str, Any] | None) -> str | None:
    if values is None:
        return None
    return " ".join(f"{name}={'-' if it is None else it}" for name, it in values.items())


def _arguments(made: ArgumentParser) -> None:
    made.add_argument("--actor", metavar="WHO", help="only what they did")
    made.add_argument("--subject", metavar="NAME", help="only what was done to this")
    made.add_argument("--event", metavar="WHAT", help="only this, as `member_changed`")
    made.add_argument("--since", metavar="TIME", help="from then on, as 2026-01-31")
    made.add_argument("--until", metavar="TIME", help="before then")
    made.add_argument("--limit", type=int, default=100, metavar="N", help="the newest N")
    made.add_argument("--csv", action="store_true", help="print a table for spreadsheets")


VERBS = {"audit": (_arguments, _audit)}
