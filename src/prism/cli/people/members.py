"""`prism member …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.terminal import ask, require_terminal, say, show_records
from prism.cli.output.time_format import local_time
from prism.cli.parser import UsageError, project_argument
from prism.client.people import Members
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Invalid

ROLES = ("viewer", "member", "admin", "owner")
LEFTOVERS = ("hand-over", "stop", "keep")


def _list(args: Namespace, members: Any) -> None:
    show_records(
        members,
        ("EMAIL", "email"),
        ("ROLE", "role"),
        ("SINCE", lambda member: local_time(member["join_date"])),
    )


def _say_role(args: Namespace, member: Any) -> None:
    print(f"{member['email']} is {member['role']} now")


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


def _add_arguments(parser: ArgumentParser) -> None:
    _member_arguments(parser)
    parser.add_argument("--role", choices=ROLES, default="member", help="the member's role")


def _role_arguments(parser: ArgumentParser) -> None:
    _member_arguments(parser)
    parser.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))


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
    "add": (_add_arguments, asking(Members.add, "project", "email", "role"), _say_role),
    "role": (_role_arguments, asking(Members.change, "project", "email", "role"), _say_role),
    "remove": (_remove_arguments, _remove, _removed),
}
