"""Serves each workspace of a shared daemon at an origin of its own, below `PRISM_APPS_DOMAIN`.

A browser comes by the daemon, which knows its session, and by the entrance, a host that is no
app's: `AppSessions` says why. What it sends afterwards takes the way of local workspaces
(`WorkspaceProxy`), and ends with the right to enter the workspace.
"""

import asyncio
import base64
import binascii
import hmac
import re
import secrets
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlencode

from prism.access.model import Caller, PermissionDenied, Subject, current
from prism.access.names import let_mean, names_of_request
from prism.access.plan import may
from prism.access.request_lifetime import LongRequest, LongRequests
from prism.access.rules import ENTER
from prism.access.service import SECRET, hashed
from prism.connections.model import AppNotFound, AppsDomain, AppsUnavailable, PortRequest
from prism.connections.plan import ENTRANCE, app_label, port_request
from prism.connections.routing import PortRouter, first_port, machine_name
from prism.connections.workspace_proxy import WorkspaceProxy
from prism.errors import NotFound, Problem
from prism.kit.clock import Clock
from prism.kit.cookies import (
    APP_COOKIE,
    ENTER_COOKIE,
    ENTER_PATH,
    OPENING_COOKIE,
    cookie_of,
    set_cookie,
)
from prism.kit.envelope import Unauthenticated
from prism.kit.gate import DNS_LABEL, Receive, Scope, Send, is_by_worker, is_navigation
from prism.kit.gui_origin import is_of_browser
from prism.kit.http import header, redirect, refuse
from prism.sessions.app_sessions import CODE_SECONDS, AppSessions
from prism.sessions.model import ABSOLUTE_LIMIT, LoginRefused
from prism.sharing.model import Share
from prism.sharing.service import ShareService
from prism.visits.model import WayIn
from prism.visits.service import VisitService
from prism.workspaces.model import Workspace

RESERVED_PATH = "/.prism/"  # paths that no app gets
OPENING_SECONDS = 600  # to log in
MAX_PATH_BYTES = 2000  # of an app, to go on with after the login
BROWSER_STATE = re.compile(r"[0-9a-f]{64}")
STATE_IN_NAME = 16  # characters


class AppOrigins:
    """ASGI: the hosts below the domain of apps; and the way of a browser there."""

    def __init__(
        self,
        router: PortRouter,
        proxy: WorkspaceProxy,
        sessions: AppSessions,
        long_requests: LongRequests,
        *,
        clock: Clock,
        shares: ShareService,
        visits: VisitService,
    ) -> None:
        self._shares, self._visits = shares, visits
        self._router, self._proxy, self._sessions = router, proxy, sessions
        self._long_requests, self._clock = long_requests, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at the entrance, or at the origin of an app."""
        label = self._domain.label_of(header(scope, b"host").decode("latin-1").lower())
        try:
            if label == ENTRANCE:
                await self._guide(scope, send)
            elif scope["path"] == ENTER_PATH:
                await self._enter(scope, send, label)
            elif scope["path"].startswith(RESERVED_PATH):
                raise AppNotFound(details=f"{RESERVED_PATH} is Prism's")
            else:
                await self._visit(scope, receive, send, label)
        except Problem as problem:
            await refuse(scope, send, problem, self._clock.now(), self._gui_page(label))

    def ask(self, label: str, state: str) -> str:
        """The address at which the caller's browser goes on to an app that they may enter."""
        domain, session = self._domain, current().session
        assert session is not None, "only browsers are led here"
        if not (DNS_LABEL.fullmatch(label) and BROWSER_STATE.fullmatch(state)):
            raise AppNotFound(details="the address is not one that Prism made")
        workspace, share = self._admitted(label, current())
        if share is not None:
            self._shares.opened(share, workspace)
        code = self._sessions.ask(session, workspace.id, domain.host(label), state)
        return f"https://{domain.host(ENTRANCE)}/?{urlencode({'code': code.words})}"

    async def _guide(self, scope: Scope, send: Send) -> None:
        """At the entrance: put the secret where no page and no worker can read it."""
        code = _only(scope, "code")
        guided = await asyncio.to_thread(self._sessions.guide, code)
        if guided is None or scope["type"] != "http":
            raise _expired()
        app, domain = guided.app, self._domain
        cookie = (
            f"{ENTER_COOKIE}{app.id}={guided.secret}; Max-Age={CODE_SECONDS}; Path={ENTER_PATH}; "
            f"Domain={domain.name}; Secure; HttpOnly; SameSite=Lax"
        )
        query = urlencode({"id": app.id, "browser": app.state})
        await redirect(send, f"https://{app.host}{ENTER_PATH}?{query}", cookie)

    async def _enter(self, scope: Scope, send: Send, label: str) -> None:
        """At the app's origin: use up the secret, and set the app's own cookie."""
        id, state = _only(scope, "id"), _only(scope, "browser")
        name = f"{OPENING_COOKIE}{state[:STATE_IN_NAME]}"
        opening, _, path = (cookie_of(scope, name) or "").partition(".")
        began_here = hmac.compare_digest(hashed(opening), state)
        words = f"{id}.{cookie_of(scope, f'{ENTER_COOKIE}{id}') or ''}"
        host = self._domain.host(label)
        enter = partial(self._sessions.enter, words, host, state if began_here else "")
        entered = await asyncio.to_thread(enter)
        if entered is None or scope["type"] != "http":
            raise _expired()
        life = int(ABSOLUTE_LIMIT.total_seconds())
        cookies = (set_cookie(APP_COOKIE, entered.words, life), set_cookie(name, "", 0))
        await redirect(send, f"https://{host}{_path_of(path)}", *cookies)

    async def _visit(self, scope: Scope, receive: Receive, send: Send, label: str) -> None:
        """Serve the app to who may enter it, and lead other browsers to the daemon."""
        visitor = await asyncio.to_thread(self._visitor, scope, label)
        if visitor is None:
            return await self._begin(scope, send, label)
        caller, workspace, by_share = visitor
        request = LongRequest(cast("Any", scope), caller, partial(self._refusal, label))
        request.by_share = by_share
        target = port_request(label)

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            visit = self._visits.during(workspace, request.caller, WayIn.APP)
            with names_of_request(scope, request.caller):
                async with visit:
                    await self._proxy.at_origin(scope, receive, send, target, is_secure=True)

        return await self._long_requests.serve(
            serve, request, cast("Any", receive), cast("Any", send)
        )

    def _visitor(self, scope: Scope, label: str) -> tuple[Caller, Workspace, bool] | None:
        """Who visits which app, and whether as a guest; None without a session for it."""
        cookie, is_visit = cookie_of(scope, APP_COOKIE), _is_visit(scope)
        reads = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
        if cookie is None or not (reads or is_of_browser(scope)):
            return None
        visit = self._sessions.visit(cookie, self._domain.host(label), is_use=is_visit)
        if visit is None:
            return None
        with names_of_request(scope, visit.caller):
            workspace, share = self._admitted(label, visit.caller)
        # The name may be a newer workspace's by now.
        is_same = workspace.id == visit.workspace
        return (visit.caller, workspace, share is not None) if is_same else None

    def _refusal(self, label: str, scope: Any, caller: Caller) -> Problem | None:
        """Why the caller may not be there any more; None if they may."""
        with names_of_request(scope, caller):
            try:
                self._admitted(label, caller)
            except Problem as problem:
                return problem
        return None

    def _admitted(self, label: str, caller: Caller) -> tuple[Workspace, Share | None]:
        """The workspace at an origin that the caller may enter, and the share that lets them in.

        Without a share, they may enter the workspace. Raises why they may not.
        """
        try:
            workspace = self._workspace(label)
            refusal = _denied(workspace, caller)
        except Problem as problem:
            refusal = problem
        else:
            if refusal is None:
                return workspace, None
        guest = self._shares.app_of_guest(caller, partial(self._is_at, label))
        if guest is None:
            raise refusal
        share, workspace = guest
        let_mean("workspace", port_request(label).name, workspace.id)
        return workspace, share

    def _is_at(self, label: str, workspace: Workspace, port: int) -> bool:
        """Whether an origin is that of this port of a workspace."""
        request, cached = port_request(label), self._router.by_id(workspace.id)
        if cached is None or not cached.full_name:
            return False
        named = PortRequest(cached.full_name, request.port, tls=request.tls)
        is_named_so = app_label(named, machine_name(workspace)) == label
        return is_named_so and (request.port or first_port(workspace)) == port

    def _workspace(self, label: str) -> Workspace:
        """The workspace at an origin; it has one name there, so that origins are not shared."""
        request = port_request(label)
        cached = self._router.workspace(request.name)
        named = PortRequest(cached.full_name or "", request.port, tls=request.tls)
        if not cached.full_name or app_label(named, machine_name(cached.workspace)) != label:
            raise NotFound(
                f"No workspace is at {self._domain.host(label)}",
                remediation="Open it in Prism, or see its address with `prism open NAME`",
            )
        return cached.workspace

    async def _begin(self, scope: Scope, send: Send, label: str) -> None:
        """Lead a browser to the daemon, which knows its session, and remember who asked."""
        if not _is_visit(scope):
            raise Unauthenticated(
                details="Your session at this app has ended, or did not begin",
                remediation="Open the address in a browser; programs use `prism tunnel NAME`",
            )
        secret = secrets.token_urlsafe(SECRET)
        state, path = hashed(secret), scope["raw_path"]
        if scope["query_string"]:
            path += b"?" + scope["query_string"]
        known_path = path if len(path) <= MAX_PATH_BYTES else b"/"
        value = f"{secret}.{base64.urlsafe_b64encode(known_path).decode().rstrip('=')}"
        cookie = set_cookie(f"{OPENING_COOKIE}{state[:STATE_IN_NAME]}", value, OPENING_SECONDS)
        query = urlencode({"app": label, "browser": state})
        await redirect(send, f"{self._domain.daemon}/auth/app?{query}", cookie)

    @property
    def _domain(self) -> AppsDomain:
        if self._router.apps is None:
            raise AppsUnavailable(
                details="its operator has set no PRISM_APPS_DOMAIN",
                remediation="Run `prism tunnel NAME` on your computer instead",
            )
        return self._router.apps

    def _gui_page(self, label: str) -> str | None:
        """The page of the workspace in the GUI."""
        name = port_request(label).name if label != ENTRANCE else ""
        return f"{self._domain.daemon}/workspaces/{quote(name, safe='')}" if name else None


def _is_visit(scope: Scope) -> bool:
    """Whether a browser opens a page, also by way of the app's own service worker."""
    return is_navigation(scope) or is_by_worker(scope)


def login_page(label: str, state: str) -> str:
    """The path of the page that logs a browser in on its way to an app."""
    query = urlencode({"app": label, "browser": state})
    return f"/login?{urlencode({'to': f'/auth/app?{query}'})}"


def _denied(workspace: Workspace, caller: Caller) -> Problem | None:
    if may(caller, ENTER, Subject(workspace.project, workspace.owner)):
        return None
    return PermissionDenied(
        "You may not enter this workspace",
        details=f"your access is {caller.scope}",
        remediation="Ask an owner of the project",
    )


def _expired() -> LoginRefused:
    return LoginRefused(
        "The way to this app cannot be used any more",
        details="it is good once, for some seconds, in the browser that asked for it",
        remediation="Open the app again",
    )


def _only(scope: Scope, name: str) -> str:
    """The value of a parameter; empty unless it is there once."""
    values = parse_qs(scope["query_string"].decode("latin-1")).get(name, [])
    return values[0] if len(values) == 1 else ""


def _path_of(text: str) -> str:
    """The path that the browser asked for; the cookie may be a page's."""
    try:
        path = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return "/"
    is_plain = path.startswith("/") and path.isprintable() and " " not in path
    return path if is_plain else "/"
