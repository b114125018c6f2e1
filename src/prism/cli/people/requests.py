"""`prism request …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking
from prism.cli.output.terminal import say, show_records
from prism.cli.output.time_format import hours, local_time
from prism.client.requests import Requests

REQUEST_STATES = ("pending", "granted", "refused", "withdrawn")
REQUEST_SIZES = ("XS", "S", "M", "L", "XL")


def _list(args: Namespace, answer: Any) -> None:
    show_records(
        answer["requests"],
        ("ID", "id"),
        ("OF", "person"),
        ("REQUESTS", "summary"),
        ("REASON", "reason"),
        ("MADE", lambda row: local_time(row["made_at"])),
        ("STATE", _state),
        flexible="REASON",
        none="No requests yet. Make one: `prism request money 50 --project NAME`",
    )


def _state(row: dict[str, Any]) -> str:
    if row["state"] == "pending":
        return "you may answer" if row["may_decide"] else f"waits for the {row['decider']}"
    why = f": {row['answer']}" if row["answer"] else ""
    return f"{row['state']} by {row['decided_by']}{why}"


def _show_made(args: Namespace, row: Any) -> None:
    say(f"You requested {row['summary']} ({row['id']}); the {row['decider']} can grant it")


def _show_answered(args: Namespace, row: Any) -> None:
    say(f"The request of {row['person']} ({row['summary']}) was {row['state']}")


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=REQUEST_STATES, help="only those in this state")


def _reason_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", help="why")


def _money_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("usd", type=float, metavar="USD", help="how many dollars more")
    parser.add_argument("--project", metavar="NAME", help="for the budget of this project")
    _limit_arguments(parser)


def _limit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit", metavar="ID", help="for this limit of yours, if several apply to you"
    )
    _reason_argument(parser)


def _count_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("count", type=int, metavar="N", help="how many more at once")
    _limit_arguments(parser)


def _time_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("hours", type=hours, metavar="TIME", help="how much longer: 8h or 2d")
    _workspace_arguments(parser)


def _size_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("size", choices=REQUEST_SIZES, help="the new size")
    _workspace_arguments(parser)


def _workspace_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--workspace", metavar="NAME", required=True, help="of this workspace")
    _reason_argument(parser)


def _id_argument(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `prism request list` shows it")


def _refuse_arguments(parser: ArgumentParser) -> None:
    _id_argument(parser)
    _reason_argument(parser)


OF_LIMIT, OF_WORKSPACE = ("limit", "reason"), ("workspace", "reason")
VERBS = {
    "list": (_list_arguments, asking(Requests.page, "state"), _list),
    "money": (_money_arguments, asking(Requests.money, "usd", "project", *OF_LIMIT), _show_made),
    "time": (_time_arguments, asking(Requests.time, "hours", *OF_WORKSPACE), _show_made),
    "size": (_size_arguments, asking(Requests.size, "size", *OF_WORKSPACE), _show_made),
    "workspaces": (_count_arguments, asking(Requests.workspaces, "count", *OF_LIMIT), _show_made),
    "gpus": (_count_arguments, asking(Requests.gpus, "count", *OF_LIMIT), _show_made),
    "grant": (_id_argument, asking(Requests.grant, "id"), _show_answered),
    "refuse": (_refuse_arguments, asking(Requests.refuse, "id", "reason"), _show_answered),
    "withdraw": (_id_argument, asking(Requests.withdraw, "id"), _show_answered),
}
