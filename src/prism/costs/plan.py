"""How money is counted: pure functions of segments, prices and times.

A segment's cost up to `t` is floor(rate × seconds ÷ 3600), for storage in seconds of month time.
The cost of a part is the difference of two such values, so parts add up to the whole, wherever it
is divided.
"""

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from heapq import nsmallest
from typing import NamedTuple

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
from prism.costs.months import elapsed, month_time
from prism.kit.money import Micros
from prism.profiles.providers import traits_of
from prism.workspaces.model import Observed, Workspace

ABSENT = frozenset({Observed.NONE, Observed.UNSURE, Observed.GONE})
FREE, SIMULATED, SIMULATED_DISK = "local", "simulated", "gp3"  # the names of simulated prices
AS_OF = re.compile(r"as of (\d{4}-\d\d-\d\d)")
EPOCH = date(1970, 1, 1).toordinal()
MINIMUM = ", to "  # between the detail of a run and the seconds that it costs at least
NEVER = 2**62  # seconds since 1970: later than every moment
Driver = tuple[int, str, CostKind]  # what it costs in 720 hours, its name and kind
Payers = tuple[str | None, str | None, str | None]  # project, allocation and pool


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
    return of, kind, replace(charge, detail=f"{charge.detail}{MINIMUM}{least} s for a start")


def detail_of_run(detail: str) -> str:
    """The detail of a run, from that of its segment or of the rest of its least charge."""
    return detail.partition(MINIMUM)[0]


def compute_rate(workspace: Workspace) -> Rate:
    """The hourly price of compute, as it was at launch."""
    source = workspace.price_source or "unknown"
    as_of = AS_OF.search(source)
    return Rate(workspace.hourly_rate, 1, source, date.fromisoformat(as_of[1]) if as_of else None)


def disk_rate(workspace: Workspace, prices: PriceBook) -> Rate:
    """The monthly price of the root disk, with the IOPS that are provisioned for it."""
    if workspace.price_source == FREE:
        return Rate(Micros(0), MONTH_HOURS, FREE)
    if not traits_of(workspace.location).charges_disks:
        return Rate(Micros(0), MONTH_HOURS, workspace.price_source or "unknown")
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


class Line(NamedTuple):
    """A cost of `amount` for `hours` hours since `begin`, which grows from `first` to `last`."""

    amount: int
    hours: int
    begin: int
    first: int
    last: int = NEVER
    by_month: bool = False

    def at(self, moment: int) -> int:
        """The cost at a moment."""
        end = min(max(moment, self.first), self.last)
        seconds = elapsed(self.begin, end, by_month=self.by_month)
        return self.amount * seconds // (self.hours * HOUR)


class GrowingSum:
    """The sum of lines from `now` on, until the next of them begins or ends to grow: exact.

    Lines at the same price differ only in when they began: each is floor(a·(t − b) ÷ h). With
    a·b = h·q + r and a·t = h·Q + R, the sum of n of them is n·Q − Σq − (how many have r > R). So
    the sum at a moment takes one division and one search for each price, whatever n is.
    """

    __slots__ = ("_fixed", "_growing", "until")

    def __init__(self, lines: Iterable[Line], now: int) -> None:
        self._fixed, self.until = 0, NEVER
        quotients = dict[tuple[int, int, bool], int]()
        rests = dict[tuple[int, int, bool], list[int]]()
        for line in lines:
            if now < line.first or now >= line.last:
                self._fixed += line.at(now)
                self.until = min(self.until, line.first if now < line.first else NEVER)
            elif line.amount:
                price = line.amount, line.hours * HOUR, line.by_month
                begin = month_time(line.begin) if line.by_month else line.begin
                quotient, rest = divmod(line.amount * begin, price[1])
                quotients[price] = quotients.get(price, 0) + quotient
                rests.setdefault(price, []).append(rest)
                self.until = min(self.until, line.last)
        self._growing = [(*price, quotients[price], sorted(rests[price])) for price in rests]

    def at(self, moment: int) -> int:
        """The sum at a moment from `now` until before `until`."""
        total = self._fixed
        if not self._growing:
            return total
        by_month = month_time(moment)
        for amount, seconds, is_by_month, quotients, rests in self._growing:
            quotient, rest = divmod(amount * (by_month if is_by_month else moment), seconds)
            total += len(rests) * (quotient - 1) - quotients + bisect_right(rests, rest)
        return total


class OpenRow(NamedTuple):
    """An open segment, or a closed one that ends later than now."""

    resource: str
    name: str
    project: str | None
    allocation: str | None
    pool: str | None
    kind: str
    amount: int | None
    hours: int
    began: int
    ended: int | None
    counted: int | None
    month_began: int | None = None

    @property
    def line(self) -> Line:
        """What it costs."""
        last = self.counted if self.ended is None else self.ended
        end = NEVER if last is None else max(last, self.began)
        by_month = self.month_began is not None
        return Line(self.amount or 0, self.hours, self.began, self.began, end, by_month)


def common_count(moments: Iterable[int | None], now: int) -> int | None:
    """Until when all of these count, if that is one moment and not later than now; 0 for none."""
    distinct = {at for at in moments if at}
    if len(distinct) > 1:
        return None
    counted = distinct.pop() if distinct else 0
    return counted if counted <= now else None


class OpenCosts:
    """What a project's open segments cost from `now` on, before `until`.

    What runs counts until `counted`, if that is one moment for all; 0 if nothing runs.
    """

    def __init__(
        self,
        rows: Sequence[OpenRow],
        now: int,
        starts: tuple[int, int],
        *,
        since: int | None = None,
        ended: tuple[int, int] = (0, 0),
        has_unpriced: bool = False,
    ) -> None:
        """`ended` is what closed segments have cost and saved, each since its time in `starts`.

        The project's first segment began at `since`; it `has_unpriced` ones.
        """
        self.now, self.since, self._starts, self.has_unpriced = now, since, starts, has_unpriced
        self.counted = common_count((row.counted for row in rows if row.ended is None), now)
        lines = [(row, row.line) for row in rows]
        saving = [line for row, line in lines if row.kind == CostKind.ASLEEP]
        paid = [(row, line) for row, line in lines if row.kind != CostKind.ASLEEP]
        self._paid = ended[0] - sum(line.at(starts[0]) for _, line in paid)
        self._saved = ended[1] - sum(line.at(starts[1]) for line in saving)
        self._open = [row for row, _ in paid if row.ended is None]
        runs, lasting = dict[Payers, list[Line]](), dict[Payers, list[Line]]()
        for row, line in paid:
            if row.ended is None:
                payers = row.project, row.allocation, row.pool
                on, off = runs.setdefault(payers, []), lasting.setdefault(payers, [])
                if self.counted and row.counted is not None:
                    on.append(line._replace(last=NEVER))
                else:
                    off.append(line)
        counted = self.counted or 0
        self._runs = {of: GrowingSum(on, counted) for of, on in runs.items()}
        self._ran = {of: total.at(counted) for of, total in self._runs.items()}
        self._grows = {of: GrowingSum(off, now) for of, off in lasting.items()}
        self._ending = GrowingSum([line for row, line in paid if row.ended is not None], now)
        self._saving = GrowingSum(saving, now)
        sums = (self._ending, self._saving, *self._grows.values())
        self.until = min(total.until for total in sums)

    def moved(self, counted: int, now: int) -> "OpenCosts | None":
        """The same if all that runs counts until then; null if that is not enough."""
        if counted == self.counted:
            return self
        if not self.counted or not max(self.counted, *self._starts) <= counted <= now:
            return None
        first = min((total.until for total in self._runs.values()), default=NEVER)
        if self.counted < max(self._starts) or counted >= first:
            return None
        new = copy(self)
        new.counted = counted
        new._ran = {of: total.at(counted) for of, total in self._runs.items()}
        return new

    def of_payers(self, now: int) -> dict[Payers, int]:
        """What a project, an allocation and a pool have spent together on open segments."""
        return {of: ran + self._grows[of].at(now) for of, ran in self._ran.items()}

    def paid(self, now: int, open_ones: int) -> int:
        """What all segments have cost since the first of `starts`; open ones `open_ones` ever."""
        return self._paid + self._ending.at(now) + open_ones

    def saved(self, now: int) -> int:
        """What sleep has saved since the second of `starts`."""
        return self._saved + self._saving.at(now)

    @cached_property
    def rates(self) -> tuple[dict[CostKind, int], list[Driver]]:
        """What all of it costs in 720 hours: by kind, and the most expensive resources."""
        monthly, drivers = dict[CostKind, int](), dict[tuple[str, CostKind], Driver]()
        for row in self._open:
            if row.amount is not None:
                month, kind = row.amount * MONTH_HOURS // row.hours, CostKind(row.kind)
                monthly[kind] = monthly.get(kind, 0) + month
                kind = CostKind.COMPUTE if kind in OF_A_WORKSPACE else kind
                before = drivers.get((row.resource, kind), (0,))[0]
                drivers[row.resource, kind] = before + month, row.name, kind
        return monthly, most_expensive(drivers.values())


def most_expensive(drivers: Iterable[Driver], count: int = 5) -> list[Driver]:
    """The resources that cost most."""
    costly = (driver for driver in drivers if driver[0])
    return nsmallest(count, costly, key=lambda driver: (-driver[0], driver[1], driver[2]))
