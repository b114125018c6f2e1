"""Invitations over HTTP, as in the API reference."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.invitations.model import (
    AcceptAnswer,
    AcceptRequest,
    BulkInvitationAnswer,
    BulkInvitationRequest,
    DeclineAnswer,
    DeclineRequest,
    InvitationList,
    InvitationShown,
    InvitationStatus,
    NewInvitation,
    ResendAnswer,
    RevokedInvitation,
)
from prism.invitations.service import InvitationService
from prism.kit.routes import Routes

Invitations = NamedDependency[InvitationService]
Id = FromPath[str]
OfStatus = Annotated[InvitationStatus | None, QueryParameter(name="status")]
INVITATIONS_PATH = "/api/v1/invitations"
router = Routes(INVITATIONS_PATH, tags=["invitations"])


@router.post("/send", sync_to_thread=True)
def send_invitation(data: JSONBody[NewInvitation], invitations: Invitations) -> InvitationShown:
    """Invite a person; the mail is sent at once, or when the mail server answers."""
    return invitations.send(data)


@router.post("/bulk", status_code=200, sync_to_thread=True)
def send_invitations(
    data: JSONBody[BulkInvitationRequest], invitations: Invitations
) -> BulkInvitationAnswer:
    """Invite up to 500 people; `dry_run` only checks."""
    return invitations.send_many(data)


@router.get("/me", sync_to_thread=True)
def list_my_invitations(invitations: Invitations, of_status: OfStatus = None) -> InvitationList:
    """List the invitations to you."""
    return invitations.mine(of_status)


@router.get("/project/{project_id:str}", sync_to_thread=True)
def list_project_invitations(
    project_id: Id, invitations: Invitations, of_status: OfStatus = None
) -> InvitationList:
    """The invitations to a project."""
    return invitations.of_project(project_id, of_status)


@router.get("/{invitation_id:str}", sync_to_thread=True)
def show_invitation(invitation_id: Id, invitations: Invitations) -> InvitationShown:
    """One invitation."""
    return invitations.named(invitation_id)


@router.post("/{invitation_id:str}/accept", status_code=200, sync_to_thread=True)
def accept_invitation(
    invitation_id: Id, data: JSONBody[AcceptRequest], invitations: Invitations
) -> AcceptAnswer:
    """Join the project, with the token of this invitation."""
    return invitations.accept(invitation_id, data)


@router.post("/{invitation_id:str}/decline", status_code=200, sync_to_thread=True)
def decline_invitation(
    invitation_id: Id, data: JSONBody[DeclineRequest], invitations: Invitations
) -> DeclineAnswer:
    """Decline, with the token of this invitation."""
    return invitations.decline(invitation_id, data)


@router.post("/{invitation_id:str}/resend", status_code=200, sync_to_thread=True)
def resend_invitation(invitation_id: Id, invitations: Invitations) -> ResendAnswer:
    """Send it again with a new token and a new expiry; the old token becomes invalid."""
    return invitations.resend(invitation_id)


@router.delete("/{invitation_id:str}", status_code=200, sync_to_thread=True)
def revoke_invitation(invitation_id: Id, invitations: Invitations) -> RevokedInvitation:
    """Revoke a pending invitation."""
    invitations.revoke(invitation_id)
    return RevokedInvitation("Invitation revoked successfully")
