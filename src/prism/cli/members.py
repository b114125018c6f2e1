"""`prism member …`."""

from __future__ import annotations

import sys

from prism.cli.connection import daemon
from prism.cli.parser import UsageError, of_project
from prism.cli.terminal import show_json, show_table
from prism.cli.time_format import here
from prism.client.people import Members
from prism.client.workspaces import Workspaces
from prism.errors import Invalid

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from prism.client.wire import Wire

ROLES = ("viewer", "member", "admin", "owner")
LEFTOVERS = ("hand-over", "stop", "keep")
HEADS = ("EMAIL", "ROLE", "SINCE")


def _list(asked: Namespace, found: Any) -> None:
    return show_table(
        HEADS, [(member["email"], member["role"], here(member["join_date"])) for member in found]
    )


def _add(asked: Namespace) -> Any:
    return daemon().call(Members.add, asked.project, asked.email, asked.role)


def _role(asked: Namespace) -> Any:
    return daemon().call(Members.change, asked.project, asked.email, asked.role)


def _say_role(asked: Namespace, member: Any) -> None:
    print(f"{member['email']} is {member['role']} now")


def _remove(asked: Namespace) -> None:
    if asked.to is not None and asked.workspaces != "hand-over":
        raise UsageError("--to needs --workspaces hand-over", "See `prism member remove --help`")
    wire = daemon()
    what = asked.workspaces or _what_to_do(asked, wire)
    what = what.replace("-", "_")
    answer = wire.call(Members.remove, asked.project, asked.email, workspaces=what, to=asked.to)
    if asked.json:
        return show_json(answer)
    print(f"{asked.email} was removed")
    for workspace in answer["workspaces"]:
        print(f"  {workspace['name']} is {workspace['owner']}'s, {workspace['state']}")
    if answer["tokens_revoked"]:
        print(f"  {answer['tokens_revoked']} tokens for only this project were revoked")
    return None


def _what_to_do(asked: Namespace, wire: Wire) -> str:
    """Ask what becomes of the workspaces; nothing is asked where there are none."""
    found = wire.call(Workspaces.list, project=asked.project, owner=asked.email)
    names = [
        workspace["name"]
        for workspace in found
        if workspace["state"] not in {"terminating", "terminated"}
    ]
    if not names or asked.yes:
        return "keep"
    has = f"{asked.email} has workspaces in this project: {', '.join(names)}"
    if not sys.stdin.isatty():
        raise Invalid(
            "Nobody was removed",
            details=f"{has}; choose what happens to them",
            remediation="Add `--workspaces hand-over` (with `--to EMAIL` for another than you), "
            "`--workspaces stop` or `--workspaces keep`",
        )
    sys.stderr.write(f"{has}\nHand them over to you, stop them, or keep them as they are?\n")
    sys.stderr.write(f"Type one of {', '.join(LEFTOVERS)}: ")
    sys.stderr.flush()
    if (said := sys.stdin.readline().strip()) not in LEFTOVERS:
        raise Invalid("Nobody was removed", details=f"that was none of {', '.join(LEFTOVERS)}")
    return said


def _somebody(made: ArgumentParser) -> None:
    of_project(made)
    made.add_argument("email", metavar="EMAIL", help="a mail address")


def _new(made: ArgumentParser) -> None:
    _somebody(made)
    made.add_argument("--role", choices=ROLES, default="member", help="the member's role")


def _other(made: ArgumentParser) -> None:
    _somebody(made)
    made.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))


def _leaver(made: ArgumentParser) -> None:
    _somebody(made)
    made.add_argument(
        "--workspaces", choices=LEFTOVERS, help="what happens to their workspaces in the project"
    )
    made.add_argument("--to", metavar="EMAIL", help="the new owner with hand-over (default: you)")


VERBS = {
    "list": (of_project, lambda asked: daemon().call(Members.list, asked.project), _list),
    "add": (_new, _add, _say_role),
    "role": (_other, _role, _say_role),
    "remove": (_leaver, _remove),
}
