"""The members of projects and their roles; each project keeps an owner."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from prism.access import store as tokens
from prism.access.model import AccessVerb, PermissionDenied, Role, current
from prism.access.plan import allows, may_give
from prism.access.revocation import Revocation
from prism.errors import ValidationFailed
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.look_alike_names import require_honest_address
from prism.projects import store
from prism.projects.events import MemberChanged, MemberJoined, MemberLeft, about
from prism.projects.model import (
    LastOwner,
    Leftover,
    LeftWorkspace,
    Member,
    MemberExists,
    MemberNotFound,
    MembershipListener,
    MemberWorkspaces,
    NewMember,
    Project,
    RemovedMember,
)
from prism.projects.plan import require_acceptance


class MemberService:
    """Requests about members."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        listeners: Sequence[MembershipListener],
        workspaces: MemberWorkspaces,
        revocation: Revocation,
        *,
        creation: str,
    ) -> None:
        """`creation` says who may make projects in team mode (`Settings.project_creation`)."""
        self._db, self._clock, self._listeners = db, clock, listeners
        self._workspaces, self._revocation, self._creation = workspaces, revocation, creation

    def every(self, project: str) -> list[Member]:
        """Its members, in the order of joining."""
        with self._db.read() as sql:
            return store.members_of(sql, store.named(sql, project).id)

    def member(self, project: str, email: str) -> Member:
        """A member of a project."""
        with self._db.read() as sql:
            return _member(sql, store.named(sql, project), email)

    def add(self, project: str, request: NewMember) -> Member:
        """Make somebody a member."""
        with self._db.write() as tx:
            row = store.named(tx.sql, project)
            permit(tx, row, request.role, AccessVerb.MEMBERS)
            require_acceptance(self._creation, [request.email])
            if store.member(tx.sql, row.id, request.email):
                raise MemberExists(
                    f"{request.email} already belongs to {row.name!r}",
                    remediation=f"Use `prism member list {row.id}` to see its members",
                )
            for listener in self._listeners:
                listener.joined(tx, row, request.email)
            return join(tx, self._clock, row, request)

    def change(self, project: str, email: str, role: Role) -> Member:
        """Give somebody another role."""
        with self._db.write() as tx:
            row = store.named(tx.sql, project)
            before = _member(tx.sql, row, email)
            if before.role is role:
                return before
            highest = max(before.role, role, key=lambda each: each.rank)
            permit(tx, row, highest, AccessVerb.MEMBERS)
            _require_owner(tx, row, before)
            if role.rank < before.role.rank:
                self._demoted(tx, row, before.email, role)
            return promote(tx, row, before, role)

    def remove(
        self,
        project: str,
        email: str,
        workspaces: Leftover = Leftover.KEEP,
        to: str | None = None,
    ) -> RemovedMember:
        """Remove a member, and revoke tokens that are limited to this project."""
        if to is not None and (workspaces is not Leftover.HAND_OVER or not to):
            raise ValidationFailed.of(("to", "needs workspaces=hand_over, and a member's address"))
        with self._db.write() as tx:
            row = store.named(tx.sql, project)
            member = _member(tx.sql, row, email)
            is_own = member.email.lower() == current().name.lower()
            permit(tx, row, member.role, AccessVerb.USE if is_own else AccessVerb.MEMBERS)
            _require_owner(tx, row, member)
            heir = self._heir(tx, row, member, to) if workspaces is Leftover.HAND_OVER else None
            tokens = self._leave(tx, row, member)
            return RemovedMember(
                message=f"Member {member.email!r} removed successfully",
                workspaces=tuple(self._handle_leftovers(tx, row, member, workspaces, heir)),
                tokens_revoked=tokens,
            )

    def set_by_group(self, tx: Tx, project: str, email: str, role: Role | None) -> None:
        """Implements `projects.model.GroupMembers`; workspaces of who leaves stay as they are."""
        row, before = store.named(tx.sql, project), store.member(tx.sql, project, email)
        if before is None and role is not None:
            for listener in self._listeners:
                listener.joined(tx, row, email)
            join(tx, self._clock, row, NewMember(email, role))
        elif before is not None and role is None:
            self._leave(tx, row, before)
        elif before is not None and role is not None:
            if role.rank < before.role.rank:
                self._demoted(tx, row, email, role)
            promote(tx, row, before, role)

    def _leave(self, tx: Tx, project: Project, member: Member) -> int:
        """Remove a member; the number of tokens that were limited to the project."""
        store.remove_member(tx, project.id, member.email)
        fields = about(project, current().name)
        tx.happened(MemberLeft(**fields, email=member.email, previous_role=member.role))
        self._demoted(tx, project, member.email, None)
        return self._revocation.of_project(tx, member.email, project.id)

    def _demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        for listener in self._listeners:
            listener.demoted(tx, project, email, role)

    def _handle_leftovers(
        self, tx: Tx, project: Project, member: Member, leftover: Leftover, heir: str | None
    ) -> list[LeftWorkspace]:
        if heir is not None:
            return self._workspaces.hand_over(tx, project, member.email, heir)
        act = self._workspaces.stop if leftover is Leftover.STOP else self._workspaces.keep
        return act(tx, project, member.email)

    def _heir(self, tx: Tx, project: Project, leaving: Member, to: str | None) -> str:
        """The person who gets the workspaces: the named member, else the caller."""
        caller = current()
        heir = (to or caller.name).lower()
        if heir == leaving.email.lower():
            raise ValidationFailed.of(("to", "name another member of the project"))
        if caller.operator and heir == caller.name.lower():
            return caller.name
        member = store.member(tx.sql, project.id, heir)
        if member is None or not allows(member.role, AccessVerb.MANAGE_OWN):
            raise ValidationFailed.of(
                ("to", f"{heir} may not have workspaces in {project.name!r}"),
                remediation=f"Use `prism member list {project.id}` to see who may: every role "
                "but viewer",
            )
        return member.email

    def roles_of(self, sql: Connection, email: str) -> Mapping[str, Role]:
        """Implements `access.model.Memberships`."""
        return store.roles_of(sql, email)

    def id_of(self, sql: Connection, project: str) -> str:
        """Implements `access.model.Memberships`."""
        return store.named(sql, project).id


def join(tx: Tx, clock: Clock, project: Project, request: NewMember) -> Member:
    """Add a member within a transaction."""
    members = store.members_of(tx.sql, project.id)
    require_honest_address(request.email.lower(), (member.email for member in members))
    joined = Member(request.email.lower(), request.role, whole(clock.now()))
    store.add_member(tx, project.id, joined)
    fields = about(project, current().name)
    tx.happened(MemberJoined(**fields, email=joined.email, role=joined.role))
    return joined


def promote(tx: Tx, project: Project, before: Member, role: Role) -> Member:
    """Change a member's role within a transaction."""
    store.change_member(tx, project.id, before.email, role)
    fields = about(project, current().name) | {"email": before.email}
    tx.happened(MemberChanged(**fields, previous_role=before.role, role=role))
    return Member(before.email, role, before.join_date)


def permit(tx: Tx, project: Project, role: Role, verb: AccessVerb) -> None:
    """Raise if the caller would give or take a role above their own, also one lost meanwhile.

    The middleware has asked for the verb already, before this transaction.
    """
    if not (may_give(current(), project.id, role) and _has_still(tx, project, role, verb)):
        raise PermissionDenied(
            f"You may not decide who is {role} of {project.name!r}",
            details="you cannot give or take a role above your own",
            remediation="Ask an owner of the project",
        )


def _has_still(tx: Tx, project: Project, role: Role, verb: AccessVerb) -> bool:
    """Whether nobody has taken the caller's role since the request was let in."""
    caller = current()
    if caller.operator:
        return True
    if present := store.member(tx.sql, project.id, caller.name):
        return present.role.rank >= role.rank and allows(present.role, verb)
    # The operator's token for one project needs no membership; those of who leaves have ended.
    is_narrow = caller.token is not None and caller.token_project == project.id
    return is_narrow and tokens.by_id(tx.sql, caller.token or "") is not None


def _member(sql: Connection, project: Project, email: str) -> Member:
    if member := store.member(sql, project.id, email):
        return member
    raise MemberNotFound(
        f"{email!r} does not belong to {project.name!r}",
        remediation=f"Use `prism member list {project.id}` to see its members",
    )


def _require_owner(tx: Tx, project: Project, leaving: Member) -> None:
    owners = [
        member for member in store.members_of(tx.sql, project.id) if member.role is Role.OWNER
    ]
    if [member.email for member in owners] == [leaving.email]:
        raise LastOwner(
            f"{leaving.email} is the only owner of {project.name!r}",
            remediation="Make somebody else an owner first: `prism member add "
            f"{project.id} EMAIL --role owner`",
        )
