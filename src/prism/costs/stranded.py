"""Ends the costs of a home that no daemon serves: nobody knows what is still there."""

from datetime import datetime

from prism.catalog.plan import PriceBook
from prism.costs.ledger import Ledger
from prism.costs.plan import booking, charges
from prism.costs.storage_ledger import StorageLedger
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.storage import store as storage
from prism.storage.model import Snapshot, Volume
from prism.workspaces import store as workspaces


class StrandedCosts:
    """Closes the segments of a location, and opens them again when it is served."""

    def __init__(
        self, ledger: Ledger, storage_ledger: StorageLedger, prices: PriceBook, clock: Clock
    ) -> None:
        self._ledger, self._storage, self._prices = ledger, storage_ledger, prices
        self._clock = clock

    def stop(self, tx: Tx, location: str, at: datetime) -> None:
        """Charge nothing in a location after `at`."""
        for workspace in workspaces.living_at(tx.sql, location):
            self._ledger.set(tx, booking(workspace), {}, at, sure=False)
        for row in _stored(tx, location):
            self._storage.changed(tx, row, None, at)

    def go_on(self, tx: Tx, location: str) -> None:
        """Charge for what is in a location, as it was last observed, from now on."""
        now = self._clock.now()
        for workspace in workspaces.living_at(tx.sql, location):
            costs = charges(workspace, self._prices)
            self._ledger.set(tx, booking(workspace), costs, now, sure=False)
        for row in _stored(tx, location):
            self._storage.changed(tx, None, row, now)


def _stored(tx: Tx, location: str) -> list[Volume | Snapshot]:
    volumes = storage.every_at(tx.sql, Volume, location)
    return [*volumes, *storage.every_at(tx.sql, Snapshot, location)]
