"""States and answers of invitations, and checks of bulk requests: pure functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import UNSET, ValidationError, convert, structs

from prism.access.model import Role
from prism.invitations.model import (
    MAX_TEXT_LENGTH,
    BulkInvitationAnswer,
    BulkInvitationCounts,
    BulkInvitationRequest,
    BulkInvitationResult,
    BulkInvitee,
    Invitation,
    InvitationFields,
    InvitationList,
    InvitationShown,
    InvitationStatus,
    ListedInvitation,
    NewInvitation,
)
from prism.projects.model import EndTime

LIFE = timedelta(days=7)


def status_of(invitation: Invitation, now: datetime) -> InvitationStatus:
    """Its state now."""
    if invitation.answer is not None:
        return invitation.answer
    return InvitationStatus.EXPIRED if invitation.expires_at <= now else InvitationStatus.PENDING


def shown(
    invitation: Invitation, project_name: str, now: datetime, token: str | None
) -> InvitationShown:
    """An invitation for the wire."""
    return InvitationShown(**_fields(invitation, project_name, now), token=token)


def listed(invitation: Invitation, project_name: str, now: datetime) -> ListedInvitation:
    """An invitation for a list."""
    answered = {invitation.answer: invitation.answered_at}
    return ListedInvitation(
        **_fields(invitation, project_name, now),
        accepted_at=answered.get(InvitationStatus.ACCEPTED),
        declined_at=answered.get(InvitationStatus.DECLINED),
        decline_reason=invitation.reason,
    )


def _fields(invitation: Invitation, project_name: str, now: datetime) -> dict[str, Any]:
    """The values of `InvitationFields`; most have the same names as in the table."""
    project = {"project_id": invitation.project, "project_name": project_name}
    values = structs.asdict(invitation) | project | {"status": status_of(invitation, now)}
    return {name: values[name] for name in InvitationFields.__struct_fields__}


def page(
    rows: Sequence[Invitation],
    names: Mapping[str, str],
    now: datetime,
    status: InvitationStatus | None,
) -> InvitationList:
    """The invitations with that status, as an answer."""
    fits = [invitation for invitation in rows if status in {None, status_of(invitation, now)}]
    return InvitationList(
        tuple(listed(invitation, names[invitation.project], now) for invitation in fits), len(fits)
    )


def field_error(guest: BulkInvitee) -> str | None:
    """Why a person's fields are not valid, if so."""
    try:
        _own_end(guest)
    except ValidationError:
        return f"until: {guest.until!r} is no time such as 2027-03-31T18:00:00Z"
    if guest.role is not None and guest.role not in {*Role}:
        return f"role: {guest.role!r} is none of {', '.join(Role)}"
    if guest.message is not None and len(guest.message) > MAX_TEXT_LENGTH:
        return f"message: is longer than {MAX_TEXT_LENGTH} characters"
    return None


def _own_end(guest: BulkInvitee) -> datetime | None:
    """The end of a person's own; raises msgspec's error if it is no time."""
    return convert(None if guest.until is UNSET else guest.until, EndTime | None)


def request_for(guest: BulkInvitee, bulk: BulkInvitationRequest) -> NewInvitation:
    """The request for one of several people: their fields override the defaults."""
    return NewInvitation(
        project_id=bulk.project_id,
        email=guest.email,
        role=bulk.default_role if guest.role is None else Role(guest.role),
        message=bulk.default_message if guest.message is None else guest.message,
        invited_by=bulk.invited_by,
        until=bulk.until if guest.until is UNSET else _own_end(guest),
        at_end=bulk.at_end,
        to=bulk.to,
    )


def results_of(results: Sequence[BulkInvitationResult], dry_run: bool) -> BulkInvitationAnswer:
    """The answer for all of them."""
    of = [result.status for result in results]
    failed, skipped = of.count("failed"), of.count("skipped")
    summary = BulkInvitationCounts(len(of), len(of) - failed - skipped, failed, skipped)
    return BulkInvitationAnswer(summary=summary, results=tuple(results), dry_run=dry_run)
