"""Logging in and out, sessions, and who the caller is, over HTTP."""

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ASGIApp

from prism.access.model import current
from prism.kit.cookies import (
    HINT_COOKIE,
    HINT_PATH,
    LOGIN_COOKIE,
    SESSION_COOKIE,
    cookie_of,
    set_cookie,
)
from prism.kit.http import PASSED_ON_KEY, RAW, WITHOUT_KEY, header, redirect
from prism.kit.routes import Routes
from prism.sessions.accounts import AccountLogin
from prism.sessions.link_mail import LinkMails
from prism.sessions.model import (
    AccountRequest,
    BrowserSession,
    CreatedLoginLink,
    EndedSessions,
    LinkMailAnswer,
    LinkMailRequest,
    LoginAnswer,
    LoginRequest,
    LoginUnavailable,
    LoginWays,
    LogoutAnswer,
    Myself,
    NewLoginLink,
    ProviderLoginAnswer,
    ProviderLoginRequest,
    ProviderShown,
    SessionClient,
    SessionShown,
)
from prism.sessions.oidc import LOGIN_SECONDS, LoginAttempt, is_hint_of, local_path, refused
from prism.sessions.plan import browser_name, cookie_problem
from prism.sessions.provider_login import ProviderLogin
from prism.sessions.service import NewSession, SessionService

Sessions = NamedDependency[SessionService]
API = "/api/v1"
LINKS = f"{API}/login-links"
NO_LOGIN = "This daemon serves one person, who needs no login"
router = Routes(API, tags=["sessions"])
pages = Routes("/auth", tags=["sessions"])
MAX_LOGOUT_BYTES = 64 * 1024
PROVIDER_THREADS = 4
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """What logging in depends on: whether people share the daemon, and its address."""

    shared: bool
    public_url: str
    apps_domain: str
    project_creation: str
    providers: Mapping[str, ProviderLogin]
    """By name; that of the settings has none."""
    accounts: AccountLogin | None
    """None if nobody logs in with an account of this computer."""
    mails: LinkMails | None
    """None if nobody can ask for a link by mail."""
    provider_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(PROVIDER_THREADS, "provider")
    )
    """Where providers are asked: anybody may cause that, and a silent one must block no other."""

    async def asking(self, ask: Callable[..., Result], *arguments: Any) -> Result:
        """Call what may ask an identity provider, which may take seconds."""
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(self.provider_threads, context.run, ask, *arguments)


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
        until=caller.role_ends,
        apps_domain=login.apps_domain or None,
        may_create_projects=caller.operator or (may_create and caller.token_project is None),
    )


@router.get("/login", sync_to_thread=False)
def show_login_ways(request: Request[Any, Any, Any], login: Login) -> LoginWays:
    """How a browser can log in here."""
    caller, host = current(), header(request.scope, b"host").decode("latin-1").lower()
    return LoginWays(
        user=caller.name if caller.known else None,
        shared=login.shared,
        provider=next((each.host for each in login.providers.values()), None),
        providers=tuple(ProviderShown(name, each.label) for name, each in login.providers.items()),
        accounts=login.accounts is not None,
        mailed_links=login.mails is not None,
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


@router.post("/login/account", status_code=200, opt={WITHOUT_KEY: True})
async def log_in_with_account(
    request: Request[Any, Any, Any], data: JSONBody[AccountRequest], login: Login
) -> Response[LoginAnswer]:
    """Begin the session of who has an account of the daemon's computer."""
    check_login(request.scope, login)
    if login.accounts is None:
        raise LoginUnavailable(
            "Nobody logs in with an account of this computer here",
            remediation="Choose another way to log in: open /login",
        )
    client, cookie = client_of(request.scope), cookie_of(request.scope, SESSION_COOKIE)
    return with_session(await login.accounts.log_in(data, client, cookie))


@router.post("/login/mail", status_code=200, opt={WITHOUT_KEY: True})
async def mail_login_link(
    request: Request[Any, Any, Any], data: JSONBody[LinkMailRequest], login: Login
) -> LinkMailAnswer:
    """Mail a link that logs in once; the answer does not tell whether the address is known."""
    check_login(request.scope, login)
    if login.mails is None:
        raise LoginUnavailable(
            "This daemon mails no links to log in",
            remediation="Choose another way to log in: open /login",
        )
    login.mails.ask(data.email, client_of(request.scope).address)
    return LinkMailAnswer("If this address may log in here, a link is on its way to it")


@router.post("/login/provider", status_code=200, opt={WITHOUT_KEY: True})
async def begin_provider_login(
    request: Request[Any, Any, Any], data: JSONBody[ProviderLoginRequest], login: Login
) -> Response[ProviderLoginAnswer]:
    """Begin a login at the identity provider; the answer binds it to this browser."""
    check_login(request.scope, login)
    begin = provider_of(login, data.provider).client.begin
    url, attempt = await login.asking(begin, data.to)
    cookie = set_cookie(LOGIN_COOKIE, attempt.cookie(), LOGIN_SECONDS)
    return Response(ProviderLoginAnswer(url), headers={"Set-Cookie": cookie})


@pages.get("/callback", opt={PASSED_ON_KEY: True})
async def finish_provider_login(request: Request[Any, Any, Any], login: Login) -> ASGIApp:
    """Where the identity provider of the settings sends the browser back to."""
    return await _finish(request, login, "")


@pages.get("/callback/{provider:str}", opt={PASSED_ON_KEY: True})
async def finish_login_of_provider(
    request: Request[Any, Any, Any], login: Login, provider: FromPath[str]
) -> ASGIApp:
    """Where another identity provider sends the browser back to; each has its own address."""
    return await _finish(request, login, provider)


async def _finish(request: Request[Any, Any, Any], login: LoginSettings, name: str) -> ASGIApp:
    """Begin the session, if the answer belongs to the login that this browser has begun."""
    check_login(request.scope, login)
    scope, query = request.scope, request.query_params
    if any(len(query.getall(name)) > 1 for name in query):  # providers add some of their own
        raise refused("a parameter of the answer is there twice")
    attempt = LoginAttempt.read(cookie_of(scope, LOGIN_COOKIE))
    browser, earlier = client_of(scope), cookie_of(scope, SESSION_COOKIE)
    finish = provider_of(login, name).finish
    new = await login.asking(finish, attempt, dict(query), browser, earlier)
    return redirecting(
        local_path(attempt.to if attempt else "/"),
        set_cookie(SESSION_COOKIE, new.cookie, new.seconds),
        set_cookie(HINT_COOKIE, new.hint or "", new.seconds if new.hint else 0, HINT_PATH),
        set_cookie(LOGIN_COOKIE, "", 0),
    )


@pages.post("/backchannel-logout", status_code=200, opt={RAW: True})
async def end_provider_sessions(request: Request[Any, Any, Any], login: Login) -> Response[None]:
    """The identity provider of the settings says that somebody has logged out there."""
    return await _end_sessions(request, login, "")


@pages.post("/backchannel-logout/{provider:str}", status_code=200, opt={RAW: True})
async def end_sessions_of_provider(
    request: Request[Any, Any, Any], login: Login, provider: FromPath[str]
) -> Response[None]:
    """Another identity provider says that somebody has logged out there."""
    return await _end_sessions(request, login, provider)


async def _end_sessions(
    request: Request[Any, Any, Any], login: LoginSettings, name: str
) -> Response[None]:
    provider, body = provider_of(login, name), b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_LOGOUT_BYTES:
            raise refused("the logout token is too long")
    tokens = parse_qs(body.decode("latin-1")).get("logout_token", [])
    if len(tokens) != 1:
        raise refused("there is no logout token")
    await login.asking(provider.log_out, tokens[0])
    return Response(None, headers={"Cache-Control": "no-store"})


@router.post("/logout", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def log_out(
    request: Request[Any, Any, Any], sessions: Sessions, login: Login
) -> Response[LogoutAnswer]:
    """End the session of this browser or command line; tokens that were made in it stay."""
    caller = current()
    terminal = caller.session if caller.is_terminal else None
    session = sessions.log_out(cookie_of(request.scope, SESSION_COOKIE), terminal)
    message = f"{session.user} is logged out" if session else "Nobody was logged in"
    hint = cookie_of(request.scope, HINT_COOKIE)
    answer = LogoutAnswer(message, _provider_logout(login, session, hint))
    removed = set_cookie(SESSION_COOKIE, "", 0)
    used = [Cookie(HINT_COOKIE, HINT_PATH, max_age=0, secure=True, httponly=True)]
    return Response(answer, headers={"Set-Cookie": removed}, cookies=used if hint else [])


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


def redirecting(location: str, *cookies: str) -> ASGIApp:
    """An answer that leads to a page and sets cookies."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await redirect(send, location, *cookies)

    return answer


def _provider_logout(
    login: LoginSettings, session: BrowserSession | None, hint: str | None
) -> str | None:
    """Where whoever had this session logs out at its identity provider."""
    back = f"{login.public_url.rstrip('/')}/login"
    for provider in login.providers.values():
        if session is None or session.is_terminal:
            return None
        if session.issuer == provider.client.settings.issuer:
            own = hint if hint and is_hint_of(hint, session.subject) else None
            return provider.client.logout_url(back, own)
    return None


def provider_of(login: LoginSettings, name: str = "") -> ProviderLogin:
    """The identity provider with that name; raises `LoginUnavailable` without one."""
    if (provider := login.providers.get(name)) is None:
        raise LoginUnavailable(
            "This daemon has no such identity provider",
            remediation="Choose another way to log in: open /login",
        )
    return provider


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
