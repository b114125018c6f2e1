"""Projects, across the wire."""

from __future__ import annotations

import builtins

from prism.client.models import access, budgets, projects
from prism.client.request import UNSET, Noun, UnsetType, given
from prism.client.wire import query, quoted

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/projects"


class Projects(Noun):
    """What you may ask about projects; each answers to its id or its name."""

    def list(self) -> builtins.list[projects.ProjectShown]:
        """Every project."""
        return self._ask("GET", PATH, builtins.list[projects.ProjectShown])

    def show(self, name: str) -> projects.ProjectShown:
        """One project."""
        return self._ask("GET", f"{PATH}/{quoted(name)}", projects.ProjectShown)

    def create(
        self,
        name: str,
        *,
        description: str = "",
        budget: projects.NewBudget | None = None,
        members: Mapping[str, access.Role | str] | None = None,
        key: str | None = None,
    ) -> projects.ProjectShown:
        """Make a project; without an owner among its members it is yours."""
        who = tuple(
            projects.NewMember(email=email, role=access.Role(role))
            for email, role in (members or {}).items()
        )
        body = given(
            projects.NewProject(name=name, description=description, budget=budget, members=who)
        )
        return self._ask("POST", PATH, projects.ProjectShown, body, key=key)

    def update(
        self,
        name: str,
        *,
        rename: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        budget: projects.BudgetChange | UnsetType = UNSET,
    ) -> projects.ProjectShown:
        """Change a project; what is not given stays."""
        body = projects.ProjectChange(name=rename, description=description, budget=budget)
        return self._ask("PUT", f"{PATH}/{quoted(name)}", projects.ProjectShown, body)

    def delete(self, name: str) -> projects.DeletedProject:
        """Forget a project that nothing needs."""
        return self._ask("DELETE", f"{PATH}/{quoted(name)}", projects.DeletedProject)

    def budget(self, name: str) -> budgets.ProjectBudget:
        """What it may spend, has spent, and on what."""
        return self._ask("GET", f"{PATH}/{quoted(name)}/budget", budgets.ProjectBudget)

    def analysis(self, name: str) -> budgets.Analysis:
        """Where its money goes, and how less of it would."""
        return self._ask("GET", f"{PATH}/{quoted(name)}/cost-analysis", budgets.Analysis)

    def forecast(self, name: str) -> budgets.Forecast:
        """When its money is used up if all goes on as it does now."""
        return self._ask("GET", f"{PATH}/{quoted(name)}/forecast", budgets.Forecast)

    def report(self, name: str, month: str | None = None) -> budgets.Report:
        """A month of it, as `2026-01`; the present one by default."""
        return self._ask(
            "GET", f"{PATH}/{quoted(name)}/report{query(month=month)}", budgets.Report
        )

    def report_as(self, format: str, name: str, month: str | None = None) -> bytes:
        """The same, as `markdown`, `csv` or `json`."""
        path = f"{PATH}/{quoted(name)}/report{query(month=month, format=format)}"
        return self._wire.send("GET", path).content
