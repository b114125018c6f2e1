"""`prism token …`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.parser import nothing
from prism.cli.terminal import say, show_json, show_table
from prism.cli.time_format import days, days_between, here
from prism.client.people import Tokens

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

SCOPES = ("read", "operate", "admin")
HEADS = ("ID", "NAME", "USER", "SCOPE", "PROJECT", "EXPIRES", "LAST USED")


def _create(asked: Namespace) -> None:
    token = daemon().call(
        Tokens.create,
        asked.name,
        user=asked.user or None,
        scope=asked.scope,
        project=asked.project or None,
        days=asked.days,
    )
    if asked.json:
        return show_json(token)
    say(f"A token of {token['user']} until {here(token['expires_at'])}. It is shown this once:")
    print(token["token"])
    if days_between(token["created_at"], token["expires_at"]) < asked.days:
        say(f"note: not {asked.days} days: it ends with the token that made it")
    return None


def _list(asked: Namespace, found: Any) -> None:
    if not found:
        return say("No tokens yet. Make one: `prism token create NAME`")
    rows = [
        (
            token["id"],
            token["name"],
            token["user"],
            token["scope"],
            token["project"],
            here(token["expires_at"]),
            here(token["last_used"]) if token["last_used"] else None,
        )
        for token in found
    ]
    return show_table(HEADS, rows, flexible="NAME")


def _revoke(asked: Namespace, token: Any) -> None:
    print(token["message"])


def _new(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="what it is for, such as `laptop`")
    made.add_argument("--user", metavar="EMAIL", help="the user that it is for (operator only)")
    made.add_argument("--scope", choices=SCOPES, default="operate", help="what it can do")
    made.add_argument("--project", metavar="NAME", help="only for this project")
    made.add_argument(
        "--days", type=days, default=90, metavar="N", help="how many days it is valid: 90 or 90d"
    )


def _one(made: ArgumentParser) -> None:
    made.add_argument("id", metavar="ID", help="the token's id, as `prism token list` shows it")


VERBS = {
    "create": (_new, _create),
    "list": (nothing, lambda asked: daemon().call(Tokens.list), _list),
    "revoke": (_one, lambda asked: daemon().call(Tokens.revoke, asked.id), _revoke),
}
