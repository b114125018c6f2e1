"""The parts that take back what has no row; a part of `Rooms`, which has the rest."""

from functools import cached_property
from typing import TYPE_CHECKING

from prism.daemon.money import MoneyRooms
from prism.recovery.generation import Generation
from prism.recovery.lookout import Everywhere, Strays
from prism.recovery.origins import Origins
from prism.recovery.service import RecoveryService
from prism.recovery.shelf import Shelf
from prism.recovery.storing import Gleaner

if TYPE_CHECKING:
    from prism.idle.lookout import Lookout
    from prism.idle.service import Keeper
    from prism.profiles.service import ProfileService
    from prism.recovery.model import Looked
    from prism.settings import Settings
    from prism.storage.model import Terms as StorageTerms
    from prism.templates.service import TemplateService


class RescueRooms(MoneyRooms):
    """What finds machines without a workspace in a daemon, and makes workspaces of them."""

    if TYPE_CHECKING:  # `Rooms` makes them
        settings: Settings

        @cached_property
        def profiles(self) -> ProfileService: ...  # noqa: D102
        @cached_property
        def templates(self) -> TemplateService: ...  # noqa: D102
        @cached_property
        def lookout(self) -> Lookout: ...  # noqa: D102
        @cached_property
        def watchman(self) -> Keeper: ...  # noqa: D102
        def _storage_terms(self, place: str | None) -> StorageTerms: ...
        def _unseen(self) -> list[Looked]: ...

    @cached_property
    def generation(self) -> Generation:
        """Whether the database is older than the world."""
        return Generation(self.db, self.clock, self.settings.workspaces)

    @cached_property
    def lookouts(self) -> list[Strays]:
        """Who notices machines without a row: one for each reconciler of workspaces."""
        return []

    @cached_property
    def gleaners(self) -> list[Gleaner]:
        """The same, of volumes and snapshots."""
        return []

    @cached_property
    def strays(self) -> Everywhere:
        """Machines without a row, as the last looks have shown them."""
        return Everywhere(lambda: self.lookouts, self._unseen)

    @cached_property
    def rescue(self) -> RecoveryService:
        """The verbs of recovery."""
        origins = Origins(
            self.db,
            self.clock,
            templates=self.templates,
            profiles=self.profiles,
            terms=self._terms_now,
            treasury=self.escrow,
            watcher=self.lookout,
        )
        return RecoveryService(
            self.db,
            self.clock,
            self.strays,
            origins,
            self.who,
            guards=[self.escrow],
            meters=[*self.meters, self.watchman],
            generation=self.generation,
            storage=Shelf(
                self.db,
                self.clock,
                lambda: self.gleaners,
                self._storage_terms,
                self.who,
                guards=[self.storage_escrow],
                meters=self.storage_meters,
            ),
        )
