"""Client methods for members, invitations, tokens, sessions and the audit log."""

from __future__ import annotations

import builtins

from prism.annotations import Iterable, Iterator, datetime
from prism.client.models import access, audit, invitations, projects, sessions
from prism.client.transport.request import UNSET, Noun, UnsetType, trim
from prism.client.transport.wire import HttpAnswer, Wire, query, quoted

TERMINAL_PAGE, DEVICE_PAGE = "/login/terminal", "/login/device"  # of the web GUI
AUDIT_PAGE = 1000  # entries, the most that a daemon sends at once


class Members(Noun):
    """Methods for the members of a project."""

    def list(self, project: str) -> builtins.list[projects.Member]:
        """The members of a project."""
        return self._ask("GET", _member_path(project), builtins.list[projects.Member])

    def add(
        self,
        project: str,
        email: str,
        role: access.Role | str = "member",
        *,
        until: datetime | None = None,
        at_end: projects.Leftover | str | None = None,
        to: str | None = None,
    ) -> projects.Member:
        """Make somebody a member; `at_end` says what happens to their workspaces at `until`."""
        body = projects.NewMembership(
            email=email,
            role=access.Role(role),
            until=until,
            at_end=_leftover(at_end),
            to=to,
        )
        return self._ask("POST", _member_path(project), projects.Member, trim(body))

    def change(
        self,
        project: str,
        email: str,
        role: access.Role | str | UnsetType = UNSET,
        *,
        until: datetime | UnsetType | None = UNSET,
        at_end: projects.Leftover | str | None = None,
        to: str | UnsetType | None = UNSET,
    ) -> projects.Member:
        """Give a member another role, or the membership another end; None removes the end."""
        body = projects.MemberChange(
            role=role if isinstance(role, UnsetType) else access.Role(role),
            until=until,
            at_end=UNSET if at_end is None else projects.Leftover(at_end),
            to=to,
        )
        return self._ask("PUT", _member_path(project, email), projects.Member, body)

    def remove(
        self,
        project: str,
        email: str,
        *,
        workspaces: projects.Leftover | str = "keep",
        to: str | None = None,
    ) -> projects.RemovedMember:
        """Remove a member; `workspaces` says what happens to theirs, `to` who gets them."""
        path = f"{_member_path(project, email)}{query(workspaces=str(workspaces), to=to)}"
        return self._ask("DELETE", path, projects.RemovedMember)


class Invitations(Noun):
    """Methods for invitations."""

    def send(
        self,
        project: str,
        email: str,
        role: access.Role | str = "member",
        message: str = "",
        *,
        until: datetime | None = None,
        at_end: projects.Leftover | str | None = None,
        to: str | None = None,
        key: str | None = None,
    ) -> invitations.InvitationShown:
        """Invite a person; repeated with the same `key`, it sends one invitation.

        `until`, `at_end` and `to` are about the membership, as in `Members.add`.
        """
        body = invitations.NewInvitation(
            project_id=project,
            email=email,
            role=access.Role(role),
            message=message,
            until=until,
            at_end=_leftover(at_end),
            to=to,
        )
        path = "/invitations/send"
        return self._ask("POST", path, invitations.InvitationShown, trim(body), key=key)

    def send_many(
        self,
        project: str,
        guests: Iterable[invitations.BulkInvitee],
        role: access.Role | str = "member",
        message: str = "",
        *,
        until: datetime | None = None,
        at_end: projects.Leftover | str | None = None,
        to: str | None = None,
        dry_run: bool = False,
    ) -> invitations.BulkInvitationAnswer:
        """Invite several people; `dry_run` only checks."""
        body = invitations.BulkInvitationRequest(
            project_id=project,
            invitations=tuple(guests),
            default_role=access.Role(role),
            default_message=message,
            until=until,
            at_end=_leftover(at_end),
            to=to,
            dry_run=dry_run,
        )
        path = "/invitations/bulk"
        return self._ask("POST", path, invitations.BulkInvitationAnswer, trim(body))

    def list(
        self, project: str, status: invitations.InvitationStatus | str | None = None
    ) -> invitations.InvitationList:
        """The invitations to a project."""
        path = f"/invitations/project/{quoted(project)}{query(status=status)}"
        return self._ask("GET", path, invitations.InvitationList)

    def mine(
        self, status: invitations.InvitationStatus | str | None = None
    ) -> invitations.InvitationList:
        """The invitations to you."""
        return self._ask(
            "GET", f"/invitations/me{query(status=status)}", invitations.InvitationList
        )

    def show(self, id: str) -> invitations.InvitationShown:
        """One invitation."""
        return self._ask("GET", f"/invitations/{quoted(id)}", invitations.InvitationShown)

    def accept(self, id: str, token: str | None = None) -> invitations.AcceptAnswer:
        """Join the project; whoever has logged in needs no token."""
        path = f"/invitations/{quoted(id)}/accept"
        return self._ask(
            "POST", path, invitations.AcceptAnswer, invitations.AcceptRequest(token=token)
        )

    def decline(
        self, id: str, token: str | None = None, reason: str = ""
    ) -> invitations.DeclineAnswer:
        """Do not join the project."""
        path = f"/invitations/{quoted(id)}/decline"
        body = invitations.DeclineRequest(token=token, reason=reason)
        return self._ask("POST", path, invitations.DeclineAnswer, body)

    def resend(self, id: str) -> invitations.ResendAnswer:
        """Send it again, with a new token."""
        return self._ask("POST", f"/invitations/{quoted(id)}/resend", invitations.ResendAnswer)

    def revoke(self, id: str) -> invitations.RevokedInvitation:
        """Take it back."""
        return self._ask("DELETE", f"/invitations/{quoted(id)}", invitations.RevokedInvitation)


class Tokens(Noun):
    """Methods for tokens."""

    def list(self) -> builtins.list[access.TokenShown]:
        """Your own; the operator sees everybody's."""
        return self._ask("GET", "/tokens", builtins.list[access.TokenShown])

    def create(
        self,
        name: str,
        *,
        user: str | None = None,
        scope: access.Scope | str = "operate",
        project: str | None = None,
        days: int = 90,
    ) -> access.CreatedToken:
        """Make a token; only this answer contains its secret, `token`."""
        body = access.NewToken(
            name=name, user=user, scope=access.Scope(scope), project=project, days=days
        )
        return self._ask("POST", "/tokens", access.CreatedToken, trim(body))

    def revoke(self, id: str) -> access.RevokedToken:
        """Revoke a token."""
        return self._ask("DELETE", f"/tokens/{quoted(id)}", access.RevokedToken)


class Sessions(Noun):
    """Methods for logins with a browser."""

    def me(self) -> sessions.Myself:
        """Who you are for the daemon, and what you may do."""
        return self._ask("GET", "/me", sessions.Myself)

    def list(self) -> builtins.list[sessions.SessionShown]:
        """Your own; the operator sees everybody's."""
        return self._ask("GET", "/sessions", builtins.list[sessions.SessionShown])

    def create_link(self, user: str, *, minutes: int = 15) -> sessions.CreatedLoginLink:
        """Make a link with which a person can log in once; only this answer contains it."""
        body = sessions.NewLoginLink(user=user, minutes=minutes)
        return self._ask("POST", "/login-links", sessions.CreatedLoginLink, body)

    def end(self, id: str) -> sessions.EndedSessions:
        """End a session, and revoke the tokens that were made in it."""
        return self._ask("DELETE", f"/sessions/{quoted(id)}", sessions.EndedSessions)

    def end_all(self, user: str | None = None) -> sessions.EndedSessions:
        """End all sessions of yours, or as the operator those of `user`."""
        return self._ask("DELETE", f"/sessions{query(user=user)}", sessions.EndedSessions)


class Logins(Noun):
    """Methods for logins of command lines; `prism login` and `prism logout` use them."""

    def ways(self) -> sessions.LoginWays:
        """How people log in here, and whether they do."""
        return self._ask("GET", "/login", sessions.LoginWays)

    def begin(self, code: str, verifier: str) -> sessions.TerminalSession:
        """Begin a session with the code that a browser has brought."""
        body = sessions.TerminalRequest(code=code, verifier=verifier)
        return self._ask("POST", "/login/terminal/session", sessions.TerminalSession, body)

    def start_device(self, computer: str) -> sessions.StartedDeviceLogin:
        """Get a code that a person types into a browser."""
        body = sessions.NewDeviceLogin(computer=computer)
        return self._ask("POST", "/login/device", sessions.StartedDeviceLogin, body)

    def poll_device(self, device_code: str) -> sessions.DeviceAnswer:
        """Whether somebody has typed the code, and then the session."""
        body = sessions.DevicePoll(device_code=device_code)
        return self._ask("POST", "/login/device/session", sessions.DeviceAnswer, body)

    def end(self) -> sessions.LogoutAnswer:
        """End the session whose token is sent."""
        return self._ask("POST", "/logout", sessions.LogoutAnswer)


class Audit(Noun):
    """Methods for the audit log."""

    def entries(
        self,
        *,
        actor: str | None = None,
        subject: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[audit.AuditEntry]:
        """Yield entries, the newest first; pages are fetched as they are read."""
        chosen = {"actor": actor, "subject": subject, "event": event}
        times = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        cursor: str | None = ""
        while cursor is not None:
            page, cursor = audit_page(
                self._wire, **chosen, **times, limit=AUDIT_PAGE, cursor=cursor or None
            )
            yield from self._wire.decoded(page, builtins.list[audit.AuditEntry], "GET /audit")


def audit_page(wire: Wire, **filters: object) -> tuple[HttpAnswer, str | None]:
    """One page of the audit log, and the cursor of the next, if there is one."""
    answer = wire.send("GET", f"/audit{query(**filters)}")
    next_one = answer.headers.get("link", "").partition("<")[2].partition(">")[0]
    words = next_one.partition("?")[2].split("&")
    cursors = [word.removeprefix("cursor=") for word in words if word.startswith("cursor=")]
    return answer, cursors[0] if cursors else None


def _leftover(at_end: projects.Leftover | str | None) -> projects.Leftover | None:
    return None if at_end is None else projects.Leftover(at_end)


def _member_path(project: str, email: str | None = None) -> str:
    path = f"/projects/{quoted(project)}/members"
    return path if email is None else f"{path}/{quoted(email)}"
