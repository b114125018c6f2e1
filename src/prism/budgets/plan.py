"""How much money is reserved, and for which time: pure functions; time is an argument.

`reserved` is never less than what the ledger can still count: total costs are rounded up, and the
part that the ledger has counted is subtracted rounded down, as in the ledger.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from prism.budgets.model import Cap, Pool, Reservation, Window
from prism.catalog.plan import PriceBook
from prism.costs.model import DAY, HOUR, MONTH_HOURS
from prism.costs.months import earliest, month_time
from prism.costs.plan import (
    NEVER,
    GrowingSum,
    Line,
    address_rate,
    common_count,
    compute_rate,
    disk_rate,
)
from prism.kit.money import Micros
from prism.profiles.providers import traits_of
from prism.workspaces.model import Workspace
from prism.workspaces.plan import SLEEP_TIME

CHUNK, STOPPING = 60 * 60, int(SLEEP_TIME.total_seconds())  # seconds reserved to run, and to stop
RENEWAL_LEAD, RETRY = 20 * 60, 60  # seconds before its end that it is renewed, and until a retry
DISK_ADVANCE = 30 * DAY
SHORTEST = 60
ALWAYS = Window(0, None)
STEP = {"daily": 1, "weekly": 7}
# How long a disk counts in a later period, in seconds. Days and weeks of a long month are
# stretched, so that they cost as much as those of February. A month that does not begin at
# midnight in UTC costs some hours more. In a year it counts as in a project's own cap.
STRETCHED = {"daily": DAY * 31 // 28, "weekly": 7 * DAY * 31 // 28, "yearly": DISK_ADVANCE}
ZONE_OF_MONTH = 3 * HOUR


def zone(name: str) -> tzinfo:
    """A time zone by name; raises `KeyError` (or `ValueError`) if there is none with that name."""
    return UTC if name == "UTC" else ZoneInfo(name)


def midnight(day: date, time_zone: str) -> int:
    """When a day begins in a time zone, in seconds since 1970."""
    at = datetime(day.year, day.month, day.day, tzinfo=zone(time_zone))
    return int(at.timestamp())


def month_after(first: date) -> date:
    """The first day of the month after the month of `first`."""
    return (first + timedelta(days=32)).replace(day=1)


def month_before(first: date) -> date:
    """The first day of the month before; the calendar's first month returns itself."""
    return date.fromordinal(max(1, first.toordinal() - 1)).replace(day=1)


def window(pool: Pool, at: int) -> Window | None:
    """The period of a pool at a moment; null before the pool begins and after it ends.

    Periods begin at midnight of the pool's time zone, however long days are; weeks on Monday,
    years with the month in which the pool begins.
    """
    first = int(pool.start_date.timestamp())
    last = None if pool.end_date is None else int(pool.end_date.timestamp())
    if at < first or (last is not None and at >= last):
        return None
    if pool.period == "project":
        return Window(first, last)
    start, end = _edges(pool, at)
    return Window(max(start, first), end if last is None else min(end, last))


def named_period(pool: Pool, days: tuple[date, date] | None, now: int) -> Window | None:
    """The first period that has one of these days; the last day is not included.

    Without days, the present period, or the last one. Null if no such period has begun.
    """
    first, at = int(pool.start_date.timestamp()), now
    if days is not None:
        at, until = (midnight(day, pool.time_zone) for day in days)
        if not at <= now or until <= first:
            return None
        at = max(at, first)
    elif pool.end_date is not None:
        at = min(now, int(pool.end_date.timestamp()) - 1)
    return window(pool, at) if at <= now else None


def _edges(pool: Pool, at: int) -> tuple[int, int]:
    period, tz = pool.period, zone(pool.time_zone)
    local = datetime.fromtimestamp(at, tz).replace(hour=0, minute=0, second=0, microsecond=0)
    day = local.replace(tzinfo=None, fold=0)
    if period == "yearly":
        month = pool.start_date.astimezone(tz).month
        begin = day.replace(year=day.year - (day.month < month), month=month, day=1)
        after = begin.replace(year=begin.year + 1)
    elif period == "monthly":
        begin = day.replace(day=1)
        after = (begin + timedelta(days=32)).replace(day=1)
    else:
        begin = day - timedelta(days=day.weekday() if period == "weekly" else 0)
        after = begin + timedelta(days=STEP[period])
    return tuple(int(edge.replace(tzinfo=tz).timestamp()) for edge in (begin, after))  # type: ignore[return-value]


def begin_words(within: Window, pool: Pool | None) -> str:
    """When a period begins, in the time zone of its pool, with the time if it is not midnight."""
    name = "UTC" if pool is None else pool.time_zone
    begin = datetime.fromtimestamp(within.start, zone(name))
    return f"{begin:%Y-%m-%d}{begin: %H:%M} ({name})".replace(" 00:00", "")


def last_day(pool: Pool) -> date | None:
    """The last day on which a pool has money, in its time zone; null without an end."""
    if pool.end_date is None:
        return None
    return (pool.end_date - timedelta(seconds=1)).astimezone(zone(pool.time_zone)).date()


def windows(cap: Cap, start: int, end: int) -> list[Window | None]:
    """The periods of a cap between two moments; null stands for a time without money."""
    if cap.pool is None:
        return [Window(0, None)]
    periods: list[Window | None] = []
    at: int | None = start
    while at is not None and (at < end or not periods):
        period = window(cap.pool, at)
        periods.append(period)
        at = None if period is None else period.end
    return periods


def disk_period(cap: Cap, now: int) -> Window | None:
    """The time that must pay for a new disk beside the present period; null if that is enough.

    A disk outlasts the period in which it is made. So a periodic pool must be able to pay for it
    in each later period, of which the next one stands for all (as dear as the dearest is), and a
    pool that ends within 30 days must be able to pay for 30 days.
    """
    if cap.pool is None or window(cap.pool, now) is None:
        return None
    present = window(replace(cap.pool, end_date=None), now)
    assert present is not None, "the pool has begun"
    if cap.pool.period == "project":
        end = cap.pool.end_date
        is_near = end is not None and int(end.timestamp()) < now + DISK_ADVANCE
        return Window(present.start, now + DISK_ADVANCE) if is_near else None
    assert present.end is not None, "a period has an end"
    if cap.pool.period == "yearly" and present.end > now + DISK_ADVANCE:
        return None
    if cap.pool.period == "monthly":
        return Window(present.end, _edges(cap.pool, present.end)[1] + ZONE_OF_MONTH)
    return Window(present.end, present.end + STRETCHED[cap.pool.period])


def disks_until(cap: Cap, within: Window, now: int) -> int:
    """Until when every disk counts in a period, however long it is reserved; 0 as reserved.

    Disks are reserved in the present period only, but they will cost money in the later ones.
    """
    if cap.pool is None or within.end is None:
        return 0
    if within.start > now and cap.pool.period == "yearly":
        return min(within.end, within.start + STRETCHED["yearly"])
    return within.end if within.start > now or is_beyond(cap, within) else 0


def is_beyond(cap: Cap, within: Window) -> bool:
    """Whether a time ends after the pool of a cap does."""
    if cap.pool is None or cap.pool.end_date is None or within.end is None:
        return False
    return within.end > int(cap.pool.end_date.timestamp())


def lasting_disk(reservation: Reservation, cap: Cap, now: int, within: Window) -> int:
    """The part of a period of a cap that a disk takes if it stays."""
    until = disks_until(cap, within, now)
    if until and reservation.part_until > reservation.disk_since:
        reservation = replace(reservation, part_until=max(reservation.part_until, until))
    if until and cap.is_own and reservation.disk_until > reservation.disk_since:
        reservation = replace(reservation, disk_until=max(reservation.disk_until, until))
    return reserved_disk(reservation, now, within, own=cap.is_own)


def reserved(
    reservation: Reservation, now: int, within: Window = ALWAYS, *, own: bool = True
) -> int:
    """What is reserved after `now`, within a period, and not counted by the ledger yet.

    With `own`, of the project's own cap, else of the allocation and pool.
    """
    compute = reserved_compute(reservation, now, within)
    return compute + reserved_disk(reservation, now, within, own=own)


def reserved_compute(reservation: Reservation, now: int, within: Window = ALWAYS) -> int:
    """The part that is reserved for running and for stopping."""
    if reservation.compute is None or reservation.until <= reservation.since:
        return 0
    span = (reservation.since, reservation.until + reservation.stopping, reservation.running)
    return _rest(reservation.compute, 1, span, min(now, reservation.counted or now), within)


def reserved_disk(
    reservation: Reservation, now: int, within: Window = ALWAYS, *, own: bool = True
) -> int:
    """The part that is reserved for the disk."""
    end = reservation.disk_until if own else reservation.part_until
    if reservation.disk is None or end <= reservation.disk_since:
        return 0
    span = (month_time(reservation.disk_since), month_time(end), reservation.kept)
    last = None if within.end is None else month_time(within.end)
    period = Window(month_time(within.start), last)
    return _rest(reservation.disk, MONTH_HOURS, span, month_time(now), period)


def _rest(amount: int, hours: int, span: tuple[int, int, bool], now: int, within: Window) -> int:
    begin, end, counted = span
    end = end if within.end is None else min(end, within.end)
    start = max(begin, within.start, now if counted else begin)
    if end <= start:
        return 0
    whole = hours * HOUR
    return -(-amount * (end - begin) // whole) - amount * (start - begin) // whole


class _Rest:
    """What several reservations reserve in a period, for compute and disks, as time passes.

    Compute shrinks until `counted`, or until now if that is null.
    """

    def __init__(
        self,
        rows: Iterable[Reservation],
        now: int,
        within: Window,
        counted: int | None,
        *,
        own: bool,
    ) -> None:
        fixed, end = [0, 0], NEVER if within.end is None else within.end
        runs, disks = list[Line](), list[Line]()
        for row in rows:
            compute = reserved_compute(row, now, within)
            disk = reserved_disk(row, now, within, own=own)
            fixed[0] += compute
            fixed[1] += disk
            if compute and row.running and (counted or not 0 < row.counted <= now):
                first = max(row.since, within.start)
                last = min(row.until + row.stopping, end)
                last = last if counted else min(last, row.counted or NEVER)
                runs.append(Line(row.compute or 0, 1, row.since, first, last))
            if disk and row.kept:
                first = max(row.disk_since, within.start)
                last = earliest(min(row.disk_until if own else row.part_until, end))
                disks.append(Line(row.disk or 0, MONTH_HOURS, row.disk_since, first, last, True))
        self._runs, self._kept = GrowingSum(runs, counted or now), GrowingSum(disks, now)
        self._compute = fixed[0] + self._runs.at(counted or now)
        self._rest = fixed[0] if counted else None
        self._disks = fixed[1] + self._kept.at(now)
        self.until = self._kept.until if counted else min(self._kept.until, self._runs.until)

    def at(self, now: int) -> tuple[int, int]:
        """What is not spent yet."""
        compute = self._compute - self._runs.at(now) if self._rest is None else self._rest
        return compute, self._disks - self._kept.at(now)

    def moved(self, counted: int) -> "_Rest | None":
        """The same if compute counts until then; null if a reservation ends before."""
        if counted >= self._runs.until:
            return None
        new = copy(self)
        new._rest = self._compute - self._runs.at(counted)
        return new


class ProjectReserved:
    """What a project's reservations reserve in the present periods, from `now` until `until`."""

    def __init__(
        self, rows: Sequence[Reservation], now: int, periods: Mapping[str, Window]
    ) -> None:
        """`periods` has the present period of each pool that has money now."""
        runs = [row for row in rows if row.running and row.compute]
        self.counted = common_count((row.counted for row in runs), now)
        if not all(row.counted for row in runs):
            self.counted = None
        self.now, self.own = now, _Rest(rows, now, ALWAYS, self.counted, own=True)
        by_payer = dict[tuple[str | None, str], list[Reservation]]()
        for row in rows:
            if row.pool is not None and row.pool in periods:
                by_payer.setdefault((row.allocation, row.pool), []).append(row)
        self.parts = {
            payer: _Rest(of, now, periods[payer[1]], self.counted, own=False)
            for payer, of in by_payer.items()
        }
        self.until = min([self.own.until, *(part.until for part in self.parts.values())])

    def moved(self, counted: int, now: int) -> "ProjectReserved | None":
        """The same if all that runs counts until then; null if that is not enough."""
        if counted == self.counted:
            return self
        if not self.counted or not self.counted < counted <= now:
            return None
        own = self.own.moved(counted)
        parts = {payer: part.moved(counted) for payer, part in self.parts.items()}
        if own is None or None in parts.values():
            return None
        new = copy(self)
        new.counted, new.own = counted, own
        new.parts = {payer: part for payer, part in parts.items() if part is not None}
        return new


class ReservedNow:
    """What is reserved of each cap in its present period, at one moment."""

    def __init__(self, now: int, projects: Mapping[str, ProjectReserved]) -> None:
        self._now, self._projects = now, projects
        self._sums = dict[str, tuple[int, int]]()
        for project in projects.values():
            for payers, rest in project.parts.items():
                compute, disks = rest.at(now)
                for payer in filter(None, payers):
                    before = self._sums.get(payer, (0, 0))
                    self._sums[payer] = before[0] + compute, before[1] + disks

    def of(self, cap: Cap) -> tuple[int, int]:
        """The part for compute, and the part for disks."""
        if not cap.is_own:
            return self._sums.get(cap.id, (0, 0))
        project = self._projects.get(cap.id)
        return (0, 0) if project is None else project.own.at(self._now)


def rates(workspace: Workspace, prices: PriceBook) -> tuple[Micros | None, Micros | None]:
    """The price of an hour while the workspace runs, and of a month of its disk."""
    compute = compute_rate(workspace).amount
    if compute is not None and _has_address(workspace):
        address = public_address(workspace, prices)
        compute = None if address is None else Micros(compute + address)
    return compute, disk_rate(workspace, prices).amount


def public_address(workspace: Workspace, prices: PriceBook) -> Micros | None:
    """The hourly price of the public address; None if there is none, or no known price."""
    return address_rate(workspace, prices).amount if _has_address(workspace) else None


def _has_address(workspace: Workspace) -> bool:
    return traits_of(workspace.location).charges_addresses


class Demand(Struct, frozen=True, kw_only=True):
    """What a workspace, a volume or a snapshot needs from now on, and who pays: for admission.

    If it `runs`, it needs compute until `until` (null: for an hour, to be renewed) and `stopping`
    seconds more. The ledger counts compute since `since` until `counted`, and the disk since
    `disk_since`; 0 if it does not. `unpriced` names what has no known price.
    """

    id: str
    name: str
    project: str
    allocation: str | None
    pool: str | None
    owner: str = ""
    launcher: str | None = None
    compute: Micros | None = Micros(0)  # an hour
    disk: Micros | None  # a calendar month
    unpriced: str = ""
    since: int = 0
    counted: int = 0
    disk_since: int = 0
    until: int | None = None
    stopping: int = 0
    runs: bool = False
    wakes: bool = False
    """A start or resume, which has no hours that a refusal could name."""
    adds_disk: bool = True
    """The caps do not pay for the disk yet."""
    obeys_thresholds: bool = False
    """Thresholds that prevent launches apply."""


def reservation_for(demand: Demand, caps: Sequence[Cap], now: int) -> Reservation:
    """The reservation that a demand needs.

    Compute until it expires, else for an hour; the disk for 30 days, but in a pool at most to the
    end of the period.
    """
    since, until = demand.since or now, now + CHUNK if demand.until is None else demand.until
    _, last = horizon(caps, now)
    if last is not None:
        until = min(until, last - demand.stopping)
    return Reservation(
        id=demand.id,
        name=demand.name,
        project=demand.project,
        allocation=demand.allocation,
        pool=demand.pool,
        compute=demand.compute,
        since=since,
        until=until if demand.runs else since,
        stopping=demand.stopping,
        running=bool(demand.since),
        disk=demand.disk,
        disk_since=demand.disk_since or now,
        disk_until=now + DISK_ADVANCE,
        part_until=part_horizon(caps, now),
        kept=bool(demand.disk_since),
        counted=demand.counted,
    )


def part_horizon(caps: Iterable[Cap], now: int) -> int:
    """Until when an allocation and its pool pay for a disk in advance, within this period."""
    until = now + DISK_ADVANCE
    for cap in caps:
        if cap.pool is not None and not cap.is_own:
            period = window(cap.pool, now)
            until = now if period is None else min(until, period.end or until)
    return until


def horizon(caps: Iterable[Cap], now: int) -> tuple[int | None, int | None]:
    """The nearest end of a period, and the nearest end of a pool."""
    edges, lasts = [], []
    for cap in caps:
        if cap.pool is None:
            continue
        period = window(cap.pool, now)
        if period is not None and period.end is not None:
            edges.append(period.end)
        if cap.pool.end_date is not None:
            lasts.append(int(cap.pool.end_date.timestamp()))
    return min(edges, default=None), min(lasts, default=None)


def renewed(
    reservation: Reservation, caps: Sequence[Cap], now: int, expires: int | None
) -> Reservation:
    """The reservation, extended from now on; it keeps what it already reserves.

    Nothing is reserved beyond the end of a pool, whatever was reserved before, and the new end is
    never in the past.
    """
    _, last = horizon(caps, now)
    until, disk_until = reservation.until, max(reservation.disk_until, now + DISK_ADVANCE)
    part_until = max(reservation.part_until, part_horizon(caps, now))
    runs = reservation.until > reservation.since
    if runs:
        until = max(until, now + CHUNK if expires is None else expires)
    if last is not None:
        until = min(until, max(last - reservation.stopping, now, reservation.since + runs))
        part_until = max(min(part_until, last), reservation.disk_since)
    return replace(reservation, until=until, disk_until=disk_until, part_until=part_until)


def extend_by(reservation: Reservation, fresh: Reservation, more: int) -> Reservation:
    """The reservation, extended by so many seconds, but at most to the ends of `fresh`."""
    return replace(
        fresh,
        until=min(fresh.until, reservation.until + more),
        disk_until=min(fresh.disk_until, reservation.disk_until + more),
        part_until=min(fresh.part_until, reservation.part_until + more),
    )


def extension(reservation: Reservation, fresh: Reservation) -> int:
    """By how many seconds `fresh` extends the reservation, at most."""
    return max(
        0,
        fresh.until - reservation.until,
        fresh.disk_until - reservation.disk_until,
        fresh.part_until - reservation.part_until,
    )


def longest(most: int, fits: Callable[[int], bool]) -> int | None:
    """The most seconds, up to `most`, that fit; None if not even 0 fit."""
    fitting = bisect_left(range(most + 1), True, key=lambda seconds: not fits(seconds))
    return fitting - 1 if fitting else None


def must_sleep(reservation: Reservation, caps: Sequence[Cap], now: int) -> bool:
    """Whether the workspace must go to sleep now, to be off when its pool ends."""
    _, last = horizon(caps, now)
    runs = reservation.until > reservation.since
    return runs and last is not None and now >= last - reservation.stopping - SHORTEST


def due(reservation: Reservation, caps: Sequence[Cap], now: int) -> int:
    """When to look at the reservation again."""
    edge, _ = horizon(caps, now)
    at = [now + DAY, *([] if edge is None else [edge + 1])]
    if reservation.until > reservation.since:
        at.append(max(reservation.until - RENEWAL_LEAD, now + RETRY))
    return min(at)
