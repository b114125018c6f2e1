"""Moving a workspace to another project: from that moment on, other money pays."""

from collections.abc import Sequence

from prism.errors import InvalidState
from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.workspaces import store
from prism.workspaces.events import WorkspaceTransferred, about
from prism.workspaces.model import Moving, State, Workspace
from prism.workspaces.plan import ACTIVE, possible, state_of
from prism.workspaces.upstairs import LaunchGuard, Meter, Treasury

OVER = {State.TERMINATING, State.TERMINATED}


class MoveService:
    """What one person may ask about whose a workspace is."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        treasury: Treasury,
        actor: Who,
        guards: Sequence[LaunchGuard] = (),
        meters: Sequence[Meter] = (),
    ) -> None:
        self._db, self._clock, self._treasury = db, clock, treasury
        self._who, self._guards, self._meters = actor, guards, meters

    def move(self, name: str, asked: Moving) -> tuple[Workspace, Workspace]:
        """Have another project pay from now on; the workspace before and after.

        What it has cost stays where it was booked. The new money must be able to pay: all of
        it is one transaction, so the old money is given back when, and only when, it can.
        """
        with self._db.write() as tx:
            before, now = store.named(tx.sql, name), self._clock.now()
            if (state := state_of(before)) in OVER:
                raise InvalidState(
                    f"Workspace {before.name!r} is {state}",
                    details="there is nothing left to pay for",
                    remediation="Use `prism workspace list` to see available workspaces",
                    data={"state": state, "allowed": possible(before)},
                )
            fund = self._treasury.fund(tx.sql, asked.project, asked.budget)
            if (fund.project, fund.allocation) == (before.project, before.allocation):
                return before, before
            store.fund(tx, before.id, fund, now)
            moved = store.by_id(tx.sql, before.id)
            allowed = [guard.allow(tx, moved) for guard in self._guards]
            if state in ACTIVE:
                until = min((at for at in allowed if at is not None), default=None)
                store.reserve(tx, before.id, until, now)
            after = store.by_id(tx.sql, before.id)
            for meter in self._meters:
                meter.changed(tx, before, after, now, sure=True)
            tx.happened(
                WorkspaceTransferred(
                    **about(after),
                    actor=self._who(),
                    previous_project=before.project,
                    previous_budget=before.budget,
                    budget=after.budget,
                )
            )
            return before, after
