"""`prism token …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_message
from prism.cli.output.terminal import say, show_records
from prism.cli.output.time_format import days, days_between, local_time
from prism.cli.parser import argument, no_arguments
from prism.client.people import Tokens

TOKEN_SCOPES = ("metrics", "read", "operate", "admin")


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
        say(f"note: not {args.days} days: it expires with the token that made it")


def _list(args: Namespace, tokens: Any) -> None:
    show_records(
        tokens,
        ("ID", "id"),
        ("NAME", "name"),
        ("USER", "user"),
        ("SCOPE", "scope"),
        ("PROJECT", "project"),
        ("EXPIRES", lambda token: local_time(token["expires_at"])),
        ("LAST USED", lambda token: token["last_used"] and local_time(token["last_used"])),
        flexible="NAME",
        none="No tokens yet. Make one: `prism token create NAME`",
    )


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is for, such as `laptop`")
    parser.add_argument("--user", metavar="EMAIL", help="the user that it is for (operator only)")
    parser.add_argument(
        "--scope",
        choices=TOKEN_SCOPES,
        default="operate",
        help="what it can do; metrics: nothing but reading /metrics (operator only)",
    )
    parser.add_argument("--project", metavar="NAME", help="only for this project")
    parser.add_argument(
        "--days", type=days, default=90, metavar="N", help="how many days it is valid: 90 or 90d"
    )


_id_argument = argument("id", metavar="ID", help="the token's id, as `prism token list` shows it")


VERBS = {
    "create": (_create_arguments, _create, _show_new),
    "list": (no_arguments, asking(Tokens.list), _list),
    "revoke": (_id_argument, asking(Tokens.revoke, "id"), show_message),
}
