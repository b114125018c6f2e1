"""Members, invitations, tokens and the audit log, across the wire."""

from __future__ import annotations

import builtins

from prism.client.request import LazyModule, ask, given
from prism.client.wire import Noun, query, quoted

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from prism.access import model as access
    from prism.audit import model as audit
    from prism.client.wire import HttpAnswer, Wire
    from prism.invitations import model as invitations
    from prism.projects import model as projects
else:
    access = LazyModule("prism.access.model")
    audit = LazyModule("prism.audit.model")
    invitations = LazyModule("prism.invitations.model")
    projects = LazyModule("prism.projects.model")

AUDIT_PAGE = 1000  # entries, the most that a daemon sends at once


class Members(Noun):
    """What you may ask about the members of a project."""

    def list(self, project: str) -> builtins.list[projects.Member]:
        """Who belongs to it."""
        return ask(self._wire, "GET", _members(project), builtins.list[projects.Member])

    def add(self, project: str, email: str, role: access.Role | str = "member") -> projects.Member:
        """Make somebody a member."""
        return ask(
            self._wire,
            "POST",
            _members(project),
            projects.Member,
            projects.NewMember(email=email, role=access.Role(role)),
        )

    def change(self, project: str, email: str, role: access.Role | str) -> projects.Member:
        """Give a member another role."""
        return ask(
            self._wire,
            "PUT",
            _members(project, email),
            projects.Member,
            projects.RoleChange(role=access.Role(role)),
        )

    def remove(
        self,
        project: str,
        email: str,
        *,
        workspaces: projects.Leftover | str = "keep",
        to: str | None = None,
    ) -> projects.RemovedMember:
        """Let a member go; `workspaces` says what becomes of hers, `to` who gets them."""
        path = f"{_members(project, email)}{query(workspaces=str(workspaces), to=to)}"
        return ask(self._wire, "DELETE", path, projects.RemovedMember)


class Invitations(Noun):
    """What you may ask about invitations."""

    def send(
        self,
        project: str,
        email: str,
        role: access.Role | str = "member",
        message: str = "",
        *,
        key: str | None = None,
    ) -> invitations.InvitationShown:
        """Invite somebody; the same `key` invites once."""
        body = invitations.NewInvitation(
            project_id=project, email=email, role=access.Role(role), message=message
        )
        return ask(
            self._wire, "POST", "/invitations/send", invitations.InvitationShown, body, key=key
        )

    def send_many(
        self,
        project: str,
        guests: Iterable[invitations.Guest],
        role: access.Role | str = "member",
        message: str = "",
        *,
        dry_run: bool = False,
    ) -> invitations.Results:
        """Invite many; `dry_run` says what would be."""
        body = invitations.Bulk(
            project_id=project,
            invitations=tuple(guests),
            default_role=access.Role(role),
            default_message=message,
            dry_run=dry_run,
        )
        return ask(self._wire, "POST", "/invitations/bulk", invitations.Results, body)

    def list(
        self, project: str, status: invitations.InvitationStatus | str | None = None
    ) -> invitations.Page:
        """Those to a project."""
        path = f"/invitations/project/{quoted(project)}{query(status=status)}"
        return ask(self._wire, "GET", path, invitations.Page)

    def mine(self, status: invitations.InvitationStatus | str | None = None) -> invitations.Page:
        """Those to whoever asks."""
        return ask(self._wire, "GET", f"/invitations/me{query(status=status)}", invitations.Page)

    def show(self, id: str) -> invitations.InvitationShown:
        """One of them."""
        return ask(self._wire, "GET", f"/invitations/{quoted(id)}", invitations.InvitationShown)

    def accept(self, id: str, token: str) -> invitations.Accepted:
        """Join the project."""
        path = f"/invitations/{quoted(id)}/accept"
        return ask(self._wire, "POST", path, invitations.Accepted, invitations.Accept(token=token))

    def decline(self, id: str, token: str, reason: str = "") -> invitations.Declined:
        """Do not join the project."""
        path = f"/invitations/{quoted(id)}/decline"
        return ask(
            self._wire,
            "POST",
            path,
            invitations.Declined,
            invitations.Decline(token=token, reason=reason),
        )

    def resend(self, id: str) -> invitations.Resent:
        """Send it again, with a new token."""
        return ask(self._wire, "POST", f"/invitations/{quoted(id)}/resend", invitations.Resent)

    def revoke(self, id: str) -> invitations.RevokedInvitation:
        """Take it back."""
        return ask(
            self._wire, "DELETE", f"/invitations/{quoted(id)}", invitations.RevokedInvitation
        )


class Tokens(Noun):
    """What you may ask about tokens."""

    def list(self) -> builtins.list[access.ShownToken]:
        """Your own; the operator sees everybody's."""
        return ask(self._wire, "GET", "/tokens", builtins.list[access.ShownToken])

    def create(
        self,
        name: str,
        *,
        user: str | None = None,
        scope: access.Scope | str = "operate",
        project: str | None = None,
        days: int = 90,
    ) -> access.Minted:
        """Make one; `token` of the answer is shown this once."""
        body = given(
            access.NewToken(
                name=name, user=user, scope=access.Scope(scope), project=project, days=days
            )
        )
        return ask(self._wire, "POST", "/tokens", access.Minted, body)

    def revoke(self, id: str) -> access.RevokedToken:
        """Make one useless."""
        return ask(self._wire, "DELETE", f"/tokens/{quoted(id)}", access.RevokedToken)


class Audit(Noun):
    """What you may ask of the audit log."""

    def entries(
        self,
        *,
        actor: str | None = None,
        subject: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[audit.AuditEntry]:
        """Who did what, the newest first, page by page as it is read."""
        chosen = {"actor": actor, "subject": subject, "event": event}
        times = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        cursor: str | None = ""
        while cursor is not None:
            page, cursor = audit_page(
                self._wire, **chosen, **times, limit=AUDIT_PAGE, cursor=cursor or None
            )
            found: builtins.list[audit.AuditEntry]
            found = self._wire.decoded(page, builtins.list[audit.AuditEntry], "GET /audit")
            yield from found


def audit_page(wire: Wire, **asked: object) -> tuple[HttpAnswer, str | None]:
    """One page of the audit log, and the cursor of the next, if there is one."""
    answer = wire.send("GET", f"/audit{query(**asked)}")
    next_one = answer.headers.get("link", "").partition("<")[2].partition(">")[0]
    words = next_one.partition("?")[2].split("&")
    cursors = [word.removeprefix("cursor=") for word in words if word.startswith("cursor=")]
    return answer, cursors[0] if cursors else None


def _members(project: str, email: str | None = None) -> str:
    path = f"/projects/{quoted(project)}/members"
    return path if email is None else f"{path}/{quoted(email)}"
