"""Sessions of browsers, one-time links, and what their requests say."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from prism.access.model import Role, Scope, User
from prism.errors import Denied, NotFound, Unavailable, ValidationFailed
from prism.kit.envelope import Unauthenticated

IDLE_LIMIT = timedelta(hours=12)  # without a request
ABSOLUTE_LIMIT = timedelta(days=7)  # since the login
MOST_SESSIONS = 50  # of a person; a further login ends the one that was used least recently
LINK_MINUTES = 15
Secret = Annotated[str, Meta(min_length=1, max_length=512)]
Minutes = Annotated[int, Meta(ge=1, le=24 * 60, description="1 to 1440 minutes")]


class LoginRefused(Unauthenticated, code="LOGIN_REFUSED"):
    """You were not logged in."""


class LoginUnavailable(Denied, code="LOGIN_UNAVAILABLE"):
    """A browser cannot log in to this daemon."""


class ProviderUnavailable(Unavailable, code="IDENTITY_PROVIDER_UNAVAILABLE"):
    """The identity provider does not answer as it should."""


class SessionNotFound(NotFound, code="SESSION_NOT_FOUND"):
    """There is no session with that id."""


class SessionMethod(StrEnum):
    """How a session began."""

    LINK = "link"
    TOKEN = "token"
    PROVIDER = "provider"


class SessionClient(Struct, frozen=True):
    """What a login knows of the browser: its address, and what it calls itself."""

    address: str
    browser: str


class BrowserSession(Struct, frozen=True, kw_only=True):
    """A session as it is stored: only the hash of its secret."""

    id: str
    user: str
    hash: str
    method: SessionMethod
    token: str | None = None
    """The token that it began with; its rights are the session's, and its end is too."""
    created_at: datetime
    last_used: datetime
    expires_at: datetime
    """The absolute limit."""
    address: str
    browser: str
    issuer: str | None = None
    """The identity provider, if it began there; the next three are its names for the login."""
    subject: str | None = None
    provider_session: str | None = None
    login: str | None = None
    """A hash of the login's state, with which no second session begins."""

    @property
    def ends_at(self) -> datetime:
        """When it ends if it is not used again."""
        return min(self.expires_at, self.last_used + IDLE_LIMIT)


class SessionShown(Struct, frozen=True, kw_only=True):
    """A session in a list; `current` is the session of this request."""

    id: str
    user: str
    method: SessionMethod
    created_at: datetime
    last_used: datetime
    expires_at: datetime
    address: str
    browser: str
    current: bool


class EndedSessions(Struct, frozen=True):
    """The answer if sessions were ended."""

    message: str
    sessions: int
    tokens: int


class CodeKind(StrEnum):
    """What a one-time code is for."""

    LINK = "link"
    TERMINAL = "terminal"


class LoginCode(Struct, frozen=True, kw_only=True):
    """A one-time code as it is stored: of a link, or for the command line of a computer."""

    id: str
    kind: CodeKind
    user: str
    hash: str
    created_by: str
    expires_at: datetime
    challenge: str | None = None
    """A hash of the secret that the command line made; without that, the code is worth nothing."""
    computer: str | None = None
    parent: str | None = None
    """The token or session in which it was made."""


class AppStage(StrEnum):
    """How far a browser is on its way to an app."""

    ASKED = "asked"
    """The daemon has given it a code, in an address that no app sees."""
    GUIDED = "guided"
    """It has a cookie for the entrance, which no page can read."""
    ENTERED = "entered"
    """It has the app's own cookie."""


class AppSession(Struct, frozen=True, kw_only=True):
    """The session of a browser at the origin of one app, or a code for it, as it is stored."""

    id: str
    session: str
    workspace: str
    """Its id."""
    host: str
    hash: str
    stage: AppStage
    state: str
    """A hash of the secret of the browser that asked for it."""
    expires_at: datetime


class Identity(Struct, frozen=True, kw_only=True):
    """An account at an identity provider, and the person it belongs to."""

    issuer: str
    subject: str
    user: str
    first_login: datetime
    last_login: datetime


class NewLoginLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a one-time link for a person."""

    user: User
    minutes: Minutes = LINK_MINUTES


class CreatedLoginLink(Struct, frozen=True, kw_only=True):
    """A one-time link; its address is null in a repeated answer."""

    user: str
    expires_at: datetime
    url: str | None


class LoginRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a browser logs in: with the secret of a one-time link, or with a token."""

    link: Secret | None = None
    token: Secret | None = None

    def __post_init__(self) -> None:
        if (self.link is None) == (self.token is None):
            raise ValidationFailed.of(("link", "either this or `token`"))


class LoginAnswer(Struct, frozen=True):
    """Who is logged in now."""

    user: str


class ProviderLoginRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to log in at the identity provider; `to` is the page to go on with."""

    to: Annotated[str, Meta(max_length=500)] = "/"


class ProviderLoginAnswer(Struct, frozen=True):
    """The address at the identity provider."""

    url: str


class LogoutAnswer(Struct, frozen=True):
    """The answer to a logout."""

    message: str


class LoginWays(Struct, frozen=True, kw_only=True):
    """How a browser can log in here; `user` is who is logged in already."""

    user: str | None
    shared: bool
    """Whether people log in at all: the daemon of one person needs no login."""
    provider: str | None
    """The host of the identity provider; null without one."""
    problem: str | None
    """Why no browser can log in at this address; null if it can."""


class Myself(Struct, frozen=True, kw_only=True):
    """Who the caller is, and what they may do."""

    user: str
    operator: bool
    shared: bool
    scope: Scope
    token_project: str | None
    session: str | None
    roles: Mapping[str, Role]
    """By the id of the project."""
    apps_domain: str | None
    """The domain of the addresses of apps; null if browsers reach none on this shared daemon."""
    may_create_projects: bool
