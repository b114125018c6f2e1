"""Pools, allocations and where their caps stand, kept in memory for a version of each.

`BudgetCache.of` reads the same as `MoneyReader` does after `read_all`, from what was computed
once for a version (`kit/versions.py`) and the moment of the question.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import Balances
from prism.budgets.model import Allocation, Pool
from prism.budgets.project_money import MoneyReader
from prism.budgets.set_aside import HeldNow, ReservationSums
from prism.budgets.store import BUDGETS, RESERVED
from prism.costs.ledger_sums import LedgerCache, LedgerNow
from prism.costs.store import COUNTED
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.versions import Kept, Words


class Given(NamedTuple):
    """All pools and allocations; `amounts` is how much of each pool is allocated."""

    pools: Mapping[str, Pool]
    parts: Mapping[str, Sequence[Allocation]]
    amounts: Mapping[str, int]


class BudgetsNow(NamedTuple):
    """What list pages of money read, at one moment and version."""

    ledger: LedgerNow
    given: Given
    reader: MoneyReader
    version: tuple[str, ...]
    now: int


class BudgetCache:
    """Keeps the newest version that anybody asked for."""

    def __init__(self, db: Database, clock: Clock, ledger: LedgerCache) -> None:
        self._db, self._ledger, self._books = db, ledger, Balances(clock)
        self._given = Kept[Given](BUDGETS)
        self._held = Kept[ReservationSums](RESERVED)
        self._counted = Kept[Mapping[str, int]](RESERVED, COUNTED)

    def of(self, sql: Connection) -> BudgetsNow | None:
        """All of it now; null within a transaction, whose own changes it lacks."""
        found = self._db.versions(sql)
        now = self._books.now
        if found is None or (ledger := self._ledger.at(sql, found, now)) is None:
            return None
        given = self._given.get(found, lambda: _given(sql))
        reader = MoneyReader(self._books.at(now), sql, ledger.unpriced_until())
        reader.use(ledger, given.pools, given.parts, self._held_now(sql, found, now))
        return BudgetsNow(ledger, given, reader, _version(found), now)

    def _held_now(self, sql: Connection, found: Words, now: int) -> HeldNow:
        sums = self._held.get(found, lambda: ReservationSums(store.every_reservation(sql)))
        counted = self._counted.get(found, lambda: store.counted_of_reservations(sql))
        return HeldNow(sums, counted, now)


def _version(found: Words) -> tuple[str, ...]:
    return tuple(f"{name}:{word}" for name, word in sorted(found.items()))


def _given(sql: Connection) -> Given:
    parts: dict[str, list[Allocation]] = {}
    for part in store.allocations_of(sql):
        parts.setdefault(part.project, []).append(part)
    pools = {pool.id: pool for pool in store.every_pool(sql)}
    return Given(pools, parts, store.allocated_of_pools(sql))
