"""Ends shares whose time is over, or which count no more for another reason.

Nobody waits for it to be refused: each request checks its share itself. The event that it
records ends open connections, in every daemon.
"""

from datetime import timedelta

from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.reconcile import Claim, DatabaseReconciler, ReconcileResult
from prism.sharing import store
from prism.sharing.service import ShareService

LOOK_AGAIN = timedelta(minutes=1)


class ShareReconciler(DatabaseReconciler):
    """Ends the rows of shares."""

    rows = store.shares

    def __init__(self, db: Database, clock: Clock, shares: ShareService) -> None:
        self._db, self._clock, self._shares = db, clock, shares

    def mark_due(self) -> timedelta:
        """Find shares whose workspace or owner has gone."""
        with self._db.read() as sql:
            over = self._shares.over(sql)
        if over:
            with self._db.write() as tx:
                store.make_due(tx, over, self._clock.now())
        return LOOK_AGAIN

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """End one share, if it is over."""
        with self._db.read() as sql:
            share = store.find(sql, claim.id)
        rest = LOOK_AGAIN if share is None else max(LOOK_AGAIN, share.until - self._clock.now())
        return ReconcileResult(rest, lambda tx: self._shares.end_if_over(tx, claim.id))
