"""Members, invitations, tokens and the audit log, across the wire."""

import builtins
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from prism.access.model import Minted, NewToken, RevokedToken, Role, Scope, ShownToken
from prism.audit.model import MOST, AuditEntry
from prism.client.decoding import ask
from prism.client.wire import API, Wire, query, quoted
from prism.invitations.model import (
    Accept,
    Accepted,
    Bulk,
    Decline,
    Declined,
    Guest,
    InvitationShown,
    InvitationStatus,
    NewInvitation,
    Page,
    Resent,
    Results,
)
from prism.invitations.model import RevokedInvitation as TakenBack
from prism.projects.model import Leftover, Member, NewMember, RemovedMember, RoleChange


class Members:
    """What you may ask about the members of a project."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, project: str) -> builtins.list[Member]:
        """Who belongs to it."""
        return ask(self._wire, "GET", _members(project), builtins.list[Member])

    def add(self, project: str, email: str, role: Role = Role.MEMBER) -> Member:
        """Make somebody a member."""
        return ask(self._wire, "POST", _members(project), Member, NewMember(email, role))

    def change(self, project: str, email: str, role: Role) -> Member:
        """Give a member another role."""
        return ask(self._wire, "PUT", _members(project, email), Member, RoleChange(role))

    def remove(
        self,
        project: str,
        email: str,
        *,
        workspaces: Leftover | str = Leftover.KEEP,
        to: str | None = None,
    ) -> RemovedMember:
        """Let a member go; `workspaces` says what becomes of hers, `to` who gets them."""
        path = f"{_members(project, email)}{query(workspaces=str(workspaces), to=to)}"
        return ask(self._wire, "DELETE", path, RemovedMember)


class Invitations:
    """What you may ask about invitations."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def send(
        self,
        project: str,
        email: str,
        role: Role = Role.MEMBER,
        message: str = "",
        *,
        key: str | None = None,
    ) -> InvitationShown:
        """Invite somebody; the same `key` invites once."""
        body = NewInvitation(project_id=project, email=email, role=role, message=message)
        return ask(self._wire, "POST", "/invitations/send", InvitationShown, body, key=key)

    def send_many(
        self,
        project: str,
        guests: Iterable[Guest],
        role: Role = Role.MEMBER,
        message: str = "",
        *,
        dry_run: bool = False,
    ) -> Results:
        """Invite many; `dry_run` says what would be."""
        body = Bulk(
            project_id=project,
            invitations=tuple(guests),
            default_role=role,
            default_message=message,
            dry_run=dry_run,
        )
        return ask(self._wire, "POST", "/invitations/bulk", Results, body)

    def list(self, project: str, status: InvitationStatus | None = None) -> Page:
        """Those to a project."""
        path = f"/invitations/project/{quoted(project)}{query(status=status)}"
        return ask(self._wire, "GET", path, Page)

    def mine(self, status: InvitationStatus | None = None) -> Page:
        """Those to whoever asks."""
        return ask(self._wire, "GET", f"/invitations/me{query(status=status)}", Page)

    def show(self, id: str) -> InvitationShown:
        """One of them."""
        return ask(self._wire, "GET", f"/invitations/{quoted(id)}", InvitationShown)

    def accept(self, id: str, token: str) -> Accepted:
        """Join the project."""
        path = f"/invitations/{quoted(id)}/accept"
        return ask(self._wire, "POST", path, Accepted, Accept(token))

    def decline(self, id: str, token: str, reason: str = "") -> Declined:
        """Do not join the project."""
        path = f"/invitations/{quoted(id)}/decline"
        return ask(self._wire, "POST", path, Declined, Decline(token, reason))

    def resend(self, id: str) -> Resent:
        """Send it again, with a new token."""
        return ask(self._wire, "POST", f"/invitations/{quoted(id)}/resend", Resent)

    def revoke(self, id: str) -> TakenBack:
        """Take it back."""
        return ask(self._wire, "DELETE", f"/invitations/{quoted(id)}", TakenBack)


class Tokens:
    """What you may ask about tokens."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[ShownToken]:
        """Your own; the operator sees everybody's."""
        return ask(self._wire, "GET", "/tokens", builtins.list[ShownToken])

    def create(
        self,
        name: str,
        *,
        user: str | None = None,
        scope: Scope = Scope.OPERATE,
        project: str | None = None,
        days: int = 90,
    ) -> Minted:
        """Make one; `token` of the answer is shown this once."""
        body = NewToken(name=name, user=user, scope=scope, project=project, days=days)
        return ask(self._wire, "POST", "/tokens", Minted, body)

    def revoke(self, id: str) -> RevokedToken:
        """Make one useless."""
        return ask(self._wire, "DELETE", f"/tokens/{quoted(id)}", RevokedToken)


class Audit:
    """What you may ask of the audit log."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def entries(
        self,
        *,
        actor: str | None = None,
        subject: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[AuditEntry]:
        """Who did what, the newest first, page by page as it is read."""
        chosen = {"actor": actor, "subject": subject, "event": event}
        times = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        path = f"/audit{query(**chosen, **times, limit=MOST)}"
        while path:
            answer = self._wire.send("GET", path)
            yield from msgspec.json.decode(answer.content, type=builtins.list[AuditEntry])
            link = answer.headers.get("link", "")
            path = link.partition("<")[2].partition(">")[0].removeprefix(API)


def _members(project: str, email: str | None = None) -> str:
    path = f"/projects/{quoted(project)}/members"
    return path if email is None else f"{path}/{quoted(email)}"
