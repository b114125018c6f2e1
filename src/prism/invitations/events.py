"""What can happen to an invitation; `subject` is the project's name. No token is ever in it."""

from datetime import datetime
from typing import ClassVar

from prism.access.model import Role
from prism.kit.events import Event


class _About(Event, frozen=True, kw_only=True):
    project: str
    invitation: str
    email: str


class InvitationSent(_About, frozen=True, kw_only=True):
    """Somebody is invited."""

    event: ClassVar[str] = "invitation_sent"
    role: Role
    expires_at: datetime


class InvitationResent(_About, frozen=True, kw_only=True):
    """It goes out again with another token; the old one is worth nothing."""

    event: ClassVar[str] = "invitation_resent"
    resend_count: int
    previous_expires_at: datetime
    expires_at: datetime


class InvitationMailed(_About, frozen=True, kw_only=True):
    """The mail has left."""

    event: ClassVar[str] = "invitation_mailed"


class InvitationWritten(_About, frozen=True, kw_only=True):
    """There is no mail server: the mail is a file in the daemon's home, and nobody was sent it."""

    event: ClassVar[str] = "invitation_written"
    file: str


class InvitationDelayed(_About, frozen=True, kw_only=True):
    """The mail could not leave; it is tried again."""

    event: ClassVar[str] = "invitation_delayed"
    problem: str


class InvitationUndeliverable(_About, frozen=True, kw_only=True):
    """Nobody takes the mail, now or later."""

    event: ClassVar[str] = "invitation_undeliverable"
    problem: str


class InvitationAccepted(_About, frozen=True, kw_only=True):
    """Somebody has joined."""

    event: ClassVar[str] = "invitation_accepted"
    role: Role


class InvitationDeclined(_About, frozen=True, kw_only=True):
    """Somebody will not join."""

    event: ClassVar[str] = "invitation_declined"
    reason: str


class InvitationRevoked(_About, frozen=True, kw_only=True):
    """It was taken back."""

    event: ClassVar[str] = "invitation_revoked"
