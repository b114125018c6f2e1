"""The members of projects and their roles; each project keeps an owner."""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import UNSET, structs
from sqlalchemy import Connection

from prism.access import store as tokens
from prism.access.model import AccessVerb, PermissionDenied, PersonRoles, Role, current
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
    MemberChange,
    MemberExists,
    MemberNotFound,
    MembershipListener,
    MemberWorkspaces,
    NewMembership,
    Project,
    RemovedMember,
)
from prism.projects.plan import handled_at_end, membership_until, require_acceptance


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
        operator: str,
        on_end: Callable[[Tx, Project, str], None],
    ) -> None:
        """`creation` says who may make projects in team mode (`Settings.project_creation`).

        The `operator` is who runs the daemon, and may have workspaces in every project. `on_end`
        is called in the transaction that ends a membership at its time.
        """
        self._db, self._clock, self._listeners = db, clock, listeners
        self._workspaces, self._revocation, self._creation = workspaces, revocation, creation
        self._operator, self._on_end = operator.lower(), on_end

    def every(self, project: str) -> list[Member]:
        """Its members, in the order of joining."""
        with self._db.read() as sql:
            return store.members_of(sql, store.named(sql, project).id)

    def member(self, project: str, email: str) -> Member:
        """A member of a project."""
        with self._db.read() as sql:
            return _member(sql, store.named(sql, project), email)

    def add(self, project: str, request: NewMembership) -> Member:
        """Make somebody a member."""
        now = self._clock.now()
        with self._db.write() as tx:
            row = store.named(tx.sql, project)
            permit(tx, row, request.role, AccessVerb.MEMBERS, now)
            require_acceptance(self._creation, [request.email])
            if before := store.member(tx.sql, row.id, request.email):
                self._end_if_over(tx, row, before)
            if before is not None and not before.is_over(now):
                raise MemberExists(
                    f"{request.email} already belongs to {row.name!r}",
                    remediation=f"Use `prism member list {row.id}` to see its members",
                )
            planned = self.planned(tx, row, request)
            for listener in self._listeners:
                listener.joined(tx, row, request.email)
            return join(tx, self._clock, row, planned)

    def planned(self, tx: Tx, project: Project, request: NewMembership) -> Member:
        """The membership that a request gives; raises if the caller may not give it so long."""
        now = self._clock.now()
        first = Member(request.email.lower(), request.role, whole(now))
        planned = self._with_heir(tx, project, membership_until(first, request, now))
        permit_until(tx, project, planned.until)
        return planned

    def change(self, project: str, email: str, request: MemberChange) -> Member:
        """Give somebody another role, or the membership another end."""
        now = self._clock.now()
        with self._db.write() as tx:
            row = store.named(tx.sql, project)
            before = _present_member(tx.sql, row, email, now)
            after = before if request.role is UNSET else structs.replace(before, role=request.role)
            if _mentions_end(request):
                after = self._with_heir(tx, row, membership_until(after, request, now))
            if after == before:
                return before
            highest = max(before.role, after.role, key=lambda each: each.rank)
            permit(tx, row, highest, AccessVerb.MEMBERS, now)
            if _mentions_end(request):
                _require_other(before)
            if after.until != before.until or after.role.rank > before.role.rank:
                permit_until(tx, row, after.until)
            if after.role is not Role.OWNER or after.until is not None:
                _require_owner(tx, row, before)
            if after.role.rank < before.role.rank:
                self._demoted(tx, row, before.email, after.role)
            return put_change(tx, row, before, after)

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
            member = _present_member(tx.sql, row, email, self._clock.now())
            is_own = member.email.lower() == current().name.lower()
            verb = AccessVerb.USE if is_own else AccessVerb.MEMBERS
            permit(tx, row, member.role, verb, self._clock.now())
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
            join(tx, self._clock, row, Member(email, role, self._clock.now()))
        elif before is not None and role is None:
            self._leave(tx, row, before)
        elif before is not None and role is not None:
            if role.rank < before.role.rank:
                self._demoted(tx, row, email, role)
            put_change(tx, row, before, structs.replace(before, role=role))

    def end_if_over(self, tx: Tx, id: str) -> None:
        """Remove the member of a row of `store.member_ends` if the time has come: for the loop.

        It is one transaction, which deletes the row, so it is done exactly once.
        """
        if (membership := store.membership_of_end(tx.sql, id)) is not None:
            project, email = membership
            member = store.member(tx.sql, project, email)
            if member is not None:
                self._end_if_over(tx, store.named(tx.sql, project), member)

    def _end_if_over(self, tx: Tx, project: Project, member: Member) -> None:
        if not member.is_over(self._clock.now()):
            return
        leftover = handled_at_end(member, heir_may=self._may_inherit(tx.sql, project, member.to))
        heir = member.to if leftover is Leftover.HAND_OVER else None
        self._leave(tx, project, structs.replace(member, at_end=leftover, to=heir))
        self._handle_leftovers(tx, project, member, leftover, heir, else_stop=True)
        self._on_end(tx, project, member.email)

    def _may_inherit(self, sql: Connection, project: Project, heir: str | None) -> bool:
        """Whether a person may have workspaces in the project now."""
        if heir is None or heir.lower() == self._operator:
            return heir is not None
        member = store.present_member(sql, project.id, heir, self._clock.now())
        return member is not None and allows(member.role, AccessVerb.MANAGE_OWN)

    def _leave(self, tx: Tx, project: Project, member: Member) -> int:
        """Remove a member; the number of tokens that were limited to the project."""
        store.remove_member(tx, project.id, member.email)
        fields = about(project, current().name) | {"email": member.email}
        if member.is_over(self._clock.now()):
            fields |= {"until": member.until, "at_end": member.at_end, "to": member.to}
        tx.happened(MemberLeft(**fields, previous_role=member.role))
        self._demoted(tx, project, member.email, None)
        return self._revocation.of_project(tx, member.email, project.id)

    def _demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        for listener in self._listeners:
            listener.demoted(tx, project, email, role)

    def _handle_leftovers(
        self,
        tx: Tx,
        project: Project,
        member: Member,
        leftover: Leftover,
        heir: str | None,
        *,
        else_stop: bool = False,
    ) -> list[LeftWorkspace]:
        if heir is not None:
            handed_over = self._workspaces.hand_over
            return handed_over(tx, project, member.email, heir, else_stop=else_stop)
        act = self._workspaces.stop if leftover is Leftover.STOP else self._workspaces.keep
        return act(tx, project, member.email)

    def _with_heir(self, tx: Tx, project: Project, member: Member) -> Member:
        """The membership, with the person who gets the workspaces; raises if nobody can."""
        if member.at_end is not Leftover.HAND_OVER or member.until is None:
            return member
        heir = self._heir(tx, project, member, member.to)
        present = store.member(tx.sql, project.id, heir)
        if present is not None and present.is_over(member.until):
            raise ValidationFailed.of(
                ("to", f"the membership of {heir} ends before, or at the same time"),
                remediation="Name somebody who stays longer",
            )
        return structs.replace(member, to=heir)

    def _heir(self, tx: Tx, project: Project, leaving: Member, to: str | None) -> str:
        """The person who gets the workspaces: the named member, else the caller."""
        caller = current()
        heir = (to or caller.name).lower()
        if heir == leaving.email.lower():
            raise ValidationFailed.of(("to", "name another member of the project"))
        if caller.operator and heir == caller.name.lower():
            return caller.name
        member = store.present_member(tx.sql, project.id, heir, self._clock.now())
        if member is None or not allows(member.role, AccessVerb.MANAGE_OWN):
            raise ValidationFailed.of(
                ("to", f"{heir} may not have workspaces in {project.name!r}"),
                remediation=f"Use `prism member list {project.id}` to see who may: every role "
                "but viewer",
            )
        return member.email

    def roles_of(self, sql: Connection, email: str) -> PersonRoles:
        """Implements `access.model.Memberships`."""
        return store.roles_of(sql, email, self._clock.now())

    def id_of(self, sql: Connection, project: str) -> str:
        """Implements `access.model.Memberships`."""
        return store.named(sql, project).id


def join(tx: Tx, clock: Clock, project: Project, membership: Member) -> Member:
    """Add a member within a transaction."""
    members = store.members_of(tx.sql, project.id)
    email = membership.email.lower()
    require_honest_address(email, (member.email for member in members))
    joined = structs.replace(membership, email=email, join_date=whole(clock.now()))
    store.add_member(tx, project.id, joined)
    end = {"until": joined.until, "at_end": joined.at_end, "to": joined.to}
    fields = about(project, current().name) | end
    tx.happened(MemberJoined(**fields, email=joined.email, role=joined.role))
    return joined


def put_change(tx: Tx, project: Project, before: Member, after: Member) -> Member:
    """Change a member's role, or the end of the membership, within a transaction."""
    if after.role is not before.role:
        store.change_member(tx, project.id, before.email, after.role)
    end = {"until": after.until, "at_end": after.at_end, "to": after.to}
    if end != {"until": before.until, "at_end": before.at_end, "to": before.to}:
        store.put_end(tx, project.id, after)
    changed = MemberChanged(
        **about(project, current().name),
        email=before.email,
        previous_role=before.role,
        role=after.role,
        previous_until=before.until,
        until=after.until,
        at_end=after.at_end,
        to=after.to,
    )
    tx.happened(changed)
    return after


def permit_until(tx: Tx, project: Project, until: datetime | None) -> None:
    """Raise if the caller would let somebody stay, or have a role, longer than themselves."""
    caller = current()
    own = None if caller.operator else store.member(tx.sql, project.id, caller.name)
    if own is None or own.until is None or (until is not None and until <= own.until):
        return
    raise PermissionDenied(
        "You may not let somebody stay longer than yourself",
        details=f"your own membership of {project.name!r} ends at {own.until:%Y-%m-%d %H:%M} UTC",
        remediation="Give `--until` that day or an earlier one, or ask an owner who stays longer",
    )


def _mentions_end(request: MemberChange) -> bool:
    return any(value is not UNSET for value in (request.until, request.at_end, request.to))


def _require_other(member: Member) -> None:
    """Raise if the caller would change the end of their own membership."""
    caller = current()
    if not caller.operator and member.email.lower() == caller.name.lower():
        raise PermissionDenied(
            "You may not change the end of your own membership",
            remediation="Ask another owner of the project; to leave now: "
            "`prism member remove PROJECT YOU`",
        )


def permit(tx: Tx, project: Project, role: Role, verb: AccessVerb, now: datetime) -> None:
    """Raise if the caller would give or take a role above their own, also one lost meanwhile.

    The middleware has asked for the verb already, before this transaction.
    """
    if not (may_give(current(), project.id, role) and _has_still(tx, project, role, verb, now)):
        raise PermissionDenied(
            f"You may not decide who is {role} of {project.name!r}",
            details="you cannot give or take a role above your own",
            remediation="Ask an owner of the project",
        )


def _has_still(tx: Tx, project: Project, role: Role, verb: AccessVerb, now: datetime) -> bool:
    """Whether nobody has taken the caller's role since the request was let in."""
    caller = current()
    if caller.operator:
        return True
    if present := store.present_member(tx.sql, project.id, caller.name, now):
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


def _present_member(sql: Connection, project: Project, email: str, now: datetime) -> Member:
    """The member; raises if there is none, or if the time of the membership is over."""
    member = _member(sql, project, email)
    if not member.is_over(now):
        return member
    raise MemberNotFound(
        f"The membership of {email!r} in {project.name!r} has ended",
        details=f"it ended at {member.until:%Y-%m-%d %H:%M} UTC",
        remediation=f"Add them again: `prism member add {project.id} {member.email}`",
    )


def _require_owner(tx: Tx, project: Project, leaving: Member) -> None:
    """Raise if this member is the only owner who stays without an end."""
    owners = [
        member.email
        for member in store.members_of(tx.sql, project.id)
        if member.role is Role.OWNER and member.until is None
    ]
    if owners == [leaving.email]:
        raise LastOwner(
            f"{leaving.email} is the only owner of {project.name!r} without an end date",
            details="a project always has an owner who stays",
            remediation="Make somebody else an owner first: `prism member add "
            f"{project.id} EMAIL --role owner`",
        )
