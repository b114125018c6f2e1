"""Requests about shares, and who is let in by them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from prism.access.model import AccessVerb, Caller, PermissionDenied, Role, Subject, current
from prism.access.names import let_mean
from prism.access.plan import allows
from prism.errors import ValidationFailed
from prism.invitations import store as invitations
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.look_alike_names import require_honest_address
from prism.projects import store as projects
from prism.projects.model import Project
from prism.sharing import store
from prism.sharing.events import ShareCreated, ShareEnded, ShareOpened
from prism.sharing.model import (
    NewShare,
    OwnShares,
    Share,
    ShareAudience,
    SharedThing,
    ShareImpossible,
    ShareNotFound,
    ShareShown,
)
from prism.sharing.plan import (
    audience_of,
    end_reason,
    is_guest,
    owner_may_enter,
    require_end,
    shared_port,
    what_is_shared,
)
from prism.workspaces import store as workspaces
from prism.workspaces.events import about
from prism.workspaces.model import LifecycleVerb, Workspace, WorkspaceState
from prism.workspaces.plan import state_of
from prism.workspaces.service import WorkspaceService

MOST_SHARES = 1000  # of one person
WAKING = {
    WorkspaceState.HIBERNATED: LifecycleVerb.RESUME,
    WorkspaceState.STOPPED: LifecycleVerb.START,
}


class ShareService:
    """Makes, lists and ends shares; `operator` is the user who runs the daemon."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        operator: str,
        workspace_service: WorkspaceService,
        *,
        has_apps: bool,
    ) -> None:
        """`has_apps` is whether browsers reach apps at origins of their own."""
        self._db, self._clock, self._operator = db, clock, operator.lower()
        self._workspaces, self._has_apps = workspace_service, has_apps

    def create(self, name: str, request: NewShare) -> ShareShown:
        """Share one app, or the terminal; only the owner can."""
        caller = current()
        audience, named = audience_of(request.guest)
        with self._db.write() as tx:
            workspace = workspaces.named(tx.sql, name)
            _require_owner(workspace, caller)
            require_end(request.until, self._clock.now())
            port = shared_port(request, workspace, has_apps=self._has_apps)
            if store.count_of(tx.sql, caller.name) >= MOST_SHARES:
                raise ShareImpossible(
                    f"You share {MOST_SHARES} things already",
                    remediation="End some: `prism shares`, `prism unshare ID`",
                )
            share = Share(
                id=sortable_id("shr", self._clock.now()),
                workspace=workspace.id,
                kind=SharedThing.TERMINAL if port is None else SharedThing.APP,
                service=request.app,
                port=port,
                audience=audience,
                guest=self._guest(tx.sql, audience, named, caller),
                may_wake=request.may_wake,
                owner=workspace.owner,
                created_at=whole(self._clock.now()),
                until=whole(request.until),
            )
            store.add(tx, share)
            fields = _about(share, workspace, caller.name)
            tx.happened(ShareCreated(**fields, until=share.until, may_wake=share.may_wake))
            return _shown(tx.sql, share, workspace)

    def of_workspace(self, name: str) -> list[ShareShown]:
        """The shares of a workspace."""
        with self._db.read() as sql:
            workspace = workspaces.named(sql, name)
            rows = store.of_workspace(sql, workspace.id)
            return [_shown(sql, row, workspace) for row in rows if self._lives(sql, row)]

    def mine(self) -> OwnShares:
        """What the caller shares, and what others share with the caller."""
        caller = current()
        with self._db.read() as sql:
            own = self._living(sql, store.of_owner(sql, caller.name))
            received = self._received(sql, caller)
            return OwnShares(
                tuple(_shown(sql, *pair) for pair in own),
                tuple(_shown(sql, *pair) for pair in received),
            )

    def end(self, id: str) -> Share:
        """End a share; open connections end with it."""
        with self._db.write() as tx:
            share = store.find(tx.sql, id)
            if share is None:
                raise store.not_found(id)
            self._end(tx, share, current().name, f"{current().name} ended it")
            return share

    def end_if_over(self, tx: Tx, id: str) -> None:
        """Delete a share that does not count any more, and say so: for the loop."""
        share = store.find(tx.sql, id)
        if share is not None and (reason := self._end_reason(tx.sql, share)):
            self._end(tx, share, "prism", reason)

    def over(self, sql: Connection) -> list[str]:
        """The ids of shares that do not count any more, and are still listed."""
        return [share.id for share in store.every(sql) if self._end_reason(sql, share)]

    def joined(self, tx: Tx, project: Project, email: str) -> None:
        """Does nothing: who joins gets no share by that."""

    def demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        """End the shares that a person has lost, so that none counts again if they come back.

        Implements `projects.model.MembershipListener`.
        """
        person, actor = email.lower(), current().name
        for share in store.of_owner(tx.sql, person):
            if reason := self._end_reason(tx.sql, share):
                self._end(tx, share, actor, reason)
        if role is not None:
            return
        belongs = (
            bool(projects.roles_of(tx.sql, person, self._clock.now()).roles)
            or person == self._operator
        )
        for share in store.with_person(tx.sql, person):
            workspace = store.workspace_of(tx.sql, share)
            if not belongs or (workspace is not None and workspace.project == project.id):
                self._end(tx, share, actor, f"{person} left {project.name}")

    def wake(self, id: str) -> tuple[Workspace, WorkspaceState]:
        """Start or resume a shared workspace as a guest, if its owner has allowed that."""
        share, workspace = self.admitted(id)
        state = state_of(workspace)
        if state not in WAKING:
            return workspace, state
        if not share.may_wake:
            raise PermissionDenied(
                "You may not start this workspace",
                details=f"it is {state}, and running it costs its project money, which "
                f"{share.owner} has not allowed to guests",
                remediation=f"Ask {share.owner} to start it, or to share it with `--may-wake`",
            )
        let_mean("workspace", workspace.id, workspace.id)
        reason = f"a guest opened the shared {what_is_shared(share)}"
        after = self._workspaces.ask(workspace.id, WAKING[state], reason=reason)[1]
        return after, state_of(after)

    def admitted(self, id: str) -> tuple[Share, Workspace]:
        """The share and its workspace; raises unless the caller is a guest of it now."""
        with self._db.read() as sql:
            share = store.find(sql, id)
            if share is None or not is_guest(share, current()):
                raise store.not_found(id)
            workspace = store.workspace_of(sql, share)
            if workspace is None or self._end_reason(sql, share):
                raise store.not_found(id)
            return share, workspace

    def opened(self, share: Share, workspace: Workspace) -> None:
        """Record that the caller has opened a share."""
        with self._db.write() as tx:
            tx.happened(ShareOpened(**_about(share, workspace, current().name)))

    def app_of_guest(
        self, caller: Caller, is_at: Callable[[Workspace, int], bool]
    ) -> tuple[Share, Workspace] | None:
        """The shared app for which `is_at` is true; None if none lets the caller in."""
        with self._db.read() as sql:
            for share, workspace in self._received(sql, caller):
                if share.port is not None and is_at(workspace, share.port):
                    return share, workspace
        return None

    def subject(self, id: str) -> Subject | None:
        """The workspace of a share, for the rights to end it."""
        with self._db.read() as sql:
            share = store.find(sql, id)
            workspace = share and store.workspace_of(sql, share)
        return Subject(workspace.project, workspace.owner) if workspace else None

    def guest_subject(self, id: str) -> Subject | None:
        """A share as something of the caller's own, while it lets the caller in."""
        try:
            self.admitted(id)
        except ShareNotFound:
            return None
        return Subject(owner=current().name, personal=True)

    def _received(self, sql: Connection, caller: Caller) -> list[tuple[Share, Workspace]]:
        rows = store.for_person(sql, caller.name, caller.roles)
        living = self._living(sql, [row for row in rows if is_guest(row, caller)])
        return [pair for pair in living if pair[0].owner.lower() != caller.name.lower()]

    def _living(self, sql: Connection, rows: list[Share]) -> list[tuple[Share, Workspace]]:
        pairs = []
        for share in rows:
            workspace = store.workspace_of(sql, share)
            if workspace is not None and not self._end_reason(sql, share, workspace):
                pairs.append((share, workspace))
        return pairs

    def _lives(self, sql: Connection, share: Share) -> bool:
        return self._end_reason(sql, share) is None

    def _end_reason(
        self, sql: Connection, share: Share, workspace: Workspace | None = None
    ) -> str | None:
        workspace = workspace or store.workspace_of(sql, share)
        may_enter, now = False, self._clock.now()
        if workspace is not None:
            is_operator = workspace.owner.lower() == self._operator
            project = workspace.project or ""
            member = projects.present_member(sql, project, workspace.owner, now)
            role = None if member is None else member.role
            may_enter = owner_may_enter(workspace, role, is_operator=is_operator)
        return end_reason(share, workspace, owner_may_enter=may_enter, now=now)

    def _end(self, tx: Tx, share: Share, actor: str, reason: str) -> None:
        workspace = store.workspace_of(tx.sql, share)
        if store.remove(tx, share.id) and workspace is not None:
            tx.happened(ShareEnded(**_about(share, workspace, actor), reason=reason))

    def _guest(
        self, sql: Connection, audience: ShareAudience, name: str | None, caller: Caller
    ) -> str | None:
        """The person or the id of the project; raises if there is none."""
        if name is None:
            return None
        if audience is ShareAudience.PROJECT:
            project = projects.named(sql, name)
            if not allows(caller.roles.get(project.id), AccessVerb.READ) and not caller.operator:
                raise projects.not_found(name)
            return project.id
        if "@" in name:
            require_honest_address(name)
        if name == caller.name.lower():
            raise ValidationFailed.of(("guest", "you may enter your own workspace already"))
        is_known = projects.roles_of(sql, name, self._clock.now()).roles or name == self._operator
        if not (is_known or invitations.of_person(sql, name)):
            raise ValidationFailed.of(
                ("guest", f"{name} belongs to no project of this daemon"),
                remediation="Invite them to a project first: `prism invite send PROJECT EMAIL`",
            )
        return name


def _require_owner(workspace: Workspace, caller: Caller) -> None:
    if not caller.team:
        raise ShareImpossible(
            "A daemon of one person shares nothing",
            details="guests log in, which needs a daemon that several people share",
            remediation="Set one up: `prism team setup`",
        )
    if workspace.ended_at is not None:
        raise ShareImpossible(f"Workspace {workspace.name!r} was terminated")
    if workspace.owner.lower() != caller.name.lower():
        raise ShareImpossible(
            "Only its owner may share a workspace",
            details=f"{workspace.name} is {workspace.owner}'s",
            remediation=f"Ask {workspace.owner} to share it",
        )


def _about(share: Share, workspace: Workspace, actor: str) -> dict[str, Any]:
    return {
        **about(workspace),
        "actor": actor,
        "share": share.id,
        "kind": share.kind,
        "app": share.service,
        "audience": share.audience,
        "guest": share.guest,
    }


def _shown(sql: Connection, share: Share, workspace: Workspace) -> ShareShown:
    guest = share.guest
    if share.audience is ShareAudience.PROJECT and guest is not None:
        project = projects.find(sql, guest)
        guest = project.name if project else guest
    return ShareShown(
        id=share.id,
        workspace=workspace.id,
        name=workspace.name,
        owner=workspace.owner,
        kind=share.kind,
        app=share.service,
        audience=share.audience,
        guest=guest,
        may_wake=share.may_wake,
        created_at=share.created_at,
        until=share.until,
        state=state_of(workspace),
    )
