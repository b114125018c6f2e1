"""Client methods for budget pools and allocations."""

from __future__ import annotations

import builtins

from prism.annotations import datetime
from prism.client.models import budgets
from prism.client.transport.request import UNSET, Noun, UnsetType, trim
from prism.client.transport.wire import query, quoted

POOLS, ALLOCATIONS_PATH = "/budgets", "/allocations"


class Budgets(Noun):
    """Methods for pools; `name` is a name or an id."""

    def list(self) -> builtins.list[budgets.PoolShown]:
        """Every pool."""
        return [*self.page().budgets]

    def page(self) -> budgets.PoolList:
        """Every pool, and how many there are."""
        return self._ask("GET", POOLS, budgets.PoolList)

    def show(self, name: str) -> budgets.PoolShown:
        """One pool, by name or id."""
        return self._ask("GET", f"{POOLS}/{quoted(name)}", budgets.PoolShown)

    def create(
        self,
        name: str,
        total_amount: float,
        *,
        created_by: str,
        period: budgets.Period = "project",
        description: str = "",
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        alert_threshold: float = 0.8,
        time_zone: str = "UTC",
    ) -> budgets.PoolShown:
        """Make a pool; amounts are per period, which begins at midnight in its time zone."""
        body = budgets.NewPool(
            name=name,
            total_amount=total_amount,
            period=period,
            created_by=created_by,
            description=description,
            start_date=start_date,
            end_date=end_date,
            alert_threshold=alert_threshold,
            time_zone=time_zone,
        )
        return self._ask("POST", POOLS, budgets.PoolShown, trim(body))

    def update(
        self,
        name: str,
        *,
        rename: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        total_amount: float | UnsetType = UNSET,
        alert_threshold: float | UnsetType = UNSET,
        end_date: datetime | UnsetType | None = UNSET,
    ) -> budgets.PoolShown:
        """Change the given fields of a pool."""
        body = budgets.PoolChange(
            name=rename,
            description=description,
            total_amount=total_amount,
            alert_threshold=alert_threshold,
            end_date=end_date,
        )
        return self._ask("PUT", f"{POOLS}/{quoted(name)}", budgets.PoolShown, body)

    def delete(self, name: str) -> budgets.DeletionAnswer:
        """Delete a pool without allocations."""
        return self._ask("DELETE", f"{POOLS}/{quoted(name)}", budgets.DeletionAnswer)

    def summary(self, name: str) -> budgets.PoolSummary:
        """A pool with its allocations and top spenders."""
        return self._ask("GET", f"{POOLS}/{quoted(name)}/summary", budgets.PoolSummary)

    def statement(self, name: str, period: str | None = None) -> budgets.PoolStatement:
        """A period of a pool: that with a year, month or day, or the present one."""
        path = f"{POOLS}/{quoted(name)}/statement{query(period=period)}"
        return self._ask("GET", path, budgets.PoolStatement)

    def statement_as(self, format: str, name: str, period: str | None = None) -> bytes:
        """The statement, as `markdown`, `csv`, `html` or `json`."""
        path = f"{POOLS}/{quoted(name)}/statement{query(period=period, format=format)}"
        return self._wire.send("GET", path).content

    def allocations(self, name: str) -> builtins.list[budgets.AllocationShown]:
        """The parts of a pool."""
        return [*self.allocations_page(name).allocations]

    def allocations_page(self, name: str) -> budgets.AllocationList:
        """The parts of a pool, and how many there are."""
        return self._ask("GET", f"{POOLS}/{quoted(name)}/allocations", budgets.AllocationList)


class Allocations(Noun):
    """Methods for allocations, which are projects' parts of pools."""

    def create(
        self,
        budget: str,
        project: str,
        amount: float,
        *,
        allocated_by: str,
        alert_threshold: float = 0.8,
    ) -> budgets.AllocationShown:
        """Give a project a part of a pool."""
        body = budgets.NewAllocation(
            budget_id=budget,
            project_id=project,
            allocated_amount=amount,
            alert_threshold=alert_threshold,
            allocated_by=allocated_by,
        )
        return self._ask("POST", ALLOCATIONS_PATH, budgets.AllocationShown, body)

    def update(
        self,
        id: str,
        *,
        amount: float | UnsetType = UNSET,
        alert_threshold: float | UnsetType = UNSET,
    ) -> budgets.AllocationShown:
        """Change the given fields of an allocation."""
        body = budgets.AllocationChange(allocated_amount=amount, alert_threshold=alert_threshold)
        return self._ask("PUT", f"{ALLOCATIONS_PATH}/{quoted(id)}", budgets.AllocationShown, body)

    def delete(self, id: str) -> budgets.DeletionAnswer:
        """Delete an allocation that pays for nothing."""
        return self._ask("DELETE", f"{ALLOCATIONS_PATH}/{quoted(id)}", budgets.DeletionAnswer)

    def move(
        self, source: str, destination: str, amount: float, *, reason: str = ""
    ) -> budgets.ReallocateAnswer:
        """Move money between two projects of one pool."""
        body = budgets.NewReallocation(
            source_allocation_id=source,
            destination_allocation_id=destination,
            amount=amount,
            reason=reason,
        )
        return self._ask("POST", "/reallocations", budgets.ReallocateAnswer, body)
