"""Events about invitations; `subject` is the project's name. They never contain the token."""

from datetime import datetime
from typing import ClassVar

from prism.access.model import Role
from prism.invitations.model import Invitation
from prism.kit.events import Event


class _InvitationEvent(Event, frozen=True, kw_only=True):
    project: str
    invitation: str
    email: str


def about(invitation: Invitation, project_name: str, actor: str) -> dict[str, str]:
    """The fields that all of these events have."""
    ids = {"project": invitation.project, "invitation": invitation.id, "email": invitation.email}
    return {"actor": actor, "subject": project_name, **ids}


class InvitationSent(_InvitationEvent, frozen=True, kw_only=True):
    """A person was invited."""

    event: ClassVar[str] = "invitation_sent"
    role: Role
    expires_at: datetime
    until: datetime | None


class InvitationResent(_InvitationEvent, frozen=True, kw_only=True):
    """An invitation was sent again with a new token; the old token is invalid."""

    event: ClassVar[str] = "invitation_resent"
    resend_count: int
    previous_expires_at: datetime
    expires_at: datetime


class InvitationMailed(_InvitationEvent, frozen=True, kw_only=True):
    """The mail was sent."""

    event: ClassVar[str] = "invitation_mailed"


class InvitationWritten(_InvitationEvent, frozen=True, kw_only=True):
    """Without a mail server, the mail was written to a file in the daemon's home, and not sent."""

    event: ClassVar[str] = "invitation_written"
    file: str


class InvitationDelayed(_InvitationEvent, frozen=True, kw_only=True):
    """The mail could not be sent; Prism retries."""

    event: ClassVar[str] = "invitation_delayed"
    problem: str


class InvitationUndeliverable(_InvitationEvent, frozen=True, kw_only=True):
    """The mail was refused for good."""

    event: ClassVar[str] = "invitation_undeliverable"
    problem: str


class InvitationAccepted(_InvitationEvent, frozen=True, kw_only=True):
    """The person joined."""

    event: ClassVar[str] = "invitation_accepted"
    role: Role


class InvitationDeclined(_InvitationEvent, frozen=True, kw_only=True):
    """The person declined."""

    event: ClassVar[str] = "invitation_declined"
    reason: str


class InvitationRevoked(_InvitationEvent, frozen=True, kw_only=True):
    """An invitation was revoked."""

    event: ClassVar[str] = "invitation_revoked"
