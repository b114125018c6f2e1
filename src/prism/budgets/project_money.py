"""The money of a project: the balances of its own cap, its allocations and their pools."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import (
    Balance,
    Balances,
    ReservedStored,
    allocation_cap,
    combined,
    pool_cap,
    project_cap,
    sleep_reason,
)
from prism.budgets.model import Allocation, Cap, Pool
from prism.budgets.reserved_amounts import ReservationReader
from prism.costs.store import Totals
from prism.kit.money import Micros
from prism.projects.model import Project


class PoolShare(Struct, frozen=True):
    """The balance of an allocation, and that of its pool."""

    allocation: Balance
    pool: Balance

    @property
    def left(self) -> int:
        """What can still be reserved of both."""
        return min(self.allocation.shown_left, self.pool.shown_left)

    @property
    def is_unknown(self) -> bool:
        """Whether the rest of one of them is unknown."""
        return self.allocation.is_unknown or self.pool.is_unknown


class ProjectMoney(Struct, frozen=True):
    """The balances of all caps of a project at one moment."""

    own: Balance | None
    parts: tuple[PoolShare, ...]

    @property
    def balances(self) -> list[Balance]:
        """All balances: the project's own first, and each pool after its allocation."""
        balances = [] if self.own is None else [self.own]
        for part in self.parts:
            balances += [part.allocation, part.pool]
        return balances

    @property
    def own_caps(self) -> list[Balance]:
        """The balances of the project alone, without pools, which several projects share."""
        own = [] if self.own is None else [self.own]
        return own + [pool_share.allocation for pool_share in self.parts]

    @property
    def present(self) -> list[Balance]:
        """The allocations that have money now."""
        return [part.allocation for part in self.parts if part.allocation.within is not None]

    @property
    def allocated(self) -> Micros | None:
        """The project's limit, or the sum of its allocations now; null without a limit."""
        if self.own is not None:
            return self.own.cap.amount
        return Micros(sum(balance.cap.amount for balance in self.present)) if self.parts else None

    @property
    def spent(self) -> Micros | None:
        """What is spent of `allocated`; null if no price is known."""
        total = sum(balance.settled for balance in self._counted)
        is_unknown = not total and any(balance.is_unknown for balance in self._counted)
        return None if is_unknown else Micros(total)

    @property
    def reserved(self) -> int:
        """What is reserved of `allocated`."""
        return sum(balance.reserved for balance in self._counted)

    @property
    def left(self) -> int | None:
        """What can still be reserved under every cap that applies.

        Null without a limit, and if nothing that one of the caps paid for has a known price.
        """
        own = [] if self.own is None else [self.own.shown_left]
        parts = [sum(pool_share.left for pool_share in self.parts)] if self.parts else []
        return None if self._is_left_unknown else min([*own, *parts], default=None)

    @property
    def overrun(self) -> int:
        """The larger of two excesses: over the project's own cap, and over all allocations."""
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
    """Why nothing of a project may be launched, started or resumed; null if it may.

    As admission decides: by the project's own cap, by each allocation and its pool, and, without
    an own cap, by the allocations together.
    """
    if money.own is not None and (why := money.own.no_launches):
        return why
    present = [part for part in money.parts if part.allocation.within is not None]
    whys = [part.allocation.no_launches or part.pool.no_launches for part in present]
    if whys and all(whys):
        return whys[0]
    whole = combined(project, money.present) if money.own is None else money.own
    return None if whole is None else whole.no_launches or sleep_reason(project, whole)


class MoneyReader:
    """Reads the money of several projects; shared pools are read once."""

    def __init__(
        self, balances: Balances, sql: Connection, unpriced_until: Mapping[str, int]
    ) -> None:
        """`unpriced_until` comes from the ledger; it may be empty if only sums are read."""
        self._balances, self._sql = balances, sql
        self._totals = balances.totals(sql)
        self._unpriced_until = unpriced_until
        self._pools: Mapping[str, Pool] = {}
        self._known: dict[str, Balance] = {}
        self._allocations: Mapping[str, Sequence[Allocation]] | None = None
        self._reserved: ReservationReader = ReservedStored(sql, self._totals.now)

    def use(
        self,
        totals: Totals,
        pools: Mapping[str, Pool],
        allocations: Mapping[str, Sequence[Allocation]],
        reserved: ReservationReader,
    ) -> None:
        """Use cached rows and sums of the version that `sql` sees."""
        self._totals, self._reserved = totals, reserved
        self._pools, self._allocations = pools, allocations

    def of(self, project: Project) -> ProjectMoney:
        """The money of one project."""
        own = None
        if project.cap is not None:
            own = self.balance(project_cap(project, project.cap))
        parts = []
        for allocation in self._parts(project):
            pool = self._pool(allocation.pool)
            part = self.balance(allocation_cap(allocation, project, pool))
            parts.append(PoolShare(part, self.balance(pool_cap(pool))))
        return ProjectMoney(own, tuple(parts))

    def threshold_balance(self, project: Project) -> Balance | None:
        """The balance to which a project's thresholds refer, as `Balances` computes it."""
        money = self.of(project)
        return combined(project, money.present) if money.own is None else money.own

    def balance(self, cap: Cap) -> Balance:
        """The balance of a cap."""
        if cap.id not in self._known:
            balance = self._balances.balance_from(self._totals, cap, self._reserved)
            self._known[cap.id] = self._balances.priced(balance, self._unpriced_until)
        return self._known[cap.id]

    def _parts(self, project: Project) -> Sequence[Allocation]:
        if self._allocations is None:
            return store.allocations_of(self._sql, project=project.id)
        return self._allocations.get(project.id, [])

    def _pool(self, id: str) -> Pool:
        if id not in self._pools:
            self._pools = {**self._pools, id: store.pool_named(self._sql, id)}
        return self._pools[id]
