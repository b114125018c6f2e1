"""Begins, checks, lists and ends sessions."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct, structs
from sqlalchemy import Connection

from prism.access.model import Caller, PermissionDenied, current
from prism.access.revocation import Revocation
from prism.access.service import (
    LAST_USED_INTERVAL,
    NO_HASH,
    PREFIX,
    SECRET,
    TokenService,
    hashed,
)
from prism.kit.clock import Clock, whole
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.look_alike_names import require_honest_address
from prism.sessions import store
from prism.sessions.events import LoginLinkCreated, SessionEnded, about, session_started
from prism.sessions.model import (
    ABSOLUTE_LIMIT,
    MAILED_LINK,
    MOST_SESSIONS,
    TERMINAL_LIMIT,
    BrowserSession,
    CodeKind,
    CreatedLoginLink,
    EndedSessions,
    LoginCode,
    LoginRefused,
    NewLoginLink,
    SessionClient,
    SessionMethod,
    SessionNotFound,
    SessionShown,
)

TOKEN_ID, INVITATION_ID = "tok_", "inv_"  # how ids of tokens and invitations begin
TERMINAL_PREFIX = f"{PREFIX}ses_"  # of what a command line sends as its token
NEW_LINK = "Ask the operator for a new link: `prism login-link YOU@EXAMPLE.ORG`"


class LinkMaker(NamedTuple):
    """The token or session with which a link was made, if any, and when it ends."""

    parent: str | None = None
    ends_at: datetime | None = None


class NewSession(Struct, frozen=True):
    """A session with its secret, which only its browser gets."""

    session: BrowserSession
    secret: str
    hint: str | None = None
    """What a logout at the identity provider may need, if it began there."""

    @property
    def cookie(self) -> str:
        """The value of its cookie."""
        return f"{self.session.id}.{self.secret}"

    @property
    def seconds(self) -> int:
        """How long the browser keeps it."""
        return int((self.session.expires_at - self.session.created_at).total_seconds())


class SessionService:
    """Begins, checks, lists and ends sessions; `address` is that of the web GUI.

    `is_open` tells whether mailed links, of an invitation or not, may be used.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        tokens: TokenService,
        revocation: Revocation,
        is_open: Callable[[Connection, str], bool],
        *,
        address: str,
    ) -> None:
        self._db, self._clock, self._tokens, self._address = db, clock, tokens, address
        self._revocation, self._is_open = revocation, is_open

    def of_token(self, token: str) -> Caller | None:
        """The caller with this token, or with that of a command line; None if it is not valid."""
        if not token.startswith(TERMINAL_PREFIX):
            return self._tokens.authenticate(token)
        return self._of_secret(token.removeprefix(PREFIX), is_terminal=True, is_use=True)

    def of_session(self, cookie: str, *, is_use: bool) -> Caller | None:
        """The caller with this cookie; None if the session has ended.

        `is_use` is whether the request counts for the limit of a session that is not used.
        """
        return self._of_secret(cookie, is_terminal=False, is_use=is_use)

    def _of_secret(self, words: str, *, is_terminal: bool, is_use: bool) -> Caller | None:
        with self._db.read() as sql:
            session = self._session(sql, words, is_terminal=is_terminal)
            caller = self._caller(sql, session) if session else None
        if session is None or caller is None:
            return None
        if is_use:
            self.used(session)
        return caller

    def used(self, session: BrowserSession) -> None:
        """Record that it was used now."""
        now = self._clock.now()
        if now - session.last_used >= LAST_USED_INTERVAL:
            # A database that cannot be written may still answer this request.
            with suppress(DatabaseUnavailable), self._db.write() as tx:
                store.used(tx, session.id, whole(now))

    def by_id(self, sql: Connection, id: str) -> tuple[BrowserSession, Caller] | None:
        """A session that has not ended, and its caller."""
        session = store.by_id(sql, id)
        if session is None or session.ends_at <= self._clock.now():
            return None
        caller = self._caller(sql, session)
        return None if caller is None else (session, caller)

    def with_current_rights(self, caller: Caller) -> Caller | None:
        """The same caller with the present rights; None if token or session have ended."""
        if caller.session is None:
            return self._tokens.with_current_rights(caller)
        with self._db.read() as sql:
            return self.caller_of(sql, caller.session)

    def caller_of(self, sql: Connection, id: str) -> Caller | None:
        """The caller of a session; None if it has ended."""
        living = self.by_id(sql, id)
        return living[1] if living else None

    def create_link(self, request: NewLoginLink) -> CreatedLoginLink:
        """Make a one-time link for a person; only this answer contains its secret."""
        caller, now, secret = current(), whole(self._clock.now()), secrets.token_urlsafe(SECRET)
        require_honest_address(request.user.lower())
        link = LoginCode(
            id=sortable_id("lnk", self._clock.now()),
            kind=CodeKind.LINK,
            user=request.user.lower(),
            hash=hashed(secret),
            created_by=caller.name,
            expires_at=now + timedelta(minutes=request.minutes),
            parent=caller.token or caller.session,
        )
        with self._db.write() as tx:
            self._revocation.require_living(tx, caller)
            store.prune(tx, now)
            store.add_code(tx, link)
            tx.happened(
                LoginLinkCreated(
                    actor=caller.name,
                    subject=link.user,
                    user=link.user,
                    expires_at=link.expires_at,
                )
            )
        url = f"{self._address}/login#{link.id}.{secret}"
        return CreatedLoginLink(user=link.user, expires_at=link.expires_at, url=url)

    def begin_with_link(
        self, words: str, client: SessionClient, cookie: str | None = None
    ) -> NewSession:
        """Begin a session with the secret of a one-time link, which it uses up."""
        with self._db.write() as tx:
            link = self.take_code(tx, words, CodeKind.LINK)
            maker = self._maker(tx.sql, link) if link else None
            if link is not None and maker is not None:
                about, until = {"parent": maker.parent}, maker.ends_at
                method = SessionMethod.LINK
                return self.begin(tx, link.user, method, client, cookie, about=about, until=until)
        raise LoginRefused(  # outside of the transaction, which has used the link up
            "The link is not valid any more",
            details="it was used already or withdrawn, has expired, or is of another daemon",
            remediation=NEW_LINK,
        )

    def _maker(self, sql: Connection, link: LoginCode) -> LinkMaker | None:
        """What ends the session of a link; None if it has ended already.

        A thief may have made the link with a stolen token, or in a stolen session.
        """
        parent = link.parent or ""
        if parent.startswith(TOKEN_ID):
            holder = self._tokens.holder(sql, parent)
            return LinkMaker(parent, holder.token_expires_at) if holder else None
        if parent == MAILED_LINK or parent.startswith(INVITATION_ID):
            return LinkMaker() if self._is_open(sql, parent) else None
        return LinkMaker(link.parent)

    def take_code(self, tx: Tx, words: str, kind: CodeKind) -> LoginCode | None:
        """The valid code with these words, which nobody can use again."""
        id, _, secret = words.partition(".")
        code = store.code_by_id(tx.sql, id)
        matches = hmac.compare_digest(hashed(secret), code.hash if code else NO_HASH)
        if code is None or not matches or code.kind is not kind:
            return None
        store.remove_code(tx, id)
        return code if code.expires_at > self._clock.now() else None

    def begin_with_token(
        self, credential: str, client: SessionClient, cookie: str | None = None
    ) -> NewSession:
        """Begin a session that has the rights of a token and ends with it."""
        holder = self._tokens.authenticate(credential.strip())
        if holder is None or holder.token is None:
            raise LoginRefused(
                "The token is not valid",
                details="it was revoked, has expired, or is of another daemon",
                remediation=NEW_LINK,
            )
        with self._db.write() as tx:
            return self.begin(tx, holder.name, SessionMethod.TOKEN, client, cookie, holder=holder)

    def begin(
        self,
        tx: Tx,
        user: str,
        method: SessionMethod,
        client: SessionClient,
        cookie: str | None,
        *,
        holder: Caller | None = None,
        about: Mapping[str, str | None] | None = None,
        until: datetime | None = None,
    ) -> NewSession:
        """Begin a session with a new secret; the one that the browser had, `cookie`, ends.

        `about` are further columns: what an identity provider calls the login, or the parent.
        It ends at `until`, or earlier.
        """
        now, secret = whole(self._clock.now()), secrets.token_urlsafe(SECRET)
        session = BrowserSession(
            id=sortable_id("ses", self._clock.now()),
            user=user,
            hash=hashed(secret),
            method=method,
            token=holder.token if holder else None,
            created_at=now,
            last_used=now,
            expires_at=_limit(now, method, holder.token_expires_at if holder else until),
            address=client.address,
            browser=client.browser,
            **(about or {}),
        )
        store.prune(tx, now)
        if cookie and (earlier := self._session(tx.sql, cookie)):
            self.remove(tx, earlier, user)
        for surplus in store.living(tx.sql, user, now)[MOST_SESSIONS - 1 :]:
            self.remove(tx, surplus, user)
        store.add(tx, session)
        tx.happened(session_started(session))
        return NewSession(session, secret)

    def every(self) -> list[SessionShown]:
        """The caller's sessions; for the operator, everybody's."""
        caller = current()
        user = None if caller.operator else caller.name.lower()
        with self._db.read() as sql:
            sessions = store.living(sql, user, self._clock.now())
        return [_shown(session, caller) for session in sessions]

    def end(self, id: str) -> EndedSessions:
        """End a session, and revoke all tokens that were made in it."""
        caller = current()
        with self._db.write() as tx:
            session = store.by_id(tx.sql, id)
            if session is None or not (caller.operator or session.user == caller.name.lower()):
                raise SessionNotFound(
                    f"BrowserSession {id!r} not found",
                    remediation="Use `prism session list` to see your sessions",
                )
            return self._revoke(tx, [session])

    def end_all(self, user: str | None) -> EndedSessions:
        """End all sessions of a person, by default the caller's; also the one of this request."""
        caller = current()
        user = (user or caller.name).lower()
        if user != caller.name.lower() and not caller.operator:
            raise PermissionDenied(
                "Only the operator may end sessions of other people",
                details=f"You are {caller.name}",
                remediation="Ask the operator of this daemon",
            )
        with self._db.write() as tx:
            store.remove_links_of(tx, user)
            return self._revoke(tx, store.living(tx.sql, user, self._clock.now()))

    def log_out(self, cookie: str | None, terminal: str | None = None) -> BrowserSession | None:
        """End the session of a browser, or `terminal`; None if it had ended before.

        Tokens that were made in it stay, and so do command lines.
        """
        with self._db.write() as tx:
            session = store.by_id(tx.sql, terminal) if terminal else None
            session = session or (self._session(tx.sql, cookie) if cookie else None)
            if session:
                self.remove(tx, session, session.user)
            return session

    def _revoke(self, tx: Tx, sessions: list[BrowserSession]) -> EndedSessions:
        """End sessions, with the logins and tokens that were made in them."""
        tokens, count = self._revocation.end(tx, [session.id for session in sessions])
        note = f", and {tokens} made there revoked" if tokens else ""
        words = "1 session" if count == 1 else f"{count} sessions"
        return EndedSessions(f"{words} ended{note}", count, tokens)

    def remove(self, tx: Tx, session: BrowserSession, actor: str) -> None:
        """End a session; what was made in it stays."""
        store.remove_alone(tx, session.id)
        tx.happened(SessionEnded(**about(session, actor)))

    def _session(
        self, sql: Connection, words: str, *, is_terminal: bool = False
    ) -> BrowserSession | None:
        """The session with this secret; None if it has ended, or is of the other kind."""
        id, _, secret = words.partition(".")
        session = store.by_id(sql, id)
        matches = hmac.compare_digest(hashed(secret), session.hash if session else NO_HASH)
        if session is None or not matches or session.ends_at <= self._clock.now():
            return None
        return session if session.is_terminal is is_terminal else None

    def _caller(self, sql: Connection, session: BrowserSession) -> Caller | None:
        caller = (
            self._tokens.holder(sql, session.token)
            if session.token
            else self._tokens.person(sql, session.user)
        )
        if caller is None:
            return None
        return structs.replace(
            caller,
            session=session.id,
            session_ends_at=session.ends_at,
            is_terminal=session.is_terminal,
        )


def _limit(now: datetime, method: SessionMethod, end: datetime | None) -> datetime:
    """When a new session ends at the latest: not after the `end` of its token."""
    latest = now + (TERMINAL_LIMIT if method is SessionMethod.TERMINAL else ABSOLUTE_LIMIT)
    return latest if end is None else min(latest, end)


def _shown(session: BrowserSession, caller: Caller) -> SessionShown:
    fields = {name: getattr(session, name) for name in SessionShown.__struct_fields__[:-1]}
    fields["expires_at"] = session.ends_at
    return SessionShown(**fields, current=session.id == caller.session)
