"""`prism limit …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Callable, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import show_message
from prism.cli.output.money import aligned, usd
from prism.cli.output.terminal import say, show_columns
from prism.cli.parser import UsageError, given, no_arguments
from prism.client.limits import Limits

ROLE_NAMES = ("viewer", "member", "admin", "owner")
NOT_LIMITED = "none"
VALUES = ("monthly", "workspaces", "gpus")


def _list(args: Namespace, answer: Any) -> None:
    limits = answer["limits"]
    if not limits:
        return say("No limits yet. Set one: `prism limit set --person EMAIL --monthly 50`")
    columns = {
        "ID": [limit["id"] for limit in limits],
        "OF": [_name(limit) for limit in limits],
        "PROJECT": [limit["project_name"] or "all" for limit in limits],
        "A MONTH": aligned([limit["monthly"] for limit in limits]),
        "WORKSPACES": [_count(limit["workspaces"]) for limit in limits],
        "GPUS": [_count(limit["gpus"]) for limit in limits],
        "SET BY": [limit["set_by"] for limit in limits],
    }
    return show_columns(columns, "OF")


def _mine(args: Namespace, answer: Any) -> None:
    if not answer["limits"]:
        return say(f"No limit applies to {answer['person']}")
    uses = answer["limits"]
    columns = {
        "LIMIT OF": [_name(use["limit"]) for use in uses],
        "PROJECT": [use["limit"]["project_name"] or "all" for use in uses],
        "A MONTH": aligned([use["limit"]["monthly"] for use in uses]),
        "SPENT": aligned([use["spent"] for use in uses]),
        "RESERVED": aligned([use["reserved"] for use in uses]),
        "LEFT": aligned([use["left"] for use in uses]),
        "WORKSPACES": [_part(use, "workspaces") for use in uses],
        "GPUS": [_part(use, "gpus") for use in uses],
    }
    return show_columns(columns, "LIMIT OF")


def _name(limit: dict[str, Any]) -> str:
    if limit["subject"] == "*":
        return "everybody"
    scope = limit["scope"]
    return str(limit["subject"]) if scope == "person" else f"{scope} {limit['subject']}"


def _count(most: int | None) -> str:
    return "-" if most is None else str(most)


def _part(use: dict[str, Any], kind: str) -> str:
    most = use["limit"][kind]
    return "-" if most is None else f"{use[f'{kind}_running']} of {most}"


def _set(args: Namespace) -> Any:
    values = {
        name: None if value == NOT_LIMITED else value
        for name, value in given(args, *VALUES).items()
    }
    if not values:
        raise UsageError("no limit was given", "give --monthly, --workspaces or --gpus")
    return daemon().call(Limits.set, **given(args, "person", "token", "role", "project"), **values)


def _show_set(args: Namespace, limit: Any) -> None:
    monthly = None if limit["monthly"] is None else f"{usd(limit['monthly'])} a month"
    counts = [
        f"{limit[kind]} {name}"
        for kind, name in (
            ("workspaces", "workspaces at once"),
            ("gpus", "GPUs at once"),
        )
        if limit[kind] is not None
    ]
    where = f" in {limit['project_name']}" if limit["project"] else ""
    print(f"{_name(limit)}{where}: at most {', '.join(filter(None, [monthly, *counts]))}")


def _or_none(kind: Callable[[str], object]) -> Callable[[str], object]:
    """Reads a number, or that a value is not limited."""

    def number(text: str) -> object:
        return text if text == NOT_LIMITED else kind(text)

    return number


def _set_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--person", metavar="EMAIL", help="whom it limits; '*': everybody without an own limit"
    )
    parser.add_argument("--token", metavar="ID", help="the token, and tokens made with it")
    parser.add_argument("--role", choices=ROLE_NAMES, help="everybody with this role in a project")
    parser.add_argument("--project", metavar="NAME", help="only what this project pays for")
    parser.add_argument(
        "--monthly", type=_or_none(float), metavar="USD", help="dollars a month, or none"
    )
    parser.add_argument(
        "--workspaces", type=_or_none(int), metavar="N", help="how many run at once, or none"
    )
    parser.add_argument("--gpus", type=_or_none(int), metavar="N", help="GPUs at once, or none")


def _project_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--project", metavar="NAME", help="the limits in this project")


def _remove_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `prism limit list` shows it")
    parser.add_argument("--project", metavar="NAME", help="its project, if you are its owner")


VERBS = {
    "list": (_project_argument, asking(Limits.page, "project"), _list),
    "set": (_set_arguments, _set, _show_set),
    "remove": (_remove_arguments, asking(Limits.remove, "id", "project"), show_message),
    "mine": (no_arguments, asking(Limits.mine), _mine),
}
