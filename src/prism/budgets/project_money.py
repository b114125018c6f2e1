"""What one project may spend: its own cap, its allocations, and the pools behind them."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.books import (
    Books,
    Standing,
    allocation_cap,
    pool_cap,
    project_cap,
    together,
)
from prism.budgets.model import Allocation, Cap, Pool, Reservation
from prism.kit.money import Micros
from prism.projects.model import Project


class Part(Struct, frozen=True):
    """An allocation, and the pool that it is a part of."""

    allocation: Standing
    pool: Standing

    @property
    def left(self) -> int:
        """What both of them can still pay for."""
        return min(self.allocation.shown_left, self.pool.shown_left)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what is left of one of them."""
        return self.allocation.is_unknown or self.pool.is_unknown


class ProjectMoney(Struct, frozen=True):
    """Where every cap of a project stands at one moment."""

    own: Standing | None
    parts: tuple[Part, ...]

    @property
    def standings(self) -> list[Standing]:
        """All of them, the project's own first, each pool after the allocation from it."""
        found = [] if self.own is None else [self.own]
        for part in self.parts:
            found += [part.allocation, part.pool]
        return found

    @property
    def given(self) -> list[Standing]:
        """Those of the project alone: a pool is several projects'."""
        own = [] if self.own is None else [self.own]
        return own + [it.allocation for it in self.parts]

    @property
    def present(self) -> list[Standing]:
        """The allocations that have money now."""
        return [it.allocation for it in self.parts if it.allocation.within is not None]

    @property
    def allocated(self) -> Micros | None:
        """What it may spend altogether, or in the present periods; null for no limit."""
        if self.own is not None:
            return self.own.cap.amount
        return Micros(sum(at.cap.amount for at in self.present)) if self.parts else None

    @property
    def spent(self) -> Micros | None:
        """What of that is spent; null where no price of anything in it is known."""
        total = sum(at.settled for at in self._counted)
        is_unknown = not total and any(at.is_unknown for at in self._counted)
        return None if is_unknown else Micros(total)

    @property
    def reserved(self) -> int:
        """What of that is set aside."""
        return sum(at.reserved for at in self._counted)

    @property
    def left(self) -> int | None:
        """What may still be promised under every cap that applies.

        Null for no limit, and where one of them has paid only for what has no known price.
        """
        own = [] if self.own is None else [self.own.shown_left]
        parts = [sum(it.left for it in self.parts)] if self.parts else []
        return None if self._is_left_unknown else min([*own, *parts], default=None)

    @property
    def overrun(self) -> int:
        """By how much it is passed: the own cap counts what the allocations count, too."""
        own = 0 if self.own is None else self.own.overrun
        return max(own, sum(it.allocation.overrun for it in self.parts))

    @property
    def _is_left_unknown(self) -> bool:
        paid = sum(it.allocation.settled for it in self.parts)
        parts = not paid and any(it.is_unknown for it in self.parts)
        return parts or (self.own is not None and self.own.is_unknown)

    @property
    def _counted(self) -> Sequence[Standing]:
        return self.present if self.own is None else [self.own]


def no_launches(it: Project, money: ProjectMoney) -> str | None:
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
    whole = together(it, money.present) if money.own is None else None
    return None if whole is None else whole.no_launches


class MoneyReader:
    """Reads the money of several projects; what they share is read once."""

    def __init__(self, books: Books, sql: Connection, unpriced_until: Mapping[str, int]) -> None:
        """`unpriced_until` is what the ledger says, or empty for who asks only for sums."""
        self._books, self._sql = books, sql
        self._totals = books.totals(sql)
        self._unpriced_until = unpriced_until
        self._pools: dict[str, Pool] = {}
        self._standings: dict[str, Standing] = {}
        self._given: dict[str, list[Allocation]] | None = None
        self._held: dict[tuple[str, str | None], list[Reservation]] | None = None

    def read_all(self) -> None:
        """Read at once what everybody has spent and what is set aside, for a list of projects."""
        self._totals.read_all()
        held: dict[tuple[str, str | None], list[Reservation]] = {}
        for it in store.every_reservation(self._sql):
            for key in (("project", it.project), ("allocation", it.allocation), ("pool", it.pool)):
                held.setdefault(key, []).append(it)
        self._held, self._given = held, {}
        self._pools = {it.id: it for it in store.every_pool(self._sql)}
        for part in store.allocations_of(self._sql):
            self._given.setdefault(part.project, []).append(part)

    def of(self, it: Project) -> ProjectMoney:
        """One project's."""
        own = None
        if it.cap is not None:
            own = self.standing(project_cap(it, it.cap))
        parts = []
        for given in self._parts(it):
            pool = self._pool(given.pool)
            part = self.standing(allocation_cap(given, it, pool))
            parts.append(Part(part, self.standing(pool_cap(pool))))
        return ProjectMoney(own, tuple(parts))

    def whole(self, it: Project) -> Standing | None:
        """What a project's thresholds are percent of, as `Books.whole` says."""
        money = self.of(it)
        return together(it, money.present) if money.own is None else money.own

    def standing(self, cap: Cap) -> Standing:
        """Where a cap stands."""
        if cap.id not in self._standings:
            at = self._books.standing_of(self._totals, cap, self.rows(cap))
            self._standings[cap.id] = self._books.priced(at, self._unpriced_until)
        return self._standings[cap.id]

    def _parts(self, it: Project) -> list[Allocation]:
        if self._given is None:
            return store.allocations_of(self._sql, project=it.id)
        return self._given.get(it.id, [])

    def rows(self, cap: Cap) -> list[Reservation]:
        """What is set aside of a cap."""
        if self._held is None:
            return store.reservations_of(self._sql, cap.column, cap.id)
        return self._held.get((cap.column, cap.id), [])

    def _pool(self, id: str) -> Pool:
        if id not in self._pools:
            self._pools[id] = store.pool_named(self._sql, id)
        return self._pools[id]
