"""Ends memberships at their time.

Nobody waits for it to be refused: each request reads the roles that a person has now. The loop
removes the member, as an owner does, and does with the workspaces what was decided before. The
event that it records ends open connections, in every daemon.
"""

from datetime import timedelta

from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.reconcile import Claim, DatabaseReconciler, ReconcileResult
from prism.projects import store
from prism.projects.members import MemberService

LOOK_AGAIN = timedelta(minutes=1)


class MemberEndReconciler(DatabaseReconciler):
    """Ends the rows of `member_ends`."""

    rows = store.member_ends

    def __init__(self, db: Database, clock: Clock, members: MemberService) -> None:
        self._db, self._clock, self._members = db, clock, members

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """End one membership, if its time has come."""
        return ReconcileResult(LOOK_AGAIN, lambda tx: self._members.end_if_over(tx, claim.id))
