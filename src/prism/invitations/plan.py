"""What an invitation is at a time, how it looks, and who is left out of many: pure functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from prism.access.model import Role
from prism.invitations.model import (
    LONGEST,
    Asked,
    Bulk,
    BulkSummary,
    Guest,
    Invitation,
    InvitationShown,
    InvitationStatus,
    Listed,
    Page,
    Result,
    Results,
)

LIFE = timedelta(days=7)


def status_of(it: Invitation, now: datetime) -> InvitationStatus:
    """What has become of it by now."""
    if it.answer is not None:
        return it.answer
    return InvitationStatus.EXPIRED if it.expires_at <= now else InvitationStatus.PENDING


def shown(it: Invitation, project_name: str, now: datetime, token: str | None) -> InvitationShown:
    """An invitation for the wire."""
    return InvitationShown(
        id=it.id,
        project_id=it.project,
        project_name=project_name,
        email=it.email,
        role=it.role,
        token=token,
        invited_by=it.invited_by,
        invited_at=it.invited_at,
        expires_at=it.expires_at,
        status=status_of(it, now),
        resend_count=it.resend_count,
        message=it.message,
        mailed_at=it.mailed_at,
        mail_file=it.mail_file,
        mail_problem=it.mail_problem,
    )


def listed(it: Invitation, project_name: str, now: datetime) -> Listed:
    """An invitation for a list."""
    answered = {it.answer: it.answered_at}
    return Listed(
        id=it.id,
        project_id=it.project,
        project_name=project_name,
        email=it.email,
        role=it.role,
        status=status_of(it, now),
        invited_by=it.invited_by,
        invited_at=it.invited_at,
        expires_at=it.expires_at,
        message=it.message,
        resend_count=it.resend_count,
        accepted_at=answered.get(InvitationStatus.ACCEPTED),
        declined_at=answered.get(InvitationStatus.DECLINED),
        decline_reason=it.reason,
        mailed_at=it.mailed_at,
        mail_file=it.mail_file,
        mail_problem=it.mail_problem,
    )


def page(
    found: Sequence[Invitation],
    names: Mapping[str, str],
    now: datetime,
    status: InvitationStatus | None,
) -> Page:
    """Those that have that status, for the wire."""
    fits = [it for it in found if status in {None, status_of(it, now)}]
    return Page(tuple(listed(it, names[it.project], now) for it in fits), len(fits))


def fault(guest: Guest) -> str | None:
    """Why one of many cannot be invited so, whoever she is."""
    if guest.role is not None and guest.role not in {*Role}:
        return f"role: {guest.role!r} is none of {', '.join(Role)}"
    if guest.message is not None and len(guest.message) > LONGEST:
        return f"message: is longer than {LONGEST} characters"
    return None


def merged(guest: Guest, asked: Bulk) -> Asked:
    """The request for one of many: what she is given wins over the defaults."""
    return Asked(
        project_id=asked.project_id,
        email=guest.email,
        role=asked.default_role if guest.role is None else Role(guest.role),
        message=asked.default_message if guest.message is None else guest.message,
        invited_by=asked.invited_by,
    )


def summed(results: Sequence[Result], dry_run: bool) -> Results:
    """What became of all of them."""
    of = [result.status for result in results]
    failed, skipped = of.count("failed"), of.count("skipped")
    summary = BulkSummary(len(of), len(of) - failed - skipped, failed, skipped)
    return Results(summary=summary, results=tuple(results), dry_run=dry_run)
