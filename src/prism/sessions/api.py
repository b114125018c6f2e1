"""Logging in and out, sessions, and who the caller is, over HTTP."""

import json
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from prism.access.model import current
from prism.kit.cookies import SESSION_COOKIE, cookie_of, set_cookie
from prism.kit.http import WITHOUT_KEY, header
from prism.kit.routes import Routes
from prism.sessions.model import (
    CreatedLoginLink,
    EndedSessions,
    LoginAnswer,
    LoginRequest,
    LoginUnavailable,
    LoginWays,
    LogoutAnswer,
    Myself,
    NewLoginLink,
    SessionClient,
    SessionShown,
)
from prism.sessions.plan import browser_name, cookie_problem
from prism.sessions.service import NewSession, SessionService

Sessions = NamedDependency[SessionService]
API = "/api/v1"
LINKS = f"{API}/login-links"
NO_LOGIN = "This daemon serves one person, who needs no login"
router = Routes(API, tags=["sessions"])


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """What logging in depends on: whether people share the daemon, and its address."""

    shared: bool
    public_url: str
    project_creation: str


Login = NamedDependency[LoginSettings]


@router.get("/me", sync_to_thread=False)
def show_myself(login: Login) -> Myself:
    """Who the caller is, and what they may do."""
    caller = current()
    may_create = login.project_creation == "everybody" and caller.scope == "admin"
    return Myself(
        user=caller.name,
        operator=caller.operator,
        shared=login.shared,
        scope=caller.scope,
        token_project=caller.token_project,
        session=caller.session,
        roles=caller.roles,
        may_create_projects=caller.operator or (may_create and caller.token_project is None),
    )


@router.get("/login", sync_to_thread=False)
def show_login_ways(request: Request[Any, Any, Any], login: Login) -> LoginWays:
    """How a browser can log in here."""
    caller, host = current(), header(request.scope, b"host").decode("latin-1").lower()
    return LoginWays(
        user=caller.name if caller.known else None,
        shared=login.shared,
        problem=cookie_problem(host, login.public_url) if login.shared else None,
    )


@router.post("/login", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def log_in(
    request: Request[Any, Any, Any],
    data: JSONBody[LoginRequest],
    sessions: Sessions,
    login: Login,
) -> Response[LoginAnswer]:
    """Begin a session: the answer sets its cookie. An earlier session of the browser ends."""
    check_login(request.scope, login)
    client, cookie = client_of(request.scope), cookie_of(request.scope, SESSION_COOKIE)
    if data.link is not None:
        return with_session(sessions.begin_with_link(data.link, client, cookie))
    return with_session(sessions.begin_with_token(data.token or "", client, cookie))


@router.post("/logout", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def log_out(request: Request[Any, Any, Any], sessions: Sessions) -> Response[LogoutAnswer]:
    """End the session of this browser; tokens that were made in it stay."""
    user = sessions.log_out(cookie_of(request.scope, SESSION_COOKIE))
    message = f"{user} is logged out" if user else "Nobody was logged in"
    removed = set_cookie(SESSION_COOKIE, "", 0)
    return Response(LogoutAnswer(message), headers={"Set-Cookie": removed})


@router.get("/sessions", sync_to_thread=True)
def list_sessions(sessions: Sessions) -> list[SessionShown]:
    """List your sessions, the last used one first; the operator sees everybody's."""
    return sessions.every()


@router.delete("/sessions", status_code=200, sync_to_thread=True)
def end_sessions(sessions: Sessions, user: FromQuery[str | None] = None) -> EndedSessions:
    """End all your sessions, or as the operator those of `user`, and what was made in them."""
    return sessions.end_all(user)


@router.delete("/sessions/{id:str}", status_code=200, sync_to_thread=True)
def end_session(id: FromPath[str], sessions: Sessions) -> EndedSessions:
    """End a session, and revoke every token that was made in it."""
    return sessions.end(id)


@router.post("/login-links", sync_to_thread=True)
def create_login_link(
    data: JSONBody[NewLoginLink], sessions: Sessions, login: Login
) -> CreatedLoginLink:
    """Make a link with which a person can log in once; only this answer contains it."""
    if not login.shared:
        raise LoginUnavailable(NO_LOGIN, remediation="Open the web GUI: `prism gui`")
    return sessions.create_link(data)


def check_login(scope: Any, login: LoginSettings) -> None:
    """Refuse a login at an address where a browser cannot keep a session."""
    if not login.shared:
        raise LoginUnavailable(NO_LOGIN, remediation="Open the web GUI: `prism gui`")
    host = header(scope, b"host").decode("latin-1").lower()
    if problem := cookie_problem(host, login.public_url):
        raise LoginUnavailable(
            details=problem,
            remediation="Set PRISM_PUBLIC_URL to an address that begins with `https://`",
        )


def client_of(scope: Any) -> SessionClient:
    """What a request tells of its browser."""
    agent = header(scope, b"user-agent").decode("latin-1")
    return SessionClient(str((scope.get("client") or ("",))[0]), browser_name(agent))


def with_session(new: NewSession) -> Response[LoginAnswer]:
    """The answer to a login, with the cookie."""
    cookie = set_cookie(SESSION_COOKIE, new.cookie, new.seconds)
    return Response(LoginAnswer(new.session.user), headers={"Set-Cookie": cookie})


def without_url(body: bytes) -> bytes:
    """The answer without the link, to store for a repeated request."""
    return json.dumps({**json.loads(body), "url": None}).encode()
