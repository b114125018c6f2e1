"""Ends tokens and sessions, with everything that was made with them.

A thief makes tokens, links and logins with what was stolen; those made with these end, too.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from prism.access import store
from prism.access.events import TokenRevoked, about
from prism.access.model import Caller, current
from prism.kit.db import Tx
from prism.kit.envelope import Unauthenticated


class MadeSessions(Protocol):
    """Sessions by what they were made with."""

    def made_with(self, sql: Connection, id: str) -> Sequence[str]:
        """The ids of sessions that began with a token, in a session, or with a link from there."""

    def exists(self, sql: Connection, id: str) -> bool:
        """Whether nobody has ended this session."""

    def end(self, tx: Tx, id: str, actor: str) -> bool:
        """End a session, if it is one; codes and links that were made with this id end too."""


class MadeWebhooks(Protocol):
    """Webhooks by what they were made with."""

    def end_made_with(self, tx: Tx, id: str, actor: str) -> None:
        """Remove the webhooks that were made with this token, or in this session."""


class EndedFamily(NamedTuple):
    """How many tokens and sessions ended."""

    tokens: int
    sessions: int


class Revocation:
    """Revokes within the transaction of a request."""

    def __init__(self, sessions: MadeSessions, webhooks: MadeWebhooks) -> None:
        self._sessions, self._webhooks = sessions, webhooks

    def require_living(self, tx: Tx, caller: Caller) -> None:
        """Raise if the caller's token or session was ended since the request was let in.

        What it makes now would be found by no revocation any more.
        """
        is_token_gone = caller.token is not None and store.by_id(tx.sql, caller.token) is None
        session = caller.session
        if is_token_gone or (session is not None and not self._sessions.exists(tx.sql, session)):
            raise Unauthenticated("Your token or session has ended", remediation="Log in again")

    def end(self, tx: Tx, ids: Iterable[str]) -> EndedFamily:
        """End these tokens and sessions, and their descendants before them."""
        family = list(dict.fromkeys(ids))
        for id in family:
            tokens = [token.id for token in store.made_by(tx.sql, id)]
            children = (*tokens, *self._sessions.made_with(tx.sql, id))
            family += [each for each in children if each not in family]
        count = EndedFamily(0, 0)
        for id in reversed(family):
            self._webhooks.end_made_with(tx, id, current().name)
            revoked, ended = _revoke(tx, id), self._sessions.end(tx, id, current().name)
            count = EndedFamily(count.tokens + revoked, count.sessions + ended)
        return count

    def of_project(self, tx: Tx, user: str, project: str) -> int:
        """End a user's tokens that are limited to a project; the number of all tokens ended."""
        tokens = store.every(tx.sql, user.lower())
        return self.end(tx, [token.id for token in tokens if token.project == project]).tokens


def _revoke(tx: Tx, id: str) -> bool:
    token = store.by_id(tx.sql, id)
    if token is None:
        return False
    store.remove(tx, id)
    tx.happened(TokenRevoked(**about(token, current().name)))
    return True
