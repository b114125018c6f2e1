"""Money as the API shows it: pure functions of balances."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from prism.budgets.balances import Balance, PoolShare
from prism.budgets.model import (
    Allocation,
    AllocationShown,
    BudgetAlerts,
    CapBalance,
    CapCourse,
    CostBreakdown,
    Pool,
    PoolShown,
    TopInstance,
    TopProject,
    UnspentAt,
)
from prism.budgets.runway import Runway
from prism.costs.model import HOUR, MONTH_HOURS, PAID, RUNS, CostKind, Segment
from prism.costs.months import elapsed
from prism.costs.plan import cost, moment
from prism.costs.view import called_by_id, percent
from prism.kit.money import Micros, amount, apportioned

CRITICAL = 0.95
MEDIUM, HIGH = 0.8, 1.0
MOST_BENDS = 12  # points of a course; each looks at every segment


def pool(pool: Pool, allocated: int, balance: Balance, unpriced: Sequence[str]) -> PoolShown:
    """A pool; `unpriced` names what it paid for in its period without a known price."""
    within, spent = balance.within, _spent(balance)
    return PoolShown(
        id=pool.id,
        name=pool.name,
        description=pool.description,
        total_amount=amount(pool.total),
        allocated_amount=amount(Micros(allocated)),
        spent_amount=spent,
        reserved_amount=amount(Micros(balance.reserved)),
        remaining_amount=None if spent is None else amount(Micros(pool.total - balance.settled)),
        spent=spent,
        reserved=amount(Micros(balance.reserved)),
        left=None if balance.is_unknown else amount(balance.shown_left),
        spent_after_end=amount(Micros(balance.after)),
        utilization_rate=None if balance.is_unknown else round(balance.settled / pool.total, 4),
        overrun=amount(Micros(balance.overrun)),
        unpriced=tuple(unpriced),
        period=pool.period,
        time_zone=pool.time_zone,
        period_start=moment(within.start) if within else None,
        period_end=moment(within.end) if within and within.end else None,
        start_date=pool.start_date,
        end_date=pool.end_date,
        alert_threshold=pool.alert_threshold,
        created_by=pool.created_by,
        created_at=pool.created_at,
        updated_at=pool.updated_at,
    )


def allocation(
    allocation: Allocation, project: str, balance: Balance, pool: Balance, unpriced: Sequence[str]
) -> AllocationShown:
    """An allocation; `left` is at most what its pool has left."""
    spent, part = _spent(balance), PoolShare(balance, pool)
    return AllocationShown(
        id=allocation.id,
        budget_id=allocation.pool,
        project_id=allocation.project,
        project_name=project,
        allocated_amount=amount(allocation.amount),
        spent_amount=spent,
        reserved_amount=amount(Micros(balance.reserved)),
        remaining=None if spent is None else amount(Micros(allocation.amount - balance.settled)),
        spent=spent,
        reserved=amount(Micros(balance.reserved)),
        left=None if part.is_unknown else amount(Micros(part.left)),
        spent_after_end=amount(Micros(balance.after)),
        utilization_rate=_utilization(allocation, balance),
        overrun=amount(Micros(balance.overrun)),
        unpriced=tuple(unpriced),
        alert_threshold=allocation.alert_threshold,
        allocated_at=allocation.allocated_at,
        allocated_by=allocation.allocated_by,
    )


def status(balance: Balance) -> Literal["ok", "warning", "critical"]:
    """How close the spending is to the cap; `ok` if nothing is spent."""
    warns = balance.settled and balance.part >= balance.cap.alert
    return "critical" if balance.part >= CRITICAL else "warning" if warns else "ok"


def outcome(balance: Balance, end: Runway, projected: int) -> CapBalance:
    """The balance of a cap, until when it pays, and what will have been spent."""
    spent = _spent(balance)
    closes = balance.within.end if balance.within else None
    last = None if end.at is None else moment(end.at)
    return CapBalance(
        cap=balance.cap.words,
        scope=balance.cap.column,
        id=balance.cap.id,
        amount=amount(balance.cap.amount),
        settled=spent,
        spent=spent,
        reserved=amount(Micros(balance.reserved)),
        reserved_for_disks=amount(Micros(balance.disks)),
        left=None if balance.is_unknown else amount(balance.shown_left),
        period_end=None if closes is None else moment(closes),
        projected=None if balance.is_unknown else amount(Micros(projected)),
        runs_out=last,
        runs_out_on=last,
        because=end.because,
        spent_after_end=amount(Micros(balance.after)),
    )


def _spent(balance: Balance) -> float | None:
    return None if balance.is_unknown else amount(Micros(balance.settled))


def _utilization(allocation: Allocation, balance: Balance) -> float | None:
    if balance.is_unknown:
        return None
    return round(balance.settled / allocation.amount, 4) if allocation.amount else 0.0


def projected(
    balance: Balance, segments: Iterable[Segment], expiries: Mapping[str, int], now: int
) -> int:
    """What will have been spent by the end of the period, or in 720 hours, if nothing is changed.

    `segments` is what costs money now; a workspace runs until it expires.
    """
    end = (balance.within and balance.within.end) or now + MONTH_HOURS * HOUR
    return _spent_by(end, balance, segments, expiries, now)


def course(
    balance: Balance,
    segments: Sequence[Segment],
    expiries: Mapping[str, int],
    now: int,
    sleeps: int | None,
) -> CapCourse:
    """What will not be spent of a cap; all workspaces are asleep from `sleeps` on."""
    if balance.is_unknown:
        return CapCourse(balance.cap.id, ())
    end = now + MONTH_HOURS * HOUR
    if balance.within is not None and balance.within.end is not None:
        end = max(now, min(end, balance.within.end))
    ends = dict(expiries)
    if sleeps is not None:
        running = (row.resource for row in segments if row.kind in RUNS)
        ends |= {id: min(sleeps, expiries.get(id, sleeps)) for id in running}
    bends = sorted({at for at in ends.values() if now < at < end})
    times = [now, *bends[:: 1 + len(bends) // MOST_BENDS], *bends[-1:], end]
    points = [
        UnspentAt(
            moment(at),
            amount(Micros(balance.cap.amount - _spent_by(at, balance, segments, ends, now))),
        )
        for at in sorted(set(times))
    ]
    return CapCourse(balance.cap.id, tuple(points))


def _spent_by(
    at: int, balance: Balance, segments: Iterable[Segment], ends: Mapping[str, int], now: int
) -> int:
    """What will have been spent of a cap by then; a workspace runs until its end."""
    total, cap = balance.settled, balance.cap
    for row in segments:
        if row.is_paid and row.amount and getattr(row, cap.column) == cap.id:
            until = min(at, ends.get(row.resource, at)) if row.kind in RUNS else at
            seconds = elapsed(now, max(now, until), by_month=row.by_month)
            total += cost(row.amount, row.hours, seconds)
    return total


def breakdown(kinds: Mapping[CostKind, int], unknown: Collection[CostKind]) -> CostBreakdown:
    """What a project spent on each kind; the parts add up to its total."""
    paid: dict[CostKind, int] = {kind: kinds.get(kind, 0) for kind in PAID}
    sums = {
        "compute": sum(paid[kind] for kind in RUNS),
        "storage": sum(micros for kind, micros in paid.items() if kind not in RUNS),
    }
    costs: dict[str, float | None] = {**apportioned(sums)}
    lacking = {"compute": RUNS & set(unknown), "storage": set(unknown) - RUNS}
    for name, kinds_of in lacking.items():
        if kinds_of and not sums[name]:
            costs[name] = None
    return CostBreakdown(costs["compute"], costs["storage"], None)


def top_spenders(rows: Sequence[tuple[str, str, int]], total: int) -> list[TopInstance]:
    """What each workspace has cost its project; the cents of all add up to the total."""
    cents = apportioned({resource: paid for resource, _, paid in rows})
    return [
        TopInstance(called_by_id(name, resource), cents[resource], percent(paid, total))
        for resource, name, paid in rows
        if paid
    ]


def top_projects(rows: Sequence[tuple[str, str, int, bool]], total: int) -> list[TopProject]:
    """The five projects that spent most of a pool; `formerly` if the allocation is deleted."""
    first = sorted((row for row in rows if row[2]), key=lambda it: (-it[2], it[1]))
    return [
        TopProject(id, name, amount(Micros(paid)), percent(paid, total), formerly)
        for id, name, paid, formerly in first[:5]
    ]


def alerts(
    balances: Sequence[Balance], projections: Mapping[str, int], *, unpriced: bool
) -> BudgetAlerts:
    """How close spending is to a cap; the risk follows from what each cap will have spent.

    If some of that is `unpriced`, the risk is at least this, and may be higher.
    """
    risk: Literal["low", "medium", "high"] | None = None
    ends = [
        projections[balance.cap.id] / (balance.cap.amount or 1)
        for balance in balances
        if balance.cap.id in projections and not balance.is_empty
    ]
    if ends:
        worst = max(ends)
        risk = "low" if worst < MEDIUM else "medium" if worst < HIGH else "high"
        risk = None if unpriced and risk != "high" else risk
    most = max((balance.part for balance in balances), default=0.0)
    return BudgetAlerts(most >= MEDIUM, most >= 0.9, risk)
