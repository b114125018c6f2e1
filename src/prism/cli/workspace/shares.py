"""`prism share`, `prism shares` and `prism unshare`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_message
from prism.cli.output.terminal import say, show_records, suggest
from prism.cli.output.time_format import last_moment, local_time
from prism.cli.parser import argument, no_arguments
from prism.client.sharing import Shares


def _share_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a workspace of yours")
    shared = parser.add_mutually_exclusive_group(required=True)
    shared.add_argument("--app", metavar="SERVICE", help="a service of its template, as jupyter")
    shared.add_argument(
        "--terminal", action="store_true", help="what your terminal in the web GUI shows"
    )
    parser.add_argument(
        "--with",
        dest="guest",
        required=True,
        metavar="WHO",
        help="an address, project:NAME, or everybody",
    )
    parser.add_argument(
        "--until",
        type=last_moment,
        required=True,
        metavar="DATE",
        help="when it ends: a day, or a time such as 2027-12-31T18:00",
    )
    parser.add_argument(
        "--may-wake", action="store_true", help="they may start it, which its project pays for"
    )


def _share(args: Namespace) -> Any:
    return daemon().call(
        Shares.create,
        args.name,
        app=args.app,
        terminal=args.terminal,
        guest=args.guest,
        until=args.until,
        may_wake=args.may_wake,
    )


def _show_new(args: Namespace, share: Any) -> None:
    print(f"{share['id']}: {_thing(share)} of {share['name']} is shared with {_guest(share)}")
    say(f"It ends at {local_time(share['until'])}, or with `prism unshare {share['id']}`")
    if share["app"]:
        say(
            "Whoever uses an app that runs code, such as JupyterLab, can do there what you can: "
            "read and change its files, and run programs"
        )
    else:
        say("They see what you type in the terminal of the web GUI, and can type nothing")


def _thing(share: dict[str, Any]) -> str:
    return str(share["app"] or "the terminal")


def _guest(share: dict[str, Any]) -> str:
    if share["audience"] == "project":
        return f"project {share['guest']}"
    return str(share["guest"] or "everybody")


def _list(args: Namespace, answer: Any) -> None:
    own, received = answer["given"], answer["received"]
    if not own and not received:
        say("You share nothing, and nothing is shared with you")
        return suggest("See how to share: `prism share --help`")
    rows = [{**share, "direction": "by you"} for share in own]
    rows += [{**share, "direction": f"by {share['owner']}"} for share in received]
    return show_records(
        rows,
        ("ID", "id"),
        ("SHARED", "direction"),
        ("WORKSPACE", "name"),
        ("WHAT", _thing),
        ("WITH", _guest),
        ("UNTIL", lambda share: local_time(share["until"])),
        ("STATE", "state"),
        ("MAY WAKE", lambda share: "yes" if share["may_wake"] else "no"),
        flexible="WITH",
        none="",
    )


_id_argument = argument("id", metavar="ID", help="as `prism shares` shows it")


VERBS = {
    "share": (_share_arguments, _share, _show_new),
    "shares": (no_arguments, asking(Shares.mine), _list),
    "unshare": (_id_argument, asking(Shares.end, "id"), show_message),
}
