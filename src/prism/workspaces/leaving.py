"""What happens to the workspaces of a person who leaves a project, or who loses a volume."""

from msgspec.structs import replace

from prism.kit.actor import Who
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.projects.model import LeftWorkspace, Project
from prism.workspaces import store
from prism.workspaces.changes import WorkspaceChanges, asked_event
from prism.workspaces.events import WorkspaceHandedOver, about
from prism.workspaces.model import LifecycleVerb, NameTaken, Workspace
from prism.workspaces.plan import ACTIVE, state_of, with_request


class LeavingService:
    """Implements `projects.model.MemberWorkspaces`, inside the transaction that removes a member.

    It also implements `storage.model.AttachmentHostStopper`.
    """

    def __init__(self, clock: Clock, *, actor: Who, changes: WorkspaceChanges) -> None:
        self._clock, self._actor, self._changes = clock, actor, changes

    def keep(self, tx: Tx, project: Project, email: str) -> list[LeftWorkspace]:
        """Leave the workspaces as they are."""
        return [_left(workspace) for workspace in _owned(tx, project, email)]

    def stop(self, tx: Tx, project: Project, email: str) -> list[LeftWorkspace]:
        """Stop the workspaces that run, start or restart; their disks stay."""
        reason = f"{email} has left the project"
        return [
            _left(self._stop(tx, workspace, reason)) for workspace in _owned(tx, project, email)
        ]

    def stop_by_id(self, tx: Tx, id: str, reason: str) -> None:
        """Stop one workspace, if it runs, starts or restarts."""
        self._stop(tx, store.by_id(tx.sql, id), reason)

    def hand_over(
        self, tx: Tx, project: Project, email: str, to: str, *, else_stop: bool = False
    ) -> list[LeftWorkspace]:
        """Give the workspaces to another person."""
        reason = f"{email} has left the project, and {to} has a workspace of that name"
        return [
            _left(
                self._stop(tx, workspace, reason)
                if else_stop and store.has_of_that_name(tx.sql, workspace.name, to)
                else self._hand_over(tx, workspace, to)
            )
            for workspace in _owned(tx, project, email)
        ]

    def _stop(self, tx: Tx, before: Workspace, reason: str) -> Workspace:
        now = self._clock.now()
        if state_of(before) in ACTIVE:
            after = with_request(before, LifecycleVerb.STOP, now, self._actor(), reason=reason)
        elif before.restarting:  # it is stopping, and would start again
            after = replace(
                before,
                restarting=False,
                requested_by=self._actor(),
                request_reason=reason,
            )
        else:
            return before
        event = asked_event(before, after)
        return self._changes.apply(tx, before, after, lambda _: event)

    def _hand_over(self, tx: Tx, before: Workspace, to: str) -> Workspace:
        is_other = before.owner.lower() != to.lower()
        if is_other and store.has_of_that_name(tx.sql, before.name, to):
            raise NameTaken(
                f"{to} already has a workspace called {before.name!r}",
                details="a person has only one of each name; nothing was changed",
                remediation=f"Terminate one of the two, or let {before.owner} leave with "
                "`--workspaces stop`",
            )
        event = WorkspaceHandedOver(
            **about(before), actor=self._actor(), previous_owner=before.owner, owner=to
        )
        after = replace(before, owner=to, launched_by=None)
        return self._changes.apply(tx, before, after, lambda _: event)


def _owned(tx: Tx, project: Project, email: str) -> list[Workspace]:
    living = store.living_in(tx.sql, project.id)
    owned = [workspace for workspace in living if workspace.owner.lower() == email.lower()]
    return sorted(owned, key=lambda it: it.name)


def _left(workspace: Workspace) -> LeftWorkspace:
    return LeftWorkspace(workspace.name, state_of(workspace), workspace.owner)
