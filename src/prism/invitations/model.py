"""Invitations, and requests and answers about them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.access.model import Role
from prism.errors import AlreadyExists, Conflict, Denied, NotFound
from prism.kit.transaction import Tx
from prism.projects.model import AtEnd, EndTime, Heir, Leftover, Member, NewMembership, Project

MAX_TEXT_LENGTH = 2000  # characters of a message
Text = Annotated[str, Meta(max_length=MAX_TEXT_LENGTH)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Address = Annotated[str, Meta(min_length=1, max_length=320)]
Secret = Annotated[str, Meta(min_length=1, max_length=200)]
MAX_INVITATIONS = 500  # in one request
MOST_A_DAY = 1000  # in one project
MOST_A_DAY_BY_PERSON, MOST_A_DAY_BY_ALL = 200, 2000  # mails, in team mode without the operator's
MOST_RESENT = 10  # of one invitation


class InvitationNotFound(NotFound, code="INVITATION_NOT_FOUND"):
    """There is no invitation with that id."""


class InvitationTokenInvalid(Denied, code="INVITATION_TOKEN_INVALID"):
    """That is not the token of this invitation."""


class InvitationAnswered(Conflict, code="INVITATION_ANSWERED"):
    """The invitation was answered or revoked."""


class InvitationExpired(Conflict, code="INVITATION_EXPIRED"):
    """The invitation has expired."""


class InvitationLimit(Conflict, code="INVITATION_LIMIT"):
    """The limit of mails is reached."""


class AlreadyInvited(AlreadyExists):
    """A person with that address already belongs to the project, or is invited."""


class InvitationStatus(StrEnum):
    """The state of an invitation."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Invitation(Struct, frozen=True, kw_only=True):
    """An invitation as it is stored.

    `token` is plain text, stored in local mode until it is answered; `answer` is the state that
    was reached (expiry follows from the time). A sent mail has `mailed_at`; without a mail
    server there is only a `mail_file` in the daemon's home.
    """

    id: str
    project: str
    email: str
    role: Role
    message: str
    hash: str
    token: str | None = None
    invited_by: str
    invited_at: datetime
    expires_at: datetime
    answer: InvitationStatus | None = None
    answered_at: datetime | None = None
    reason: str | None = None
    resend_count: int = 0
    last_resent: datetime | None = None
    mailed_at: datetime | None = None
    mail_file: str | None = None
    mail_problem: str | None = None
    until: datetime | None = None
    """When the membership that it offers ends; `at_end` and `to` are as in `projects.Member`."""
    at_end: Leftover | None = None
    to: str | None = None


class Mail(Struct, frozen=True, kw_only=True):
    """The content of a mail; `number` counts how often it was sent again."""

    invitation: Invitation
    project_name: str
    number: int
    token: str
    login: str | None = None
    """The secret of a link that logs the invited person in once; nobody else ever gets it."""


class LoginLinks(Protocol):
    """Makes links that log invited people in once, for a daemon without an identity provider."""

    def for_invitation(self, tx: Tx, id: str, user: str, until: datetime) -> str:
        """The secret of a new link for the person whom the invitation with that id is for."""

    def forget(self, tx: Tx, id: str) -> None:
        """Make the links of an invitation worthless."""


class MembershipPlan(Protocol):
    """Checks a membership before it is offered."""

    def __call__(self, tx: Tx, project: Project, request: NewMembership) -> Member:
        """The membership; raises if the caller may not give it for so long."""


class NewInvitation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to invite somebody."""

    project_id: Word
    email: Address
    role: Role = Role.MEMBER
    message: Text = ""
    invited_by: Address | None = None
    until: EndTime | None = None
    at_end: AtEnd | None = None
    to: Heir | None = None


class BulkInvitee(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of many invitations; its fields override the defaults.

    It is checked later, so that a mistake fails only this invitation.
    """

    email: Annotated[str, Meta(description="a mail address")]
    role: Annotated[str, Meta(description=f"{', '.join(Role)}")] | None = None
    message: Annotated[str, Meta(description=f"up to {MAX_TEXT_LENGTH} characters")] | None = None
    until: (
        Annotated[str, Meta(description="when the membership ends; null: never")]
        | UnsetType
        | None
    ) = UNSET


class BulkInvitationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to invite several people; `dry_run` only checks.

    `until`, `at_end` and `to` are about the membership of each of them; `at_end` and `to` also
    count for those with an `until` of their own.
    """

    project_id: Word
    invitations: Annotated[tuple[BulkInvitee, ...], Meta(min_length=1, max_length=MAX_INVITATIONS)]
    default_role: Role = Role.MEMBER
    default_message: Text = ""
    invited_by: Address | None = None
    until: EndTime | None = None
    at_end: AtEnd | None = None
    to: Heir | None = None
    dry_run: bool = False


class AcceptRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to join; a person who has logged in needs no token."""

    token: Secret | None = None


class DeclineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request not to join."""

    token: Secret | None = None
    reason: Text = ""


class InvitationFields(Struct, frozen=True, kw_only=True):
    """What every answer shows of an invitation.

    It can be accepted before `expires_at`; the membership that it offers ends at `until`.
    """

    id: str
    project_id: str
    project_name: str
    email: str
    role: Role
    status: InvitationStatus
    invited_by: str
    invited_at: datetime
    expires_at: datetime
    until: datetime | None
    at_end: Leftover | None
    to: str | None
    message: str
    resend_count: int
    mailed_at: datetime | None
    mail_file: str | None
    mail_problem: str | None


class InvitationShown(InvitationFields, frozen=True, kw_only=True):
    """An invitation in an answer; `token` is null in team mode, and after its use."""

    token: str | None


class ListedInvitation(InvitationFields, frozen=True, kw_only=True):
    """An invitation in a list, which never shows a token."""

    accepted_at: datetime | None
    declined_at: datetime | None
    decline_reason: str | None


class InvitationList(Struct, frozen=True):
    """A list of invitations."""

    invitations: tuple[ListedInvitation, ...]
    count: int


class AcceptAnswer(Struct, frozen=True, kw_only=True):
    """The answer to joining."""

    id: str
    project_id: str
    status: InvitationStatus
    accepted_at: datetime
    message: str


class DeclineAnswer(Struct, frozen=True, kw_only=True):
    """The answer to not joining."""

    id: str
    status: InvitationStatus
    declined_at: datetime
    decline_reason: str


class ResendAnswer(Struct, frozen=True, kw_only=True):
    """The answer to sending it again."""

    id: str
    status: InvitationStatus
    resend_count: int
    last_resent: datetime
    expires_at: datetime
    message: str


class RevokedInvitation(Struct, frozen=True):
    """The answer to taking it back."""

    message: str


class BulkInvitationResult(Struct, frozen=True, kw_only=True):
    """The outcome for one of several people."""

    email: str
    status: str
    invitation_id: str | None = None
    reason: str | None = None
    error: str | None = None


class BulkInvitationCounts(Struct, frozen=True):
    """How many had each outcome; `total` is the sum."""

    total: int
    sent: int
    failed: int
    skipped: int


class BulkInvitationAnswer(Struct, frozen=True, kw_only=True):
    """The answer to inviting many."""

    summary: BulkInvitationCounts
    results: tuple[BulkInvitationResult, ...]
    dry_run: bool
