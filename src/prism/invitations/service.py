"""Requests about invitations. The reconciler sends the mail."""

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import structs
from sqlalchemy import Connection

from prism.access.model import AccessVerb, PermissionDenied, Role, current
from prism.access.plan import allows, token_covers
from prism.access.service import SECRET, hashed
from prism.errors import ValidationFailed
from prism.invitations import store
from prism.invitations.addresses import address
from prism.invitations.events import (
    InvitationAccepted,
    InvitationDeclined,
    InvitationResent,
    InvitationRevoked,
    InvitationSent,
    about,
)
from prism.invitations.model import (
    MOST_A_DAY,
    MOST_A_DAY_BY_ALL,
    MOST_A_DAY_BY_PERSON,
    MOST_RESENT,
    AcceptAnswer,
    AcceptRequest,
    AlreadyInvited,
    BulkInvitationAnswer,
    BulkInvitationRequest,
    BulkInvitationResult,
    DeclineAnswer,
    DeclineRequest,
    Invitation,
    InvitationAnswered,
    InvitationExpired,
    InvitationLimit,
    InvitationList,
    InvitationShown,
    InvitationStatus,
    InvitationTokenInvalid,
    LoginLinks,
    MembershipPlan,
    NewInvitation,
    ResendAnswer,
)
from prism.invitations.plan import (
    LIFE,
    field_error,
    page,
    request_for,
    results_of,
    shown,
    status_of,
)
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.look_alike_names import require_honest_address
from prism.projects import store as projects
from prism.projects.members import join, permit, permit_until, put_change
from prism.projects.model import Leftover, Member, NewMembership, Project

DAY = timedelta(days=1)
INVITED, MEMBER = "already invited", "already a member"


class InvitationService:
    """Requests about invitations; with `clear` (local mode) a pending one shows its token.

    Invitations of the `operator` do not depend on a role in the project.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        clear: bool,
        operator: str,
        plan_membership: MembershipPlan,
        login_links: LoginLinks | None = None,
    ) -> None:
        """`plan_membership` checks until when the caller may let somebody be a member."""
        self._plan_membership = plan_membership
        self._db, self._clock, self._login_links = db, clock, login_links
        self._clear, self._operator = clear, operator.lower()

    def send(self, request: NewInvitation) -> InvitationShown:
        """Invite somebody."""
        email = address(request.email)
        with self._db.write() as tx:
            project = projects.named(tx.sql, request.project_id)
            permit(tx, project, request.role, AccessVerb.INVITE, self._clock.now())
            known = self._known_addresses(tx, project)
            if why := known.get(email):
                raise AlreadyInvited(
                    f"{email}: {why}",
                    remediation=f"Use `prism invite list {project.id}` to see who is invited",
                )
            require_honest_address(email, known)
            self._check_daily_limit(tx, project, 1)
            planned = self._planned(tx, project, email, request)
            invitation, token = self._create(tx, project, planned, request)
            return shown(invitation, project.name, self._clock.now(), token)

    def send_many(self, request: BulkInvitationRequest) -> BulkInvitationAnswer:
        """Invite several people; a failure for one does not stop the others."""
        with self._db.write() as tx:
            project = projects.named(tx.sql, request.project_id)
            new = [
                field_error(guest) or request_for(guest, request) for guest in request.invitations
            ]
            for role in {
                invitation.role for invitation in new if isinstance(invitation, NewInvitation)
            }:
                permit(tx, project, role, AccessVerb.INVITE, self._clock.now())
            self._check_daily_limit(tx, project, len(new))
            memberships = self._memberships(tx, project, request, new)
            known, dry = self._known_addresses(tx, project), request.dry_run
            results = [
                BulkInvitationResult(email=guest.email, status="failed", error=new_or_error)
                if isinstance(new_or_error, str)
                else self._invite_one(
                    tx, project, new_or_error, known, memberships[new_or_error.until], dry=dry
                )
                for guest, new_or_error in zip(request.invitations, new, strict=True)
            ]
            return results_of(results, request.dry_run)

    def named(self, id: str) -> InvitationShown:
        """One invitation, by id."""
        with self._db.read() as sql:
            invitation = store.named(sql, id)
            name = store.names(sql, [invitation])[invitation.project]
            return shown(invitation, name, self._clock.now(), invitation.token)

    def of_project(self, project: str, status: InvitationStatus | None) -> InvitationList:
        """All invitations to a project."""
        with self._db.read() as sql:
            invitations = store.of_project(sql, projects.named(sql, project).id)
            return self._page(sql, invitations, status)

    def mine(self, status: InvitationStatus | None) -> InvitationList:
        """All invitations to the caller."""
        caller = current()
        with self._db.read() as sql:
            invitations = [
                invitation
                for invitation in store.of_person(sql, caller.name)
                if token_covers(caller, invitation.project)
            ]
            return self._page(sql, invitations, status)

    def resend(self, id: str) -> ResendAnswer:
        """Send it again, with a new token and a new expiry; the old token becomes invalid."""
        now, token = self._clock.now(), secrets.token_urlsafe(SECRET)
        with self._db.write() as tx:
            before = store.named(tx.sql, id)
            project = projects.named(tx.sql, before.project)
            permit(tx, project, before.role, AccessVerb.INVITE, self._clock.now())
            permit_until(tx, project, before.until)
            if before.answer is not None:
                raise _already_answered(before)
            if before.resend_count >= MOST_RESENT:
                raise InvitationLimit(
                    f"The invitation was sent again {MOST_RESENT} times, which is the limit",
                    remediation=f"Revoke it with `prism invite revoke {id}`",
                )
            self._check_people_limits(tx, 1)
            after = self._renew(before, token, now)
            store.update_fields(tx, id, **structs.asdict(after))
            self._queue_mail(tx, after, token)
            tx.happened(
                InvitationResent(
                    **about(after, project.name, current().name),
                    resend_count=after.resend_count,
                    previous_expires_at=before.expires_at,
                    expires_at=after.expires_at,
                )
            )
        return ResendAnswer(
            id=id,
            status=InvitationStatus.PENDING,
            resend_count=after.resend_count,
            last_resent=whole(now),
            expires_at=after.expires_at,
            message="Invitation resent successfully",
        )

    def revoke(self, id: str) -> None:
        """Revoke an invitation, and its mail if that was not sent yet."""
        with self._db.write() as tx:
            invitation = store.named(tx.sql, id)
            project = projects.named(tx.sql, invitation.project)
            permit(tx, project, invitation.role, AccessVerb.INVITE, self._clock.now())
            if invitation.answer is not None:
                raise _already_answered(invitation)
            self._revoke(tx, invitation, project)

    def accept(self, id: str, request: AcceptRequest) -> AcceptAnswer:
        """Join, which takes the token once; the answer and the membership are one transaction."""
        with self._db.write() as tx:
            invitation = self._require_open(tx, id, request.token)
            project = projects.named(tx.sql, invitation.project)
            member = projects.member(tx.sql, invitation.project, invitation.email)
            if member is None:
                join(tx, self._clock, project, self._offered(tx.sql, invitation))
            elif member.role.rank < invitation.role.rank:
                put_change(tx, project, member, structs.replace(member, role=invitation.role))
            self._close(tx, invitation, InvitationStatus.ACCEPTED)
            self.joined(tx, project, invitation.email)  # another one that expired and was resent
            fields = about(invitation, project.name, current().name)
            tx.happened(InvitationAccepted(**fields, role=invitation.role))
        return AcceptAnswer(
            id=id,
            project_id=invitation.project,
            status=InvitationStatus.ACCEPTED,
            accepted_at=whole(self._clock.now()),
            message=f"Successfully joined project as {invitation.role}",
        )

    def _offered(self, sql: Connection, invitation: Invitation) -> Member:
        """The membership that an invitation offers; raises if its time is over.

        It lasts no longer than that of its sender, who may have got an end meanwhile.
        """
        now = self._clock.now()
        offered = Member(
            invitation.email,
            invitation.role,
            now,
            until=invitation.until,
            at_end=invitation.at_end,
            to=invitation.to,
        )
        end = self._end_of_sender(sql, invitation)
        if end is not None and (offered.until is None or offered.until > end):
            at_end = offered.at_end or Leftover.STOP
            offered = structs.replace(offered, until=end, at_end=at_end)
        if offered.is_over(now):
            raise InvitationExpired(
                "The membership that the invitation offers has ended",
                details=f"it was until {offered.until:%Y-%m-%d %H:%M} UTC",
                remediation=f"Ask {invitation.invited_by} for a new invitation",
            )
        return offered

    def _end_of_sender(self, sql: Connection, invitation: Invitation) -> datetime | None:
        """When the membership of the sender ends; the operator's does not limit anybody."""
        sender = invitation.invited_by.lower()
        if self._clear or sender == self._operator:
            return None
        member = projects.member(sql, invitation.project, sender)
        return None if member is None else member.until

    def decline(self, id: str, request: DeclineRequest) -> DeclineAnswer:
        """Do not join; this takes the token too."""
        with self._db.write() as tx:
            invitation = self._require_open(tx, id, request.token)
            project = projects.named(tx.sql, invitation.project)
            self._close(tx, invitation, InvitationStatus.DECLINED, request.reason)
            fields = about(invitation, project.name, current().name)
            tx.happened(InvitationDeclined(**fields, reason=request.reason))
        return DeclineAnswer(
            id=id,
            status=InvitationStatus.DECLINED,
            declined_at=whole(self._clock.now()),
            decline_reason=request.reason,
        )

    def joined(self, tx: Tx, project: Project, email: str) -> None:
        """Revoke the open invitations of a person who became a member without them.

        Implements `projects.model.MembershipListener`. Later, such an invitation would change the
        role of the person, or bring back who was removed.
        """
        for invitation in store.of_project(tx.sql, project.id):
            if invitation.email.lower() == email.lower() and invitation.answer is None:
                self._revoke(tx, invitation, project)

    def demoted(self, tx: Tx, project: Project, email: str, role: Role | None) -> None:
        """Revoke invitations to a person who has a lower role or none (None) now, and theirs.

        Theirs are those that the person may no longer send. In local mode there is one user, whose
        rights do not depend on a role.
        """
        self.joined(tx, project, email)
        if self._clear or email.lower() == self._operator:
            return
        rank = role.rank if role is not None and allows(role, AccessVerb.INVITE) else -1
        for invitation in store.of_project(tx.sql, project.id):
            is_sender = invitation.invited_by.lower() == email.lower()
            if is_sender and invitation.answer is None and invitation.role.rank > rank:
                self._revoke(tx, invitation, project)

    def _require_open(self, tx: Tx, id: str, token: str | None) -> Invitation:
        """The invitation, if this is its token and it may still be answered.

        A person who has logged in under the invited address has shown whose it is. A token does
        not: whoever made it may have given it away.
        """
        invitation, caller = store.named(tx.sql, id), current()
        is_invited = caller.name.lower() == invitation.email.lower()
        has_logged_in = caller.session is not None and caller.token is None
        if token is None and not (has_logged_in and is_invited):
            raise ValidationFailed.of(
                ("token", "is missing; only the invited person, logged in, needs none"),
                remediation=f"Type the one from the mail: `prism invite accept {id}`",
            )
        if token is not None and not hmac.compare_digest(hashed(token), invitation.hash):
            raise InvitationTokenInvalid(
                details="A mail that was sent again has a new token, and the old token is invalid",
                remediation="Look for the newest mail, or ask whoever invited you",
            )
        state = status_of(invitation, self._clock.now())
        if state is InvitationStatus.EXPIRED:
            raise InvitationExpired(
                details=f"It expired at {invitation.expires_at:%Y-%m-%d %H:%M} UTC",
                remediation=f"Ask {invitation.invited_by} to send it again",
            )
        if state is not InvitationStatus.PENDING:
            raise InvitationAnswered(
                f"The invitation was {state}",
                remediation="Use `prism invite mine` to see its state",
            )
        return invitation

    def _close(
        self, tx: Tx, invitation: Invitation, answer: InvitationStatus, reason: str | None = None
    ) -> None:
        closed = {"answer": answer, "answered_at": whole(self._clock.now()), "token": None}
        store.update_fields(tx, invitation.id, **closed, reason=reason, mail_problem=None)
        store.remove_queued_mail(tx, invitation.id)
        if self._login_links is not None:
            self._login_links.forget(tx, invitation.id)

    def _queue_mail(self, tx: Tx, invitation: Invitation, token: str) -> None:
        """Queue the mail; links of an earlier one become worthless, as its token does."""
        login = None
        if self._login_links is not None:
            self._login_links.forget(tx, invitation.id)
            user, until = invitation.email.lower(), invitation.expires_at
            login = self._login_links.for_invitation(tx, invitation.id, user, until)
        store.queue_mail(tx, invitation, token, self._clock.now(), login)

    def _revoke(self, tx: Tx, invitation: Invitation, project: Project) -> None:
        self._close(tx, invitation, InvitationStatus.REVOKED)
        tx.happened(InvitationRevoked(**about(invitation, project.name, current().name)))

    def _renew(self, before: Invitation, token: str, now: datetime) -> Invitation:
        return structs.replace(
            before,
            hash=hashed(token),
            token=token if self._clear else None,
            expires_at=whole(now + LIFE),
            resend_count=before.resend_count + 1,
            last_resent=whole(now),
            mailed_at=None,
            mail_file=None,
            mail_problem=None,
        )

    def _planned(
        self,
        tx: Tx,
        project: Project,
        email: str,
        request: NewInvitation | BulkInvitationRequest,
    ) -> Member:
        """The membership to offer; raises if the caller may not give it."""
        offer = NewMembership(email, until=request.until, at_end=request.at_end, to=request.to)
        return self._plan_membership(tx, project, offer)

    def _memberships(
        self,
        tx: Tx,
        project: Project,
        bulk: BulkInvitationRequest,
        new: Sequence[NewInvitation | str],
    ) -> dict[datetime | None, Member | str]:
        """What to offer, by its end, or why not; raises what is wrong for everybody.

        An end is checked once, not for each person.
        """
        ends = {request.until for request in new if isinstance(request, NewInvitation)}
        planned: dict[datetime | None, Member | str] = {}
        if ends <= {bulk.until} or bulk.until is not None:
            planned[bulk.until] = self._planned(tx, project, current().name, bulk)
        for until in ends - planned.keys():
            at_end, to = (bulk.at_end, bulk.to) if until is not None else (None, None)
            offer = NewMembership(current().name, until=until, at_end=at_end, to=to)
            try:
                planned[until] = self._plan_membership(tx, project, offer)
            except ValidationFailed as problem:
                planned[until] = problem.details
            except PermissionDenied as problem:
                planned[until] = f"{problem.message}: {problem.details}"
        return planned

    def _invite_one(
        self,
        tx: Tx,
        project: Project,
        request: NewInvitation,
        known: dict[str, str],
        planned: Member | str,
        *,
        dry: bool,
    ) -> BulkInvitationResult:
        """Invite one of many, or say why not."""
        try:
            email = address(request.email)
            require_honest_address(email, known)
        except ValidationFailed as problem:
            return BulkInvitationResult(
                email=request.email, status="failed", error=problem.details
            )
        if why := known.get(email):
            return BulkInvitationResult(email=email, status="skipped", reason=why)
        if isinstance(planned, str):
            return BulkInvitationResult(email=email, status="failed", error=planned)
        known[email] = INVITED
        if dry:
            return BulkInvitationResult(email=email, status="would be sent")
        membership = structs.replace(planned, email=email)
        invitation, _ = self._create(tx, project, membership, request)
        return BulkInvitationResult(email=email, status="sent", invitation_id=invitation.id)

    def _create(
        self, tx: Tx, project: Project, planned: Member, request: NewInvitation
    ) -> tuple[Invitation, str]:
        now, token = self._clock.now(), secrets.token_urlsafe(SECRET)
        invitation = Invitation(
            id=sortable_id("inv", now),
            project=project.id,
            email=planned.email,
            role=request.role,
            message=request.message,
            hash=hashed(token),
            token=token if self._clear else None,
            invited_by=request.invited_by or current().name,
            invited_at=whole(now),
            expires_at=whole(now + LIFE),
            until=planned.until,
            at_end=planned.at_end,
            to=planned.to,
        )
        store.add(tx, invitation)
        self._queue_mail(tx, invitation, token)
        sent = InvitationSent(
            **about(invitation, project.name, current().name),
            role=invitation.role,
            expires_at=invitation.expires_at,
            until=invitation.until,
        )
        tx.happened(sent)
        return invitation, token

    def _known_addresses(self, tx: Tx, project: Project) -> dict[str, str]:
        """The addresses that need no invitation, and why."""
        invited = store.open_to(tx.sql, project.id, self._clock.now())
        members = {member.email for member in projects.members_of(tx.sql, project.id)}
        return dict.fromkeys(invited, INVITED) | dict.fromkeys(members, MEMBER)

    def _check_people_limits(self, tx: Tx, count: int) -> None:
        """Raise if a person, or all people, would exceed their mails per day.

        In local mode there is one person, and on a shared daemon its operator, without a limit.
        """
        caller = current()
        if not caller.team or caller.operator:
            return
        sent = store.mails_since(tx.sql, self._clock.now() - DAY, besides=self._operator)
        mine = sent.get(caller.name.lower(), 0)
        for subject, most, used in (
            ("You", MOST_A_DAY_BY_PERSON, mine),
            ("The people of this daemon", MOST_A_DAY_BY_ALL, sum(sent.values())),
        ):
            if used + count > most:
                raise InvitationLimit(
                    f"{subject} can send at most {most} mails a day",
                    details=f"{used} were sent in the last 24 hours; you asked for {count} more",
                    remediation="Invite fewer people now, and the others tomorrow",
                )

    def _check_daily_limit(self, tx: Tx, project: Project, count: int) -> None:
        """Raise if somebody would exceed their mails, or a project its invitations, per day."""
        self._check_people_limits(tx, count)
        sent = store.sent_since(tx.sql, project.id, self._clock.now() - DAY)
        if sent + count > MOST_A_DAY:
            raise InvitationLimit(
                f"{project.name!r} can invite at most {MOST_A_DAY} people a day",
                details=f"it invited {sent} in the last 24 hours; you asked for {count} more",
                remediation="Invite fewer people now, and the others tomorrow",
            )

    def _page(
        self, sql: Connection, invitations: list[Invitation], status: InvitationStatus | None
    ) -> InvitationList:
        return page(invitations, store.names(sql, invitations), self._clock.now(), status)


def _already_answered(invitation: Invitation) -> InvitationAnswered:
    return InvitationAnswered(
        f"The invitation was {invitation.answer}",
        remediation=f"See it with `prism invite show {invitation.id}`",
    )
