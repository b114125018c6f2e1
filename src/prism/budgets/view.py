"""How money looks on the wire: pure functions of where caps stand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from prism.budgets.books import Standing
from prism.budgets.model import (
    Allocation,
    AllocationShown,
    BudgetAlerts,
    Outcome,
    Pool,
    PoolShown,
)
from prism.costs.model import HOUR, MONTH_HOURS
from prism.costs.plan import moment
from prism.kit.money import Micros, amount

CRITICAL = 0.95
MEDIUM, HIGH = 0.8, 1.0
FAR = 253370764800  # the year 9999


def pool(it: Pool, allocated: int, at: Standing) -> PoolShown:
    """A pool."""
    within = at.within
    return PoolShown(
        id=it.id,
        name=it.name,
        description=it.description,
        total_amount=amount(it.total),
        allocated_amount=amount(Micros(allocated)),
        spent_amount=amount(Micros(at.settled)),
        reserved_amount=amount(Micros(at.reserved)),
        remaining_amount=amount(Micros(it.total - at.settled)),
        utilization_rate=round(at.settled / it.total, 4),
        overrun=overrun(at),
        period=it.period,
        time_zone=it.time_zone,
        period_start=moment(within.start) if within else None,
        period_end=moment(within.end) if within and within.end else None,
        start_date=it.start_date,
        end_date=it.end_date,
        alert_threshold=it.alert_threshold,
        created_by=it.created_by,
        created_at=it.created_at,
        updated_at=it.updated_at,
    )


def allocation(it: Allocation, project: str, at: Standing) -> AllocationShown:
    """An allocation."""
    return AllocationShown(
        id=it.id,
        budget_id=it.pool,
        project_id=it.project,
        project_name=project,
        allocated_amount=amount(it.amount),
        spent_amount=amount(Micros(at.settled)),
        reserved_amount=amount(Micros(at.reserved)),
        remaining=amount(Micros(it.amount - at.settled)),
        utilization_rate=round(at.settled / it.amount, 4) if it.amount else 0.0,
        overrun=overrun(at),
        alert_threshold=it.alert_threshold,
        allocated_at=it.allocated_at,
        allocated_by=it.allocated_by,
    )


def overrun(at: Standing) -> float:
    """By how much a cap is passed, whatever has passed it: docs/money.md says what can."""
    return amount(Micros(max(0, at.settled - at.cap.amount)))


def status(at: Standing) -> Literal["ok", "warning", "critical"]:
    """How near its end a cap is."""
    return "critical" if at.part >= CRITICAL else "warning" if at.part >= at.cap.alert else "ok"


def outcome(at: Standing, monthly: int, now: int) -> Outcome:
    """Where a cap stands and when it is used up at so much a month of 720 hours."""
    end = at.within.end if at.within else None
    rest = MONTH_HOURS * HOUR if end is None else max(0, end - now)
    projected = at.settled + monthly * rest // (MONTH_HOURS * HOUR)
    return Outcome(
        cap=at.cap.words,
        amount=amount(at.cap.amount),
        settled=amount(Micros(at.settled)),
        reserved=amount(Micros(at.reserved)),
        left=amount(Micros(at.left)),
        period_end=None if end is None else moment(end),
        projected=amount(Micros(projected)),
        runs_out=runs_out(at, monthly, now),
    )


def runs_out(at: Standing, monthly: int, now: int) -> datetime | None:
    """When a cap is used up; null where it lasts to its period's end, or has no period now."""
    if at.within is None:
        return None
    left = at.cap.amount - at.settled
    if left <= 0:
        return moment(now)
    if monthly <= 0:
        return None
    gone = now + left * MONTH_HOURS * HOUR // monthly
    end = at.within.end
    return None if gone > (FAR if end is None else end) else moment(gone)


def alerts(standings: Sequence[Standing], burns: Sequence[int | None], now: int) -> BudgetAlerts:
    """How near the nearest cap is; the risk is judged by what each paid in 30 days until now."""
    risk: Literal["low", "medium", "high"] | None = None
    ends = [
        outcome(at, burn, now).projected * 1e6 / (at.cap.amount or 1)
        for at, burn in zip(standings, burns, strict=True)
        if burn is not None
    ]
    if ends:
        worst = max(ends)
        risk = "low" if worst < MEDIUM else "medium" if worst < HIGH else "high"
    most = max((at.part for at in standings), default=0.0)
    return BudgetAlerts(most >= MEDIUM, most >= 0.9, risk)
