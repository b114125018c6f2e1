"""The parts for money: ledger, reservations, budgets and costs."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from prism.budgets import store as budgets
from prism.budgets.books import BookReader
from prism.budgets.reconciler import BudgetReconciler
from prism.budgets.reservations import ReservationService
from prism.budgets.service import BudgetService
from prism.budgets.spending import ProjectSpending
from prism.budgets.storage_reservations import (
    StorageReservationService,
    StrandedReservations,
    payer,
)
from prism.catalog.plan import PriceBook
from prism.costs.ledger import Ledger
from prism.costs.rollups import OpenCostReader
from prism.costs.service import CostService
from prism.costs.storage_ledger import StorageLedger, StrandedCosts
from prism.idle.measurements import Measurements
from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.reconcile import Loop
from prism.limits.holders import HolderLimitReader
from prism.limits.service import LimitService
from prism.storage.changes import StorageChanges
from prism.storage.model import StorageChangeListener
from prism.workspaces.prices import PriceWatch

if TYPE_CHECKING:
    from prism.kit.db import Database
    from prism.profiles.model import Profile
    from prism.workspaces.model import Offer
    from prism.workspaces.read_model import ReadModel
    from prism.workspaces.service import WorkspaceService


class BillingWiring:
    """The parts for money; a base class of `Wiring`."""

    clock: Clock
    who: Who
    if TYPE_CHECKING:  # `Wiring` makes them

        @cached_property
        def db(self) -> Database: ...  # noqa: D102
        @cached_property
        def workspaces(self) -> WorkspaceService: ...  # noqa: D102
        @cached_property
        def read_model(self) -> ReadModel: ...  # noqa: D102
        def _terms_now(self, profile: Profile) -> Offer: ...

    @cached_property
    def price_book(self) -> PriceBook:
        """The prices of storage and addresses."""
        return PriceBook()

    @cached_property
    def ledger(self) -> Ledger:
        """Records costs of workspaces, in the transaction that causes them."""
        return Ledger(self.db, self.clock, self.price_book)

    @cached_property
    def storage_ledger(self) -> StorageLedger:
        """The ledger of volumes and snapshots."""
        return StorageLedger(self.ledger, payer)

    @cached_property
    def stranded_costs(self) -> StrandedCosts:
        """The costs of homes that no daemon serves."""
        return StrandedCosts(self.ledger, self.storage_ledger, self.price_book, self.clock)

    @cached_property
    def stranded_reservations(self) -> StrandedReservations:
        """The reservations of homes that no daemon serves."""
        return StrandedReservations(self.clock, self.reservations, self.storage_reservations)

    @cached_property
    def storage_reservations(self) -> StorageReservationService:
        """Reserves money for volumes and snapshots before they are made."""
        return StorageReservationService(
            self.clock,
            self.books,
            ledger_listener=self.storage_ledger,
            funding=self.reservations,
        )

    @cached_property
    def storage_changes(self) -> StorageChanges:
        """Applies every change of volumes and snapshots."""
        listeners: list[StorageChangeListener] = [self.storage_ledger, self.storage_reservations]
        return StorageChanges(self.clock, [self.storage_reservations], listeners)

    @cached_property
    def costs(self) -> CostService:
        """Reads the ledger."""
        return CostService(self.db, self.clock, budgets.names_of_pools, self.open_costs)

    @cached_property
    def reservations(self) -> ReservationService:
        """Reserves money before it is spent."""
        return ReservationService(self.clock, self.price_book, self.books)

    @cached_property
    def open_costs(self) -> OpenCostReader:
        """Reads what open segments cost."""
        return OpenCostReader()

    @cached_property
    def books(self) -> BookReader:
        """Reads what is spent and reserved of all budgets."""
        return BookReader(self.db, self.clock, self.open_costs, self.holder_limits)

    @cached_property
    def holder_limits(self) -> HolderLimitReader:
        """Reads which limits of people and tokens apply."""
        return HolderLimitReader()

    @cached_property
    def limits(self) -> LimitService:
        """Requests about limits of people and tokens."""
        return LimitService(self.db, self.clock, self.holder_limits, self.books)

    @cached_property
    def budgets(self) -> BudgetService:
        """Requests about pools and allocations."""
        release = self.storage_reservations.release
        return BudgetService(self.db, self.clock, self.who, self.books, release=release)

    @cached_property
    def measurements(self) -> Measurements:
        """What workspaces used in each hour."""
        return Measurements(self.db, self.clock)

    @cached_property
    def spending(self) -> ProjectSpending:
        """The spending and the limits of projects."""
        return ProjectSpending(self.db, self.clock, self.books, self.measurements)

    @cached_property
    def prices(self) -> PriceWatch:
        """Updates booked prices."""
        current = self.ledger.is_current
        return PriceWatch(self.db, self.clock, self._terms_now, self.workspaces, current)

    @cached_property
    def budget_loop(self) -> Loop[Any]:
        """Renews reservations, warns at thresholds, settles."""
        work = BudgetReconciler(
            self.db,
            self.clock,
            reservations=self.reservations,
            ledger=self.ledger,
            reader=self.books,
            storage=self.storage_reservations,
            stranded=self.stranded_reservations,
            workspace_service=self.workspaces,
            settlements=[self.prices.look, lambda: self.read_model.settle(self.clock.now())],
        )
        return Loop(work, self.db, self.clock, threads=2)
