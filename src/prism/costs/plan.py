"""How money is counted: pure functions of segments, prices and times.

A segment's cost up to `t` is floor(rate × seconds ÷ 3600); any slice is the difference of
two such values, so slices add up to the whole, whatever the cuts.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

from prism.catalog.plan import storage_price
from prism.costs.model import (
    DAY,
    HOUR,
    MONTH_HOURS,
    OF_A_WORKSPACE,
    Booking,
    CostKind,
    DayCost,
    Rate,
    Segment,
    Stretch,
)
from prism.kit.money import Micros
from prism.workspaces.model import Seen, Workspace

NOWHERE = frozenset({Seen.NONE, Seen.UNSURE, Seen.GONE})
FREE, SIMULATED, SIMULATED_REGION, SIMULATED_DISK = "local", "simulated", "us-east-1", "gp3"
# EC2 API Reference, StartInstances: "Every time you start your instance, Amazon EC2 charges a
# one-minute minimum for instance usage, and thereafter charges per second".
A_START = 60  # seconds
FILLER = " s for a start"  # how the detail of what a run is charged for beyond its end ends
AS_OF = re.compile(r"as of (\d{4}-\d\d-\d\d)")
EPOCH = date(1970, 1, 1).toordinal()


class Charge(Struct, frozen=True):
    """Something that costs from now on: what, and at which price."""

    detail: str
    rate: Rate


def cost(amount: Micros, hours: int, seconds: int) -> Micros:
    """What so many seconds cost at `amount` for `hours` hours."""
    return Micros(amount * seconds // (hours * HOUR))


def cost_at(it: Stretch, at: int) -> int:
    """What it has cost by `at`; nothing, where the price is not known."""
    end = at if it.ended is None else min(at, it.ended)
    if it.amount is None or end <= it.began:
        return 0
    return cost(it.amount, it.hours, end - it.began)


def cost_between(it: Stretch, start: int, end: int) -> int:
    """What it cost from `start` to `end`."""
    return cost_at(it, end) - cost_at(it, start)


def second(at: datetime) -> int:
    """A time as the ledger counts it."""
    return int(at.timestamp())


def moment(at: int) -> datetime:
    """A time of the ledger as a datetime."""
    return datetime.fromtimestamp(at, UTC)


def day_of(at: int) -> int:
    """The day in UTC, counted from 1970."""
    return at // DAY


def as_date(day: int) -> date:
    """A counted day as a date."""
    return date.fromordinal(EPOCH + day)


def as_day(of: date) -> int:
    """A date as a counted day."""
    return of.toordinal() - EPOCH


def booking(it: Workspace) -> Booking:
    """For whom, and from which money, a workspace is paid for."""
    return Booking(
        resource=it.id,
        name=it.name,
        owner=it.owner,
        profile=it.profile,
        template=it.template,
        project=it.project,
        allocation=it.allocation,
        pool=it.pool,
    )


def charges(it: Workspace) -> dict[CostKind, Charge]:
    """What a workspace costs as it was last seen.

    What is on costs compute, and so does what its provider charges for as if it were: one
    that runs and is being set up, or is on its way to sleep. Stopped and hibernated cost the
    disk; what comes up for the first time and does not run yet costs nothing.
    """
    found: dict[CostKind, Charge] = {}
    if it.machine_id is None or it.seen in NOWHERE or it.ended_at is not None:
        return found
    if it.seen is Seen.STARTING and it.ready_at is None and not it.charged:
        return found
    found[CostKind.ROOT] = Charge(f"{it.root_gb} GB {it.root_type}", disk_rate(it))
    if it.seen is Seen.ON or it.charged:
        found[CostKind.COMPUTE] = Charge(it.instance_type, compute_rate(it))
        if it.public_ip is not None:
            found[CostKind.ADDRESS] = Charge(it.public_ip, address_rate(it))
    if it.seen is Seen.ASLEEP:
        found[CostKind.ASLEEP] = Charge(it.instance_type, compute_rate(it))
    return found


def least_seconds(it: Workspace) -> int:
    """How long each start of it is charged for at least."""
    return A_START if it.place.startswith("aws:") else 0


def filled(it: Segment, least: int) -> tuple[Booking, CostKind, Charge]:
    """What a run that was shorter than its least is charged for after its end."""
    names = Booking.__struct_fields__
    of = Booking(**{name: getattr(it, name) for name in names})
    rate = Rate(it.amount, it.hours, it.source, it.as_of)
    return of, it.kind, Charge(f"{it.detail}, to {least}{FILLER}", rate)


def compute_rate(it: Workspace) -> Rate:
    """What an hour of it costs while it runs, as was agreed at launch."""
    source = it.price_source or "unknown"
    as_of = AS_OF.search(source)
    return Rate(it.hourly_rate, 1, source, date.fromisoformat(as_of[1]) if as_of else None)


def disk_rate(it: Workspace) -> Rate:
    """What a month of its root disk costs."""
    if it.price_source == FREE:
        return Rate(Micros(0), MONTH_HOURS, FREE)
    simulated = (it.price_source or "").startswith(SIMULATED)
    kind = SIMULATED_DISK if simulated else it.root_type
    known = storage_price(kind, SIMULATED_REGION if simulated else it.region)
    if known is None:
        return Rate(None, MONTH_HOURS, "unknown")
    source = known.source
    if simulated:  # in the words of what compute costs
        source = f"{SIMULATED}: {source}, {SIMULATED_REGION}, as of {known.as_of}"
    return Rate(Micros(known.amount * it.root_gb), MONTH_HOURS, source, known.as_of)


def address_rate(it: Workspace) -> Rate:
    """What an hour of its public address costs."""
    known = storage_price("address", it.region)
    if known is None:
        return Rate(None, 1, "unknown")
    return Rate(known.amount, 1, known.source, known.as_of)


def monthly_cost(held: Iterable[Segment]) -> Micros:
    """What these cost together in 720 hours, as far as their prices are known."""
    return Micros(sum((it.amount or 0) * (MONTH_HOURS // it.hours) for it in held if it.is_paid))


def known_monthly(held: Sequence[Segment]) -> Micros | None:
    """The same; null where none of it is known."""
    monthly = monthly_cost(held)
    is_unknown = any(it.amount is None for it in held if it.is_paid)
    return None if is_unknown and not monthly else monthly


def sweep(
    stretches: Iterable[Stretch], first: int, end: int, now: int
) -> Iterator[tuple[str, DayCost]]:
    """What the days from `first` until before `end` cost: of everything (``), of each project."""
    sums: dict[tuple[str, int], dict[CostKind, int]] = {}
    who: dict[tuple[str, int], set[int]] = {}
    for it in stretches:
        until = now if it.ended is None else min(it.ended, now)
        before = cost_at(it, max(it.began, first * DAY))
        for day in range(max(first, day_of(it.began)), min(end, day_of(until - 1) + 1)):
            after = cost_at(it, min(until, (day + 1) * DAY))
            for scope in ("",) if it.project is None else ("", it.project):
                of = sums.setdefault((scope, day), {})
                of[it.kind] = of.get(it.kind, 0) + after - before
                if it.kind in OF_A_WORKSPACE and after > before:
                    who.setdefault((scope, day), set()).add(it.no)
            before = after
    for (scope, day), micros in sums.items():
        yield scope, DayCost(day, micros, sum(1 << no for no in who.get((scope, day), ())))


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
    """For each bucket: its first day in the period, what it cost, how many workspaces, saved."""
    begin = first
    while begin <= last:
        end = min(bucket_end(begin, granularity), last + 1)
        paid, saved, who = 0, 0, 0
        for day in range(begin, end):
            if it := days.get(day):
                paid, saved, who = paid + it.paid, saved + it.saved, who | it.who
        yield begin, paid, who.bit_count(), saved
        begin = end


def month_of(at: datetime) -> tuple[datetime, datetime]:
    """The calendar month in UTC that a time is in: its begin, and the next one's."""
    begin = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begin, (begin + timedelta(days=32)).replace(day=1)
