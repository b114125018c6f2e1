"""Builds what lets guests into workspaces, and what shows owners who enters."""

from functools import cached_property
from typing import Any

from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.reconcile import Loop
from prism.settings import Settings
from prism.sharing.reconciler import ShareReconciler
from prism.sharing.service import ShareService
from prism.visits.reconciler import VisitReconciler
from prism.visits.service import VisitService
from prism.workspaces.service import WorkspaceService


class SharingParts:
    """Shares and visits of a shared daemon."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: Settings,
        workspaces: WorkspaceService,
        has_apps: bool,
    ) -> None:
        """`has_apps` is whether browsers reach apps at origins of their own."""
        self._db, self._clock = db, clock
        operator = settings.actor
        self.shares = ShareService(db, clock, operator, workspaces, has_apps=has_apps)
        self.visits = VisitService(db, clock)

    @cached_property
    def loops(self) -> list[Loop[Any]]:
        """What ends shares and visits."""
        reconcilers = (
            ShareReconciler(self._db, self._clock, self.shares),
            VisitReconciler(self._db, self._clock, self.visits),
        )
        return [Loop(reconciler, self._db, self._clock, 1) for reconciler in reconcilers]
