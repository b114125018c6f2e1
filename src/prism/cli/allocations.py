"""`prism allocation …`."""

from __future__ import annotations

from prism.cli.budgets import alert, me, parts
from prism.cli.connection import daemon
from prism.cli.money import usd
from prism.cli.parser import UsageError, given, of_project, renamed
from prism.cli.terminal import say, show_json
from prism.client.budgets import Allocations, Budgets

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def _allocations(asked: Namespace) -> None:
    answer = daemon().call(Budgets.allocations_page, asked.budget)
    if asked.json:
        return show_json(answer)
    if not answer["allocations"]:
        return say("Nothing is allocated of it yet.")
    return parts(answer["allocations"])


def _allocate(asked: Namespace) -> Any:
    return daemon().call(
        Allocations.create,
        asked.budget,
        asked.project,
        asked.amount,
        allocated_by=asked.allocated_by or me(),
        **given(asked, "alert_threshold"),
    )


def _reallot(asked: Namespace) -> Any:
    changes = given(asked, "amount", "alert_threshold")
    if not changes:
        raise UsageError("no change was given", "See `prism allocation update --help`")
    return daemon().call(Allocations.update, asked.id, **changes)


def _may_spend(asked: Namespace, part: Any) -> None:
    print(f"{part['project_name']} may spend {usd(part['allocated_amount'])} of it")


def _remove(asked: Namespace, allocation: Any) -> None:
    print(f"{asked.id} was removed")


def _move(asked: Namespace) -> None:
    answer = daemon().call(
        Allocations.move, asked.source, asked.destination, asked.amount, reason=asked.reason or ""
    )
    if asked.json:
        return show_json(answer)
    return parts([answer["source"], answer["destination"]])


def _of(made: ArgumentParser) -> None:
    made.add_argument("budget", metavar="BUDGET", help="the budget's name or id")


def _new_part(made: ArgumentParser) -> None:
    _of(made)
    of_project(made)
    made.add_argument("amount", type=float, metavar="USD", help="the amount")
    who = "who allocates it (default: you)"
    renamed(made, "--allocated-by", "--by", metavar="EMAIL", help=who)
    alert(made)


def _part(made: ArgumentParser) -> None:
    made.add_argument("id", metavar="ID", help="the allocation's id")


def _part_changes(made: ArgumentParser) -> None:
    _part(made)
    made.add_argument("--amount", type=float, metavar="USD", help="the new amount")
    alert(made)


def _moving(made: ArgumentParser) -> None:
    made.add_argument("source", metavar="FROM", help="the allocation that gives")
    made.add_argument("destination", metavar="TO", help="the allocation that gets")
    made.add_argument("amount", type=float, metavar="USD", help="how much")
    made.add_argument("--reason", metavar="TEXT", help="why")


VERBS = {
    "list": (_of, _allocations),
    "create": (_new_part, _allocate, _may_spend),
    "update": (_part_changes, _reallot, _may_spend),
    "delete": (_part, lambda asked: daemon().call(Allocations.delete, asked.id), _remove),
    "move": (_moving, _move),
}
