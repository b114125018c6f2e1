"""The parts of the rooms of money: the ledger below, the escrow above, one clock."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from prism.budgets.escrow import Escrow
from prism.budgets.purse import Purse
from prism.budgets.reconciler import BudgetReconciler
from prism.budgets.service import BudgetService
from prism.budgets.storing import StorageEscrow, payer
from prism.costs.ledger import Ledger
from prism.costs.service import CostService
from prism.costs.storing import StorageLedger
from prism.idle.measurements import Measurements
from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.reconcile import Loop
from prism.storage.model import Meter as StorageMeter
from prism.workspaces.prices import PriceWatch
from prism.workspaces.upstairs import Meter, RunningTime

if TYPE_CHECKING:
    from prism.kit.db import Database
    from prism.profiles.model import Profile
    from prism.workspaces.model import Terms
    from prism.workspaces.service import WorkspaceService
    from prism.workspaces.snapshot import Snapshot


class MoneyRooms:
    """What counts money in a daemon; a part of `Rooms`, which has the rest."""

    clock: Clock
    who: Who
    if TYPE_CHECKING:  # `Rooms` makes them

        @cached_property
        def db(self) -> Database: ...  # noqa: D102
        @cached_property
        def workspaces(self) -> WorkspaceService: ...  # noqa: D102
        @cached_property
        def snapshot(self) -> Snapshot: ...  # noqa: D102
        def _terms_now(self, profile: Profile) -> Terms: ...

    @cached_property
    def ledger(self) -> Ledger:
        """Counts what costs something, in the transaction that makes it so."""
        return Ledger(self.db, self.clock)

    @cached_property
    def storage_ledger(self) -> StorageLedger:
        """The same, for volumes and snapshots."""
        return StorageLedger(self.ledger, payer)

    @cached_property
    def storage_escrow(self) -> StorageEscrow:
        """Sets money aside for volumes and snapshots before they are made."""
        return StorageEscrow(self.clock, counts=self.storage_ledger, treasury=self.escrow)

    @property
    def storage_meters(self) -> list[StorageMeter]:
        """Told in this order, as those of workspaces."""
        return [self.storage_ledger, self.storage_escrow]

    @cached_property
    def costs(self) -> CostService:
        """What is read from the ledger."""
        return CostService(self.db, self.clock)

    @cached_property
    def escrow(self) -> Escrow:
        """Sets money aside before it is spent."""
        return Escrow(self.clock)

    @property
    def meters(self) -> list[Meter]:
        """Told in this order: what the ledger counts is not set aside any more."""
        return [self.ledger, self.escrow]

    @property
    def running_time(self) -> list[RunningTime]:
        """Told of every look that shows machines running."""
        return [self.ledger, self.escrow]

    @cached_property
    def budgets(self) -> BudgetService:
        """The verbs of pools and allocations."""
        release = self.storage_escrow.release
        return BudgetService(self.db, self.clock, self.who, release=release)

    @cached_property
    def measurements(self) -> Measurements:
        """What workspaces used, hour by hour."""
        return Measurements(self.db, self.clock)

    @cached_property
    def purse(self) -> Purse:
        """What projects may spend, and have spent."""
        return Purse(self.db, self.clock, self.costs, self.measurements)

    @cached_property
    def prices(self) -> PriceWatch:
        """Asks again what things cost."""
        current = self.ledger.is_current
        return PriceWatch(self.db, self.clock, self._terms_now, self.workspaces, current)

    @cached_property
    def keeper(self) -> Loop[Any]:
        """Renews what is set aside, warns at thresholds, settles."""
        work = BudgetReconciler(
            self.db,
            self.clock,
            escrow=self.escrow,
            ledger=self.ledger,
            storage=self.storage_escrow,
            asks=self.workspaces,
            also=[self.prices.look, lambda: self.snapshot.settle(self.clock.now())],
        )
        return Loop(work, self.db, self.clock, hands=2)
