"""Authentication and authorization of every request, HTTP and WebSocket.

Authentication runs before anything that has an effect, even before the body is read.
Authorization runs last, when the request is valid and the object it names exists.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.model import (
    COSTS_OF_PROJECT,
    NEW_TOKEN,
    AccessVerb,
    Caller,
    PermissionDenied,
    ResourceLookup,
    RouteRule,
    Subject,
    current,
    tunnel_only,
)
from prism.access.names import AmbiguousName, names_of_request
from prism.access.plan import MATRIX, may, sees
from prism.access.request_lifetime import LongRequest, LongRequests, lasts
from prism.access.rules import SHARE_OF_GUEST, rule_of
from prism.errors import Problem
from prism.kit.actor import CURRENT_ACTOR
from prism.kit.clock import Clock
from prism.kit.cookies import SESSION_COOKIE, cookie_of
from prism.kit.envelope import Unauthenticated
from prism.kit.gate import proxy_headers
from prism.kit.gui_origin import is_of_browser
from prism.kit.http import DECODED, refuse
from prism.kit.problem_page import wants_page

# What the operator's routes do, by the first word of their paths.
OPERATOR_ACTIONS = {
    "budgets": "see and change budget pools",
    "allocations": "give projects a part of a budget pool",
    "reallocations": "move money between projects",
    "costs": "see what all projects cost together",
    "profiles": "change profiles",
    "idle": "change idle profiles and see their history",
    "logs": "list the logs of all workspaces",
    "daemon": "manage the daemon",
    "login-links": "make links with which people log in",
    "orphans": "take back machines that have no workspace",
    "recover": "take back machines that have no workspace",
    "aws-proxy": "open the consoles of AWS",
    "audit": "see everything that was done",
    "metrics": "read the metrics, and those who have a token with `--scope metrics`",
}
# What a refusal says, if the matrix's text for the verb lists several things.
DENIED_ACTIONS = {
    AccessVerb.USE: "change your own settings with this token",
    AccessVerb.FOUND: "make projects or tokens with this token",
    AccessVerb.MANAGE_OWN: "manage workspaces in this project",
    AccessVerb.MANAGE: "manage or enter this workspace",
    AccessVerb.READ: "see that",
    AccessVerb.INVITE: "invite people to this project, or change their invitations",
    AccessVerb.MEMBERS: "change who belongs to this project",
    AccessVerb.BUDGET: "change this project or its budget",
    AccessVerb.STORE: "manage volumes and snapshots here",
    AccessVerb.DELETE: "delete this project",
    AccessVerb.LAUNCH: "launch in this project",
}
CLAIMS = ("created_by", "invited_by", "allocated_by")
TERMINAL_TOKEN = b" prism_ses_"  # how the token of a command line begins
STRANGER = Caller(name="anonymous", known=False)
BOTH = (ScopeType.HTTP, ScopeType.WEBSOCKET)


class Authenticator(Protocol):
    """Knows people by what their programs and browsers send."""

    def of_token(self, token: str) -> Caller | None:
        """The caller with this token; None if it is not valid."""

    def of_session(self, cookie: str, *, is_use: bool) -> Caller | None:
        """The caller with this session; None if it has ended. `is_use` keeps it from ending."""


class Authentication(ASGIMiddleware):
    """Finds the caller, or refuses; without an authenticator (local mode), it is the operator."""

    scopes = BOTH

    def __init__(self, operator: str, authenticator: Authenticator | None, clock: Clock) -> None:
        self._operator = Caller(name=operator, operator=True, team=authenticator is not None)
        self._authenticator, self._clock = authenticator, clock

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Set the caller for the duration of the request."""
        caller = await self._caller(scope)
        if caller is None and rule_for(scope).verb is not AccessVerb.ANY:
            return await refuse(scope, send, _unauthenticated(scope), self._clock.now())
        caller = caller or STRANGER
        if caller.team:
            with names_of_request(cast("dict[str, Any]", scope), caller):
                return await next_app(scope, receive, send)
        before = CURRENT_ACTOR.set(caller)
        try:
            return await next_app(scope, receive, send)
        finally:
            CURRENT_ACTOR.reset(before)

    async def _caller(self, scope: Scope) -> Caller | None:
        if self._authenticator is None:
            return self._operator
        credentials = [value for name, value in scope["headers"] if name == b"authorization"]
        if not credentials and _is_unix_socket(scope) and not proxy_headers(scope["headers"]):
            return self._operator  # the socket's owner, whom the file's mode lets in alone
        if not credentials:
            return await self._caller_of_session(scope)
        scheme, _, token = b" ".join(credentials).decode("latin-1").partition(" ")
        if len(credentials) != 1 or scheme.lower() != "bearer":
            return None
        return await asyncio.to_thread(self._authenticator.of_token, token.strip())

    async def _caller_of_session(self, scope: Scope) -> Caller | None:
        """The person who is logged in with this browser.

        A browser sends the cookie whichever page asks, and the gate has checked which one asks.
        A browser that tells nothing about the page may only read.
        """
        cookie, is_socket = cookie_of(scope, SESSION_COOKIE), scope["type"] == ScopeType.WEBSOCKET
        if cookie is None or self._authenticator is None:
            return None
        reads = not is_socket and scope.get("method") in {"GET", "HEAD"}
        if not (reads or is_of_browser(scope)):
            return None
        # The event stream of an open page connects by itself, so it is no use.
        of_session = partial(self._authenticator.of_session, cookie, is_use=not is_socket)
        return await asyncio.to_thread(of_session)


def answer_owner(_: Scope) -> str:
    """The caller and scope: a token never gets an answer stored for a wider token."""
    caller = current()
    return " ".join((caller.name, caller.scope, caller.token_project or ""))


class Authorization(ASGIMiddleware):
    """Checks whether the caller has the rights that the route needs."""

    scopes = BOTH

    def __init__(
        self, lookups: Mapping[str, ResourceLookup], clock: Clock, long_requests: LongRequests
    ) -> None:
        self._lookups, self._clock, self._long_requests = lookups, clock, long_requests

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Call the handler, or answer with a refusal."""
        caller = current()
        if (caller.token or caller.session) and lasts(scope):
            request = LongRequest(scope, caller, self._refusal)
            request.by_share = rule_for(scope).kind == SHARE_OF_GUEST
            return await self._long_requests.serve(next_app, request, receive, send)
        if caller.team and (problem := await asyncio.to_thread(self._refusal, scope, caller)):
            return await refuse(scope, send, problem, self._clock.now())
        return await next_app(scope, receive, send)

    def _refusal(self, scope: Scope, caller: Caller) -> Problem | None:
        with names_of_request(cast("dict[str, Any]", scope), caller):
            return self._missing_right(scope, caller)

    def _missing_right(self, scope: Scope, caller: Caller) -> Problem | None:
        rule, body = rule_for(scope), cast("dict[str, Any]", scope).get(DECODED)
        if problem := self._forbidden(rule, scope, body, caller):
            return problem
        for field in CLAIMS:
            claimed = getattr(body, field, None)
            if isinstance(claimed, str) and claimed.lower() != caller.name.lower():
                return PermissionDenied(
                    f"{field} must be you",
                    details=f"You are {caller.name}, not {claimed}",
                    remediation=f"Leave {field} out, or say {caller.name}",
                )
        return None

    def _forbidden(
        self, rule: RouteRule, scope: Scope, body: Any, caller: Caller
    ) -> Problem | None:
        """Why the caller may not do that to an object in the request; None if they may."""
        names = object_names(rule, scope, body)
        if rule.whole is not None:
            whole_rule = RouteRule(rule.whole)
            if not names or may(caller, whole_rule, Subject()):
                rule, names = whole_rule, [None]
        for name in names:
            subject = Subject()
            if name is not None and (lookup := self._lookups.get(rule.kind)):
                try:
                    target = lookup.find(name)
                except AmbiguousName as problem:
                    return problem
                if target is None or not sees(caller, target):
                    return lookup.missing(name)  # what you may not see counts as missing
                subject = _subject_of(target, rule, scope)
            if not may(caller, rule, subject):
                return _denied(rule, caller, subject, scope)
        return self._forbidden(rule.also, scope, body, caller) if rule.also else None


def _unauthenticated(scope: Scope) -> Problem:
    """The refusal without a token; in a browser it says how to open workspaces instead."""
    name = scope.get("path_params", {}).get("instance")
    if name is not None and wants_page(scope):
        return tunnel_only(str(name))
    if cookie_of(scope, SESSION_COOKIE) is not None:
        return Unauthenticated(
            details="Your session has ended",
            remediation="Log in again: open /login in the browser",
        )
    credentials = [value for name, value in scope["headers"] if name == b"authorization"]
    if any(TERMINAL_TOKEN in value for value in credentials):
        return Unauthenticated(
            "Your login has ended",
            details="it was ended in Settings, or was not used for too long",
            remediation="Log in again: `prism login URL`; `prism login` shows the addresses",
        )
    if credentials:
        return Unauthenticated(
            "The token is not valid",
            details="it was revoked, has expired, or is of another daemon",
            remediation=NEW_TOKEN,
        )
    return Unauthenticated(
        details="Show a token (`Authorization: Bearer …`), or log in with a browser: open /login",
        remediation="Log in: `prism login URL`; in scripts, set PRISM_TOKEN to a token of yours",
    )


def rule_for(scope: Scope) -> RouteRule:
    """What the route of a request needs."""
    method = "WS" if scope["type"] == ScopeType.WEBSOCKET else scope.get("method", "GET")
    return rule_of(str(method), str(scope.get("path_template", "")))


def _subject_of(target: Subject, rule: RouteRule, scope: Scope) -> Subject:
    """The object; if the request is about a person in it, that person counts as its owner."""
    if not rule.whose:
        return target
    return Subject(target.project, str(scope["path_params"][rule.whose]))


def object_names(rule: RouteRule, scope: Scope, body: Any) -> Sequence[str | None]:
    """The names of the objects in the request; a single None if there are none."""
    if not rule.kind:
        return [None]
    if rule.where.startswith("query."):  # each of them, whichever the handler will take
        query = ASGIConnection[Any, Any, Any, Any](scope).query_params
        return [str(value) for value in query.getall(rule.where.removeprefix("query."), [])]
    if not rule.where.startswith("body."):
        return [str(scope["path_params"][rule.where])]
    value = getattr(body, rule.where.removeprefix("body."), None)
    if isinstance(value, list | tuple):
        return [str(getattr(item, "name", item)) for item in value]
    if rule.optional and value is None:
        return []
    return [value if isinstance(value, str) else None]


def _denied(rule: RouteRule, caller: Caller, subject: Subject, scope: Scope) -> PermissionDenied:
    role = caller.roles.get(subject.project or "")
    role_text = f"you are {role} there" if role else "you have no role there"
    if caller.token_project is not None:
        role_text += ", and your token is for one project"
    details = f"{role_text}; your access is {caller.scope}"
    if rule.verb is AccessVerb.LAUNCH and subject.project is None:
        return PermissionDenied(
            "You may not launch without a project",
            details="what runs on a shared daemon is paid by a project; only its operator may "
            "launch without one",
            remediation="Name one of yours with `--project NAME`; `prism project list` shows them",
        )
    if rule.verb not in MATRIX:
        is_of_costs = "/costs/" in str(scope.get("path_template", ""))
        return PermissionDenied(
            f"Only the operator of this daemon may {what_of(scope)}",
            details=details,
            remediation=COSTS_OF_PROJECT if is_of_costs else "Ask the operator of the daemon",
        )
    return PermissionDenied(
        f"You may not {DENIED_ACTIONS.get(rule.verb, rule.verb)}",
        details=details,
        remediation="Ask an owner of the project, or use a token of a wider scope",
    )


def what_of(scope: Scope) -> str:
    """What a route for the operator does, as a part of a sentence."""
    path = str(scope.get("path_template", "")).removeprefix("/api/v1")
    return OPERATOR_ACTIONS.get(path.strip("/").partition("/")[0], "do that")


def _is_unix_socket(scope: Any) -> bool:
    server = scope.get("server")
    return bool(server) and server[1] is None
