"""Invitations over HTTP, in the reference's own shapes."""

import json
from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.invitations.model import (
    Accept,
    Accepted,
    Bulk,
    Decline,
    Declined,
    InvitationShown,
    InvitationStatus,
    NewInvitation,
    Page,
    Resent,
    Results,
    RevokedInvitation,
)
from prism.invitations.service import InvitationService
from prism.kit.routes import Routes

Invitations = NamedDependency[InvitationService]
Id = FromPath[str]
OfStatus = Annotated[InvitationStatus | None, QueryParameter(name="status")]
PATH = "/api/v1/invitations"


@post("/send", sync_to_thread=True)
def send_invitation(data: JSONBody[NewInvitation], invitations: Invitations) -> InvitationShown:
    """Invite somebody; the mail leaves at once, or as soon as the mail server is there."""
    return invitations.send(data)


@post("/bulk", status_code=200, sync_to_thread=True)
def send_invitations(data: JSONBody[Bulk], invitations: Invitations) -> Results:
    """Invite up to 500 people; with `dry_run` it only says what would be."""
    return invitations.send_many(data)


@get("/me", sync_to_thread=True)
def list_my_invitations(invitations: Invitations, of_status: OfStatus = None) -> Page:
    """The invitations to whoever asks."""
    return invitations.mine(of_status)


@get("/project/{project_id:str}", sync_to_thread=True)
def list_project_invitations(
    project_id: Id, invitations: Invitations, of_status: OfStatus = None
) -> Page:
    """The invitations to a project."""
    return invitations.of_project(project_id, of_status)


@get("/{invitation_id:str}", sync_to_thread=True)
def show_invitation(invitation_id: Id, invitations: Invitations) -> InvitationShown:
    """One invitation."""
    return invitations.named(invitation_id)


@post("/{invitation_id:str}/accept", status_code=200, sync_to_thread=True)
def accept_invitation(
    invitation_id: Id, data: JSONBody[Accept], invitations: Invitations
) -> Accepted:
    """Join the project, with the token of this very invitation."""
    return invitations.accept(invitation_id, data)


@post("/{invitation_id:str}/decline", status_code=200, sync_to_thread=True)
def decline_invitation(
    invitation_id: Id, data: JSONBody[Decline], invitations: Invitations
) -> Declined:
    """Do not join, with the token of this very invitation."""
    return invitations.decline(invitation_id, data)


@post("/{invitation_id:str}/resend", status_code=200, sync_to_thread=True)
def resend_invitation(invitation_id: Id, invitations: Invitations) -> Resent:
    """Send it again with a new token; the old one ends, the week begins anew."""
    return invitations.resend(invitation_id)


@delete("/{invitation_id:str}", status_code=200, sync_to_thread=True)
def revoke_invitation(invitation_id: Id, invitations: Invitations) -> RevokedInvitation:
    """Take a pending invitation back."""
    invitations.revoke(invitation_id)
    return RevokedInvitation("Invitation revoked successfully")


router = Routes(
    PATH,
    tags=["invitations"],
    handlers=[
        send_invitation,
        send_invitations,
        list_my_invitations,
        list_project_invitations,
        show_invitation,
        accept_invitation,
        decline_invitation,
        resend_invitation,
        revoke_invitation,
    ],
)


def without_token(body: bytes) -> bytes:
    """An answer as it may be kept for a repeat."""
    return json.dumps({**json.loads(body), "token": None}).encode()
