"""`prism budget …`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.money import aligned, cap, percent, usd, without_price
from prism.cli.parser import UsageError, given, nothing, of_project, renamed
from prism.cli.terminal import say, show_fields, show_json, show_table, suggest
from prism.cli.time_format import day_in, here, moment, names_no_zone
from prism.client.budgets import Budgets
from prism.client.daemon import Daemon
from prism.client.projects import Projects

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

PERIODS = ("project", "monthly", "weekly", "daily")
HEADS = ("NAME", "PERIOD", "TOTAL", "ALLOCATED", "SPENT", "USED", "RESERVED", "LEFT")
PARTS = ("ID", "PROJECT", "ALLOCATED", "SPENT", "USED", "RESERVED", "LEFT")
LIMITS = ("LIMIT", "AMOUNT", "SPENT", "RESERVED", "LEFT", "RUNS OUT ON")


def _list(asked: Namespace, answer: Any) -> None:
    found = answer["budgets"]
    if not found:
        return say("No budgets yet. Make one: `prism budget create NAME 10000`")
    rows = zip(
        [budget["name"] for budget in found],
        [budget["period"] for budget in found],
        aligned([cap(budget["total_amount"]) for budget in found]),
        aligned([budget["allocated_amount"] for budget in found]),
        aligned([budget["spent_amount"] for budget in found]),
        [percent(budget["utilization_rate"]) for budget in found],
        aligned([budget["reserved"] for budget in found]),
        aligned([budget["left"] for budget in found]),
        strict=True,
    )
    return show_table(HEADS, list(rows), "NAME")


def _show(asked: Namespace, answer: Any) -> None:
    budget = answer["budget"]
    period = "in all" if budget["period"] == "project" else budget["period"]
    show_fields(
        {
            "name": budget["name"],
            "id": budget["id"],
            "status": answer["status"],
            "total": f"{usd(cap(budget['total_amount']))} {period}",
            "spent": usd(budget["spent_amount"]),
            "used": percent(budget["utilization_rate"]),
            "reserved": usd(budget["reserved"]),
            "left": usd(budget["left"]),
            **_where({"since it ended": budget["spent_after_end"], "over it": budget["overrun"]}),
            "period": _period(budget),
            "time zone": budget["time_zone"],
            "alert at": f"{100 * budget['alert_threshold']:g}%",
        }
    )
    if answer["allocations"]:
        print()
        parts(answer["allocations"])
    for project in answer["top_spending_projects"]:
        if project["formerly"]:
            name = project["project_name"]
            say(f"note: {usd(project['spent'])} was spent by {name}, which has no allocation now")
    for warning in answer["alerts"]:
        say(f"note: {warning}")
    return without_price(budget["unpriced"])


def _create(asked: Namespace) -> None:
    budget = daemon().call(
        Budgets.create,
        asked.name,
        asked.total,
        created_by=asked.created_by or me(),
        **given(asked, "period", "description", "time_zone", "alert_threshold"),
        **_moments(asked, asked.time_zone or "UTC"),
    )
    if asked.json:
        return show_json(budget)
    print(f"{budget['name']} was made")
    return suggest("Give a project a part of it: `prism allocation create BUDGET PROJECT 100`")


def _update(asked: Namespace) -> None:
    changes = given(asked, "rename", "total_amount", "description", "alert_threshold")
    if asked.end_date is not None:
        changes |= _moments(asked, _zone_of(asked) if names_no_zone(asked.end_date) else "UTC")
    if not changes:
        raise UsageError("no change was given", "See `prism budget update --help`")
    budget = daemon().call(Budgets.update, asked.name, **changes)
    return show_json(budget) if asked.json else print(f"{budget['name']} was changed")


def _delete(asked: Namespace, budget: Any) -> None:
    print(f"{asked.name} was removed")


def _forecast(asked: Namespace) -> None:
    forecast = daemon().call(Projects.forecast, asked.project)
    if asked.json:
        return show_json(forecast)
    show_fields(
        {
            "an hour": usd(forecast["hourly"], 4),
            "a day": usd(forecast["daily"]),
            "a month": usd(forecast["monthly"]),
            **headline(forecast),
        }
    )
    return limits(forecast)


def headline(budget: dict[str, Any]) -> dict[str, str | None]:
    """What budget and forecast both say of a project's money, in the same words."""
    limited = bool(budget["caps"])
    return {
        "spent": usd(budget["spent"]),
        "reserved": usd(budget["reserved"]),
        "left": usd(budget["left"]) if limited else "no budget limits this project",
        **({"no launches": budget["no_launches"]} if budget.get("no_launches") else {}),
        **({"runs out on": _until(budget)} if limited else {}),
    }


def limits(budget: dict[str, Any]) -> None:
    """Print where each limit of a project stands, and what none of them counts."""
    if budget["caps"]:
        print()
        caps = budget["caps"]
        rows = zip(
            [cap["cap"] for cap in caps],
            aligned([_amount(cap) for cap in caps]),
            aligned([cap["spent"] for cap in caps]),
            aligned([cap["reserved"] for cap in caps]),
            aligned([cap["left"] for cap in caps]),
            [here(cap["runs_out_on"]) if cap["runs_out_on"] else "-" for cap in caps],
            strict=True,
        )
        show_table(LIMITS, list(rows), "LIMIT")
    for limit in budget["caps"]:
        if late := limit["spent_after_end"]:
            say(f"note: {usd(late)} of what is spent of {limit['cap']} came after it had ended")
    without_price(budget["unpriced"])
    for name in budget["not_limited"]:
        say(f"note: not limited: {name}; no budget of this project counts it")


def _where(amounts: dict[str, float]) -> dict[str, str | None]:
    return {name: usd(amount) for name, amount in amounts.items() if amount}


def _amount(limit: dict[str, Any]) -> float | None:
    """How much a limit is; only an allocation may be nothing."""
    amount: float = limit["amount"]
    return amount if limit["scope"] == "allocation" else cap(amount)


def _until(budget: dict[str, Any]) -> str:
    if budget["runs_out_on"] is None:
        return (
            f"never: {budget['because']}" if budget["because"] else "as far as can be seen, never"
        )
    why = f" ({budget['because']})" if budget["because"] else ""
    return here(budget["runs_out_on"]) + why


def parts(found: list[dict[str, Any]]) -> None:
    """Print allocations."""
    rows = zip(
        [part["id"] for part in found],
        [part["project_name"] for part in found],
        aligned([part["allocated_amount"] for part in found]),
        aligned([part["spent_amount"] for part in found]),
        [percent(part["utilization_rate"]) for part in found],
        aligned([part["reserved"] for part in found]),
        aligned([part["left"] for part in found]),
        strict=True,
    )
    show_table(PARTS, list(rows), "PROJECT")


def _period(budget: dict[str, Any]) -> str:
    """The present period, by its first and its last day in the budget's time zone."""
    zone, last = budget["time_zone"], budget["period_end"]
    first = day_in(budget["period_start"], zone) if budget["period_start"] else "-"
    return f"{first} to {day_in(last, zone, end=True) if last else '-'}"


def me() -> str:
    """Who is asking, as the daemon knows it."""
    name: str = daemon().call(Daemon.status)["user"]
    return name


def _moments(asked: Namespace, zone: str) -> dict[str, Any]:
    """When it begins and ends, as far as that was said; dates are of its own time zone."""
    said = given(asked, *(name for name in ("start_date", "end_date") if name in asked))
    return {name: moment(at, zone, whole_day=name == "end_date") for name, at in said.items()}


def _zone_of(asked: Namespace) -> str:
    zone: str = daemon().call(Budgets.show, asked.name)["time_zone"]
    return zone


def _named(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="the budget's name or id")


def alert(made: ArgumentParser) -> None:
    """The argument of what has an alert."""
    made.add_argument(
        "--alert",
        dest="alert_threshold",
        type=float,
        metavar="FRACTION",
        help="0.8 is 80 percent",
    )


def _fields(made: ArgumentParser) -> None:
    renamed(made, "--description", "--about", metavar="TEXT", help="what it is for")
    ends = "its last day, or a time with its offset"
    made.add_argument("--until", dest="end_date", metavar="DATE", help=ends)
    alert(made)


def _new(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("total", type=float, metavar="USD", help="the amount per period")
    made.add_argument("--period", choices=PERIODS, default="project", help="(default: project)")
    made.add_argument("--from", dest="start_date", metavar="DATE", help="when it begins")
    made.add_argument("--time-zone", metavar="ZONE", help="the time zone of its periods")
    renamed(made, "--created-by", "--by", metavar="EMAIL", help="who makes it (default: you)")
    _fields(made)


def _changes(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("--total", dest="total_amount", type=float, metavar="USD", help="how much")
    made.add_argument("--rename", metavar="NAME", help="the new name")
    _fields(made)


VERBS = {
    "list": (nothing, lambda asked: daemon().call(Budgets.page), _list),
    "show": (_named, lambda asked: daemon().call(Budgets.summary, asked.name), _show),
    "create": (_new, _create),
    "update": (_changes, _update),
    "delete": (_named, lambda asked: daemon().call(Budgets.delete, asked.name), _delete),
    "forecast": (of_project, _forecast),
}
