"""`prism member …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.terminal import ask, require_terminal, say, show_records
from prism.cli.output.time_format import last_day, last_moment, local_time
from prism.cli.parser import UsageError, given, project_argument
from prism.client.people import Members
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Invalid

DAY_HELP = "the last day: 2027-03-31, or a time such as 2027-03-31T18:00"
NO_END = "never"
ROLES = ("viewer", "member", "admin", "owner")
LEFTOVERS = ("hand-over", "stop", "keep")


def _list(args: Namespace, members: Any) -> None:
    show_records(
        members,
        ("EMAIL", "email"),
        ("ROLE", "role"),
        ("SINCE", lambda member: local_time(member["join_date"])),
        ("UNTIL", _until),
        ("THEN", _consequence),
    )


def _until(member: dict[str, Any]) -> str:
    """The last day of a membership in the zone of this computer, or the time on it."""
    return last_day(member["until"]) if member.get("until") else ""


def _consequence(member: dict[str, Any]) -> str:
    """What happens to the workspaces at the end."""
    if member.get("at_end") == "hand_over":
        return f"{member['to']} gets the workspaces"
    return {"stop": "workspaces stop", "keep": "workspaces stay as they are"}.get(
        str(member.get("at_end")), ""
    )


def _say_role(args: Namespace, member: Any) -> None:
    print(f"{member['email']} is {member['role']} now")
    if member.get("until"):
        say(f"Until {_until(member)}, then: {_consequence(member)}")


def _say_end(args: Namespace, member: Any) -> None:
    if not member["until"]:
        return print(f"{member['email']} stays {member['role']} without an end")
    print(f"{member['email']} is {member['role']} until {_until(member)}")
    return say(f"Then: {_consequence(member)}. Prism tells them before")


def end_options(args: Namespace) -> dict[str, Any]:
    """The arguments of the client for the end of a membership, as far as they were given."""
    options = given(args, "until", "at_end", "to")
    if args.until == NO_END:
        options["until"] = None
    if args.at_end is not None:
        options["at_end"] = args.at_end.replace("-", "_")
    return options


def _add(args: Namespace) -> Any:
    options = end_options(args)
    return daemon().call(Members.add, args.project, args.email, args.role, **options)


def _give_role(args: Namespace) -> Any:
    return daemon().call(Members.change, args.project, args.email, args.role, **end_options(args))


def _set_end(args: Namespace) -> Any:
    return daemon().call(Members.change, args.project, args.email, **end_options(args))


def _end(text: str) -> str:
    """The end of a membership, for argparse."""
    return text if text == NO_END else last_moment(text)


def _remove(args: Namespace) -> Any:
    if args.to is not None and args.workspaces != "hand-over":
        raise UsageError("--to needs --workspaces hand-over", "See `prism member remove --help`")
    wire = daemon()
    action = args.workspaces or _choose_leftovers(args, wire)
    action = action.replace("-", "_")
    return wire.call(Members.remove, args.project, args.email, workspaces=action, to=args.to)


def _removed(args: Namespace, answer: Any) -> None:
    print(f"{args.email} was removed")
    for workspace in answer["workspaces"]:
        print(f"  {workspace['name']} is {workspace['owner']}'s, {workspace['state']}")
    if answer["tokens_revoked"]:
        print(f"  {answer['tokens_revoked']} tokens for only this project were revoked")


def _choose_leftovers(args: Namespace, wire: Wire) -> str:
    """Ask what happens to the member's workspaces, if there are any."""
    workspaces = wire.call(Workspaces.list, project=args.project, owner=args.email)
    names = [
        workspace["name"]
        for workspace in workspaces
        if workspace["state"] not in {"terminating", "terminated"}
    ]
    if not names or args.yes:
        return "keep"
    message = f"{args.email} has workspaces in this project: {', '.join(names)}"
    require_terminal(
        "Nobody was removed",
        "Add `--workspaces hand-over` (with `--to EMAIL` for another than you), "
        "`--workspaces stop` or `--workspaces keep`",
        f"{message}; choose what happens to them",
    )
    say(f"{message}\nHand them over to you, stop them, or keep them as they are?")
    if (answer := ask(f"Type one of {', '.join(LEFTOVERS)}: ")) not in LEFTOVERS:
        raise Invalid("Nobody was removed", details=f"that was none of {', '.join(LEFTOVERS)}")
    return answer


def _member_arguments(parser: ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("email", metavar="EMAIL", help="a mail address")


def end_arguments(parser: ArgumentParser) -> None:
    """Add the options for the end of a membership."""
    parser.add_argument("--until", type=_end, metavar="DATE", help=f"{DAY_HELP}; or never")
    _consequence_arguments(parser)


def _consequence_arguments(parser: ArgumentParser) -> None:
    """Add the options for what happens at the end of a membership."""
    parser.add_argument(
        "--at-end",
        choices=LEFTOVERS,
        help="what happens to their workspaces then (default: stop, with all files kept)",
    )
    parser.add_argument(
        "--to", metavar="EMAIL", help="who gets them with hand-over (default: you)"
    )


def _add_arguments(parser: ArgumentParser) -> None:
    _member_arguments(parser)
    parser.add_argument("--role", choices=ROLES, default="member", help="the member's role")
    end_arguments(parser)


def _until_arguments(parser: ArgumentParser) -> None:
    _member_arguments(parser)
    parser.add_argument("until", type=_end, metavar="DATE", help=f"{DAY_HELP}; or never")
    _consequence_arguments(parser)


def _role_arguments(parser: ArgumentParser) -> None:
    _member_arguments(parser)
    parser.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
    end_arguments(parser)


def _remove_arguments(parser: ArgumentParser) -> None:
    _member_arguments(parser)
    parser.add_argument(
        "--workspaces", choices=LEFTOVERS, help="what happens to their workspaces in the project"
    )
    parser.add_argument(
        "--to", metavar="EMAIL", help="the new owner with hand-over (default: you)"
    )


VERBS = {
    "list": (project_argument, asking(Members.list, "project"), _list),
    "add": (_add_arguments, _add, _say_role),
    "role": (_role_arguments, _give_role, _say_role),
    "until": (_until_arguments, _set_end, _say_end),
    "remove": (_remove_arguments, _remove, _removed),
}
