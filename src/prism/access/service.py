"""Makes, revokes and checks tokens."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec import structs
from sqlalchemy import Connection

from prism.access import store
from prism.access.events import TokenCreated, about
from prism.access.model import (
    Caller,
    CreatedToken,
    Memberships,
    NewToken,
    PermissionDenied,
    PersonRoles,
    Role,
    Scope,
    Token,
    TokenNotFound,
    TokenShown,
    current,
)
from prism.access.plan import token_covers
from prism.access.revocation import Revocation
from prism.kit.clock import Clock, whole
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.db import Database
from prism.kit.ids import sortable_id
from prism.kit.look_alike_names import require_honest_address

PREFIX = "prism_"  # lets proxies and scanners recognise our secrets
SECRET = 32  # bytes: 256 bits
LAST_USED_INTERVAL = timedelta(minutes=1)  # how often a use is written down
NO_HASH = hashlib.sha256(b"").hexdigest()  # compared with if there is no such token


class TokenService:
    """Makes, revokes and checks tokens; `operator` is the user who runs the daemon."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        operator: str,
        memberships: Memberships,
        revocation: Revocation,
    ) -> None:
        self._db, self._clock, self._revocation = db, clock, revocation
        self._operator, self._memberships = operator.lower(), memberships

    def authenticate(self, credential: str) -> Caller | None:
        """The caller with this token; None if the token is not valid."""
        id, _, secret = credential.removeprefix(PREFIX).partition(".")
        now = self._clock.now()
        with self._db.read() as sql:
            token = store.by_id(sql, id)
            matches = hmac.compare_digest(hashed(secret), token.hash if token else NO_HASH)
            if token is None or not matches or token.expires_at <= now:
                return None
            caller = self._caller(sql, token)
        if token.last_used is None or now - token.last_used >= LAST_USED_INTERVAL:
            # A database that cannot be written may still answer this request.
            with suppress(DatabaseUnavailable), self._db.write() as tx:
                store.used(tx, token.id, whole(now))
        return caller

    def with_current_rights(self, caller: Caller) -> Caller | None:
        """The same caller with the present rights; None if the token is no longer valid."""
        with self._db.read() as sql:
            return self.holder(sql, caller.token) if caller.token else None

    def holder(self, sql: Connection, id: str) -> Caller | None:
        """The caller that a token stands for; None if the token is no longer valid."""
        token = store.by_id(sql, id)
        if token is None or token.expires_at <= self._clock.now():
            return None
        return self._caller(sql, token)

    def person(self, sql: Connection, user: str) -> Caller:
        """A person with all of their rights."""
        operator, present = user == self._operator, self._memberships.roles_of(sql, user)
        return Caller(
            name=user,
            operator=operator,
            roles=present.roles,
            role_ends=present.ends,
            team=True,
        )

    def every(self) -> list[TokenShown]:
        """The caller's tokens; for the operator, everybody's."""
        caller = current()
        with self._db.read() as sql:
            tokens = store.every(sql, None if caller.operator else caller.name.lower())
        return [_shown(token) for token in tokens if token_covers(caller, token.project)]

    def create(self, request: NewToken) -> CreatedToken:
        """Make a token; only this answer contains its secret."""
        caller, now, secret = current(), whole(self._clock.now()), secrets.token_urlsafe(SECRET)
        user = (request.user or caller.name).lower()
        require_honest_address(user)
        with self._db.write() as tx:
            project = request.project and self._memberships.id_of(tx.sql, request.project)
            self._check(caller, user, request.scope, project)
            self._revocation.require_living(tx, caller)
            token = Token(
                id=sortable_id("tok", self._clock.now()),
                name=request.name,
                user=user,
                scope=request.scope,
                project=project,
                hash=hashed(secret),
                created_by=caller.name,
                parent=caller.token or caller.session,
                created_at=now,
                expires_at=_capped_end(caller, now + timedelta(days=request.days)),
            )
            store.add(tx, token)
            fields = about(token, caller.name)
            created = TokenCreated(**fields, scope=token.scope, expires_at=token.expires_at)
            tx.happened(created)
        return CreatedToken(**structs.asdict(_shown(token)), token=f"{PREFIX}{token.id}.{secret}")

    def revoke(self, id: str) -> tuple[TokenShown, int]:
        """Revoke a token, and all that was made with it; return the number of other tokens."""
        actor = current()
        with self._db.write() as tx:
            token = store.by_id(tx.sql, id)
            may_revoke = token is not None and (
                actor.operator
                or (token.user == actor.name.lower() and token_covers(actor, token.project))
            )
            if token is None or not may_revoke:
                raise TokenNotFound(
                    f"Token {id!r} not found",
                    remediation="Use `prism token list` to see your tokens",
                )
            return _shown(token), self._revocation.end(tx, [id]).tokens - 1

    def _check(self, caller: Caller, user: str, scope: Scope, project: str | None) -> None:
        """Raise if the new token would have more rights than the caller's."""
        if user != caller.name.lower() and not caller.operator:
            raise PermissionDenied(
                "Only the operator may make tokens for other people",
                details=f"You are {caller.name}",
                remediation="Ask the operator of this daemon",
            )
        if scope is Scope.METRICS and (not caller.operator or project is not None):
            raise PermissionDenied(
                "Only the operator may make tokens for the metrics, and not for one project",
                details="the metrics are about everything that the daemon does",
                remediation="Ask the operator: `prism token create NAME --scope metrics`",
            )
        if scope.rank > caller.scope.rank or not token_covers(caller, project):
            raise PermissionDenied(
                "A token cannot make a token with more rights",
                remediation="Use a token of a wider scope",
            )
        if project is not None and not caller.operator and project not in caller.roles:
            raise PermissionDenied("You do not belong to that project")

    def _caller(self, sql: Connection, token: Token) -> Caller:
        operator, present = token.user == self._operator, PersonRoles()
        roles: Mapping[str, Role]
        if operator and token.project is not None:
            roles = {token.project: Role.OWNER}
        else:
            present = self._memberships.roles_of(sql, token.user)
            roles = {id: role for id, role in present.roles.items() if token.project in {None, id}}
        return Caller(
            name=token.user,
            scope=token.scope,
            operator=operator and token.project is None,
            roles=roles,
            role_ends={id: end for id, end in present.ends.items() if id in roles},
            team=True,
            token=token.id,
            token_project=token.project,
            token_expires_at=token.expires_at,
        )


def hashed(secret: str) -> str:
    """The stored hash of a secret; a secret has 256 random bits, so one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def expired(caller: Caller, now: datetime) -> bool:
    """Whether the caller's token or session has ended, or a role since it was read."""
    ends = (caller.token_expires_at, caller.session_ends_at, caller.roles_end_at)
    return any(end is not None and end <= now for end in ends)


def _capped_end(caller: Caller, end: datetime) -> datetime:
    """When a new token ends: not after the token that it is made with."""
    return end if caller.token_expires_at is None else min(end, caller.token_expires_at)


def _shown(token: Token) -> TokenShown:
    return TokenShown(**{name: getattr(token, name) for name in TokenShown.__struct_fields__})
