"""Client methods for projects."""

from __future__ import annotations

import builtins

from prism.annotations import Mapping
from prism.client.models import access, budgets, projects
from prism.client.transport.request import UNSET, Noun, UnsetType, trim
from prism.client.transport.wire import query, quoted

PROJECTS_PATH = "/projects"


class Projects(Noun):
    """Methods for projects; `name` is a name or an id."""

    def list(self) -> builtins.list[projects.ProjectShown]:
        """Every project."""
        return self._ask("GET", PROJECTS_PATH, builtins.list[projects.ProjectShown])

    def show(self, name: str) -> projects.ProjectShown:
        """One project, by name or id."""
        return self._ask("GET", f"{PROJECTS_PATH}/{quoted(name)}", projects.ProjectShown)

    def create(
        self,
        name: str,
        *,
        description: str = "",
        budget: projects.NewBudget | None = None,
        members: Mapping[str, access.Role | str] | None = None,
        key: str | None = None,
    ) -> projects.ProjectShown:
        """Make a project; you own it, unless a member is its owner."""
        team = tuple(
            projects.NewMember(email=email, role=access.Role(role))
            for email, role in (members or {}).items()
        )
        body = projects.NewProject(name=name, description=description, budget=budget, members=team)
        return self._ask("POST", PROJECTS_PATH, projects.ProjectShown, trim(body), key=key)

    def update(
        self,
        name: str,
        *,
        rename: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        budget: projects.BudgetChange | UnsetType = UNSET,
    ) -> projects.ProjectShown:
        """Change the given fields of a project."""
        body = projects.ProjectChange(name=rename, description=description, budget=budget)
        return self._ask("PUT", f"{PROJECTS_PATH}/{quoted(name)}", projects.ProjectShown, body)

    def delete(self, name: str) -> projects.DeletedProject:
        """Delete a project that is not used."""
        return self._ask("DELETE", f"{PROJECTS_PATH}/{quoted(name)}", projects.DeletedProject)

    def budget(self, name: str) -> budgets.ProjectBudget:
        """A project's budget, and what was spent on what."""
        return self._ask("GET", f"{PROJECTS_PATH}/{quoted(name)}/budget", budgets.ProjectBudget)

    def analysis(self, name: str) -> budgets.CostAnalysis:
        """Where its money goes, and how to spend less."""
        return self._ask(
            "GET", f"{PROJECTS_PATH}/{quoted(name)}/cost-analysis", budgets.CostAnalysis
        )

    def forecast(self, name: str) -> budgets.ProjectForecast:
        """When its money runs out at the current rate."""
        return self._ask(
            "GET", f"{PROJECTS_PATH}/{quoted(name)}/forecast", budgets.ProjectForecast
        )

    def report(self, name: str, month: str | None = None) -> budgets.MonthlyReport:
        """A report about a month, such as `2026-01`; by default the current one."""
        path = f"{PROJECTS_PATH}/{quoted(name)}/report{query(month=month)}"
        return self._ask("GET", path, budgets.MonthlyReport)

    def report_as(self, format: str, name: str, month: str | None = None) -> bytes:
        """The report, as `markdown`, `csv` or `json`."""
        path = f"{PROJECTS_PATH}/{quoted(name)}/report{query(month=month, format=format)}"
        return self._wire.send("GET", path).content
