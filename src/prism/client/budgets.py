"""Budget pools and allocations, across the wire."""

import builtins
from datetime import datetime

from msgspec import UNSET, UnsetType

from prism.budgets.model import (
    AllocationChange,
    AllocationShown,
    Message,
    NewAllocation,
    NewPool,
    NewReallocation,
    Period,
    PoolChange,
    Pools,
    PoolShown,
    PoolSummary,
    Reallocated,
)
from prism.budgets.model import Allocations as Parts
from prism.client.decoding import ask
from prism.client.wire import Wire, quoted

POOLS, PARTS = "/budgets", "/allocations"


class Budgets:
    """What you may ask about pools; each answers to its id or its name."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[PoolShown]:
        """Every pool."""
        return [*ask(self._wire, "GET", POOLS, Pools).budgets]

    def show(self, name: str) -> PoolShown:
        """One pool."""
        return ask(self._wire, "GET", f"{POOLS}/{quoted(name)}", PoolShown)

    def create(
        self,
        name: str,
        total_amount: float,
        *,
        created_by: str,
        period: Period = "project",
        description: str = "",
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        alert_threshold: float = 0.8,
        time_zone: str = "UTC",
    ) -> PoolShown:
        """Make a pool; amounts are per period, which begins at midnight of its time zone."""
        body = NewPool(
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
        return ask(self._wire, "POST", POOLS, PoolShown, body)

    def update(
        self,
        name: str,
        *,
        rename: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        total_amount: float | UnsetType = UNSET,
        alert_threshold: float | UnsetType = UNSET,
        end_date: datetime | UnsetType | None = UNSET,
    ) -> PoolShown:
        """Change a pool; what is not given stays."""
        body = PoolChange(
            name=rename,
            description=description,
            total_amount=total_amount,
            alert_threshold=alert_threshold,
            end_date=end_date,
        )
        return ask(self._wire, "PUT", f"{POOLS}/{quoted(name)}", PoolShown, body)

    def delete(self, name: str) -> Message:
        """Delete a pool of which nothing is allocated."""
        return ask(self._wire, "DELETE", f"{POOLS}/{quoted(name)}", Message)

    def summary(self, name: str) -> PoolSummary:
        """A pool at a glance."""
        return ask(self._wire, "GET", f"{POOLS}/{quoted(name)}/summary", PoolSummary)

    def allocations(self, name: str) -> builtins.list[AllocationShown]:
        """The parts of a pool."""
        found = ask(self._wire, "GET", f"{POOLS}/{quoted(name)}/allocations", Parts)
        return [*found.allocations]


class Allocations:
    """What you may ask about projects' parts of pools."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(
        self,
        budget: str,
        project: str,
        amount: float,
        *,
        allocated_by: str,
        alert_threshold: float = 0.8,
    ) -> AllocationShown:
        """Give a project a part of a pool."""
        body = NewAllocation(
            budget_id=budget,
            project_id=project,
            allocated_amount=amount,
            alert_threshold=alert_threshold,
            allocated_by=allocated_by,
        )
        return ask(self._wire, "POST", PARTS, AllocationShown, body)

    def update(
        self,
        id: str,
        *,
        amount: float | UnsetType = UNSET,
        alert_threshold: float | UnsetType = UNSET,
    ) -> AllocationShown:
        """Change an allocation; what is not given stays."""
        body = AllocationChange(allocated_amount=amount, alert_threshold=alert_threshold)
        return ask(self._wire, "PUT", f"{PARTS}/{quoted(id)}", AllocationShown, body)

    def delete(self, id: str) -> Message:
        """Take an allocation away that nothing is paid from."""
        return ask(self._wire, "DELETE", f"{PARTS}/{quoted(id)}", Message)

    def move(
        self, source: str, destination: str, amount: float, *, reason: str = ""
    ) -> Reallocated:
        """Move money between two projects of one pool."""
        body = NewReallocation(
            source_allocation_id=source,
            destination_allocation_id=destination,
            amount=amount,
            reason=reason,
        )
        return ask(self._wire, "POST", "/reallocations", Reallocated, body)
