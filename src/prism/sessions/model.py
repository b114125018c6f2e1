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
TERMINAL_IDLE_LIMIT = timedelta(days=30)  # of a command line, which people use now and then
TERMINAL_LIMIT = timedelta(days=90)
MOST_SESSIONS = 50  # of a person; a further login ends the one that was used least recently
LINK_MINUTES = 15
MAILED_LINK = "mail"  # in place of what made a link: somebody asked for it on the login page
CODE_LIFE = timedelta(minutes=2)  # from the answer in the browser to the command
DEVICE_LIFE = timedelta(minutes=10)  # to type the code in a browser
POLL_SECONDS = 5
USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words; RFC 8628, 6.1
USER_CODE_LENGTH = 8
Secret = Annotated[str, Meta(min_length=1, max_length=512)]
Password = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00\ud800-\udfff]{1,512}$(?!\n)",
        description="1 to 512 characters without control characters",
    ),
]
Minutes = Annotated[int, Meta(ge=1, le=24 * 60, description="1 to 1440 minutes")]

Port = Annotated[int, Meta(ge=1024, le=65535, description="1024 to 65535")]
Challenge = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)", description="a SHA-256 in base64url")
]
Opaque = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._-]{16,200}$(?!\n)", description="16 to 200 letters or digits")
]
Computer = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$(?!\n)",
        description="a host name such as `laptop`",
    ),
]
UserCode = Annotated[str, Meta(min_length=1, max_length=40)]


class LoginRefused(Unauthenticated, code="LOGIN_REFUSED"):
    """You were not logged in."""


class LoginUnavailable(Denied, code="LOGIN_UNAVAILABLE"):
    """A browser cannot log in to this daemon."""


class ProviderUnavailable(Unavailable, code="IDENTITY_PROVIDER_UNAVAILABLE"):
    """The identity provider does not answer as it should."""


class AccountsUnavailable(Unavailable, code="ACCOUNTS_UNAVAILABLE"):
    """The accounts of this computer cannot be checked now."""


class SessionNotFound(NotFound, code="SESSION_NOT_FOUND"):
    """There is no session with that id."""


class SessionMethod(StrEnum):
    """How a session began."""

    LINK = "link"
    TOKEN = "token"
    PROVIDER = "provider"
    TERMINAL = "terminal"
    ACCOUNT = "account"


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
    parent: str | None = None
    """What it ends with: of a command line, the session of the browser that allowed it; of a
    one-time link, the token or session that made the link."""

    @property
    def is_terminal(self) -> bool:
        """Whether a command line has it, which sends no cookie."""
        return self.method is SessionMethod.TERMINAL

    @property
    def ends_at(self) -> datetime:
        """When it ends if it is not used again."""
        idle = TERMINAL_IDLE_LIMIT if self.is_terminal else IDLE_LIMIT
        return min(self.expires_at, self.last_used + idle)


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


class AccountRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to log in with an account of the daemon's computer."""

    name: Annotated[str, Meta(min_length=1, max_length=254)]
    """As at the computer's own login, or with `@` and the daemon's domain for accounts."""
    password: Password

    def __repr__(self) -> str:
        return f"AccountRequest(name={self.name!r})"


class LinkMailRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of somebody for a link that logs them in."""

    email: User


class LinkMailAnswer(Struct, frozen=True):
    """The answer to it, which is the same for every address."""

    message: str


class LoginAnswer(Struct, frozen=True):
    """Who is logged in now."""

    user: str


class ProviderLoginRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to log in at the identity provider; `to` is the page to go on with."""

    to: Annotated[str, Meta(max_length=500)] = "/"
    provider: Annotated[str, Meta(max_length=30)] = ""
    """Its name, as `GET /login` tells it; empty is the one of the settings."""


class ProviderLoginAnswer(Struct, frozen=True):
    """The address at the identity provider."""

    url: str


class LogoutAnswer(Struct, frozen=True):
    """The answer to a logout."""

    message: str
    provider_url: str | None
    """Where the person also logs out at the identity provider; null if there is nothing to end."""


class ProviderShown(Struct, frozen=True):
    """An identity provider on the login page."""

    name: str
    label: str


class LoginWays(Struct, frozen=True, kw_only=True):
    """How a browser can log in here; `user` is who is logged in already."""

    user: str | None
    shared: bool
    """Whether people log in at all: the daemon of one person needs no login."""
    provider: str | None
    """The host of the first identity provider; null without one."""
    providers: tuple[ProviderShown, ...]
    accounts: bool
    """Whether people log in with accounts of the daemon's computer."""
    mailed_links: bool
    """Whether people can ask for a link by mail."""
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
    until: Mapping[str, datetime]
    """When a role ends, by the id of the project; without those that have no end."""
    apps_domain: str | None
    """The domain of the addresses of apps; null if browsers reach none on this shared daemon."""
    may_create_projects: bool


class DeviceLoginNotFound(NotFound, code="DEVICE_LOGIN_NOT_FOUND"):
    """No command line waits with that code."""


class DeviceLogin(Struct, frozen=True, kw_only=True):
    """A command line without a browser that waits for somebody to allow it."""

    id: str
    hash: str
    user_code: str
    """The hash of what the person types."""
    computer: str
    address: str
    created_at: datetime
    expires_at: datetime
    polled_at: datetime | None = None
    interval: int = POLL_SECONDS
    allowed: bool | None = None
    parent: str | None = None
    """The session in which it was allowed."""


class TerminalApproval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person allows a command line on the computer of their browser, which listens on `port`."""

    port: Port
    challenge: Challenge
    state: Opaque
    computer: Computer


class ApprovedTerminal(Struct, frozen=True):
    """The address of the command line, with its one-time code."""

    url: str


class TerminalRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a command line shows for its session: the code that it got, and its own secret."""

    code: Opaque
    verifier: Opaque


class NewDeviceLogin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command line asks for a code that a person types into a browser."""

    computer: Computer


class StartedDeviceLogin(Struct, frozen=True, kw_only=True):
    """The codes of a login: `user_code` for the person, `device_code` for the command line."""

    device_code: str
    user_code: str
    expires_in: int
    """Seconds."""
    interval: int
    """Seconds between two questions whether somebody has answered."""


class DeviceState(StrEnum):
    """What has become of a login, in the words of RFC 8628, 3.5."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    ALLOWED = "allowed"


class DevicePoll(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question whether somebody has answered."""

    device_code: Opaque


class TerminalSession(Struct, frozen=True, kw_only=True):
    """The session of a command line; only this answer contains its token."""

    session: str
    user: str
    token: str
    expires_at: datetime
    """The latest end; it ends earlier if it is not used for 30 days."""


class DeviceAnswer(Struct, frozen=True, kw_only=True):
    """Whether somebody has answered, and then the session."""

    state: DeviceState
    interval: int
    session: TerminalSession | None = None


class UserCodeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that a person has typed."""

    user_code: UserCode


class UserCodeAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a person allows the command line with this code."""

    user_code: UserCode
    allow: bool


class DeviceLoginShown(Struct, frozen=True, kw_only=True):
    """Which command line waits, as it says, and from which address it has asked."""

    computer: str
    address: str
    created_at: datetime


class AnsweredDeviceLogin(Struct, frozen=True):
    """The answer to a person who has allowed or denied a command line."""

    message: str
