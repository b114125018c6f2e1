"""How money is counted: pure functions of segments, prices and times.

A segment's cost up to `t` is floor(rate × seconds ÷ 3600), for storage in seconds of month time.
The cost of a part is the difference of two such values, so parts add up to the whole, wherever it
is divided.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from prism.catalog.plan import PriceBook, performance_price, root_iops
from prism.costs.model import (
    BURN,
    DAY,
    HOUR,
    MONTH_HOURS,
    OF_A_WORKSPACE,
    Booking,
    CostKind,
    CostPeriod,
    DayCost,
    Rate,
    Segment,
    UnpricedRow,
)
from prism.costs.months import elapsed
from prism.kit.money import Micros
from prism.profiles.providers import traits_of
from prism.workspaces.model import Observed, Workspace

ABSENT = frozenset({Observed.NONE, Observed.UNSURE, Observed.GONE})
FREE, SIMULATED, SIMULATED_DISK = "local", "simulated", "gp3"  # the names of simulated prices
AS_OF = re.compile(r"as of (\d{4}-\d\d-\d\d)")
EPOCH = date(1970, 1, 1).toordinal()


class Charge(Struct, frozen=True):
    """A cost from now on, with its price."""

    detail: str
    rate: Rate


def cost(amount: Micros, hours: int, seconds: int) -> Micros:
    """The cost of so many seconds at `amount` for `hours` hours."""
    return Micros(amount * seconds // (hours * HOUR))


def cost_at(period: CostPeriod, at: int) -> int:
    """The cost of a segment by `at`; 0 if the price is not known."""
    end = at if period.ended is None else min(at, period.ended)
    if period.amount is None or end <= period.began:
        return 0
    seconds = elapsed(period.began, end, by_month=period.by_month)
    return cost(period.amount, period.hours, seconds)


def segment_cost(segment: Segment, until: int) -> Micros:
    """The cost of a segment with a known price, if it ended then."""
    assert segment.amount is not None, "the caller has asked"
    seconds = elapsed(segment.began, until, by_month=segment.by_month)
    return cost(segment.amount, segment.hours, seconds)


def unix_time(at: datetime) -> int:
    """A time in seconds since 1970, without fractions, as the ledger counts it."""
    return int(at.timestamp())


def moment(at: int) -> datetime:
    """A time of the ledger as a datetime."""
    return datetime.fromtimestamp(at, UTC)


def day_of(at: int) -> int:
    """The day in UTC, counted from 1970."""
    return at // DAY


def burn_begin(now: int) -> int:
    """The start of the days (in UTC) over which spending is measured; today is the last one."""
    return (day_of(now) - BURN + 1) * DAY


def as_date(day: int) -> date:
    """A counted day as a date."""
    return date.fromordinal(EPOCH + day)


def as_day(of: date) -> int:
    """A date as a counted day."""
    return of.toordinal() - EPOCH


def booking(workspace: Workspace) -> Booking:
    """The owner of a workspace, and its payer."""
    return Booking(
        resource=workspace.id,
        name=workspace.name,
        owner=workspace.owner,
        profile=workspace.profile,
        template=workspace.template,
        project=workspace.project,
        allocation=workspace.allocation,
        pool=workspace.pool,
    )


def charges(workspace: Workspace, prices: PriceBook) -> dict[CostKind, Charge]:
    """What a workspace costs, by its last observed state.

    A machine costs compute while it is on, and while its provider charges the same: during the
    setup and while it hibernates. A stopped or hibernated machine costs its disk. A new machine
    costs nothing until it runs.
    """
    by_kind: dict[CostKind, Charge] = {}
    if (
        workspace.machine_id is None
        or workspace.observed in ABSENT
        or workspace.ended_at is not None
    ):
        return by_kind
    if (
        workspace.observed is Observed.STARTING
        and workspace.ready_at is None
        and not workspace.charged
    ):
        return by_kind
    by_kind[CostKind.ROOT] = Charge(
        f"{workspace.root_gb} GB {workspace.root_type}", disk_rate(workspace, prices)
    )
    if workspace.observed is Observed.ON or workspace.charged:
        by_kind[CostKind.COMPUTE] = Charge(workspace.instance_type, compute_rate(workspace))
        if workspace.public_ip is not None:
            by_kind[CostKind.ADDRESS] = Charge(
                workspace.public_ip, address_rate(workspace, prices)
            )
    if workspace.observed is Observed.ASLEEP:
        by_kind[CostKind.ASLEEP] = Charge(workspace.instance_type, compute_rate(workspace))
    return by_kind


def price_factors(workspace: Workspace) -> tuple[object, ...]:
    """The fields of a workspace that its costs depend on."""
    paying = (
        workspace.project,
        workspace.allocation,
        workspace.pool,
        workspace.public_ip,
        workspace.hourly_rate,
        workspace.root_gb,
    )
    observation = (
        workspace.observed,
        workspace.charged,
        workspace.machine_id,
        workspace.ready_at is None,
        workspace.ended_at is None,
    )
    return (*observation, *paying)


def same(segment: Segment) -> tuple[Booking, CostKind, Charge]:
    """The charge of a segment, for one that follows it."""
    names = Booking.__struct_fields__
    of = Booking(**{name: getattr(segment, name) for name in names})
    rate = Rate(segment.amount, segment.hours, segment.source, segment.as_of)
    return of, segment.kind, Charge(segment.detail, rate)


def remainder(segment: Segment, least: int) -> tuple[Booking, CostKind, Charge]:
    """The charge that follows a run that was shorter than the minimum of `least` seconds."""
    of, kind, charge = same(segment)
    return of, kind, replace(charge, detail=f"{charge.detail}, to {least} s for a start")


def compute_rate(workspace: Workspace) -> Rate:
    """The hourly price of compute, as it was at launch."""
    source = workspace.price_source or "unknown"
    as_of = AS_OF.search(source)
    return Rate(workspace.hourly_rate, 1, source, date.fromisoformat(as_of[1]) if as_of else None)


def disk_rate(workspace: Workspace, prices: PriceBook) -> Rate:
    """The monthly price of the root disk, with the IOPS that are provisioned for it."""
    if workspace.price_source == FREE:
        return Rate(Micros(0), MONTH_HOURS, FREE)
    simulated = (workspace.price_source or "").startswith(SIMULATED)
    region, kind = workspace.region, workspace.root_type
    if simulated:
        region, kind = traits_of(workspace.location).simulated_prices_of or region, SIMULATED_DISK
    iops = root_iops(kind, workspace.root_gb)
    known = prices.storage(kind, region)
    performance = performance_price(kind, iops, None, lambda part: prices.amount(part, region))
    if known is None or performance is None:
        return Rate(None, MONTH_HOURS, "unknown")
    source = known.source
    if simulated:  # with the text of the price of compute
        source = f"{SIMULATED}: {source}, {region}, as of {known.as_of}"
    month = Micros(known.amount * workspace.root_gb + performance)
    return Rate(month, MONTH_HOURS, source, known.as_of)


def address_rate(workspace: Workspace, prices: PriceBook) -> Rate:
    """The hourly price of the public address."""
    known = prices.storage("address", workspace.region)
    if known is None:
        return Rate(None, 1, "unknown")
    return Rate(known.amount, 1, known.source, known.as_of)


def monthly_cost(segments: Iterable[Segment]) -> Micros:
    """What these charges cost together in 720 hours, as far as their prices are known."""
    return Micros(
        sum(
            (segment.amount or 0) * (MONTH_HOURS // segment.hours)
            for segment in segments
            if segment.is_paid
        )
    )


def known_monthly(segments: Sequence[Segment]) -> Micros | None:
    """The same as `monthly_cost`; None if no price is known."""
    is_unpriced = any(segment.amount is None for segment in segments if segment.is_paid)
    return unless_unknown(monthly_cost(segments), is_unpriced=is_unpriced)


def unless_unknown(total: Micros | None, *, is_unpriced: bool) -> Micros | None:
    """A sum; None if it is zero, and something in it has no known price."""
    return None if is_unpriced and not total else total


def unpriced_until(rows: Iterable[UnpricedRow], now: int) -> dict[str, int]:
    """Until when each project, allocation and pool paid for something without a known price.

    Times are by id, in seconds since 1970; `now` if it still does; others are missing.
    """
    by_scope: dict[str, int] = {}
    for row in rows:
        until = now if row.ended is None else row.ended
        for scope in filter(None, (row.project, row.allocation, row.pool)):
            by_scope[scope] = max(by_scope.get(scope, 0), until)
    return by_scope


def unpriced_within(
    rows: Iterable[UnpricedRow], start: int, end: int, payer: str | None = None
) -> list[tuple[str, CostKind]]:
    """Name and kind of what had no known price in a period: of all, or of what a payer paid."""
    return sorted(
        {
            (row.name, CostKind(row.kind))
            for row in rows
            if (payer is None or payer in {row.project, row.allocation, row.pool})
            and row.began < end
            and (row.ended is None or row.ended > start)
        }
    )


def sums_by_day(
    periods: Iterable[CostPeriod], first: int, end: int, now: int
) -> Iterator[tuple[str, DayCost]]:
    """The costs of the days from `first` until before `end`: in scope "" and each project."""
    sums: dict[tuple[str, int], dict[CostKind, int]] = {}
    accounts: dict[tuple[str, int], set[int]] = {}
    for period in periods:
        until = now if period.ended is None else min(period.ended, now)
        before = cost_at(period, max(period.began, first * DAY))
        for day in range(max(first, day_of(period.began)), min(end, day_of(until - 1) + 1)):
            after = cost_at(period, min(until, (day + 1) * DAY))
            for scope in ("",) if period.project is None else ("", period.project):
                of = sums.setdefault((scope, day), {})
                of[period.kind] = of.get(period.kind, 0) + after - before
                if period.kind in OF_A_WORKSPACE and after > before:
                    accounts.setdefault((scope, day), set()).add(period.no)
            before = after
    for (scope, day), micros in sums.items():
        yield scope, DayCost(day, micros, sum(1 << no for no in accounts.get((scope, day), ())))


def bucket_end(day: int, granularity: str) -> int:
    """The day after the week (Monday to Sunday), the month or the day that a day is in."""
    if granularity == "daily":
        return day + 1
    of = as_date(day)
    if granularity == "weekly":
        return day - of.weekday() + 7
    return day - of.day + 1 + monthrange(of.year, of.month)[1]


def buckets(
    days: Mapping[int, DayCost], first: int, last: int, granularity: str
) -> Iterator[tuple[int, int, int, int]]:
    """For each bucket: its first day in the period, its cost, its workspaces, and its savings."""
    begin = first
    while begin <= last:
        end = min(bucket_end(begin, granularity), last + 1)
        paid, saved, nos = 0, 0, 0
        for day in range(begin, end):
            if day_cost := days.get(day):
                paid, saved, nos = paid + day_cost.paid, saved + day_cost.saved, nos | day_cost.who
        yield begin, paid, nos.bit_count(), saved
        begin = end


def month_of(at: datetime) -> tuple[datetime, datetime]:
    """The calendar month in UTC of a time: its begin, and the next month's."""
    begin = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begin, (begin + timedelta(days=32)).replace(day=1)
