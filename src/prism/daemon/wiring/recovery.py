"""The parts that find and restore what has no row."""

from functools import cached_property
from typing import TYPE_CHECKING

from prism.daemon.wiring.billing import BillingWiring
from prism.kit.db import Tx
from prism.recovery.generation import Generation
from prism.recovery.orphan_scanner import AllOrphans, OrphanScanner
from prism.recovery.provenance import ProvenanceReader
from prism.recovery.service import RecoveryService
from prism.recovery.storage_recovery import StorageRecovery
from prism.recovery.storage_scanner import StorageScanner
from prism.workspaces import store as workspaces
from prism.workspaces.changes import WorkspaceChanges

if TYPE_CHECKING:
    from prism.idle.observer import IdleObserver
    from prism.idle.service import IdleTracker
    from prism.profiles.service import ProfileService
    from prism.recovery.model import Looked
    from prism.settings import Settings
    from prism.storage.model import StorageOffer
    from prism.templates.service import TemplateService


class RecoveryWiring(BillingWiring):
    """The parts that find machines without a workspace; a base class of `Wiring`."""

    if TYPE_CHECKING:  # `Wiring` makes them
        settings: Settings

        @cached_property
        def profiles(self) -> ProfileService: ...  # noqa: D102
        @cached_property
        def templates(self) -> TemplateService: ...  # noqa: D102
        @cached_property
        def idle_observer(self) -> IdleObserver: ...  # noqa: D102
        @cached_property
        def idle_tracker(self) -> IdleTracker: ...  # noqa: D102
        def _storage_offer(self, place: str | None) -> StorageOffer: ...
        def _unseen(self) -> list[Looked]: ...

    @cached_property
    def workspace_changes(self) -> WorkspaceChanges:
        """Applies every change of workspaces."""
        listeners = [*self.change_listeners, self.idle_tracker]
        return WorkspaceChanges(self.clock, [self.reservations], listeners)

    @cached_property
    def generation(self) -> Generation:
        """Whether the database is older than the machines."""

        def accepted(tx: Tx) -> None:
            self.idle_tracker.doubt_what_was_told(tx)
            workspaces.doubt_what_was_told(tx, self.clock.now())

        return Generation(self.db, self.clock, self.settings.workspaces, accepted)

    @cached_property
    def orphan_scanners(self) -> list[OrphanScanner]:
        """The scanners for machines without a row: one for each reconciler of workspaces."""
        return []

    @cached_property
    def storage_scanners(self) -> list[StorageScanner]:
        """The scanners for volumes and snapshots without a row."""
        return []

    @cached_property
    def orphans(self) -> AllOrphans:
        """Machines without a row, as of the last surveys."""
        return AllOrphans(lambda: self.orphan_scanners, self._unseen)

    @cached_property
    def recovery(self) -> RecoveryService:
        """Requests about recovery."""
        origins = ProvenanceReader(
            self.db,
            self.clock,
            templates=self.templates,
            profiles=self.profiles,
            offer_of_profile=self._terms_now,
            funding=self.reservations,
            idle_monitor=self.idle_observer,
        )
        return RecoveryService(
            self.db,
            self.clock,
            self.orphans,
            origins,
            self.who,
            changes=self.workspace_changes,
            generation=self.generation,
            storage=StorageRecovery(
                self.db,
                self.clock,
                lambda: self.storage_scanners,
                self._storage_offer,
                self.who,
                changes=self.storage_changes,
            ),
        )
