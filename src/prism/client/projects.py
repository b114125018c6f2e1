"""Projects, across the wire."""

import builtins

from msgspec import UNSET, UnsetType

from prism.access.model import Role
from prism.budgets.model import Analysis, Forecast, ProjectBudget, Report
from prism.client.decoding import ask
from prism.client.wire import Wire, query, quoted
from prism.projects.model import (
    BudgetChange,
    DeletedProject,
    NewBudget,
    NewMember,
    NewProject,
    ProjectChange,
    ProjectShown,
)

PATH = "/projects"


class Projects:
    """What you may ask about projects; each answers to its id or its name."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[ProjectShown]:
        """Every project."""
        return ask(self._wire, "GET", PATH, builtins.list[ProjectShown])

    def show(self, name: str) -> ProjectShown:
        """One project."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}", ProjectShown)

    def create(
        self,
        name: str,
        *,
        description: str = "",
        budget: NewBudget | None = None,
        members: dict[str, Role] | None = None,
        key: str | None = None,
    ) -> ProjectShown:
        """Make a project; without an owner among its members it is yours."""
        who = tuple(NewMember(email, role) for email, role in (members or {}).items())
        body = NewProject(name=name, description=description, budget=budget, members=who)
        return ask(self._wire, "POST", PATH, ProjectShown, body, key=key)

    def update(
        self,
        name: str,
        *,
        rename: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        budget: BudgetChange | UnsetType = UNSET,
    ) -> ProjectShown:
        """Change a project; what is not given stays."""
        body = ProjectChange(name=rename, description=description, budget=budget)
        return ask(self._wire, "PUT", f"{PATH}/{quoted(name)}", ProjectShown, body)

    def delete(self, name: str) -> DeletedProject:
        """Forget a project that nothing needs."""
        return ask(self._wire, "DELETE", f"{PATH}/{quoted(name)}", DeletedProject)

    def budget(self, name: str) -> ProjectBudget:
        """What it may spend, has spent, and on what."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/budget", ProjectBudget)

    def analysis(self, name: str) -> Analysis:
        """Where its money goes, and how less of it would."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/cost-analysis", Analysis)

    def forecast(self, name: str) -> Forecast:
        """When its money is used up if all goes on as it does now."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/forecast", Forecast)

    def report(self, name: str, month: str | None = None) -> Report:
        """A month of it, as `2026-01`; the present one by default."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/report{query(month=month)}", Report)
