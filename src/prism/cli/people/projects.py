"""`prism project …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.budget.budgets import headline, show_limits
from prism.cli.connection import asking, change, daemon
from prism.cli.output.answers import show_changed, show_gone
from prism.cli.output.money import aligned, cap, percent, usd
from prism.cli.output.terminal import say, show_columns, show_fields, show_table, suggest
from prism.cli.parser import add_flag, add_renamed, argument, given, no_arguments
from prism.client.models import projects
from prism.client.projects import Projects

WIRE = {
    "budget": "total_allocated",
    "alert": "alert_threshold",
    "auto_hibernate": "auto_hibernate_threshold",
    "prevent_launch": "prevent_launch_threshold",
}


def _list(args: Namespace, projects: Any) -> None:
    if not projects:
        return say("No projects yet. Make one: `prism project create NAME --budget 500`")
    money = [project["budget"] for project in projects]
    columns = {
        "NAME": [project["name"] for project in projects],
        "BUDGET": aligned([cap(budget["total_allocated"]) for budget in money]),
        "SPENT": aligned([budget["spent"] for budget in money]),
        "USED": [percent(_used(budget)) for budget in money],
        "LEFT": aligned([budget["left"] for budget in money]),
        "A MONTH": aligned([budget["monthly_burn_rate"] for budget in money]),
        "WORKSPACES": [f"{p['active_instances']} of {p['total_instances']}" for p in projects],
        "MEMBERS": [len(project["members"]) for project in projects],
    }
    return show_columns(columns, "NAME")


def _show(args: Namespace, project: Any) -> None:
    money = project["budget"]
    sleep = money["auto_hibernate_threshold"]
    fields = {
        "name": project["name"],
        "id": project["id"],
        "about": project["description"],
        "budget": usd(cap(money["total_allocated"])) or "not limited",
        "spent": usd(money["spent"]),
        "used": percent(_used(money)),
        "reserved": usd(money["reserved"]),
        "left": usd(money["left"]),
        **_spent_ever(money),
        "a month": usd(money["monthly_burn_rate"]),
        "alert at": f"{money['alert_threshold']:g}%",
        "sleep at": None if sleep is None else f"{sleep:g}%",
        "no launch at": f"{money['prevent_launch_threshold']:g}%",
        "workspaces": f"{project['active_instances']} of {project['total_instances']} at work",
        "members": ", ".join(
            f"{member['email']} ({member['role']}{_until(member)})"
            for member in project["members"]
        ),
    }
    show_fields(fields)
    return suggest(f"Where it goes: `prism project budget {_shell_quoted(project['name'])}`")


def _until(member: dict[str, Any]) -> str:
    """The last day of a member, within a list."""
    if not member.get("until"):
        return ""
    from prism.cli.output.time_format import last_day  # noqa: PLC0415  cold start: few have an end

    return f" until {last_day(member['until'])}"


def _create(args: Namespace) -> Any:
    limits = _limits(args)
    return daemon().call(
        Projects.create,
        args.name,
        description=args.description or "",
        budget=projects.NewBudget(**limits) if limits else None,
        members=dict.fromkeys(args.owner or (), "owner"),
    )


def _created(args: Namespace, project: Any) -> None:
    print(f"{project['name']} was made")
    suggest(
        f"Launch in it: `prism launch TEMPLATE NAME --project {_shell_quoted(project['name'])}`"
    )


def _update(args: Namespace) -> Any:
    changes = given(args, "rename", "description")
    if limits := _limits(args):
        changes["budget"] = projects.BudgetChange(**limits)
    return change(Projects.update, args.name, changes, "See `prism project update --help`")


def _budget(args: Namespace, budget: Any) -> None:
    parts, alerts = budget["cost_breakdown"], budget["budget_alerts"]
    overrun = budget["overrun"]
    fields = {
        "budget": usd(cap(budget["total_allocated"])),
        "used": percent(_used(budget)),
        **headline(budget),
        **_spent_ever(budget),
        "compute": usd(parts["compute"]),
        "storage": usd(parts["storage"]),
        "transfer": usd(parts["data_transfer"]),
        "saved asleep": usd(budget["hibernation_savings"]),
        "risk": alerts["overspend_risk"],
        **({"over it": usd(overrun)} if overrun else {}),
    }
    show_fields(fields)
    if spenders := budget["top_spending_instances"]:
        print()
        columns = {
            "WHAT": [spender["name"] for spender in spenders],
            "COST": aligned([spender["cost"] for spender in spenders]),
            "SHARE": [percent(spender["percentage"] / 100) for spender in spenders],
        }
        show_columns(columns)
    return show_limits(budget)


def _analysis(args: Namespace, analysis: Any) -> None:
    fields = {
        "a month, as lately": usd(analysis["current_monthly_burn"]),
        "a month, as now": usd(analysis["projected_monthly_burn"]),
        "sleep could save": usd(analysis["hibernation_potential_savings"]),
    }
    show_fields(fields)
    advice = analysis["optimization_recommendations"]
    if not advice:
        return say("No advice: it takes a day of measurements.")
    rows = [(a["instance"], usd(a["potential_savings"]), a["recommendation"]) for a in advice]
    print()
    return show_table(("WORKSPACE", "SAVES", "HOW"), rows, "HOW")


def _used(money: dict[str, Any]) -> float | None:
    """The fraction of a budget that is spent in the current period."""
    total, spent = money["total_allocated"], money["spent"]
    return spent / total if total and spent is not None else None


def _spent_ever(money: dict[str, Any]) -> dict[str, str | None]:
    """All that was ever spent, if that differs from what is spent in the current period."""
    ever = money["current_spend"]
    return {"spent ever": usd(ever)} if ever != money["spent"] else {}


def _shell_quoted(name: str) -> str:
    """A name quoted for a shell."""
    import shlex  # noqa: PLC0415  cold start: only for those who made or looked at one

    return shlex.quote(name)


def _limits(args: Namespace) -> dict[str, Any]:
    limits = {WIRE[name]: value for name, value in given(args, *WIRE).items()}
    if getattr(args, "no_budget", False):
        limits["total_allocated"] = None
    return limits


_name_argument = argument("name", metavar="NAME", help="the project's name or id")


def _shared_arguments(parser: ArgumentParser) -> None:
    add_renamed(parser, "--description", "--about", metavar="TEXT", help="what it is about")
    parser.add_argument("--budget", type=float, metavar="USD", help="its own budget in USD")
    parser.add_argument("--alert", type=float, metavar="PERCENT", help="alert at this percentage")
    percent = {"type": float, "metavar": "PERCENT"}
    add_renamed(
        parser, "--auto-hibernate", "--hibernate", **percent, help="hibernate at this percentage"
    )
    add_renamed(
        parser, "--prevent-launch", "--prevent", **percent, help="no launches at this percentage"
    )


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name to give it")
    _shared_arguments(parser)
    parser.add_argument(
        "--owner", action="append", metavar="EMAIL", help="an owner (default: you)"
    )


def _update_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    _shared_arguments(parser)
    parser.add_argument("--rename", metavar="NAME", help="the new name")
    add_flag(parser, "--no-budget", help="remove its own budget")


VERBS = {
    "list": (no_arguments, asking(Projects.list), _list),
    "show": (_name_argument, asking(Projects.show, "name"), _show),
    "create": (_create_arguments, _create, _created),
    "update": (_update_arguments, _update, show_changed),
    "delete": (_name_argument, asking(Projects.delete, "name"), show_gone),
    "budget": (_name_argument, asking(Projects.budget, "name"), _budget),
    "analysis": (_name_argument, asking(Projects.analysis, "name"), _analysis),
}
