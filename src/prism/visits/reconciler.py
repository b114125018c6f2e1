"""Ends visits that nobody has seen for a while, also those of a daemon that was killed."""

from datetime import timedelta

from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.reconcile import NEVER_DUE, Claim, DatabaseReconciler, ReconcileResult
from prism.visits import store
from prism.visits.model import VISIT_PAUSE
from prism.visits.service import TOUCH_EVERY, VisitService


class VisitReconciler(DatabaseReconciler):
    """Ends the rows of visits."""

    rows = store.visits

    def __init__(self, db: Database, clock: Clock, visits: VisitService) -> None:
        self._db, self._clock, self._visits = db, clock, visits

    def mark_due(self) -> timedelta:
        """Say which visits have connections to this daemon, so that no daemon ends them."""
        self._visits.refresh()
        return TOUCH_EVERY

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """End one visit, if it is over."""
        with self._db.read() as sql:
            visit = store.find(sql, claim.id)
        now = self._clock.now()
        rest = NEVER_DUE - now
        if visit is not None and (left := visit.last_at + VISIT_PAUSE - now) > timedelta(0):
            rest = left
        return ReconcileResult(rest, lambda tx: self._visits.end_if_over(tx, claim.id))
