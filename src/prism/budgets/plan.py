"""How money is set aside, and for which time: pure functions, time comes in as an argument.

`held` never says less than what the ledger can still come to count: whole costs are rounded
up, and what has been counted is subtracted as the ledger counts it, rounded down.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from prism.budgets.model import Cap, Period, Pool, Reservation, Window
from prism.costs.model import DAY, HOUR, MONTH_HOURS
from prism.costs.plan import address_rate, compute_rate, disk_rate
from prism.kit.money import Micros
from prism.workspaces.model import Workspace
from prism.workspaces.plan import DOZES

CHUNK, STOPPING = 60 * 60, int(DOZES.total_seconds())  # what compute, and a stop, is held for
AHEAD, AGAIN = 20 * 60, 60  # how long before it lapses it is renewed, and then tried again
DISK = 30 * DAY
SHORTEST = 60
ALWAYS = Window(0, None)
STEP = {"daily": 1, "weekly": 7}


def zone(name: str) -> tzinfo:
    """A time zone by name; raises `KeyError` (or `ValueError`) for none of that name."""
    return UTC if name == "UTC" else ZoneInfo(name)


def window(pool: Pool, at: int) -> Window | None:
    """The period of a pool that a moment is in; null before it begins and after it ends.

    Periods begin at midnight of the pool's own time zone, however long its days are; a week
    begins on Monday.
    """
    first = int(pool.start_date.timestamp())
    last = None if pool.end_date is None else int(pool.end_date.timestamp())
    if at < first or (last is not None and at >= last):
        return None
    if pool.period == "project":
        return Window(first, last)
    start, end = _edges(pool.period, zone(pool.time_zone), at)
    return Window(max(start, first), end if last is None else min(end, last))


def _edges(period: Period, where: tzinfo, at: int) -> tuple[int, int]:
    local = datetime.fromtimestamp(at, where).replace(hour=0, minute=0, second=0, microsecond=0)
    day = local.replace(tzinfo=None, fold=0)
    if period == "monthly":
        begin = day.replace(day=1)
        after = (begin + timedelta(days=32)).replace(day=1)
    else:
        begin = day - timedelta(days=day.weekday() if period == "weekly" else 0)
        after = begin + timedelta(days=STEP[period])
    return tuple(int(it.replace(tzinfo=where).timestamp()) for it in (begin, after))  # type: ignore[return-value]


def windows(cap: Cap, start: int, end: int) -> list[Window | None]:
    """The periods of a cap that a stretch of time touches; null stands for time without money."""
    if cap.pool is None:
        return [Window(0, None)]
    found: list[Window | None] = []
    at: int | None = start
    while at is not None and (at < end or not found):
        here = window(cap.pool, at)
        found.append(here)
        at = None if here is None else here.end
    return found


def held(it: Reservation, now: int, within: Window = ALWAYS) -> int:
    """What is set aside after `now` and not counted by the ledger yet, `within` a period."""
    part = 0
    if it.compute is not None and it.until > it.since:
        span = (it.since, it.until + it.stopping, it.running)
        part += _held(it.compute, 1, span, now, within)
    if it.disk is not None and it.disk_until > it.disk_since:
        part += _held(it.disk, MONTH_HOURS, (it.disk_since, it.disk_until, it.kept), now, within)
    return part


def _held(amount: int, hours: int, span: tuple[int, int, bool], now: int, within: Window) -> int:
    begin, end, counted = span
    end = end if within.end is None else min(end, within.end)
    start = max(begin, within.start, now if counted else begin)
    if end <= start:
        return 0
    whole = hours * HOUR
    return -(-amount * (end - begin) // whole) - amount * (start - begin) // whole


def rates(it: Workspace) -> tuple[Micros | None, Micros | None]:
    """What an hour of it costs while it runs, and a month of its disk."""
    compute = compute_rate(it).amount
    if compute is not None and not it.place.startswith("local:"):
        address = address_rate(it).amount
        compute = None if address is None else Micros(compute + address)
    return compute, disk_rate(it).amount


def drawn(it: Workspace, caps: Sequence[Cap], now: int, began: tuple[int, int]) -> Reservation:
    """What is to be set aside for a workspace that shall run.

    Until it expires, else for an hour; and its disk for 30 days or to the period's end,
    whichever is nearer. `began` is since when the ledger counts compute and disk, 0 for not.
    """
    assert it.project is not None, "who has no project has no budget"
    compute, disk = rates(it)
    until = now + CHUNK if it.expires_at is None else int(it.expires_at.timestamp())
    stopping = STOPPING if it.hibernation else 0
    edge, last = horizon(caps, now)
    if last is not None:
        until = min(until, last - stopping)
    return Reservation(
        id=it.id,
        name=it.name,
        project=it.project,
        allocation=it.allocation,
        pool=it.pool,
        compute=compute,
        since=began[0] or now,
        until=until,
        stopping=stopping,
        running=bool(began[0]),
        disk=disk,
        disk_since=began[1] or now,
        disk_until=disk_horizon(edge, now),
        kept=bool(began[1]),
    )


def disk_horizon(edge: int | None, now: int) -> int:
    """Until when a disk is paid for in advance."""
    return now + DISK if edge is None else min(now + DISK, edge)


def horizon(caps: Iterable[Cap], now: int) -> tuple[int | None, int | None]:
    """The nearest end of a period, and the nearest end of all money."""
    edges, lasts = [], []
    for cap in caps:
        if cap.pool is None:
            continue
        here = window(cap.pool, now)
        if here is not None and here.end is not None:
            edges.append(here.end)
        if cap.pool.end_date is not None:
            lasts.append(int(cap.pool.end_date.timestamp()))
    return min(edges, default=None), min(lasts, default=None)


def renewed(it: Reservation, caps: Sequence[Cap], now: int, expires: int | None) -> Reservation:
    """The same reservation, carried on from now; what it holds already, it keeps.

    But nothing is held of money that will have ended by then, however far it was promised;
    and no machine is told to have gone down before now.
    """
    edge, last = horizon(caps, now)
    until, disk_until = it.until, max(it.disk_until, disk_horizon(edge, now))
    runs = it.until > it.since
    if runs:
        until = max(until, now + CHUNK if expires is None else expires)
    if last is not None:
        until = min(until, max(last - it.stopping, now, it.since + runs))
        disk_until = max(min(disk_until, last), it.disk_since)
    return replace(it, until=until, disk_until=disk_until)


def over(it: Reservation, caps: Sequence[Cap], now: int) -> bool:
    """Whether it must go down now, to be down when its money ends."""
    _, last = horizon(caps, now)
    runs = it.until > it.since
    return runs and last is not None and now >= last - it.stopping - SHORTEST


def due(it: Reservation, caps: Sequence[Cap], now: int) -> int:
    """When to look at it again."""
    edge, _ = horizon(caps, now)
    at = [now + DAY, *([] if edge is None else [edge + 1])]
    if it.until > it.since:
        at.append(max(it.until - AHEAD, now + AGAIN))
    return min(at)


def affordable(left: int, compute: int | None, disk: int) -> timedelta:
    """For how long the money that is left pays such a workspace."""
    if not compute:
        return timedelta(0)
    return timedelta(seconds=max(0, (left - disk) * HOUR // compute))
