"""Costs as the API shows them: pure functions of segments and days."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from prism.costs.model import (
    MONTH_HOURS,
    PAID,
    CostBucket,
    CostDriver,
    CostExportLine,
    CostHistory,
    CostKind,
    CostTrends,
    CurrentCosts,
    DayCost,
    HibernationSavings,
    HourlyBreakdown,
    Segment,
)
from prism.costs.plan import Driver, as_date, buckets, moment, segment_cost
from prism.kit.money import CENT, Micros, amount, apportioned, rate, shares

GROUP = {
    CostKind.COMPUTE: "instances",
    CostKind.ADDRESS: "instances",
    CostKind.ROOT: "ebs_storage",
    CostKind.VOLUME: "ebs_storage",
    CostKind.SNAPSHOT: "ebs_storage",
    CostKind.FILES: "efs_storage",
}
WORDS = {
    CostKind.COMPUTE: "compute",
    CostKind.ROOT: "root disks",
    CostKind.ADDRESS: "public addresses",
    CostKind.VOLUME: "volumes",
    CostKind.FILES: "shared file systems",
    CostKind.SNAPSHOT: "snapshots",
}
SORTS = {CostKind.VOLUME: "volume", CostKind.FILES: "volume", CostKind.SNAPSHOT: "snapshot"}
STEADY = 5.0  # percent of change that is no trend


def current(
    kinds: Mapping[CostKind, int],
    drivers: Sequence[Driver],
    unpriced: Iterable[tuple[str, CostKind]],
    savings: HibernationSavings,
) -> CurrentCosts:
    """What costs money now; the parts of the breakdown add up to the total.

    `kinds` is what each kind costs in 720 hours, and `drivers` what the most expensive things do.
    """
    monthly = dict.fromkeys(HourlyBreakdown.__struct_fields__, 0)
    for kind, month in kinds.items():
        monthly[GROUP[kind]] += month
    parts = shares({name: month / MONTH_HOURS for name, month in monthly.items()}, 100)
    total, unknown = sum(monthly.values()), names(unpriced)
    is_unknown = not total and bool(unknown)
    return CurrentCosts(
        total_current_hourly=None if is_unknown else sum(parts.values()) * 100 / 1_000_000,
        total_daily_projection=None if is_unknown else amount(Micros(total * 24 // MONTH_HOURS)),
        total_monthly_projection=None if is_unknown else amount(Micros(total)),
        cost_breakdown=HourlyBreakdown(**{name: part * 100 / 1e6 for name, part in parts.items()}),
        hibernation_savings=savings,
        top_cost_drivers=tuple(
            CostDriver(
                called(name, kind), rate(Micros(month // MONTH_HOURS)), percent(month, total)
            )
            for month, name, kind in drivers
        ),
        unknown=unknown,
        unpriced=unknown,
    )


def called(name: str, kind: CostKind) -> str:
    """The name for a list of several kinds, in which a volume may be called like a workspace."""
    return f"{name} ({SORTS[kind]})" if kind in SORTS else name


def names(resources: Iterable[tuple[str, CostKind]]) -> tuple[str, ...]:
    """The names to show of several resources, in order and each once."""
    return tuple(sorted({called(name, kind) for name, kind in resources}))


def called_by_id(name: str, resource: str) -> str:
    """The name for such a list, from an id, which begins with the kind."""
    sort = resource.partition("_")[0]
    return f"{name} ({sort})" if sort in SORTS.values() else name


def percent(part: int, total: int) -> float:
    """A part of a total in percent; 0 if the total is 0."""
    return round(100 * part / total, 1) if total else 0.0


def history(
    days: Mapping[int, DayCost],
    first: int,
    last: int,
    granularity: str,
    unpriced: Collection[tuple[str, CostKind]] = (),
) -> CostHistory:
    """A period, bar by bar, and the names of what is missing in its sums."""
    bars_of = list(buckets(days, first, last, granularity))
    total = sum(paid for _, paid, _, _ in bars_of)
    paid_of = apportioned({day: paid for day, paid, _, _ in bars_of})
    saved_of = apportioned({day: saved for day, _, _, saved in bars_of})
    bars = [
        CostBucket(as_date(day), paid_of[day], instances, saved_of[day], paid)
        for day, paid, instances, _ in bars_of
    ]
    return CostHistory(
        period=f"{last - first + 1}_days",
        total_cost=None if unpriced and not total else amount(Micros(total)),
        micros=total,
        daily_costs=tuple(bars),
        cost_trends=trends(days, first, last),
        unpriced=names(unpriced),
    )


def trends(days: Mapping[int, DayCost], first: int, last: int) -> CostTrends:
    """The second half of a period compared with the first; an odd middle day is in neither."""
    half = (last - first + 1) // 2
    early, late = _sums(days, first, first + half), _sums(days, last - half + 1, last + 1)
    was, now = sum(early.values()), sum(late.values())
    change = None if was == 0 and now else round(100 * (now - was) / was, 1) if was else 0.0
    steady = abs(now - was) < CENT or (change is not None and abs(change) <= STEADY)
    direction = "stable" if steady else "increasing" if now > was else "decreasing"
    moved = {kind: late[kind] - early[kind] for kind in PAID}
    kind = max(moved, key=lambda kind: abs(moved[kind]))
    if abs(moved[kind]) < CENT:
        return CostTrends(direction, change, None)
    how = "more" if moved[kind] > 0 else "less"
    dollars = f"${abs(moved[kind]) / 1e6:,.2f}"
    text = f"{dollars} {how} for {WORDS[kind]} than in the first half of the period"
    return CostTrends(direction, change, text)


def lines(
    segments: Sequence[Segment], projects: Mapping[str, str], start: int, end: int
) -> list[CostExportLine]:
    """The parts of segments in a period; the cents of all with a price add up to their total."""
    parts = [line(segment, projects, start, end) for segment in segments]
    paid = {at: part.micros for at, part in enumerate(parts) if part.micros is not None}
    saved = {
        at: part.saved_micros for at, part in enumerate(parts) if part.saved_micros is not None
    }
    cost_of, saved_of = apportioned(paid), apportioned(saved)
    return [
        replace(line, cost=cost_of.get(at, line.cost), saved=saved_of.get(at, line.saved))
        for at, line in enumerate(parts)
    ]


def line(segment: Segment, projects: Mapping[str, str], start: int, end: int) -> CostExportLine:
    """The part of a segment in a period."""
    begin, stop = (
        max(segment.began, start),
        end if segment.until is None else min(segment.until, end),
    )
    stop = max(begin, stop)
    micros = None
    if segment.amount is not None:
        micros = segment_cost(segment, stop) - segment_cost(segment, begin)
    paid, saved = (micros, 0) if segment.is_paid else (0, micros)
    return CostExportLine(
        segment=segment.id,
        resource=segment.resource,
        name=segment.name,
        kind=segment.kind,
        detail=segment.detail,
        project=segment.project,
        project_name=projects.get(segment.project or ""),
        allocation=segment.allocation,
        budget=segment.pool,
        user=segment.owner,
        template=segment.template,
        profile=segment.profile,
        rate=None if segment.amount is None else segment.amount / 1_000_000,
        rate_hours=segment.hours,
        source=segment.source,
        as_of=segment.as_of,
        began=_timestamp(begin),
        ended=None if segment.ended is None or segment.ended > end else _timestamp(stop),
        seconds=stop - begin,
        micros=paid,
        cost=None if paid is None else amount(Micros(paid)),
        saved_micros=saved,
        saved=None if saved is None else amount(Micros(saved)),
        reconstructed=segment.reconstructed,
    )


def _sums(days: Mapping[int, DayCost], first: int, end: int) -> dict[CostKind, int]:
    sums = dict.fromkeys(CostKind, 0)
    for day in range(first, end):
        if day_cost := days.get(day):
            for kind, micros in day_cost.micros.items():
                if micros:
                    sums[kind] += micros
    return {kind: sums[kind] for kind in PAID}


def _timestamp(at: int) -> str:
    return f"{moment(at):%Y-%m-%dT%H:%M:%SZ}"
