"""How costs look on the wire: pure functions of segments and days."""

from collections.abc import Mapping, Sequence

from prism.costs.model import (
    MONTH_HOURS,
    PAID,
    Breakdown,
    Bucket,
    Current,
    DayCost,
    Driver,
    History,
    Kind,
    Line,
    Savings,
    Segment,
    Trends,
)
from prism.costs.plan import as_date, buckets, cost, moment
from prism.kit.money import Micros, amount, rate

GROUP = {
    Kind.COMPUTE: "instances",
    Kind.ADDRESS: "instances",
    Kind.ROOT: "ebs_storage",
    Kind.VOLUME: "ebs_storage",
    Kind.SNAPSHOT: "ebs_storage",
    Kind.FILES: "efs_storage",
}
WORDS = {
    Kind.COMPUTE: "compute",
    Kind.ROOT: "root disks",
    Kind.ADDRESS: "public addresses",
    Kind.VOLUME: "volumes",
    Kind.FILES: "shared file systems",
    Kind.SNAPSHOT: "snapshots",
}
CENT, STEADY, DRIVERS = 10_000, 5.0, 5


def current(held: Sequence[Segment], savings: Savings) -> Current:
    """What is paid for at this moment; the parts of the breakdown sum up to the total."""
    paying = [it for it in held if it.is_paid]
    monthly = dict.fromkeys(Breakdown.__struct_fields__, 0)
    drivers: dict[str, int] = {}
    for it in paying:
        month = (it.amount or 0) * MONTH_HOURS // it.hours
        monthly[GROUP[it.kind]] += month
        drivers[it.name] = drivers.get(it.name, 0) + month
    parts = shares({name: month / MONTH_HOURS for name, month in monthly.items()}, 100)
    total = sum(monthly.values())
    first = sorted(drivers.items(), key=lambda it: (-it[1], it[0]))[:DRIVERS]
    return Current(
        total_current_hourly=sum(parts.values()) * 100 / 1_000_000,
        total_daily_projection=amount(Micros(total * 24 // MONTH_HOURS)),
        total_monthly_projection=amount(Micros(total)),
        cost_breakdown=Breakdown(**{name: part * 100 / 1e6 for name, part in parts.items()}),
        hibernation_savings=savings,
        top_cost_drivers=tuple(
            Driver(name, rate(Micros(month // MONTH_HOURS)), percent(month, total))
            for name, month in first
            if month
        ),
        unknown=tuple(sorted({it.name for it in paying if it.amount is None})),
    )


def shares(exact: Mapping[str, float], unit: int) -> dict[str, int]:
    """Parts in whole units that sum up to their rounded total: the largest rests round up."""
    whole = {name: int(part // unit) for name, part in exact.items()}
    missing = round(sum(exact.values()) / unit) - sum(whole.values())
    rests = sorted(exact, key=lambda name: (-(exact[name] % unit), name))
    return {name: part + (name in rests[: max(missing, 0)]) for name, part in whole.items()}


def percent(part: int, total: int) -> float:
    """How much of a total, in percent; of nothing, nothing."""
    return round(100 * part / total, 1) if total else 0.0


def history(days: Mapping[int, DayCost], first: int, last: int, granularity: str) -> History:
    """A period, bar by bar."""
    bars, total = [], 0
    for day, paid, instances, saved in buckets(days, first, last, granularity):
        total += paid
        bars.append(Bucket(as_date(day), amount(Micros(paid)), instances, amount(Micros(saved))))
    return History(
        period=f"{last - first + 1}_days",
        total_cost=amount(Micros(total)),
        daily_costs=tuple(bars),
        cost_trends=trends(days, first, last),
    )


def trends(days: Mapping[int, DayCost], first: int, last: int) -> Trends:
    """The second half of a period against the first; the middle day of an odd one is in none."""
    half = (last - first + 1) // 2
    early, late = _sums(days, first, first + half), _sums(days, last - half + 1, last + 1)
    was, now = sum(early.values()), sum(late.values())
    change = None if was == 0 and now else round(100 * (now - was) / was, 1) if was else 0.0
    steady = abs(now - was) < CENT or (change is not None and abs(change) <= STEADY)
    direction = "stable" if steady else "increasing" if now > was else "decreasing"
    moved = {kind: late[kind] - early[kind] for kind in PAID}
    kind = max(moved, key=lambda it: abs(moved[it]))
    if abs(moved[kind]) < CENT:
        return Trends(direction, change, None)
    how = "more" if moved[kind] > 0 else "less"
    dollars = f"${abs(moved[kind]) / 1e6:,.2f}"
    said = f"{dollars} {how} for {WORDS[kind]} than in the first half of the period"
    return Trends(direction, change, said)


def line(it: Segment, projects: Mapping[str, str], start: int, end: int) -> Line:
    """A segment's part in a period."""
    begin, stop = max(it.began, start), end if it.ended is None else min(it.ended, end)
    stop = max(begin, stop)
    micros = None
    if it.amount is not None:
        by = (cost(it.amount, it.hours, at - it.began) for at in (stop, begin))
        micros = next(by) - next(by)
    return Line(
        segment=it.id,
        resource=it.resource,
        name=it.name,
        kind=it.kind,
        detail=it.detail,
        project=it.project,
        project_name=projects.get(it.project or ""),
        allocation=it.allocation,
        budget=it.pool,
        user=it.owner,
        template=it.template,
        profile=it.profile,
        rate=None if it.amount is None else it.amount / 1_000_000,
        rate_hours=it.hours,
        source=it.source,
        as_of=it.as_of,
        began=_shown(begin),
        ended=None if it.ended is None or it.ended > end else _shown(stop),
        seconds=stop - begin,
        micros=micros,
        cost=None if micros is None else amount(Micros(micros)),
        reconstructed=it.reconstructed,
    )


def _sums(days: Mapping[int, DayCost], first: int, end: int) -> dict[Kind, int]:
    sums = dict.fromkeys(Kind, 0)
    for day in range(first, end):
        if it := days.get(day):
            for kind, micros in it.micros.items():
                if micros:
                    sums[kind] += micros
    return {kind: sums[kind] for kind in PAID}


def _shown(at: int) -> str:
    return f"{moment(at):%Y-%m-%dT%H:%M:%SZ}"
