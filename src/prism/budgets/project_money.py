"""What one project may spend: its own cap, its allocations, and the pools behind them."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import (
    Balance,
    Balances,
    HeldStored,
    allocation_cap,
    combined,
    pool_cap,
    project_cap,
)
from prism.budgets.model import Allocation, Cap, Pool
from prism.budgets.set_aside import HeldNow, ReservationSums
from prism.costs.store import Totals
from prism.kit.money import Micros
from prism.projects.model import Project


class PoolShare(Struct, frozen=True):
    """An allocation, and the pool that it is a part of."""

    allocation: Balance
    pool: Balance

    @property
    def left(self) -> int:
        """What both of them can still pay for."""
        return min(self.allocation.shown_left, self.pool.shown_left)

    @property
    def is_unknown(self) -> bool:
        """Whether what is left of one of them is unknown."""
        return self.allocation.is_unknown or self.pool.is_unknown


class ProjectMoney(Struct, frozen=True):
    """Where every cap of a project stands at one moment."""

    own: Balance | None
    parts: tuple[PoolShare, ...]

    @property
    def standings(self) -> list[Balance]:
        """All of them, the project's own first, each pool after the allocation from it."""
        standings = [] if self.own is None else [self.own]
        for part in self.parts:
            standings += [part.allocation, part.pool]
        return standings

    @property
    def own_caps(self) -> list[Balance]:
        """The caps of the project only, since several projects share a pool."""
        own = [] if self.own is None else [self.own]
        return own + [pool_share.allocation for pool_share in self.parts]

    @property
    def present(self) -> list[Balance]:
        """The allocations that have money now."""
        return [part.allocation for part in self.parts if part.allocation.within is not None]

    @property
    def allocated(self) -> Micros | None:
        """What it may spend altogether, or in the present periods; null for no limit."""
        if self.own is not None:
            return self.own.cap.amount
        return Micros(sum(balance.cap.amount for balance in self.present)) if self.parts else None

    @property
    def spent(self) -> Micros | None:
        """What of that is spent; null where no price of anything in it is known."""
        total = sum(balance.settled for balance in self._counted)
        is_unknown = not total and any(balance.is_unknown for balance in self._counted)
        return None if is_unknown else Micros(total)

    @property
    def reserved(self) -> int:
        """What of that is set aside."""
        return sum(balance.reserved for balance in self._counted)

    @property
    def left(self) -> int | None:
        """What may still be promised under every cap that applies.

        Null for no limit, and where one of them has paid only for what has no known price.
        """
        own = [] if self.own is None else [self.own.shown_left]
        parts = [sum(pool_share.left for pool_share in self.parts)] if self.parts else []
        return None if self._is_left_unknown else min([*own, *parts], default=None)

    @property
    def overrun(self) -> int:
        """By how much it is passed: the own cap counts what the allocations count, too."""
        own = 0 if self.own is None else self.own.overrun
        return max(own, sum(pool_share.allocation.overrun for pool_share in self.parts))

    @property
    def _is_left_unknown(self) -> bool:
        paid = sum(pool_share.allocation.settled for pool_share in self.parts)
        parts = not paid and any(pool_share.is_unknown for pool_share in self.parts)
        return parts or (self.own is not None and self.own.is_unknown)

    @property
    def _counted(self) -> Sequence[Balance]:
        return self.present if self.own is None else [self.own]


def no_launches(project: Project, money: ProjectMoney) -> str | None:
    """Why nothing of a project may be launched, started or resumed; null where something may.

    As admission decides: by its own cap, by each of its allocations and their pools, and where
    it has no cap of its own, by its allocations together.
    """
    if money.own is not None and (why := money.own.no_launches):
        return why
    present = [part for part in money.parts if part.allocation.within is not None]
    whys = [part.allocation.no_launches or part.pool.no_launches for part in present]
    if whys and all(whys):
        return whys[0]
    whole = combined(project, money.present) if money.own is None else None
    return None if whole is None else whole.no_launches


class MoneyReader:
    """Reads the money of several projects; what they share is read once."""

    def __init__(
        self, balances: Balances, sql: Connection, unpriced_until: Mapping[str, int]
    ) -> None:
        """`unpriced_until` comes from the ledger; it may be empty if only sums are read."""
        self._balances, self._sql = balances, sql
        self._totals = balances.totals(sql)
        self._unpriced_until = unpriced_until
        self._pools: Mapping[str, Pool] = {}
        self._standings: dict[str, Balance] = {}
        self._allocations: Mapping[str, Sequence[Allocation]] | None = None
        self._held: HeldNow | HeldStored = HeldStored(sql, self._totals.now)

    def use(
        self,
        totals: Totals,
        pools: Mapping[str, Pool],
        allocations: Mapping[str, Sequence[Allocation]],
        held: HeldNow,
    ) -> None:
        """Read from what is kept in memory of the version that `sql` sees."""
        self._totals, self._pools, self._allocations, self._held = totals, pools, allocations, held

    def read_all(self) -> None:
        """Read at once what everybody has spent and what is set aside, for a list of projects."""
        self._totals.read_all()
        every = store.every_reservation(self._sql)
        counted = {row.id: row.counted for row in every if row.running and row.counted}
        self._held = HeldNow(ReservationSums(every), counted, self._totals.now)
        self._pools = {pool.id: pool for pool in store.every_pool(self._sql)}
        allocations: dict[str, list[Allocation]] = {}
        for part in store.allocations_of(self._sql):
            allocations.setdefault(part.project, []).append(part)
        self._allocations = allocations

    def of(self, project: Project) -> ProjectMoney:
        """The money of one project."""
        own = None
        if project.cap is not None:
            own = self.standing(project_cap(project, project.cap))
        parts = []
        for allocation in self._parts(project):
            pool = self._pool(allocation.pool)
            part = self.standing(allocation_cap(allocation, project, pool))
            parts.append(PoolShare(part, self.standing(pool_cap(pool))))
        return ProjectMoney(own, tuple(parts))

    def whole(self, project: Project) -> Balance | None:
        """What a project's thresholds are percent of, as `Balances.whole` says."""
        money = self.of(project)
        return combined(project, money.present) if money.own is None else money.own

    def standing(self, cap: Cap) -> Balance:
        """Where a cap stands."""
        if cap.id not in self._standings:
            balance = self._balances.standing_of(self._totals, cap, self._held)
            self._standings[cap.id] = self._balances.priced(balance, self._unpriced_until)
        return self._standings[cap.id]

    def _parts(self, project: Project) -> Sequence[Allocation]:
        if self._allocations is None:
            return store.allocations_of(self._sql, project=project.id)
        return self._allocations.get(project.id, [])

    def _pool(self, id: str) -> Pool:
        if id not in self._pools:
            self._pools = {**self._pools, id: store.pool_named(self._sql, id)}
        return self._pools[id]
