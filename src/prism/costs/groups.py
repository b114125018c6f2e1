"""What a period cost by project, user, template, budget or machine type, read in one query."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct
from sqlalchemy import BigInteger, Connection, case, column, func, select, true, values

from prism.costs.model import DAY, OF_A_WORKSPACE, CostGroup, CostKind, GroupBy
from prism.costs.months import month_time
from prism.costs.plan import bucket_end, detail_of_run
from prism.costs.store import PAYING, cost_by, segments, touching
from prism.costs.view import percent
from prism.errors import ValidationFailed
from prism.kit.money import apportioned

MOST_BARS = 400  # each has a number for each group
EDGES = ("begin", "finish", "month_begin", "month_finish")
OF_A_TYPE = (CostKind.COMPUTE, CostKind.ASLEEP)  # kinds whose detail is a machine type
COLUMNS = {
    "project": segments.c.project,
    "user": segments.c.owner,
    "template": segments.c.template,
    "budget": segments.c.pool,
    "type": case((segments.c.kind.in_(OF_A_TYPE), segments.c.detail)),
}


class GroupSum(Struct, frozen=True):
    """The cost and the savings of one group in one bar; `begin` is the bar's first second."""

    key: str | None
    begin: int
    paid: int
    saved: int


def bars(first: int, last: int, granularity: str) -> tuple[int, ...]:
    """The first second of each bar from the first day to the last, and the end of the last one."""
    edges, day = [], first
    while day <= last:
        edges.append(day * DAY)
        day = bucket_end(day, granularity)
        if len(edges) > MOST_BARS:
            message = f"groups are shown for at most {MOST_BARS} bars"
            raise ValidationFailed.of(
                ("granularity", f"{message}; ask for weeks, months or a shorter period")
            )
    return (*edges, (last + 1) * DAY)


def sums(
    sql: Connection, by: GroupBy, edges: Sequence[int], now: int, project: str | None
) -> list[GroupSum]:
    """The cost of each group in each bar between two edges, up to now."""
    spans = [(begin, min(end, now)) for begin, end in pairwise(edges) if begin < now]
    if not spans:
        return []
    table = values(*(column(name, BigInteger) for name in EDGES), name="bars")
    rows = [(begin, end, month_time(begin), month_time(end)) for begin, end in spans]
    bar = table.data(rows).cte("bars").c
    cost = cost_by((bar.finish, bar.month_finish)) - cost_by((bar.begin, bar.month_begin))
    paid = func.sum(case((PAYING, cost), else_=0))
    saved = func.sum(case((PAYING, 0), else_=cost))
    in_project = true() if project is None else segments.c.project == project
    whole = touching(spans[0][0], spans[-1][1])
    query = select(COLUMNS[by], bar.begin, paid, saved).where(
        in_project, whole, touching(bar.begin, bar.finish)
    )
    group_rows = sql.execute(query.group_by(COLUMNS[by], bar.begin))
    return [GroupSum(_key(by, key), int(begin), int(p), int(s)) for key, begin, p, s in group_rows]


def _key(by: GroupBy, value: str | None) -> str | None:
    """The group of a row: the rest of the least charge for a run is of the type of that run."""
    return detail_of_run(value) if by == "type" and value is not None else value


def workspaces(
    sql: Connection, by: GroupBy, start: int, end: int, project: str | None
) -> dict[str | None, int]:
    """How many workspaces of each group had costs between two moments."""
    s = segments.c
    in_project = true() if project is None else s.project == project
    costly = cost_by(end) - cost_by(start) > 0
    count = func.count(s.no.distinct())
    query = select(COLUMNS[by], count).where(
        in_project, touching(start, end), s.kind.in_(OF_A_WORKSPACE), costly, ~s.is_minimum
    )
    return {key: int(count) for key, count in sql.execute(query.group_by(COLUMNS[by]))}


def groups(
    group_sums: Collection[GroupSum],
    edges: Sequence[int],
    counts: Mapping[str | None, int],
    names: Mapping[str, str],
) -> tuple[CostGroup, ...]:
    """The groups as the API shows them, the most expensive first.

    The cents of all groups add up to the total; those of one group's bars are off by at most one.
    """
    paid: dict[str | None, dict[int, int]] = {}
    saved: dict[str | None, int] = {}
    for group_sum in group_sums:
        paid.setdefault(group_sum.key, dict.fromkeys(edges[:-1], 0))[group_sum.begin] += (
            group_sum.paid
        )
        saved[group_sum.key] = saved.get(group_sum.key, 0) + group_sum.saved
    totals = {key: sum(of.values()) for key, of in paid.items()}
    total = sum(totals.values())
    cents, saved_cents = apportioned(totals), apportioned(saved)
    order = sorted(totals, key=lambda key: (-totals[key], key is None, key or ""))
    return tuple(
        CostGroup(
            name=None if key is None else names.get(key, key),
            cost=cents[key],
            micros=totals[key],
            percentage=percent(totals[key], total),
            hibernation_savings=saved_cents[key],
            instances=counts.get(key, 0),
            costs=tuple(apportioned(paid[key]).values()),
        )
        for key in order
        if totals[key] or saved[key]
    )
