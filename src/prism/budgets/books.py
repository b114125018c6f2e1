"""The books: what is spent and reserved of each cap at one moment, and when it runs out.

All numbers of money are read here, for requests and for pages. A request reads what it needs, in
its transaction. Lists read all sums at once (`AllSums`), which are right for a version of the
tables (`kit/database/versions.py`) and a second, so that lists of the same second share them.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import (
    Balance,
    PoolShare,
    ProjectMoney,
    allocation_cap,
    combined,
    pool_cap,
    project_cap,
)
from prism.budgets.model import Cap, HolderLimits, Pool, Reservation, Window
from prism.budgets.plan import (
    ALWAYS,
    Demand,
    ProjectReserved,
    ReservedNow,
    disk_period,
    disks_until,
    lasting_disk,
    reserved_compute,
    window,
    windows,
)
from prism.budgets.runway import NEVER, CapUse, Runway, runways, spent_since, threshold
from prism.costs import rollups
from prism.costs import store as ledger
from prism.costs.model import CostKind, UnpricedRow
from prism.costs.plan import unix_time, unpriced_until, unpriced_within
from prism.costs.store import SumsNow
from prism.kit.clock import Clock
from prism.kit.database.versions import TopicVersions, VersionedParts, VersionedValue
from prism.kit.db import Database, Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.projects.model import Project

Value = TypeVar("Value")


class Limits(NamedTuple):
    """All pools by id, the oldest first; each project's part of them; what each has allocated."""

    pools: Mapping[str, Pool]
    parts: Mapping[str, Sequence[tuple[Cap, Cap]]]
    allocated: Mapping[str, int]


class AllSums(NamedTuple):
    """The sums of all caps at one moment; `known` has what was computed from them."""

    limits: Limits
    periods: Mapping[str, Window]  # the present one of each pool that has money now
    ledger: rollups.LedgerNow
    totals: SumsNow
    reserved: ReservedNow
    known: dict[Hashable, Any]


class Books:
    """Reads ledger and reservations together, at one moment, however long that takes."""

    def __init__(
        self,
        sql: Connection,
        now: int,
        *,
        besides: str = "",
        sums: AllSums | None = None,
        limits: HolderLimits | None = None,
    ) -> None:
        """The reservation of `besides` is left out. `sums` has everything that lists need."""
        self.sql, self.now, self._besides, self._sums = sql, now, besides, sums
        self._limits_of = limits
        self._totals = None if sums is None else sums.totals
        self._known: dict[Hashable, Any] = {} if sums is None else sums.known

    def without(self, reservation: str) -> "Books":
        """The same books without one reservation."""
        return Books(self.sql, self.now, besides=reservation, limits=self._limits_of)

    @cached_property
    def limits(self) -> HolderLimits | None:
        """The limits of people and tokens; null if there are none."""
        limits = self._limits_of
        return limits if limits is not None and limits.exist(self.sql) else None

    def once(self, key: Hashable, look: Callable[[], Value]) -> Value:
        """What `look` reads, which no request changes before it has read it again."""
        if key not in self._known:
            self._known[key] = look()
        value: Value = self._known[key]
        return value

    # ------------------------------------------------------------------- caps

    def caps(
        self,
        project: str,
        allocation: str | None,
        pool: str | None,
        *,
        owner: str = "",
        resource: str = "",
        launcher: str | None = None,
    ) -> list[Cap]:
        """Every cap that applies to a project, for costs that this allocation and pool pay.

        With `owner`, also the limits of this owner, of the tokens that made the resource, and of
        who launched it.
        """
        caps = list[Cap]()
        if owner and self.limits is not None:
            caps += self.limits.caps(self.sql, project, owner, resource, launcher)
        payer = projects.find(self.sql, project)
        if payer is not None and payer.cap is not None:
            caps.append(project_cap(payer, payer.cap))
        part = store.find_allocation(self.sql, allocation) if allocation else None
        source = store.find_pool(self.sql, pool) if pool else None
        if part is not None and source is not None:
            caps.append(allocation_cap(part, payer, source))
        if source is not None:
            caps.append(pool_cap(source))
        return caps

    def caps_of(self, demand: Demand) -> list[Cap]:
        """Every cap that a demand must fit."""
        payer = (demand.project, demand.allocation, demand.pool)
        owner, launcher = demand.owner, demand.launcher
        return self.caps(*payer, owner=owner, resource=demand.id, launcher=launcher)

    def own_cap(self, project: Project) -> Cap | None:
        """The cap of a project itself."""
        return None if project.cap is None else project_cap(project, project.cap)

    def parts(self, project: Project) -> Sequence[tuple[Cap, Cap]]:
        """All allocations of a project, each with its pool."""
        if self._sums is not None:
            return self._sums.limits.parts.get(project.id, ())
        rows = store.allocations_of(self.sql, project=project.id)
        pools = [store.pool_named(self.sql, row.pool) for row in rows]
        return [
            (allocation_cap(row, project, pool), pool_cap(pool))
            for row, pool in zip(rows, pools, strict=True)
        ]

    def pools(self) -> Mapping[str, Pool]:
        """All pools, by id, the oldest first."""
        return store.pools_by_id(self.sql) if self._sums is None else self._sums.limits.pools

    def allocated(self, pool: str) -> int:
        """The allocated money of a pool."""
        if self._sums is None:
            return store.allocated(self.sql, pool)
        return self._sums.limits.allocated.get(pool, 0)

    # ------------------------------------------------------------------- sums

    def present(self, cap: Cap) -> Window | None:
        """The present period of a cap; null if it has no money now."""
        if cap.pool is None:
            return ALWAYS
        if self._sums is not None:
            return self._sums.periods.get(cap.pool.id)
        return window(cap.pool, self.now)

    def counted(self, cap: Cap) -> Window | None:
        """The period whose spending is shown: the present one, or the last one and after it."""
        if (within := self.present(cap)) is not None:
            return within
        if (end := self._ended_at(cap)) is None or (last := _last_period(cap, end)) is None:
            return None
        return Window(last.start, None)

    def settled(self, cap: Cap, within: Window) -> int:
        """What the ledger has booked on a cap in one of its periods."""
        if within.start > self.now:
            return 0
        if cap.holder is not None and self.limits is not None:
            return self.limits.spent(self.sql, cap, within.start, self.now)
        if within.end is not None and within.end < self.now:
            total = self._by(cap, within.end)
        else:
            total = ledger.total(self.sql, cap.column, cap.id, self.now, known=self._totals)
        return total - self._by(cap, within.start) if within.start else total

    def ever(self, project: Project) -> Micros:
        """All that a project has ever spent."""
        return ledger.total(self.sql, "project", project.id, self.now, known=self._totals)

    def spent(self, cap: Cap) -> int:
        """What was spent of a cap in its present period, or in its last one and after it."""
        within = self.counted(cap)
        return 0 if within is None else self.settled(cap, within)

    def reserved(self, cap: Cap, within: Window) -> tuple[int, int]:
        """The reserved money of a cap in one of its periods: for compute, and for disks."""
        if self._sums is not None and within == self.present(cap):
            return self._sums.reserved.of(cap)
        if cap.holder is not None:
            rows = [row for row in self._rows(cap) if row.id != self._besides]
            disks = (lasting_disk(row, cap, self.now, within) for row in rows)
            return sum(reserved_compute(row, self.now, within) for row in rows), sum(disks)
        until = disks_until(cap, within, self.now)
        return store.reserved(
            self.sql, cap, self.now, within, besides=self._besides, disks_until=until
        )

    def _rows(self, cap: Cap) -> list[Reservation]:
        if cap.holder is not None and self.limits is not None:
            return self.limits.reservations(self.sql, cap)
        return store.reservations_of(self.sql, cap.column, cap.id)

    def _by(self, cap: Cap, at: int) -> int:
        if cap.holder is not None and self.limits is not None:
            return self.limits.spent_by(self.sql, cap, at)
        of = self.sql, cap.column, cap.id
        return ledger.total_by(*of, at, self.now, known=self._totals)

    def _ended_at(self, cap: Cap) -> int | None:
        """When the pool ended; null if it has not ended, and for a project's own cap."""
        if cap.pool is None or cap.pool.end_date is None:
            return None
        end = unix_time(cap.pool.end_date)
        return end if end <= self.now else None

    # --------------------------------------------------------------- balances

    def balance(self, cap: Cap) -> Balance:
        """The balance of a cap in its present period, or in its last one and after it."""
        if (within := self.present(cap)) is not None:
            return self.balance_in(cap, within)
        end, spent = self._ended_at(cap), self.spent(cap)
        last = None if end is None else _last_period(cap, end)
        after = spent if end else 0
        if end and last is not None:
            after -= self._by(cap, end) - self._by(cap, last.start)
        return Balance(cap, None, spent, 0, after=after)

    def balance_in(self, cap: Cap, within: Window) -> Balance:
        """The balance of a cap in one of its periods."""
        compute, disks = self.reserved(cap, within)
        return Balance(cap, within, self.settled(cap, within), compute + disks, disks)

    def tightest(self, cap: Cap) -> Balance:
        """The balance in the period that has the least left, of all with reservations.

        A reservation may reach beyond midnight, into the next period.
        """
        balances = [self.balance(cap)]
        if balances[0].within is not None:
            last = store.furthest(self.sql, cap) or self.now
            later = (*windows(cap, self.now, last)[1:], disk_period(cap, self.now))
            balances += [self.balance_in(cap, within) for within in later if within is not None]
        return min(balances, key=lambda it: it.cap.amount - it.committed)

    def priced(self, cap: Cap) -> Balance:
        """The balance of a cap, marked as unknown if no price in its period is known."""
        balance: Balance | None = self._known.get(cap.id)
        if balance is None:
            balance = self.balance(cap)
            if not balance.settled and self.unpriced_of(cap):
                balance = replace(balance, is_unknown=True)
            self._known[cap.id] = balance
        return balance

    def money(self, project: Project) -> ProjectMoney:
        """The balances of all caps of a project."""
        own = self.own_cap(project)
        shares = [
            PoolShare(self.priced(part), self.priced(pool)) for part, pool in self.parts(project)
        ]
        return ProjectMoney(None if own is None else self.priced(own), tuple(shares))

    def threshold_balance(self, project: Project, *, reserved: bool = True) -> Balance | None:
        """The balance to which thresholds of a project refer: its own cap or all allocations.

        If disks have exceeded one allocation, the excess does not count against the others.
        Allocations that have ended or not begun do not count. Without `reserved`, it has only
        what is spent.
        """

        def balance(cap: Cap) -> Balance:
            return self.balance(cap) if reserved else self._spent_balance(cap)

        if (own := self.own_cap(project)) is not None:
            return balance(own)
        return combined(project, [balance(part) for part, _ in self.parts(project)])

    def _spent_balance(self, cap: Cap) -> Balance:
        return Balance(cap, self.present(cap), self.spent(cap), 0)

    # ------------------------------------------------- unknown prices, and pace

    def unpriced(self) -> Sequence[UnpricedRow]:
        """Everything that had no known price."""
        if self._sums is not None and not self._sums.ledger.has_unpriced:
            return ()
        return self.once("unpriced", lambda: ledger.unpriced_rows(self.sql))

    def unpriced_until(self) -> Mapping[str, int]:
        """Until when each payer paid for something without a known price."""
        return self.once("until", lambda: unpriced_until(self.unpriced(), self.now))

    def unpriced_of(self, cap: Cap) -> list[tuple[str, CostKind]]:
        """What had no known price in the period of a cap whose spending is shown."""
        if (within := self.counted(cap)) is None or not (rows := self.unpriced()):
            return []
        return unpriced_within(rows, within.start, self.now + 1, cap.id)

    def burn(self, project: str) -> Micros | None:
        """What a project spends in 30 days, at its pace in the last 30 days."""
        if self._sums is not None:
            return self._sums.ledger.burn(project)
        return rollups.OpenCostReader().read(self.sql, None, self.now, {project}).burn(project)

    # ------------------------------------------------------------ how it goes on

    def uses(self, balances: Sequence[Balance]) -> list[CapUse]:
        """These balances, each with the reservations that its cap pays for."""
        return [CapUse(balance, self._rows(balance.cap)) for balance in balances]

    def ends(self, uses: Sequence[CapUse], known: Mapping[str, int]) -> dict[str, Runway]:
        """When each of these caps runs out, by id; `known` adds expiries by workspace."""
        every = [*uses, *self._sharing(uses)]
        runway_of = runways(every, self._expiries(every, known), self.now)
        for use in uses:
            if (at := self.ran_out_at(use.balance)) is not None:
                runway_of[use.balance.cap.id] = spent_since(use.balance, at)
        return {use.balance.cap.id: runway_of[use.balance.cap.id] for use in uses}

    def threshold(
        self, project: Project, uses: Sequence[CapUse], known: Mapping[str, int]
    ) -> Runway:
        """When a project's spending puts its workspaces to sleep; never without a limit."""
        if project.auto_hibernate_threshold is None:
            return NEVER
        own = self.own_cap(project)
        caps = [part for part, _ in self.parts(project)] if own is None else [own]
        read = {use.balance.cap.id: use for use in uses}
        counted = [read.get(cap.id) or self.uses([self.balance(cap)])[0] for cap in caps]
        now = [use for use in counted if use.balance.within is not None]
        ends = self._expiries(now, known)
        return threshold(now, project.auto_hibernate_threshold, ends, self.now)

    def ran_out_at(self, balance: Balance) -> int | None:
        """When spending reached the amount of a cap in its present period; null if it has not."""
        cap, within = balance.cap, balance.within
        if within is None or not cap.amount or balance.settled < cap.amount:
            return None
        start = within.start
        before = self._by(cap, start) if start else 0

        def is_reached(more: int) -> bool:
            return self._by(cap, start + more) - before >= cap.amount

        return start + bisect_left(range(self.now - start), True, key=is_reached)

    def _sharing(self, uses: Sequence[CapUse]) -> list[CapUse]:
        """The caps of other projects that share these pools, and may run out earlier."""
        known, sharing = {use.balance.cap.id for use in uses}, list[Cap]()
        for use in uses:
            if (pool := use.balance.cap.pool) is None or use.balance.cap.column != "pool":
                continue
            for id in sorted({row.allocation for row in use.rows if row.allocation} - known):
                part = store.find_allocation(self.sql, id)
                owner = None if part is None else projects.find(self.sql, part.project)
                if part is None or owner is None:
                    continue
                caps = [allocation_cap(part, owner, pool)]
                if owner.cap is not None:
                    caps.append(project_cap(owner, owner.cap))
                sharing += [cap for cap in caps if cap.id not in known]
                known |= {cap.id for cap in caps}
        return self.uses([self.balance(cap) for cap in sharing])

    def _expiries(self, uses: Sequence[CapUse], known: Mapping[str, int]) -> dict[str, int]:
        ids = sorted({reservation.id for use in uses for reservation in use.rows} - known.keys())
        return store.expiries(self.sql, ids) | dict(known)

    # ------------------------------------------------------------ period starts

    def unmarked(self, caps: Sequence[Cap]) -> list[tuple[Cap, int]]:
        """The caps for which no sum is stored yet at the beginning of their present period."""
        periods = [(cap, window(cap.pool, self.now)) for cap in caps if cap.pool is not None]
        began = [(cap, period.start) for cap, period in periods if period is not None]
        marked = ledger.marked(self.sql, {at for _, at in began}) if began else set()
        return [(cap, at) for cap, at in began if (cap.id, at) not in marked]

    def mark(self, tx: Tx, caps: Sequence[Cap]) -> None:
        """Store what was spent of each cap by the beginning of its present period."""
        for cap, at in self.unmarked(caps):
            ledger.mark(tx, cap.id, at, self._by(cap, at))


class BookReader:
    """Opens the books at the present moment."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        open_costs: rollups.OpenCostReader | None = None,
        limits: HolderLimits | None = None,
    ) -> None:
        self._db, self._clock, self._holder_limits = db, clock, limits
        self._sums = VersionedValue[AllSums]()
        self._open_costs = open_costs or rollups.OpenCostReader()
        self._reserved = VersionedParts[ProjectReserved](store.RESERVED, ledger.COUNTED)
        self._limits = VersionedValue[Limits](store.BUDGETS, projects.PROJECTS)
        self._closed = VersionedValue[dict[str, int]](ledger.LEDGER)
        self._marks = VersionedValue[dict[tuple[str, int], int]](ledger.PAST)

    def open(self, sql: Connection) -> Books:
        """The books now, for a request about few caps."""
        return Books(sql, unix_time(self._clock.now()), limits=self._holder_limits)

    def open_whole(self, sql: Connection) -> Books:
        """The books now, for lists; as `open` within a transaction, which has no version yet."""
        if (versions := self._db.versions(sql)) is None:
            return self.open(sql)
        now = unix_time(self._clock.now())
        sums = self._sums.get({}, partial(self._read, sql, versions, now), versions, now)
        return Books(sql, now, sums=sums)

    def _read(self, sql: Connection, versions: TopicVersions, now: int) -> AllSums:
        """Everything that lists need, of which only what has changed is read again."""
        limits = self._limits.get(versions, partial(_limits, sql))
        every = {id: window(pool, now) for id, pool in limits.pools.items()}
        periods = {id: within for id, within in every.items() if within is not None}

        reserved = partial(store.reserved_by_project, sql, now, periods)
        bounds, ends = partial(store.counted_bounds, sql), tuple(periods.items())
        reserved_of = self._reserved.get(versions, now, reserved, bounds, ends)
        open_costs = self._open_costs.read(sql, versions, now)
        totals = SumsNow(
            open_costs.of_payers,
            self._closed.get(versions, partial(ledger.closed_totals, sql)),
            self._marks.get(versions, partial(ledger.newest_marks, sql)),
        )
        reserved_now = ReservedNow(now, reserved_of)
        return AllSums(limits, periods, open_costs, totals, reserved_now, {})


def _limits(sql: Connection) -> Limits:
    """All pools and caps."""
    owners = {project.id: project for project in projects.every(sql)}
    pools, parts = store.pools_by_id(sql), dict[str, list[tuple[Cap, Cap]]]()
    whole = {id: pool_cap(pool) for id, pool in pools.items()}
    for row in store.allocations_of(sql):
        cap = allocation_cap(row, owners.get(row.project), pools[row.pool])
        parts.setdefault(row.project, []).append((cap, whole[row.pool]))
    return Limits(pools, parts, store.allocated_of_pools(sql))


def every_cap(sql: Connection) -> list[Cap]:
    """All caps."""
    limits, every = _limits(sql), projects.every(sql)
    own = [project_cap(owner, owner.cap) for owner in every if owner.cap is not None]
    parts = [part for of in limits.parts.values() for part, _ in of]
    return [*own, *parts, *map(pool_cap, limits.pools.values())]


def _last_period(cap: Cap, end: int) -> Window | None:
    """The last period of a pool that ended."""
    return None if cap.pool is None else window(cap.pool, end - 1)
