"""While the database is older than the machines, requests that destroy something are refused."""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.rules import API, route_of

DESTRUCTIVE = {
    "POST {}/instances/{name}/terminate",
    "POST {}/orphans/{id}/terminate",
    "DELETE {}/storage/volumes/{name}",
    "DELETE {}/snapshots/{name}",
}


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


def address(scope: Scope) -> str:
    """The method and path of a route, as the table of rights writes them."""
    route = route_of(str(scope.get("method")), str(scope.get("path_template", "")))
    return route.replace(API, "{}", 1)
