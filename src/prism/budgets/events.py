"""What can happen to money; `subject` is the name of the pool or project."""

from typing import ClassVar

from prism.kit.events import Event


class PoolChanged(Event, frozen=True, kw_only=True):
    """A pool was made, changed or deleted."""

    event: ClassVar[str] = "budget_changed"
    budget: str
    what: str


class AllocationChanged(Event, frozen=True, kw_only=True):
    """An allocation was made, changed, moved to or from, or removed; amounts in micro-dollars."""

    event: ClassVar[str] = "allocation_changed"
    allocation: str
    budget: str
    project: str
    amount: int
    previous: int | None
    reason: str = ""


class ThresholdExceeded(Event, frozen=True, kw_only=True):
    """So much of a cap is spent; told once, and again after it fell below meanwhile."""

    event: ClassVar[str] = "budget_threshold_exceeded"
    scope: str
    id: str
    threshold: float
    cap: int
    settled: int
