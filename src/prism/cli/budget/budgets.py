"""`prism budget …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, change, daemon
from prism.cli.output.answers import show_changed, show_gone, write_answer
from prism.cli.output.money import aligned, cap, percent, usd, without_price
from prism.cli.output.terminal import say, show_columns, show_fields, suggest
from prism.cli.output.time_format import day_in, local_time, names_no_zone, to_utc
from prism.cli.parser import (
    add_flag,
    add_renamed,
    argument,
    given,
    no_arguments,
    output_argument,
    project_argument,
)
from prism.client.budgets import Budgets
from prism.client.daemon import Daemon
from prism.client.projects import Projects

BUDGET_PERIODS = ("project", "yearly", "monthly", "weekly", "daily")


def _list(args: Namespace, answer: Any) -> None:
    budgets = answer["budgets"]
    if not budgets:
        return say("No budgets yet. Make one: `prism budget create NAME 10000`")
    columns = {
        "NAME": [budget["name"] for budget in budgets],
        "PERIOD": [budget["period"] for budget in budgets],
        "TOTAL": aligned([cap(budget["total_amount"]) for budget in budgets]),
        "ALLOCATED": aligned([budget["allocated_amount"] for budget in budgets]),
        "SPENT": aligned([budget["spent_amount"] for budget in budgets]),
        "USED": [percent(budget["utilization_rate"]) for budget in budgets],
        "RESERVED": aligned([budget["reserved"] for budget in budgets]),
        "LEFT": aligned([budget["left"] for budget in budgets]),
    }
    return show_columns(columns, "NAME")


def _show(args: Namespace, answer: Any) -> None:
    budget = answer["budget"]
    period = "in all" if budget["period"] == "project" else budget["period"]
    fields = {
        "name": budget["name"],
        "id": budget["id"],
        "status": answer["status"],
        "total": f"{usd(cap(budget['total_amount']))} {period}",
        "spent": usd(budget["spent_amount"]),
        "used": percent(budget["utilization_rate"]),
        "reserved": usd(budget["reserved"]),
        "left": usd(budget["left"]),
        **_nonzero({"since it ended": budget["spent_after_end"], "over it": budget["overrun"]}),
        "period": _period(budget),
        "time zone": budget["time_zone"],
        "alert at": f"{100 * budget['alert_threshold']:g}%",
    }
    show_fields(fields)
    if answer["allocations"]:
        print()
        show_allocations(answer["allocations"])
    for project in answer["top_spending_projects"]:
        if project["formerly"]:
            name = project["project_name"]
            say(f"note: {usd(project['spent'])} was spent by {name}, which has no allocation now")
    for warning in answer["alerts"]:
        say(f"note: {warning}")
    return without_price(budget["unpriced"])


def _statement(args: Namespace) -> None:
    form = "json" if args.json else "csv" if args.csv else "html" if args.html else "markdown"
    write_answer(daemon().call(Budgets.statement_as, form, args.name, args.period), args.output)


def _create(args: Namespace) -> Any:
    return daemon().call(
        Budgets.create,
        args.name,
        args.total,
        created_by=args.created_by or current_user(),
        **given(args, "period", "description", "time_zone", "alert_threshold"),
        **_dates(args, args.time_zone or "UTC"),
    )


def _created(args: Namespace, budget: Any) -> None:
    print(f"{budget['name']} was made")
    suggest("Give a project a part of it: `prism allocation create BUDGET PROJECT 100`")


def _update(args: Namespace) -> Any:
    changes = given(args, "rename", "total_amount", "description", "alert_threshold")
    if args.end_date is not None:
        changes |= _dates(args, _zone_of(args) if names_no_zone(args.end_date) else "UTC")
    return change(Budgets.update, args.name, changes, "See `prism budget update --help`")


def _forecast(args: Namespace, forecast: Any) -> None:
    fields = {
        "an hour": usd(forecast["hourly"], 4),
        "a day": usd(forecast["daily"]),
        "a month": usd(forecast["monthly"]),
        **headline(forecast),
    }
    show_fields(fields)
    show_limits(forecast)


def headline(budget: dict[str, Any]) -> dict[str, str | None]:
    """The fields that a budget and a forecast have in common."""
    limited = bool(budget["caps"])
    return {
        "spent": usd(budget["spent"]),
        "reserved": usd(budget["reserved"]),
        "left": usd(budget["left"]) if limited else "no budget limits this project",
        **({"no launches": budget["no_launches"]} if budget.get("no_launches") else {}),
        **({"runs out on": _end_of_money(budget)} if limited else {}),
    }


def show_limits(budget: dict[str, Any]) -> None:
    """Print how much of each limit of a project is used, and what no limit counts."""
    if budget["caps"]:
        print()
        caps = budget["caps"]
        ends = [local_time(cap["runs_out_on"]) if cap["runs_out_on"] else "-" for cap in caps]
        columns = {
            "LIMIT": [cap["cap"] for cap in caps],
            "AMOUNT": aligned([_amount(cap) for cap in caps]),
            "SPENT": aligned([cap["spent"] for cap in caps]),
            "RESERVED": aligned([cap["reserved"] for cap in caps]),
            "LEFT": aligned([cap["left"] for cap in caps]),
            "RUNS OUT ON": ends,
        }
        show_columns(columns, "LIMIT")
    for limit in budget["caps"]:
        if late := limit["spent_after_end"]:
            say(f"note: {usd(late)} of what is spent of {limit['cap']} came after it had ended")
    without_price(budget["unpriced"])
    for name in budget["not_limited"]:
        say(f"note: not limited: {name}; no budget of this project counts it")


def _nonzero(amounts: dict[str, float]) -> dict[str, str | None]:
    return {name: usd(amount) for name, amount in amounts.items() if amount}


def _amount(limit: dict[str, Any]) -> float | None:
    """The amount of a limit; only an allocation can be 0."""
    amount: float = limit["amount"]
    return amount if limit["scope"] == "allocation" else cap(amount)


def _end_of_money(budget: dict[str, Any]) -> str:
    at, why = budget["runs_out_on"], budget["because"]
    if at is None:
        return f"never: {why}" if why else "as far as can be seen, never"
    return f"{local_time(at)} ({why})" if why else local_time(at)


def show_allocations(allocations: list[dict[str, Any]]) -> None:
    """Print allocations."""
    columns = {
        "ID": [part["id"] for part in allocations],
        "PROJECT": [part["project_name"] for part in allocations],
        "ALLOCATED": aligned([part["allocated_amount"] for part in allocations]),
        "SPENT": aligned([part["spent_amount"] for part in allocations]),
        "USED": [percent(part["utilization_rate"]) for part in allocations],
        "RESERVED": aligned([part["reserved"] for part in allocations]),
        "LEFT": aligned([part["left"] for part in allocations]),
    }
    show_columns(columns, "PROJECT")


def _period(budget: dict[str, Any]) -> str:
    """The first and the last day of the current period, in the budget's time zone."""
    zone, last = budget["time_zone"], budget["period_end"]
    first = day_in(budget["period_start"], zone) if budget["period_start"] else "-"
    return f"{first} to {day_in(last, zone, end=True) if last else '-'}"


def current_user() -> str:
    """Your name, as the daemon knows it."""
    return str(daemon().call(Daemon.status)["user"])


def _dates(args: Namespace, zone: str) -> dict[str, Any]:
    """The given start and end in UTC; a date is in the budget's time zone."""
    dates = given(args, *(name for name in ("start_date", "end_date") if name in args))
    return {name: to_utc(at, zone, whole_day=name == "end_date") for name, at in dates.items()}


def _zone_of(args: Namespace) -> str:
    return str(daemon().call(Budgets.show, args.name)["time_zone"])


_name_argument = argument("name", metavar="NAME", help="the budget's name or id")
alert_argument = argument(
    "--alert", dest="alert_threshold", type=float, metavar="FRACTION", help="0.8: at 80 percent"
)


def _shared_arguments(parser: ArgumentParser) -> None:
    add_renamed(parser, "--description", "--about", metavar="TEXT", help="what it is for")
    ends = "its last day, or a time with its offset"
    parser.add_argument("--until", dest="end_date", metavar="DATE", help=ends)
    alert_argument(parser)


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name to give it")
    parser.add_argument("total", type=float, metavar="USD", help="the amount per period")
    renewed = "how often the amount is renewed (default: project, which is never)"
    parser.add_argument("--period", choices=BUDGET_PERIODS, default="project", help=renewed)
    parser.add_argument("--from", dest="start_date", metavar="DATE", help="when it begins")
    parser.add_argument("--time-zone", metavar="ZONE", help="the time zone of its periods")
    add_renamed(
        parser, "--created-by", "--by", metavar="EMAIL", help="who makes it (default: you)"
    )
    _shared_arguments(parser)


def _statement_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    when = "the period with this year, month or day, as 2026-01 (default: the present one)"
    parser.add_argument("--period", metavar="DATE", help=when)
    add_flag(parser, "--csv", help="print CSV instead of Markdown")
    add_flag(parser, "--html", help="print a page for a browser")
    output_argument(parser)


def _update_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--total", dest="total_amount", type=float, metavar="USD", help="how much")
    parser.add_argument("--rename", metavar="NAME", help="the new name")
    _shared_arguments(parser)


VERBS = {
    "list": (no_arguments, asking(Budgets.page), _list),
    "show": (_name_argument, asking(Budgets.summary, "name"), _show),
    "create": (_create_arguments, _create, _created),
    "update": (_update_arguments, _update, show_changed),
    "delete": (_name_argument, asking(Budgets.delete, "name"), show_gone),
    "statement": (_statement_arguments, _statement),
    "forecast": (project_argument, asking(Projects.forecast, name="project"), _forecast),
}
