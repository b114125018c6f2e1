"""The sums of the ledger, cached for a version of the ledger.

Closed segments are summed once for each version (`kit/versions.py`). The cost of open segments
grows every second, and each is rounded down on its own, so they are summed from their rows for
each moment. A later survey of machines changes only until when their rows count. `LedgerCache.of`
gives the same numbers as `store.Totals`, `CostService.burns` and `store.unpriced_until` at that
moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from prism.costs import rollups, store
from prism.costs.ledger import first_unrolled
from prism.costs.model import BURN, DAY, HOUR, CostKind, OpenRow
from prism.costs.plan import burn_begin, day_of, unix_time
from prism.costs.store import COUNTED, LEDGER, Totals
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.money import Micros
from prism.kit.versions import TopicVersions, VersionedValue

COLUMNS = ("project", "allocation", "pool")
MOMENTS = 8  # whose costs of open segments are cached
Payers = tuple[str | None, ...]


class GrowingCost(NamedTuple):
    """A cost that grows every second: `amount` micro-dollars for `whole` seconds."""

    amount: int
    whole: int
    began: int

    def between(self, start: int, end: int) -> int:
        """The cost from one moment until another."""
        return _cost((self,), end) - _cost((self,), start)


class OpenCosts:
    """The open segments by payer; `counted` is until when each running one counts, by id."""

    def __init__(self, rows: Sequence[OpenRow], counted: Mapping[int, int]) -> None:
        self._steady: dict[Payers, list[GrowingCost]] = {}
        self._runs: dict[Payers, list[tuple[GrowingCost, int]]] = {}
        self._asleep: list[GrowingCost] = []
        self._memo: dict[int, dict[tuple[str, str], int]] = {}
        for row in rows:
            if row.amount is None:
                continue
            growing = GrowingCost(row.amount, row.hours * HOUR, row.began)
            payers = (row.project, row.allocation, row.pool)
            if row.kind == CostKind.ASLEEP:
                self._asleep.append(growing)
            elif (until := counted.get(row.id)) is not None:
                self._runs.setdefault(payers, []).append((growing, until))
            else:
                self._steady.setdefault(payers, []).append(growing)
        self._surveyed_at = max(counted.values(), default=0)
        self._ran = dict(self._run_costs(self._surveyed_at))  # constant after that survey

    def by(self, at: int) -> Mapping[tuple[str, str], int]:
        """What each project, allocation and pool has paid for open segments until `at`."""
        if (known := self._memo.get(at)) is not None:
            return known
        sums: dict[tuple[str, str], int] = {}
        for payers, growing_costs in self._steady.items():
            _add(sums, payers, _cost(growing_costs, at))
        for payers, paid in self._ran.items() if at >= self._surveyed_at else self._run_costs(at):
            _add(sums, payers, paid)
        memo = dict(list(self._memo.items())[1 - MOMENTS :])  # other threads read the old dict
        self._memo = {**memo, at: sums}
        return sums

    def _run_costs(self, at: int) -> Iterable[tuple[Payers, int]]:
        return [(payers, _cost_of_runs(runs, at)) for payers, runs in self._runs.items()]

    def saved(self, start: int, end: int) -> int:
        """What hibernation has saved from `start` until `end`."""
        return _cost(self._asleep, end) - _cost(self._asleep, start)


class RecentSums:
    """The closed segments since a day, read at one moment of today.

    Some end later than that moment, because the minimum charge of a run is booked at once.
    """

    def __init__(self, sql: Connection, first: int, now: int) -> None:
        live = max(first, first_unrolled(sql, day_of(now)))
        self.read_at, self.start = now, live * DAY
        self.paid: dict[str, int] = {}
        self.saved = rollups.saved_since(sql, first, live)
        self._late: list[tuple[str | None, bool, GrowingCost, int]] = []
        for project, paid in rollups.paid_since(sql, first):
            self._add(project, paid, is_saved=False)
        sums, late = store.closed_since(sql, self.start, now)
        for of, kind, paid in sums:
            self._add(of, paid, is_saved=kind == CostKind.ASLEEP)
        for of, kind, amount, hours, began, ended in late:
            growing = GrowingCost(amount, hours * HOUR, began)
            self._late.append((of, kind == CostKind.ASLEEP, growing, ended))

    def _add(self, project: str | None, paid: int, *, is_saved: bool) -> None:
        if is_saved:
            self.saved += paid
        elif project is not None:
            self.paid[project] = self.paid.get(project, 0) + paid

    def late(self, now: int) -> tuple[Mapping[str, int], int]:
        """What each project paid, and what was saved, in segments that end after the read."""
        by_project, saved = dict[str, int](), 0
        for project, is_saved, growing, ended in self._late:
            cost = growing.between(self.start, min(now, ended))
            if is_saved:
                saved += cost
            elif project is not None:
                by_project[project] = by_project.get(project, 0) + cost
        return by_project, saved


class BookedSums:
    """The sums that change only when a segment is opened or closed."""

    def __init__(self, sql: Connection) -> None:
        self.rows = store.open_rows(sql)
        self.closed = store.closed_totals(sql)
        self.marks = store.newest_marks(sql)
        self.unpriced = store.unpriced_rows(sql)
        self.begun = dict(store.beginnings(sql))
        self.began = store.began(sql)
        self._recent: dict[int, RecentSums] = {}

    def recent(self, sql: Connection, first: int, now: int) -> RecentSums:
        """The closed segments since that day."""
        cached = self._recent.get(first)
        if cached is None or day_of(cached.read_at) != day_of(now) or cached.read_at > now:
            cached = RecentSums(sql, first, now)
            today = {
                day: sums
                for day, sums in self._recent.items()
                if day_of(sums.read_at) == day_of(now)
            }
            self._recent = {**today, first: cached}
        return cached


class LedgerSums:
    """All sums of one version of the ledger."""

    def __init__(
        self, booked: BookedSums, counted: Mapping[int, int], before: "LedgerSums | None" = None
    ) -> None:
        """`before` is an older version; sums that no survey can have changed are reused."""
        self.booked, self.counted = booked, counted
        self.open = OpenCosts(booked.rows, counted)
        self.by: dict[tuple[str, str, int], Micros] = {}
        if before is not None and before.booked is booked:
            pairs = ((at, counted.get(id, 0)) for id, at in before.counted.items())
            moved = [min(pair) for pair in pairs if pair[0] != pair[1]]
            since = min(moved, default=None)
            self.by = {
                key: paid
                for key, paid in dict(before.by).items()
                if since is None or key[2] <= since
            }


class LedgerNow(Totals):
    """The sums of the ledger at one moment and in one version."""

    def __init__(self, sums: LedgerSums, sql: Connection, now: int) -> None:
        super().__init__(sql, now)
        self._sums = sums

    def of(self, column: str, scope: str) -> Micros:
        """All that a payer has spent."""
        closed = self._sums.booked.closed.get(scope, 0)
        return Micros(closed + self._sums.open.by(self.now).get((column, scope), 0))

    def by(self, column: str, scope: str, at: int) -> Micros:
        """All that a payer had spent by `at`, a moment in the past."""
        key = (column, scope, at)
        if key not in self._sums.by:
            known = self.booked.marks.get((scope, at))
            self._sums.by[key] = super().by(*key) if known is None else Micros(known)
        return self._sums.by[key]

    @property
    def is_behind(self) -> bool:
        """Whether the clock is earlier than the last summed day."""
        return self._burnt.start > self.now

    @property
    def booked(self) -> BookedSums:
        """The sums that are the same for each moment of this version."""
        return self._sums.booked

    def burns(self) -> dict[str, Micros]:
        """What each project spent in the last 30 days, as `CostService.burns` says."""
        now, burnt = self.now, self._burnt
        first = burn_begin(now)
        (late, _), after = burnt.late(now), self._sums.open.by(now)
        before, burns = self._sums.open.by(burnt.start), dict[str, Micros]()
        for project, at in self.booked.begun.items():
            if now - at >= HOUR:
                key = ("project", project)
                paid = burnt.paid.get(project, 0) + late.get(project, 0)
                paid += after.get(key, 0) - before.get(key, 0)
                burns[project] = Micros(paid * BURN * DAY // (now - max(at, first)))
        return burns

    def saved_since(self, first: int) -> int:
        """What hibernation has saved since a day."""
        recent = self.booked.recent(self._sql, first, self.now)
        saved = recent.saved + recent.late(self.now)[1]
        return saved + self._sums.open.saved(recent.start, self.now)

    @property
    def _burnt(self) -> RecentSums:
        return self.booked.recent(self._sql, burn_begin(self.now) // DAY, self.now)

    def unpriced_until(self) -> dict[str, int]:
        """Until when each payer paid for something without a known price."""
        by_scope: dict[str, int] = {}
        for row in self._sums.booked.unpriced:
            until = self.now if row.ended is None else row.ended
            for scope in filter(None, (row.project, row.allocation, row.pool)):
                by_scope[scope] = max(by_scope.get(scope, 0), until)
        return by_scope

    def unpriced_within(
        self, start: int, end: int, column: str, id: str
    ) -> list[tuple[str, CostKind]]:
        """What a payer paid for in a period without a known price."""
        unpriced = {
            (row.name, CostKind(row.kind))
            for row in self._sums.booked.unpriced
            if getattr(row, column) == id
            and row.began < end
            and (row.ended is None or row.ended > start)
        }
        return sorted(unpriced)


class LedgerCache:
    """Caches the sums of the newest version that was read."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._booked = VersionedValue[BookedSums](LEDGER)
        self._sums = VersionedValue[LedgerSums](LEDGER, COUNTED)
        self._last: LedgerSums | None = None

    def of(self, sql: Connection) -> LedgerNow | None:
        """The sums now; null within a transaction, and while the clock is behind their days."""
        versions = self._db.versions(sql)
        return None if versions is None else self.at(sql, versions, unix_time(self._clock.now()))

    def at(self, sql: Connection, versions: TopicVersions, now: int) -> LedgerNow | None:
        """The sums now, if the versions were read already."""

        def look() -> LedgerSums:
            sums = LedgerSums(booked, store.counted_of_open(sql), self._last)
            self._last = sums  # another thread may replace it at once
            return sums

        booked = self._booked.get(versions, lambda: BookedSums(sql))
        ledger = LedgerNow(self._sums.get(versions, look), sql, now)
        return None if ledger.is_behind else ledger


def _add(sums: dict[tuple[str, str], int], payers: Payers, paid: int) -> None:
    for column, id in zip(COLUMNS, payers, strict=True):
        if id is not None:
            sums[column, id] = sums.get((column, id), 0) + paid


def _cost(growing_costs: Iterable[GrowingCost], at: int) -> int:
    return sum(
        amount * (at - began) // whole for amount, whole, began in growing_costs if at > began
    )


def _cost_of_runs(runs: Iterable[tuple[GrowingCost, int]], at: int) -> int:
    paid = 0
    for (amount, whole, began), until in runs:
        end = min(until, at)
        if end > began:
            paid += amount * (end - began) // whole
    return paid
