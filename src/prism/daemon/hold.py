"""Refuses requests that must not be carried out now.

While the database is older than the machines, nothing is destroyed. What is in a home that no
daemon serves is not changed and not entered.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.middleware import object_names, rule_for
from prism.access.model import AccessVerb, RouteRule
from prism.access.rules import API, route_of
from prism.kit.http import DECODED

DESTRUCTIVE = {
    "POST {}/instances/{name}/terminate",
    "POST {}/orphans/{id}/terminate",
    "DELETE {}/storage/volumes/{name}",
    "DELETE {}/snapshots/{name}",
}
ROW_ONLY = {"POST {}/instances/{name}/move"}
"""Requests that change who pays, and concern no machine."""


class HoldDestruction(ASGIMiddleware):
    """Refuses irreversible requests while `refuse` raises."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on, unless it destroys something."""
        if address(scope) in DESTRUCTIVE:
            self._refuse()
        return await next_app(scope, receive, send)


class RefuseUnreachable(ASGIMiddleware):
    """Refuses requests about resources in a home that no daemon serves, except to look at them."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(
        self, is_needed: Callable[[], bool], checks: Mapping[str, Callable[[str], None]]
    ) -> None:
        """`checks` raise the refusal for the name of a resource, by its kind."""
        self._is_needed, self._checks = is_needed, checks

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on, unless it needs the daemon of another home."""
        if self._is_needed() and address(scope) not in ROW_ONLY:
            body = cast("dict[str, Any]", scope).get(DECODED)
            await asyncio.to_thread(self._check, rule_for(scope), scope, body)
        return await next_app(scope, receive, send)

    def _check(self, rule: RouteRule | None, scope: Scope, body: Any) -> None:
        while rule is not None:
            check = self._checks.get(rule.kind)
            if check is not None and rule.verb is not AccessVerb.READ:
                for name in object_names(rule, scope, body):
                    if name is not None:
                        check(name)
            rule = rule.also


def address(scope: Scope) -> str:
    """The method and path of a route, as the table of rights writes them."""
    route = route_of(str(scope.get("method")), str(scope.get("path_template", "")))
    return route.replace(API, "{}", 1)
