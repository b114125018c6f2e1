"""Applies every change of a workspace."""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.events import Event
from prism.workspaces import store
from prism.workspaces.events import WorkspaceAsked, about
from prism.workspaces.hooks import AdmissionCheck, ChangeListener
from prism.workspaces.model import Workspace
from prism.workspaces.plan import ACTIVE, state_of


class WorkspaceChanges:
    """Applies changes inside a caller's transaction, always in this order.

    First admission checks may refuse the change because of its costs; then the row is written,
    listeners are called, and the event is recorded.
    """

    def __init__(
        self,
        clock: Clock,
        checks: Sequence[AdmissionCheck] = (),
        listeners: Sequence[ChangeListener] = (),
    ) -> None:
        self._clock, self._checks, self._listeners = clock, checks, listeners

    def apply(
        self,
        tx: Tx,
        before: Workspace | None,
        after: Workspace,
        event: Callable[[Workspace], Event] | None = None,
        *,
        admit: bool = False,
        beyond: datetime | None = None,
        since: tuple[datetime, bool] | None = None,
        observed: bool = False,
        meanwhile: tuple[Workspace, datetime] | None = None,
    ) -> Workspace:
        """Apply a change; `before` is None for a new workspace. Raises the refusal, if any.

        With `admit`, money is reserved first. For an extension, `beyond` is the expiry to which
        the hours are added. `since` is when the change happened, and whether that was observed.
        With `observed`, the reconciler's columns are written, else those of requests. `meanwhile`
        is a state in between that no survey saw, and when that state began.
        """
        now = self._clock.now()
        if admit:
            until = self.admitted(tx, after, beyond=beyond)
            if state_of(after) in ACTIVE:
                after = replace(after, reserved_until=until)
        if before is None:
            store.add(tx, after, due_at=now)
        elif observed:
            after = store.observe(tx, before, after)
        else:
            after = store.change(tx, before, after, now)
        tx.rows[after.id] = after
        if meanwhile is not None:
            self._notify(tx, before, meanwhile[0], (meanwhile[1], False))
            before = meanwhile[0]
        self._notify(tx, before, after, since or (now, True))
        if event is not None:
            tx.happened(event(after))
        return after

    def _notify(
        self, tx: Tx, before: Workspace | None, after: Workspace, since: tuple[datetime, bool]
    ) -> None:
        for listener in self._listeners:
            listener.changed(tx, before, after, since[0], sure=since[1])

    def admitted(
        self, tx: Tx, workspace: Workspace, *, beyond: datetime | None = None
    ) -> datetime | None:
        """Ask all admission checks; the earliest time at which one of them ends the run."""
        allowed = [check.allow(tx, workspace, beyond=beyond) for check in self._checks]
        return min((until for until in allowed if until is not None), default=None)


def asked_event(before: Workspace | None, after: Workspace) -> WorkspaceAsked:
    """The event of a request; `before` is None for a new workspace."""
    return WorkspaceAsked(
        **about(after),
        actor=after.requested_by,
        verb=after.verb,
        previous_state=None if before is None else state_of(before),
        state=state_of(after),
        reason=after.request_reason,
    )
