"""Accepts and declines invitations."""

import hmac

from prism.access.model import current
from prism.access.service import hashed
from prism.invitations import store
from prism.invitations.events import InvitationAccepted, InvitationDeclined
from prism.invitations.model import (
    Accept,
    Accepted,
    Decline,
    Declined,
    Invitation,
    InvitationAnswered,
    InvitationExpired,
    InvitationStatus,
    InvitationTokenInvalid,
)
from prism.invitations.plan import status_of
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.projects import store as projects
from prism.projects.members import join, promote
from prism.projects.model import NewMember


class InvitationResponses:
    """Accepts and declines invitations; each takes the token once."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock

    def accept(self, id: str, request: Accept) -> Accepted:
        """Join: the answer and the membership are one transaction."""
        with self._db.write() as tx:
            invitation = self._require_open(tx, id, request.token)
            project = projects.named(tx.sql, invitation.project)
            member = projects.member(tx.sql, invitation.project, invitation.email)
            if member is None:
                join(tx, self._clock, project, NewMember(invitation.email, invitation.role))
            elif member.role.rank < invitation.role.rank:
                promote(tx, project, member, invitation.role)
            self._close(tx, invitation, InvitationStatus.ACCEPTED)
            tx.happened(
                InvitationAccepted(**_fields(invitation, project.name), role=invitation.role)
            )
        return Accepted(
            id=id,
            project_id=invitation.project,
            status=InvitationStatus.ACCEPTED,
            accepted_at=whole(self._clock.now()),
            message=f"Successfully joined project as {invitation.role}",
        )

    def decline(self, id: str, request: Decline) -> Declined:
        """Do not join."""
        with self._db.write() as tx:
            invitation = self._require_open(tx, id, request.token)
            project = projects.named(tx.sql, invitation.project)
            self._close(tx, invitation, InvitationStatus.DECLINED, request.reason)
            about = _fields(invitation, project.name)
            tx.happened(InvitationDeclined(**about, reason=request.reason))
        return Declined(
            id=id,
            status=InvitationStatus.DECLINED,
            declined_at=whole(self._clock.now()),
            decline_reason=request.reason,
        )

    def _require_open(self, tx: Tx, id: str, token: str) -> Invitation:
        """The invitation, if this is its token and it may still be answered."""
        invitation = store.named(tx.sql, id)
        if not hmac.compare_digest(hashed(token), invitation.hash):
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
        store.put(tx, invitation.id, **closed, reason=reason, mail_problem=None)
        store.unpost(tx, invitation.id)


def _fields(invitation: Invitation, project: str) -> dict[str, str]:
    about = {"project": invitation.project, "invitation": invitation.id, "email": invitation.email}
    return {"actor": current().name, "subject": project, **about}
