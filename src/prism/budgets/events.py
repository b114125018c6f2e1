"""The events of budgets; `subject` is the name of the pool or project."""

from collections.abc import Sequence
from typing import Any, ClassVar

from prism.kit.events import Event

POOL = ("name", "description", "total", "period", "time_zone", "start_date", "end_date")
ALERT = "alert_threshold"


class PoolChanged(Event, frozen=True, kw_only=True):
    """A pool was created, changed or deleted; amounts in micro-dollars."""

    event: ClassVar[str] = "budget_changed"
    money: ClassVar[frozenset[str]] = frozenset({"total"})
    budget: str
    what: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AllocationChanged(Event, frozen=True, kw_only=True):
    """An allocation was created, changed, moved or deleted; amounts in micro-dollars."""

    event: ClassVar[str] = "allocation_changed"
    money: ClassVar[frozenset[str]] = frozenset({"amount"})
    allocation: str
    budget: str
    project: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str = ""


class ThresholdExceeded(Event, frozen=True, kw_only=True):
    """The spending of a cap has reached a threshold.

    It is recorded again if the spending fell below it meanwhile; `project` is null for a pool.
    """

    event: ClassVar[str] = "budget_threshold_exceeded"
    money: ClassVar[frozenset[str]] = frozenset({"cap", "settled"})
    scope: str
    id: str
    project: str | None
    threshold: float
    cap: int
    settled: int


class BudgetOvercommitted(Event, frozen=True, kw_only=True):
    """A shared volume or a snapshot has grown beyond what a cap can pay for.

    `resource` is its name; `project` is null for a pool.
    """

    event: ClassVar[str] = "budget_overcommitted"
    money: ClassVar[frozenset[str]] = frozenset({"cap", "settled", "reserved"})
    scope: str
    id: str
    project: str | None
    resource: str
    cap: int
    settled: int
    reserved: int


def changes(was: object, now: object, names: Sequence[str]) -> dict[str, Any]:
    """The differences between two versions; None stands for a missing version."""
    if was is not None and now is not None:
        names = [name for name in names if getattr(was, name) != getattr(now, name)]
    ends = {"before": was, "after": now}
    return {
        end: None if version is None else {name: getattr(version, name) for name in names}
        for end, version in ends.items()
    }
