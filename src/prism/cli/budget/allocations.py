"""`prism allocation …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.budget.budgets import alert_argument, current_user, show_allocations
from prism.cli.connection import asking, change, daemon
from prism.cli.output.money import usd
from prism.cli.output.terminal import say
from prism.cli.parser import add_renamed, argument, given, project_argument
from prism.client.budgets import Allocations, Budgets


def _list(args: Namespace, answer: Any) -> None:
    if not answer["allocations"]:
        return say("The budget has no allocations yet")
    return show_allocations(answer["allocations"])


def _create(args: Namespace) -> Any:
    return daemon().call(
        Allocations.create,
        args.budget,
        args.project,
        args.amount,
        allocated_by=args.allocated_by or current_user(),
        **given(args, "alert_threshold"),
    )


def _update(args: Namespace) -> Any:
    changes = given(args, "amount", "alert_threshold")
    return change(Allocations.update, args.id, changes, "See `prism allocation update --help`")


def _show(args: Namespace, part: Any) -> None:
    print(f"{part['project_name']} may spend {usd(part['allocated_amount'])} of it")


def _removed(args: Namespace, allocation: Any) -> None:
    print(f"{args.id} was removed")


def _show_moved(args: Namespace, answer: Any) -> None:
    show_allocations([answer["source"], answer["destination"]])


_budget_argument = argument("budget", metavar="BUDGET", help="the budget's name or id")
_id_argument = argument("id", metavar="ID", help="the allocation's id")


def _create_arguments(parser: ArgumentParser) -> None:
    _budget_argument(parser)
    project_argument(parser)
    parser.add_argument("amount", type=float, metavar="USD", help="the amount")
    help_text = "who allocates it (default: you)"
    add_renamed(parser, "--allocated-by", "--by", metavar="EMAIL", help=help_text)
    alert_argument(parser)


def _update_arguments(parser: ArgumentParser) -> None:
    _id_argument(parser)
    parser.add_argument("--amount", type=float, metavar="USD", help="the new amount")
    alert_argument(parser)


def _move_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="FROM", help="the allocation that gives")
    parser.add_argument("destination", metavar="TO", help="the allocation that gets")
    parser.add_argument("amount", type=float, metavar="USD", help="the amount to move")
    parser.add_argument("--reason", metavar="TEXT", help="why")


VERBS = {
    "list": (_budget_argument, asking(Budgets.allocations_page, name="budget"), _list),
    "create": (_create_arguments, _create, _show),
    "update": (_update_arguments, _update, _show),
    "delete": (_id_argument, asking(Allocations.delete, "id"), _removed),
    "move": (
        _move_arguments,
        asking(Allocations.move, "source", "destination", "amount", "reason"),
        _show_moved,
    ),
}
