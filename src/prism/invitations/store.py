"""The tables of invitations and of queued mail, and all SQL about them."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from prism.invitations.model import Invitation, InvitationNotFound, Mail
from prism.kit.db import Tx
from prism.kit.tables import Utc, leased, metadata, select_struct, structs_of
from prism.projects.store import projects

OF_PROJECT = ForeignKey("projects.id", ondelete="CASCADE")
invitations = Table(
    "invitations",
    metadata,
    Column("id", String, primary_key=True),
    Column("project", String, OF_PROJECT, nullable=False, index=True),
    Column("email", String, nullable=False, index=True),  # in lower case
    Column("role", String, nullable=False),
    Column("message", String, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("token", String),
    Column("invited_by", String, nullable=False),
    Column("invited_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("answer", String),
    Column("answered_at", Utc),
    Column("reason", String),
    Column("resend_count", Integer, nullable=False),
    Column("last_resent", Utc),
    Column("mailed_at", Utc),
    Column("mail_file", String),
    Column("mail_problem", String),
    Column("until", Utc),
    Column("at_end", String),
    Column("to", String),
)
# A row is a queued mail; the token in it is deleted with the row.
mails = Table(
    "invitation_mails",
    metadata,
    Column("id", String, primary_key=True),
    Column("invitation", String, ForeignKey("invitations.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", String, nullable=False),
    Column("login", String),
    *leased("invitation_mails"),
)
SELECT_INVITATIONS = select_struct(invitations, Invitation).order_by(invitations.c.id)


def named(sql: Connection, id: str) -> Invitation:
    """The invitation with that id; raises if there is none."""
    if invitation := find(sql, id):
        return invitation
    raise not_found(id)


def find(sql: Connection, id: str) -> Invitation | None:
    """The invitation with that id, if there is one."""
    return next(
        iter(structs_of(sql, Invitation, SELECT_INVITATIONS.where(invitations.c.id == id))), None
    )


def not_found(id: str) -> InvitationNotFound:
    """The problem if there is no invitation with that id."""
    return InvitationNotFound(
        f"Invitation {id!r} not found", remediation="Use `prism invite mine` to see yours"
    )


def of_project(sql: Connection, project: str) -> list[Invitation]:
    """All invitations to a project, the oldest first."""
    return structs_of(sql, Invitation, SELECT_INVITATIONS.where(invitations.c.project == project))


def of_person(sql: Connection, email: str) -> list[Invitation]:
    """All invitations to a person, the oldest first."""
    return structs_of(
        sql, Invitation, SELECT_INVITATIONS.where(invitations.c.email == email.lower())
    )


def names(sql: Connection, invitations: list[Invitation]) -> dict[str, str]:
    """The names of the projects of these invitations, by id."""
    ids = {invitation.project for invitation in invitations}
    rows = sql.execute(select(projects.c.id, projects.c.name).where(projects.c.id.in_(ids)))
    return {id: name for id, name in rows}


def open_to(sql: Connection, project: str, now: datetime) -> set[str]:
    """The addresses with an open invitation to a project."""
    is_open = (invitations.c.answer.is_(None), invitations.c.expires_at > now)
    rows = select(invitations.c.email).where(invitations.c.project == project, *is_open)
    return {*sql.execute(rows).scalars()}


def sent_since(sql: Connection, project: str, since: datetime) -> int:
    """How many invitations to a project were sent since then."""
    late = (invitations.c.project == project, invitations.c.invited_at > since)
    return sql.execute(select(func.count()).select_from(invitations).where(*late)).scalar_one()


def mails_since(sql: Connection, since: datetime, besides: str) -> dict[str, int]:
    """How many mails each person has sent since then at most, without the person `besides`.

    A mail that is sent again counts for the person who invited.
    """
    new = case((invitations.c.invited_at > since, 1), else_=0)
    again = case((invitations.c.last_resent > since, invitations.c.resend_count), else_=0)
    person = func.lower(invitations.c.invited_by)
    sums = select(person, func.sum(new + again)).where(person != besides.lower())
    recent = or_(invitations.c.invited_at > since, invitations.c.last_resent > since)
    return {name: int(count) for name, count in sql.execute(sums.where(recent).group_by(person))}


def add(tx: Tx, invitation: Invitation) -> None:
    """Add an invitation."""
    tx.sql.execute(invitations.insert().values(**msgspec.structs.asdict(invitation)))


def update_fields(tx: Tx, id: str, /, **values: Any) -> None:
    """Change these columns of an invitation."""
    tx.sql.execute(update(invitations).where(invitations.c.id == id).values(**values))


def queue_mail(
    tx: Tx, invitation: Invitation, token: str, now: datetime, login: str | None = None
) -> None:
    """Queue a mail, in place of one that is still queued."""
    remove_queued_mail(tx, invitation.id)
    row = {"invitation": invitation.id, "number": invitation.resend_count, "token": token}
    row |= {"login": login}
    id = f"{invitation.id}.{invitation.resend_count}"
    tx.sql.execute(mails.insert().values(id=id, **row, due_at=now, attempts=0))


def remove_queued_mail(tx: Tx, invitation: str) -> None:
    """Delete the queued mail."""
    tx.sql.execute(delete(mails).where(mails.c.invitation == invitation))


def mail(sql: Connection, id: str) -> Mail | None:
    """A queued mail."""
    row = sql.execute(select(mails).where(mails.c.id == id)).one_or_none()
    if row is None:
        return None
    invitation = named(sql, row.invitation)
    name = names(sql, [invitation])[invitation.project]
    return Mail(
        invitation=invitation,
        project_name=name,
        number=row.number,
        token=row.token,
        login=row.login,
    )


def remove_mail(tx: Tx, id: str) -> None:
    """Delete a mail, and the token in it."""
    tx.sql.execute(delete(mails).where(mails.c.id == id))
