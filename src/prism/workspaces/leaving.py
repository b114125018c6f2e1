"""What becomes of somebody's workspaces in a project that she leaves."""

from collections.abc import Sequence
from typing import Any

from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.projects.model import LeftWorkspace, Project
from prism.workspaces import store
from prism.workspaces.events import WorkspaceAsked, WorkspaceHandedOver, about
from prism.workspaces.model import Verb, Workspace
from prism.workspaces.plan import ACTIVE, state_of
from prism.workspaces.upstairs import Meter


class LeavingService:
    """Implements `projects.model.Belongings`, inside the transaction that removes a member."""

    def __init__(
        self, db: Database, clock: Clock, *, actor: Who, meters: Sequence[Meter] = ()
    ) -> None:
        self._db, self._clock, self._who, self._meters = db, clock, actor, meters

    def keep(self, tx: Tx, project: Project, email: str) -> list[LeftWorkspace]:
        """They stay as they are."""
        return [_shown(it) for it in _of(tx, project, email)]

    def stop(self, tx: Tx, project: Project, email: str) -> list[LeftWorkspace]:
        """Those that run, come up or are restarted are stopped; their disks stay."""
        return [_shown(self._stopped(tx, it, email)) for it in _of(tx, project, email)]

    def hand_over(self, tx: Tx, project: Project, email: str, to: str) -> list[LeftWorkspace]:
        """They are another person's from now on."""
        return [_shown(self._handed_over(tx, it, to)) for it in _of(tx, project, email)]

    def _stopped(self, tx: Tx, before: Workspace, email: str) -> Workspace:
        now = self._clock.now()
        if state_of(before) in ACTIVE:
            store.ask(tx, before, Verb.STOP, now, before.expires_at)
        elif before.restarting:  # it is on its way down, and would come up again
            store.set_restarting(tx, before.id, restarting=False)
        else:
            return before
        after = store.by_id(tx.sql, before.id)
        for meter in self._meters:
            meter.changed(tx, before, after, now, sure=True)
        asked: dict[str, Any] = {"verb": after.verb, "state": state_of(after)}
        tx.happened(
            WorkspaceAsked(
                **about(after),
                **asked,
                actor=self._who(),
                previous_state=state_of(before),
                reason=f"{email} has left the project",
            )
        )
        return after

    def _handed_over(self, tx: Tx, before: Workspace, to: str) -> Workspace:
        store.give(tx, before.id, to, self._clock.now())
        after = store.by_id(tx.sql, before.id)
        tx.happened(
            WorkspaceHandedOver(
                **about(after), actor=self._who(), previous_owner=before.owner, owner=to
            )
        )
        return after


def _of(tx: Tx, project: Project, email: str) -> list[Workspace]:
    living = store.at_work_in(tx.sql, project.id)
    hers = [it for it in living if it.owner.lower() == email.lower()]
    return sorted(hers, key=lambda it: it.name)


def _shown(it: Workspace) -> LeftWorkspace:
    return LeftWorkspace(it.name, state_of(it), it.owner)
