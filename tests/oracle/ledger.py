"""An independent account of all costs, from the API and the machines alone.

It imports nothing of `prism.costs` and `prism.budgets`: it computes segments, periods and sums
itself, after docs/money.md and the contract. Amounts are whole micro-dollars.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.months import month_seconds

HOUR, DAY, MONTH = 3600, 86400, 720 * 3600
STOPPING, AHEAD = 600, 30 * DAY
FOREVER = 2**60
Span = tuple[int, int | None]
Piece = tuple[int, int, int, "Cut"]  # from, to, and what it costs


@dataclass
class Cut:
    """The payer and the price from a time on, until the next cut."""

    at: int
    project: str | None
    pool: str | None
    hourly: int


@dataclass
class Thing:
    """A workspace or a volume: its payers and prices, and the spans of its disk and compute."""

    name: str
    disk: int  # for a calendar month
    stops_in: int = STOPPING
    cuts: list[Cut] = field(default_factory=list)
    kept: list[Span] = field(default_factory=list)  # spans of a disk
    ran: list[Span] = field(default_factory=list)  # spans of compute
    slept: list[Span] = field(default_factory=list)

    def cut(self, at: int, **now: Any) -> None:
        """Change the payer or the price from `at` on."""
        last = self.cuts[-1] if self.cuts else Cut(at, None, None, 0)
        self.cuts.append(Cut(at, **{**_of(last), **now}))

    @property
    def now(self) -> Cut:
        """The present payer and price."""
        return self.cuts[-1]

    def segments(self, span: Span, looked: int, rate: Callable[[Cut], int]) -> Iterator[Piece]:
        """(from, to, amount, cut) of a span, cut at each change, until the last survey."""
        begin, end = span
        end = min(FOREVER if end is None else end, looked)
        for cut, after in zip(self.cuts, [*self.cuts[1:], None], strict=True):
            start = begin if cut is self.cuts[0] else max(begin, cut.at)
            stop = end if after is None else min(end, after.at)
            if start <= stop:  # also with length 0: the next part is another segment
                yield start, stop, rate(cut), cut


def _of(cut: Cut) -> dict[str, Any]:
    return {"project": cut.project, "pool": cut.pool, "hourly": cut.hourly}


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Merge consecutive parts of a span with the same payer and price into one segment."""
    segments: list[tuple[int, int, int, Cut]] = []
    for start, stop, amount, cut in pieces:
        last = segments[-1] if segments else None
        same = last is not None and last[1] == start and last[2] == amount
        if last and same and (last[3].project, last[3].pool) == (cut.project, cut.pool):
            segments[-1] = (last[0], stop, amount, cut)
        else:
            segments.append((start, stop, amount, cut))
    return segments


class Account:
    """All workspaces and volumes, and their costs at a time `now`."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.looked = 0

    def pieces(self, thing: Thing, kind: str, now: int) -> list[tuple[int, int, int, int, Cut]]:
        """The segments of one kind of a thing until `now`."""
        if kind == "disk":
            spans, until, rate, per = thing.kept, now, lambda cut: thing.disk, MONTH
        elif kind == "compute":
            spans, until, rate, per = thing.ran, self.looked, lambda cut: cut.hourly, HOUR
        else:
            spans, until, rate, per = thing.slept, now, lambda cut: cut.hourly, HOUR
        return [
            (start, stop, amount, per, cut)
            for span in spans
            for start, stop, amount, cut in merged(thing.segments(span, min(until, now), rate))
        ]

    def cost(
        self,
        now: int,
        start: int = 0,
        end: int = FOREVER,
        kinds: Sequence[str] = ("compute", "disk"),
        **of: object,
    ) -> int:
        """The cost from `start` to `end`, of one project or pool if given."""
        total = 0
        for thing in self.things.values():
            if "thing" in of and thing is not of["thing"]:
                continue
            for kind in kinds:
                for begin, stop, amount, per, cut in self.pieces(thing, kind, now):
                    if any(getattr(cut, k) != v for k, v in of.items() if k != "thing"):
                        continue
                    until, since = min(max(end, begin), stop), min(max(start, begin), stop)
                    clock = month_seconds if per == MONTH else int
                    paid, before = (clock(at) - clock(begin) for at in (until, since))
                    total += amount * paid // per - amount * before // per
        return total


def period(kind: str, zone: str, start: int, end: int | None, now: int) -> Span | None:
    """The present period of a pool: (begin, end or None); None before and after all periods."""
    if now < start or (end is not None and now >= end):
        return None
    if kind == "project":
        return start, end
    where = UTC if zone == "UTC" else ZoneInfo(zone)
    day = datetime.fromtimestamp(now, where).date()
    if kind == "monthly":
        first = day.replace(day=1)
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    else:
        first = day - timedelta(days=day.weekday() if kind == "weekly" else 0)
        after = first + timedelta(days=7 if kind == "weekly" else 1)
    edges = [int(datetime.combine(day, time(0), where).timestamp()) for day in (first, after)]
    return max(edges[0], start), edges[1] if end is None else min(edges[1], end)


def needs(
    hourly: int,
    disk: int,
    hours: int | None,
    now: int,
    until: int | None = None,
    stops_in: int = STOPPING,
) -> int:
    """The amount that a launch for `hours` reserves in a cap whose period ends at `until`."""
    runs = (hours or 1) * HOUR + stops_in
    far = FOREVER if until is None else until
    compute = -(-hourly * min(runs, far - now) // HOUR)
    seconds = month_seconds(now + min(AHEAD, far - now)) - month_seconds(now)
    return compute + -(-disk * seconds // MONTH)


def usd(micros: int) -> float:
    """An amount as the API shows it: two decimals, half to even."""
    return round(micros, -4) / 1e6
