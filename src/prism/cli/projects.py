"""`prism project …`."""

from __future__ import annotations

from prism.cli.budgets import headline, limits
from prism.cli.connection import daemon
from prism.cli.money import aligned, cap, percent, usd
from prism.cli.parser import UsageError, given, nothing, renamed
from prism.cli.terminal import say, show_fields, show_json, show_table, suggest
from prism.client.models import projects
from prism.client.projects import Projects

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

HEADS = ("NAME", "BUDGET", "SPENT", "USED", "LEFT", "A MONTH", "WORKSPACES", "MEMBERS")
LIMITS = ("alert", "auto_hibernate", "prevent_launch")
WIRE = {
    "alert": "alert_threshold",
    "auto_hibernate": "auto_hibernate_threshold",
    "prevent_launch": "prevent_launch_threshold",
}


def _list(asked: Namespace, found: Any) -> None:
    if not found:
        return say("No projects yet. Make one: `prism project create NAME --budget 500`")
    money = [project["budget"] for project in found]
    rows = zip(
        [project["name"] for project in found],
        aligned([cap(budget["total_allocated"]) for budget in money]),
        aligned([budget["spent"] for budget in money]),
        [percent(_used(budget)) for budget in money],
        aligned([budget["left"] for budget in money]),
        aligned([budget["monthly_burn_rate"] for budget in money]),
        [f"{project['active_instances']} of {project['total_instances']}" for project in found],
        [len(project["members"]) for project in found],
        strict=True,
    )
    return show_table(HEADS, list(rows), "NAME")


def _show(asked: Namespace, project: Any) -> None:
    money = project["budget"]
    sleep = money["auto_hibernate_threshold"]
    show_fields(
        {
            "name": project["name"],
            "id": project["id"],
            "about": project["description"],
            "budget": usd(cap(money["total_allocated"])) or "not limited",
            "spent": usd(money["spent"]),
            "used": percent(_used(money)),
            "reserved": usd(money["reserved"]),
            "left": usd(money["left"]),
            **_ever(money),
            "a month": usd(money["monthly_burn_rate"]),
            "alert at": f"{money['alert_threshold']:g}%",
            "sleep at": None if sleep is None else f"{sleep:g}%",
            "no launch at": f"{money['prevent_launch_threshold']:g}%",
            "workspaces": f"{project['active_instances']} of {project['total_instances']} at work",
            "members": ", ".join(
                f"{member['email']} ({member['role']})" for member in project["members"]
            ),
        }
    )
    return suggest(f"Where it goes: `prism project budget {_word(project['name'])}`")


def _create(asked: Namespace) -> None:
    limits = _limits(asked)
    project = daemon().call(
        Projects.create,
        asked.name,
        description=asked.description or "",
        budget=projects.NewBudget(**limits) if limits else None,
        members=dict.fromkeys(asked.owner or (), "owner"),
    )
    if asked.json:
        return show_json(project)
    print(f"{project['name']} was made")
    return suggest(
        f"Launch in it: `prism launch TEMPLATE NAME --project {_word(project['name'])}`"
    )


def _update(asked: Namespace) -> None:
    changes = given(asked, "rename", "description")
    if limits := _limits(asked):
        changes["budget"] = projects.BudgetChange(**limits)
    if not changes:
        raise UsageError("no change was given", "See `prism project update --help`")
    project = daemon().call(Projects.update, asked.name, **changes)
    return show_json(project) if asked.json else print(f"{project['name']} was changed")


def _delete(asked: Namespace, project: Any) -> None:
    print(f"{asked.name} was removed")


def _budget(asked: Namespace, budget: Any) -> None:
    parts, alerts = budget["cost_breakdown"], budget["budget_alerts"]
    over = budget["overrun"]
    show_fields(
        {
            "budget": usd(cap(budget["total_allocated"])),
            "used": percent(_used(budget)),
            **headline(budget),
            **_ever(budget),
            "compute": usd(parts["compute"]),
            "storage": usd(parts["storage"]),
            "transfer": usd(parts["data_transfer"]),
            "saved asleep": usd(budget["hibernation_savings"]),
            "risk": alerts["overspend_risk"],
            **({"over it": usd(over)} if over else {}),
        }
    )
    if spenders := budget["top_spending_instances"]:
        print()
        costs = aligned([spender["cost"] for spender in spenders])
        shares = [percent(spender["percentage"] / 100) for spender in spenders]
        names = [spender["name"] for spender in spenders]
        show_table(("WHAT", "COST", "SHARE"), list(zip(names, costs, shares, strict=True)))
    return limits(budget)


def _analysis(asked: Namespace, analysis: Any) -> None:
    show_fields(
        {
            "spent in 30 days": usd(analysis["current_monthly_burn"]),
            "at this pace": usd(analysis["projected_monthly_burn"]),
            "sleep could save": usd(analysis["hibernation_potential_savings"]),
        }
    )
    advice = analysis["optimization_recommendations"]
    if not advice:
        return say("No advice: it takes a day of measurements.")
    rows = [(a["instance"], usd(a["potential_savings"]), a["recommendation"]) for a in advice]
    print()
    return show_table(("WORKSPACE", "SAVES", "HOW"), rows, "HOW")


def _used(money: dict[str, Any]) -> float | None:
    """What of a budget is spent in its present period."""
    total, spent = money["total_allocated"], money["spent"]
    return spent / total if total and spent is not None else None


def _ever(money: dict[str, Any]) -> dict[str, str | None]:
    """All that was ever spent, where that is not what is spent of the budget now."""
    ever = money["current_spend"]
    return {"spent ever": usd(ever)} if ever != money["spent"] else {}


def _word(name: str) -> str:
    """A name as one types it in a shell."""
    import shlex  # noqa: PLC0415  cold start: only for those who made or looked at one

    return shlex.quote(name)


def _limits(asked: Namespace) -> dict[str, Any]:
    limits = {WIRE[name]: getattr(asked, name) for name in LIMITS}
    given = {name: value for name, value in limits.items() if value is not None}
    if asked.budget is not None:
        given["total_allocated"] = asked.budget
    if getattr(asked, "no_budget", False):
        given["total_allocated"] = None
    return given


def _named(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="the project's name or id")


def _fields(made: ArgumentParser) -> None:
    _named(made)
    renamed(made, "--description", "--about", metavar="TEXT", help="what it is about")
    made.add_argument("--budget", type=float, metavar="USD", help="its own budget in USD")
    made.add_argument("--alert", type=float, metavar="PERCENT", help="alert at this percentage")
    percent = {"type": float, "metavar": "PERCENT"}
    renamed(
        made, "--auto-hibernate", "--hibernate", **percent, help="hibernate at this percentage"
    )
    renamed(
        made, "--prevent-launch", "--prevent", **percent, help="no launches at this percentage"
    )


def _new(made: ArgumentParser) -> None:
    _fields(made)
    made.add_argument("--owner", action="append", metavar="EMAIL", help="an owner (default: you)")


def _changes(made: ArgumentParser) -> None:
    _fields(made)
    made.add_argument("--rename", metavar="NAME", help="the new name")
    made.add_argument("--no-budget", action="store_true", help="remove its own budget")


VERBS = {
    "list": (nothing, lambda asked: daemon().call(Projects.list), _list),
    "show": (_named, lambda asked: daemon().call(Projects.show, asked.name), _show),
    "create": (_new, _create),
    "update": (_changes, _update),
    "delete": (_named, lambda asked: daemon().call(Projects.delete, asked.name), _delete),
    "budget": (_named, lambda asked: daemon().call(Projects.budget, asked.name), _budget),
    "analysis": (_named, lambda asked: daemon().call(Projects.analysis, asked.name), _analysis),
}
