"""Refuses requests that must not be carried out now.

While the database is older than the machines, nothing is destroyed. What is in a home that no
daemon serves is not changed and not entered.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.middleware import object_names, rule_for
from prism.access.model import AccessVerb, RouteRule
from prism.access.rules import API, rule_of
from prism.kit.http import DECODED
from prism.kit.routes import HandlerRoutes

DESTRUCTIVE = {
    f"POST {API}/instances/{{name}}/terminate",
    f"POST {API}/orphans/{{id}}/terminate",
    f"DELETE {API}/storage/volumes/{{name}}",
    f"DELETE {API}/snapshots/{{name}}",
}
ROW_ONLY = {f"POST {API}/instances/{{name}}/move"}
"""Requests that change who pays, and concern no machine."""
IN_HOMES = frozenset({"workspace", "volume", "snapshot"})  # kinds of resources


class HoldDestruction(ASGIMiddleware):
    """Refuses its requests, which are irreversible, while `refuse` raises."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on, unless nothing may be destroyed now."""
        self._refuse()
        return await next_app(scope, receive, send)


def destroys(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests destroy something."""
    return not DESTRUCTIVE.isdisjoint(routes.addresses)


class RefuseUnreachable(ASGIMiddleware):
    """Refuses requests about resources in a home that no daemon serves, except to look at them."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(
        self, is_needed: Callable[[], bool], checks: Mapping[str, Callable[[str], None]]
    ) -> None:
        """`checks` raise the refusal for the name of a resource, by its kind in `IN_HOMES`."""
        self._is_needed, self._checks = is_needed, checks

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on, unless it needs the daemon of another home."""
        if self._is_needed():
            body = cast("dict[str, Any]", scope).get(DECODED)
            await asyncio.to_thread(self._check, rule_for(scope), scope, body)
        return await next_app(scope, receive, send)

    def _check(self, rule: RouteRule | None, scope: Scope, body: Any) -> None:
        for part in _with_further(rule):
            check = self._checks.get(part.kind)
            if check is not None and part.verb is not AccessVerb.READ:
                for name in object_names(part, scope, body):
                    if name is not None:
                        check(name)


def needs_a_home(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests change or enter something that is in a home."""
    return any(
        rule.kind in IN_HOMES and rule.verb is not AccessVerb.READ
        for address in routes.addresses - ROW_ONLY
        for rule in _with_further(rule_of(*address.split(" ", 1)))
    )


def _with_further(rule: RouteRule | None) -> Iterator[RouteRule]:
    while rule is not None:
        yield rule
        rule = rule.also
