"""Pools, allocations and the balances of caps, cached for a version of their tables.

The `MoneyReader` of `BudgetCache.of` answers the same as a new one. It computes once per version
(`kit/versions.py`) and moment.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import Balances
from prism.budgets.model import Allocation, Pool
from prism.budgets.project_money import MoneyReader
from prism.budgets.reserved_amounts import ReservationSums, ReservedIgnored, ReservedNow
from prism.budgets.store import BUDGETS, RESERVED
from prism.costs.ledger_sums import LedgerCache, LedgerNow
from prism.costs.store import COUNTED
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.versions import TopicVersions, VersionedValue


class BudgetRows(NamedTuple):
    """All pools and allocations; `amounts` is the allocated money of each pool."""

    pools: Mapping[str, Pool]
    parts: Mapping[str, Sequence[Allocation]]
    amounts: Mapping[str, int]


class BudgetsNow(NamedTuple):
    """The data for lists of money, at one moment and version."""

    ledger: LedgerNow
    rows: BudgetRows
    reader: MoneyReader
    version: tuple[str, ...]
    now: int


class BudgetCache:
    """Caches the newest version that was read."""

    def __init__(self, db: Database, clock: Clock, ledger: LedgerCache) -> None:
        self._db, self._ledger, self._balances = db, ledger, Balances(clock)
        self._rows = VersionedValue[BudgetRows](BUDGETS)
        self._sums = VersionedValue[ReservationSums](RESERVED)
        self._counted = VersionedValue[Mapping[str, int]](RESERVED, COUNTED)

    def of(self, sql: Connection, *, settled_only: bool = False) -> BudgetsNow | None:
        """The data now; null within a transaction, whose changes have no version yet.

        With `settled_only`, the balances are without what is reserved.
        """
        versions = self._db.versions(sql)
        now = self._balances.now
        if versions is None or (ledger := self._ledger.at(sql, versions, now)) is None:
            return None
        rows = self._rows.get(versions, lambda: _read_rows(sql))
        reader = MoneyReader(self._balances.at(now), sql, ledger.unpriced_until())
        reserved = ReservedIgnored() if settled_only else self._reserved_now(sql, versions, now)
        reader.use(ledger, rows.pools, rows.parts, reserved)
        return BudgetsNow(ledger, rows, reader, _version(versions), now)

    def _reserved_now(self, sql: Connection, versions: TopicVersions, now: int) -> ReservedNow:
        sums = self._sums.get(versions, lambda: ReservationSums(store.every_reservation(sql)))
        counted = self._counted.get(versions, lambda: store.counted_of_reservations(sql))
        return ReservedNow(sums, counted, now)


def _version(versions: TopicVersions) -> tuple[str, ...]:
    return tuple(f"{name}:{word}" for name, word in sorted(versions.items()))


def _read_rows(sql: Connection) -> BudgetRows:
    pools = {pool.id: pool for pool in store.every_pool(sql)}
    return BudgetRows(pools, store.allocations_by_project(sql), store.allocated_of_pools(sql))
