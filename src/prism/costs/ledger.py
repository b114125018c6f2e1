"""Opens and closes segments, in the transaction of each change."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.catalog.plan import PriceBook
from prism.costs import rollups, store
from prism.costs.model import DAY, RUNS, Booking, CostKind, DayCost, Segment
from prism.costs.plan import (
    Charge,
    booking,
    charges,
    day_of,
    price_factors,
    remainder,
    same,
    segment_cost,
    sums_by_day,
    unix_time,
)
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.profiles.providers import traits_of
from prism.workspaces.model import SPOT_INTERRUPTED, Workspace

RECENT_SURVEY = 120  # seconds: an older survey does not show what runs now
TAKEN_BACK = "free: the provider took the machine back in its first hour"
DIVIDED_AT_ONCE = 500  # segments in one transaction
RECORDED_LATE = 60  # seconds: a change recorded later than that is `reconstructed`


class Ledger:
    """Implements `ChangeListener` for workspaces; others call `set`."""

    def __init__(self, db: Database, clock: Clock, prices: PriceBook) -> None:
        self._db, self._clock, self._prices = db, clock, prices
        self._by_months = False

    def changed(
        self, tx: Tx, before: Workspace | None, after: Workspace, at: datetime, *, sure: bool
    ) -> None:
        """Book the costs of a workspace that changed at `at`."""
        if before is None or price_factors(before) != price_factors(after):
            traits = traits_of(after.location)
            taken = after.failure is not None and after.failure.code == SPOT_INTERRUPTED
            self.set(
                tx,
                booking(after),
                charges(after, self._prices),
                at,
                sure=sure,
                least=traits.least_seconds,
                free=traits.free_if_taken_within if taken else 0,
            )

    def confirmed(self, tx: Tx, ids: Sequence[str], at: datetime) -> None:
        """Book the costs of these workspaces until `at`, when a survey saw them run.

        Stored sums of the time since the previous survey are deleted, because they lack these
        costs.
        """
        until = unix_time(at)
        since = store.confirm(tx, ids, until)
        if since is None:
            return
        if day_of(since) < day_of(until):
            rollups.forget_after(tx, since)
        else:
            store.forget_marks(tx, since)

    def is_current(self, sql: Connection, id: str) -> bool:
        """Whether a recent survey has shown the workspace, which otherwise may have stopped."""
        counted = store.counted_until(sql, id)
        return counted is None or unix_time(self._clock.now()) - counted <= RECENT_SURVEY

    def set(
        self,
        tx: Tx,
        of: Booking,
        costs: dict[CostKind, Charge],
        at: datetime,
        *,
        sure: bool = True,
        least: int = 0,
        free: int = 0,
    ) -> None:
        """Charge `of` exactly these costs from `at` on, which may be long ago.

        A run that ends is charged for at least `least` seconds. A first run that ends within
        `free` seconds is not, if its price has not changed since.
        """
        now = unix_time(self._clock.now())
        current = {segment.kind: segment for segment in store.open_of(tx.sql, of.resource)}
        stale = [row for row in current.values() if _stale(row, of, costs.get(row.kind))]
        fresh = [kind for kind in costs if kind not in current or current[kind] in stale]
        if not stale and not fresh:
            return
        ended = store.last_end(tx.sql, of.resource)
        moment = max(min(unix_time(at), now), ended, *(segment.began for segment in stale))
        guessed = not sure or now - moment > RECORDED_LATE
        for segment in stale:
            run_ends = segment.kind is CostKind.COMPUTE and segment.kind not in costs
            is_free = run_ends and moment - segment.began < free
            if is_free and store.count_of(tx.sql, segment) == 1:
                self._end(tx, store.waive(tx, segment, TAKEN_BACK), moment, guessed=guessed)
                continue
            self._end(tx, segment, moment, guessed=guessed)
            if run_ends:
                self._charge_minimum(tx, segment, moment, least)
        for kind in fresh:
            until = now if kind in RUNS and costs[kind].rate.amount else None
            store.begin(tx, of, kind, costs[kind], moment, counted=until, reconstructed=guessed)
        counted = [segment.counted for segment in stale if segment.counted is not None]
        if (learned := min([*counted, moment])) < now:  # sums of later days lack these costs
            rollups.forget_after(tx, learned)

    def divide_months(self) -> int:
        """Count storage by calendar months from now on; return the number of changed segments.

        An older Prism counted every month as 720 hours. What it has booked stays as it is.
        """
        divided = 0
        while True:
            with self._db.read() as sql:
                if not store.open_without_months(sql, 1):
                    return divided
            with self._db.write() as tx:  # a part, because other requests wait meanwhile
                rows = store.open_without_months(tx.sql, DIVIDED_AT_ONCE)
                for row in rows:
                    moment = max(unix_time(self._clock.now()), row.began)
                    self._end(tx, row, moment, guessed=False)
                    store.begin(tx, *same(row), moment, counted=None, reconstructed=False)
            divided += len(rows)

    def roll(self) -> int:
        """Sum up the days that are over and not summed up yet; return their number."""
        if not self._by_months:
            self.divide_months()
            self._by_months = True
        now = unix_time(self._clock.now())
        today = day_of(now)
        with self._db.read() as sql:
            if rollups.first_unrolled(sql, today) >= today:
                return 0
        with self._db.write() as tx:
            if (first := rollups.first_unrolled(tx.sql, today)) >= today:
                return 0
            rollups.keep_days(tx, sums_of_days(tx.sql, first, today, now))
            return today - first

    def _charge_minimum(self, tx: Tx, segment: Segment, ended: int, least: int) -> None:
        """Charge the rest of the minimum for a run that ended early."""
        if least <= ended - segment.began or not segment.amount:
            return
        lacking = least - (ended - store.run_since(tx.sql, segment))
        if lacking <= 0:
            return
        until = ended + lacking
        store.begin(
            tx,
            *remainder(segment, least),
            ended,
            counted=until,
            reconstructed=False,
            is_minimum=True,
        )
        added = next(
            added
            for added in store.open_of(tx.sql, segment.resource)
            if added.kind is segment.kind
        )
        self._end(tx, added, until, guessed=False)

    def _end(self, tx: Tx, segment: Segment, at: int, *, guessed: bool) -> None:
        paid = 0 if segment.amount is None else segment_cost(segment, at)
        store.end(tx, segment, at, paid, reconstructed=guessed)


def sums_of_days(
    sql: Connection, first: int, end: int, now: int, project: str | None = None
) -> list[tuple[str, DayCost]]:
    """The sums of these days from the segments; each scope has a sum for each day."""
    day_costs = dict.fromkeys((("", day) for day in range(first, end)), DayCost(0, {}))
    for scope, day_cost in sums_by_day(
        store.cost_periods(sql, first * DAY, end * DAY, project), first, end, now
    ):
        day_costs[scope, day_cost.day] = day_cost
    return [(scope, replace(day_cost, day=day)) for (scope, day), day_cost in day_costs.items()]


def _stale(segment: Segment, of: Booking, new: Charge | None) -> bool:
    """Whether a segment differs from the present charge of the resource."""
    if new is None or (segment.amount, segment.hours) != (new.rate.amount, new.rate.hours):
        return True
    old = (segment.detail, segment.project, segment.allocation, segment.pool)
    return old != (new.detail, of.project, of.allocation, of.pool)
