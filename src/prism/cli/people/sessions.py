"""`prism session …`, `prism login-link` and `prism whoami`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_message
from prism.cli.output.terminal import say, show_records
from prism.cli.output.time_format import last_day, local_time, minutes
from prism.cli.parser import UsageError, no_arguments
from prism.client.people import Sessions
from prism.client.projects import Projects


def _list(args: Namespace, sessions: Any) -> None:
    show_records(
        sessions,
        ("ID", "id"),
        ("USER", "user"),
        ("BROWSER", "browser"),
        ("ADDRESS", "address"),
        ("BY", "method"),
        ("SINCE", lambda session: local_time(session["created_at"])),
        ("LAST USED", lambda session: local_time(session["last_used"])),
        ("ENDS", lambda session: local_time(session["expires_at"])),
        flexible="BROWSER",
        none="No sessions: nobody is logged in",
    )


def _revoke(args: Namespace) -> Any:
    if args.all == bool(args.id):
        raise UsageError("give the id of a session, or --all", "`prism session list` shows ids")
    if args.all:
        return daemon().call(Sessions.end_all, args.user or None)
    if args.user:
        raise UsageError("--user needs --all", "an id names one session, whoever it belongs to")
    return daemon().call(Sessions.end, args.id)


def _revoke_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="as `prism session list` shows it")
    parser.add_argument("--all", action="store_true", help="every session of yours")
    parser.add_argument("--user", metavar="EMAIL", help="with --all: of this user (operator only)")


def _link_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("user", metavar="EMAIL", help="the person who will log in")
    parser.add_argument(
        "--minutes",
        type=minutes,
        default=15,
        metavar="TIME",
        help="how long it is valid, such as 30 or 2h; at most a day",
    )


def _show_link(args: Namespace, link: Any) -> None:
    say(
        f"With this link, {link['user']} can log in once, until {local_time(link['expires_at'])}. "
        "Whoever has it is that person:"
    )
    print(link["url"])


def _myself(args: Namespace) -> Any:
    wire = daemon()
    return {**wire.call(Sessions.me), "daemon": str(wire.address)}


def _show_myself(args: Namespace, me: Any) -> None:
    rights = "the operator of this daemon" if me["operator"] else f"access: {me['scope']}"
    print(f"{me['user']} ({rights}) at {me['daemon']}")
    ends = me.get("until")  # older daemons do not say it
    if not ends:
        return
    names = {project["id"]: project["name"] for project in daemon().call(Projects.list)}
    for id, until in sorted(ends.items(), key=lambda item: item[1]):
        print(f"  {me['roles'][id]} of {names.get(id, id)} until {last_day(until)}")


VERBS = {
    "list": (no_arguments, asking(Sessions.list), _list),
    "revoke": (_revoke_arguments, _revoke, show_message),
    "login-link": (_link_arguments, asking(Sessions.create_link, "user", "minutes"), _show_link),
    "whoami": (no_arguments, _myself, _show_myself),
}
