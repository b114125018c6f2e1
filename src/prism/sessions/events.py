"""The events of sessions and links; `subject` is the person, never a secret."""

from datetime import datetime
from typing import ClassVar, Self

from prism.kit.events import Event
from prism.sessions.model import BrowserSession, SessionClient


def about(session: BrowserSession, actor: str) -> dict[str, str]:
    """The fields that events of a session have."""
    return {
        "actor": actor,
        "subject": session.user,
        "session": session.id,
        "user": session.user,
    }


class SessionStarted(Event, frozen=True, kw_only=True):
    """Somebody logged in with a browser."""

    event: ClassVar[str] = "session_started"
    session: str
    user: str
    method: str
    address: str
    browser: str


class SessionEnded(Event, frozen=True, kw_only=True):
    """A session was ended before its time, by a logout or a revocation."""

    event: ClassVar[str] = "session_ended"
    session: str
    user: str


class LoginFailed(Event, frozen=True, kw_only=True):
    """Somebody tried a wrong password of an account."""

    event: ClassVar[str] = "login_failed"
    user: str
    address: str
    browser: str

    @classmethod
    def of(cls, user: str, client: SessionClient) -> Self:
        """The event of a person whose password was not right; nobody knows who tried."""
        return cls(
            actor="anonymous",
            subject=user,
            user=user,
            address=client.address,
            browser=client.browser,
        )


class LoginLinkCreated(Event, frozen=True, kw_only=True):
    """The operator made a one-time link for a person."""

    event: ClassVar[str] = "login_link_created"
    user: str
    expires_at: datetime


class LoginLinkWithheld(Event, frozen=True, kw_only=True):
    """Somebody asked for more links by mail than a person gets in a day."""

    event: ClassVar[str] = "login_link_withheld"
    user: str


def session_started(session: BrowserSession) -> SessionStarted:
    """The event of a login."""
    return SessionStarted(
        **about(session, session.user),
        method=session.method,
        address=session.address,
        browser=session.browser,
    )
