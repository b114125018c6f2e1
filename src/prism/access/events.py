"""The events of tokens; `subject` is the name, `token` the id, never the secret."""

from datetime import datetime
from typing import ClassVar

from prism.access.model import Scope, Token
from prism.kit.events import Event


def about(token: Token, actor: str) -> dict[str, str]:
    """The fields that all of these events have."""
    return {"actor": actor, "subject": token.name, "token": token.id, "user": token.user}


class TokenCreated(Event, frozen=True, kw_only=True):
    """A token was made."""

    event: ClassVar[str] = "token_created"
    token: str
    user: str
    scope: Scope
    expires_at: datetime


class TokenRevoked(Event, frozen=True, kw_only=True):
    """A token was revoked."""

    event: ClassVar[str] = "token_revoked"
    token: str
    user: str
