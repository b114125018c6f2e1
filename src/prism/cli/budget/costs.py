"""`prism cost …` and `prism report`."""

from __future__ import annotations

import sys

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.answers import write_answer
from prism.cli.output.money import aligned, percent, text_bar, usd, without_price
from prism.cli.output.terminal import say, show_columns, show_fields, width
from prism.cli.parser import add_flag, given, no_arguments, output_argument, project_argument
from prism.client.costs import Costs
from prism.client.projects import Projects

GRANULARITIES = ("daily", "weekly", "monthly")
SORTING = ("granularity", "group_by")
GROUPS = ("project", "user", "template", "budget", "type")
MAX_BAR_WIDTH, MIN_BAR_WIDTH = 50, 10  # letters of a bar


def _current(args: Namespace, answer: Any) -> None:
    parts, saved = answer["cost_breakdown"], answer["hibernation_savings"]
    fields = {
        "an hour": usd(answer["total_current_hourly"], 4),
        "a day": usd(answer["total_daily_projection"]),
        "a month": usd(answer["total_monthly_projection"]),
        "workspaces": f"{usd(parts['instances'], 4)} an hour",
        "disks": f"{usd(parts['ebs_storage'], 4)} an hour",
        "file systems": f"{usd(parts['efs_storage'], 4)} an hour",
        "saved asleep": f"{usd(saved['current_month'])} this month",
    }
    show_fields(fields)
    if drivers := answer["top_cost_drivers"]:
        print()
        columns = {
            "WHAT": [driver["resource"] for driver in drivers],
            "$/HOUR": aligned([driver["hourly_cost"] for driver in drivers], 4),
            "SHARE": [percent(driver["percentage"] / 100) for driver in drivers],
        }
        show_columns(columns, "WHAT")
    return without_price(answer["unpriced"])


def _history(args: Namespace) -> Any:
    return daemon().call(
        Costs.history, args.since, args.until, project=args.project, **given(args, *SORTING)
    )


def _show_history(args: Namespace, answer: Any) -> None:
    if args.group_by:
        return _groups(args.group_by, answer)
    bars = answer["daily_costs"]
    costs = aligned([bar["cost"] for bar in bars])
    most = max((bar["cost"] for bar in bars), default=0.0)
    wide = max(map(len, costs), default=0)
    room = (width(sys.stdout) or 80) - wide - 14
    room = max(MIN_BAR_WIDTH, min(MAX_BAR_WIDTH, room))
    for bar, cost in zip(bars, costs, strict=True):
        print(f"{bar['date']}  {cost}  {text_bar(bar['cost'], most, room)}".rstrip())
    trends = answer["cost_trends"]
    change = trends["percentage_change"]
    by = "" if change is None else f" ({change:+.1f}%)"
    print(f"{'total':<10}  {usd(answer['total_cost'])}  {trends['trend_direction']}{by}")
    if trends["primary_driver"]:
        say(trends["primary_driver"])
    return without_price(answer["unpriced"])


def _groups(by: str, history: dict[str, Any]) -> None:
    """Each project, user, template, budget or type, the most expensive first."""
    groups = history["groups"]
    columns = {
        by.upper(): [f"(no {by})" if group["name"] is None else group["name"] for group in groups],
        "COST": aligned([group["cost"] for group in groups]),
        "SHARE": [percent(group["percentage"] / 100) for group in groups],
        "SAVED ASLEEP": aligned([group["hibernation_savings"] for group in groups]),
        "WORKSPACES": [group["instances"] for group in groups],
    }
    show_columns(columns, by.upper())
    print(f"total  {usd(history['total_cost'])}")
    return without_price(history["unpriced"])


def _export(args: Namespace) -> None:
    form = "focus" if args.focus else "json" if args.json else "csv"
    content = daemon().call(Costs.export_as, form, args.since, args.until, project=args.project)
    write_answer(content, args.output)


def _report(args: Namespace) -> None:
    form = "json" if args.json else "csv" if args.csv else "markdown"
    write_answer(daemon().call(Projects.report_as, form, args.project, args.month), args.output)


def _period_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--since", metavar="DATE", help="the first day (default: 30 days ago)")
    parser.add_argument("--until", metavar="DATE", help="the last day (default: today)")
    parser.add_argument("--project", metavar="NAME", help="only the costs of this project")


def _history_arguments(parser: ArgumentParser) -> None:
    _period_arguments(parser)
    parser.add_argument(
        "--granularity", choices=GRANULARITIES, default="daily", help="what a line sums up"
    )
    words = "show the costs of each of these instead of each day"
    parser.add_argument("--by", dest="group_by", choices=GROUPS, help=words)


def _export_arguments(parser: ArgumentParser) -> None:
    _period_arguments(parser)
    add_flag(parser, "--focus", help="as CSV with the columns of FOCUS, for other programs")
    output_argument(parser)


def _report_arguments(parser: ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("--month", metavar="YYYY-MM", help="(default: this month)")
    add_flag(parser, "--csv", help="print CSV instead of Markdown")
    output_argument(parser)


VERBS = {
    "current": (no_arguments, asking(Costs.current), _current),
    "history": (_history_arguments, _history, _show_history),
    "export": (_export_arguments, _export),
    "report": (_report_arguments, _report),
}
