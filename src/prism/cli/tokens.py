"""`prism token …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.answers import show_message
from prism.cli.connection import daemon
from prism.cli.parser import no_arguments
from prism.cli.terminal import say, show_table
from prism.cli.time_format import days, days_between, local_time
from prism.client.people import Tokens

SCOPES = ("read", "operate", "admin")
HEADS = ("ID", "NAME", "USER", "SCOPE", "PROJECT", "EXPIRES", "LAST USED")


def _create(args: Namespace) -> Any:
    return daemon().call(
        Tokens.create,
        args.name,
        user=args.user or None,
        scope=args.scope,
        project=args.project or None,
        days=args.days,
    )


def _show_new(args: Namespace, token: Any) -> None:
    end = local_time(token["expires_at"])
    say(f"A token for {token['user']}, valid until {end}. It is shown only this once:")
    print(token["token"])
    if days_between(token["created_at"], token["expires_at"]) < args.days:
        say(f"note: not {args.days} days: it ends with the token that made it")


def _list(args: Namespace, tokens: Any) -> None:
    if not tokens:
        return say("No tokens yet. Make one: `prism token create NAME`")
    rows = [
        (
            token["id"],
            token["name"],
            token["user"],
            token["scope"],
            token["project"],
            local_time(token["expires_at"]),
            local_time(token["last_used"]) if token["last_used"] else None,
        )
        for token in tokens
    ]
    return show_table(HEADS, rows, flexible="NAME")


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is for, such as `laptop`")
    parser.add_argument("--user", metavar="EMAIL", help="the user that it is for (operator only)")
    parser.add_argument("--scope", choices=SCOPES, default="operate", help="what it can do")
    parser.add_argument("--project", metavar="NAME", help="only for this project")
    parser.add_argument(
        "--days", type=days, default=90, metavar="N", help="how many days it is valid: 90 or 90d"
    )


def _id_argument(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the token's id, as `prism token list` shows it")


VERBS = {
    "create": (_create_arguments, _create, _show_new),
    "list": (no_arguments, lambda args: daemon().call(Tokens.list), _list),
    "revoke": (_id_argument, lambda args: daemon().call(Tokens.revoke, args.id), show_message),
}
