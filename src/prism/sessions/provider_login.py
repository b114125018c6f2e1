"""Lets people in whom an identity provider knows, and logs out whom it logs out."""

import hashlib
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import structs
from sqlalchemy import Connection

from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.sessions import store
from prism.sessions.groups import GroupRoles
from prism.sessions.model import Identity, LoginRefused, SessionClient, SessionMethod
from prism.sessions.oidc import Claims, LoginAttempt, OidcClient, refused
from prism.sessions.service import NewSession, SessionService

IsExpected = Callable[[Connection, str], bool]
ComesElsewhere = Callable[[Connection, str], bool]


class ProviderLogin:
    """Logins by an identity provider; `is_expected` knows members and invited people.

    `comes_elsewhere` knows who comes in by another way: no provider may say that an address is
    this person's, except that which is trusted with its domain.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sessions: SessionService,
        client: OidcClient,
        *,
        is_expected: IsExpected,
        comes_elsewhere: ComesElsewhere,
        group_roles: GroupRoles,
        label: str | None = None,
    ) -> None:
        self._db, self._clock, self._sessions = db, clock, sessions
        self.client, self._is_expected, self._group_roles = client, is_expected, group_roles
        self._comes_elsewhere = comes_elsewhere
        self.label = label or self.host

    @property
    def host(self) -> str:
        """The host of the provider."""
        return urlsplit(self.client.settings.issuer).netloc

    def finish(
        self,
        attempt: LoginAttempt | None,
        answer: Mapping[str, str],
        browser: SessionClient,
        cookie: str | None,
    ) -> NewSession:
        """Begin the session of whom the provider has sent; raises `LoginRefused`."""
        claims = self.client.finish(attempt, answer)
        login = hashlib.sha256(answer["state"].encode()).hexdigest()
        with self._db.write() as tx:
            if store.has_login(tx.sql, login):
                raise refused("this answer of the identity provider was used already")
            user = self._admitted(tx, claims)
            self._group_roles.follow(tx, user, claims.groups)
            new = self._sessions.begin(
                tx,
                user,
                SessionMethod.PROVIDER,
                browser,
                cookie,
                about={
                    "issuer": self.client.settings.issuer,
                    "subject": claims.subject,
                    "provider_session": claims.session,
                    "login": login,
                },
            )
            return structs.replace(new, hint=claims.hint)

    def log_out(self, token: str) -> int:
        """End the sessions that a logout token is about; those that began later stay.

        Sessions of command lines have the names of the session in which they were allowed.
        """
        logout, count = self.client.logout(token), 0
        with self._db.write() as tx:
            for session in store.of_provider(tx.sql, self.client.settings.issuer):
                is_meant = (
                    session.provider_session == logout.session
                    if logout.session is not None
                    else session.subject == logout.subject
                )
                if is_meant and session.created_at.timestamp() <= logout.at:
                    self._sessions.remove(tx, session, session.user)
                    count += 1
        return count

    def _admitted(self, tx: Tx, claims: Claims) -> str:
        """The person, who is made at the first login; raises `LoginRefused`."""
        if not claims.verified:
            raise refused(f"the identity provider has not verified {claims.email}")
        issuer, now = self.client.settings.issuer, whole(self._clock.now())
        known = store.identity(tx.sql, issuer, claims.subject)
        user = known.user if known else claims.email
        domain = user.rpartition("@")[2]
        is_of_domain = domain in self.client.settings.domains
        is_of_group = self._group_roles.gives(claims.groups)
        if not (is_of_domain or is_of_group or self._is_expected(tx.sql, user)):
            raise LoginRefused(
                f"{user} may not use this daemon",
                details="it is not a member, not invited, and of no domain or group that comes in",
                remediation="Ask the operator or an owner of a project for an invitation",
            )
        if known is None and store.has_identity(tx.sql, issuer, user):
            raise LoginRefused(
                f"{user} belongs to another account of the identity provider",
                details="an address that was given to somebody else gives no access",
                remediation="Ask the operator of this daemon",
            )
        if known is None and not is_of_domain and self._comes_elsewhere(tx.sql, user):
            raise LoginRefused(
                f"{user} comes in by another way",
                details="this identity provider is not trusted with addresses of its domain",
                remediation="Choose the other provider, or ask the operator of this daemon",
            )
        identity = known or Identity(
            issuer=issuer, subject=claims.subject, user=user, first_login=now, last_login=now
        )
        store.put_identity(tx, structs.replace(identity, last_login=now), is_new=known is None)
        return user
