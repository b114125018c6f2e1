"""Middleware that records a visit before somebody enters a workspace of somebody else."""

from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from prism.access.model import current
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.http import refuse
from prism.kit.routes import HandlerRoutes
from prism.visits.model import WayIn
from prism.visits.service import VisitService
from prism.workspaces.model import WorkspaceState
from prism.workspaces.read_model import ReadModel

# By the beginning of a path. What is not here, such as `stop`, changes a workspace from outside.
WAYS = {
    "/ssh-proxy/": WayIn.TERMINAL,
    "/web-proxy/": WayIn.APP,
    "/dcv-proxy/": WayIn.APP,
    "/api/v1/logs/": WayIn.LOGS,
}
OF_INSTANCE = {
    "files": WayIn.FILES,
    "connect": WayIn.SECRETS,
    "stream": WayIn.SSH,
}
ROUTE_PARTS = 6  # of a path of one workspace, such as `/api/v1/instances/NAME/files`
STOPPED_TOO = frozenset({WayIn.FILES, WayIn.LOGS})  # ways into one that does not run, too


class VisibleVisits(ASGIMiddleware):
    """Runs behind the check of rights, so that only who may enter has a visit."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(self, visits: VisitService, read_model: ReadModel, clock: Clock) -> None:
        self._visits, self._read_model, self._clock = visits, read_model, clock

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Record a visit for as long as the request lasts."""
        caller, way = current(), way_in(scope)
        if way is None or not caller.team:
            return await next_app(scope, receive, send)
        names: Any = scope["path_params"]
        name = str(names.get("instance") or names.get("name"))
        try:
            cached = self._read_model.pages.named(name)
            is_open = cached.state is WorkspaceState.RUNNING or way in STOPPED_TOO
            if not is_open:
                return await next_app(scope, receive, send)
            visit = self._visits.during(cached.workspace, caller, way)
            await visit.__aenter__()
        except Problem as problem:
            return await refuse(scope, send, problem, self._clock.now())
        try:
            return await next_app(scope, receive, send)
        finally:
            await visit.__aexit__(None, None, None)


def may_enter(routes: HandlerRoutes) -> bool:
    """Whether a handler's requests may enter a workspace."""
    return any(path.startswith(tuple(WAYS)) or _instance_way(path) for path in routes.paths)


def _instance_way(path: str) -> WayIn | None:
    parts = path.split("/")
    if parts[1:4] != ["api", "v1", "instances"] or len(parts) < ROUTE_PARTS:
        return None
    return OF_INSTANCE.get(parts[5])


def way_in(scope: Scope) -> WayIn | None:
    """By which way a request enters a workspace; None if it enters none."""
    path = str(scope.get("path_template", ""))
    if scope["type"] != ScopeType.WEBSOCKET and path.startswith("/ssh-proxy/"):
        return None  # an answer that says how to connect
    for beginning, way in WAYS.items():
        if path.startswith(beginning):
            return way
    instance_way = _instance_way(path)
    if instance_way is not WayIn.SSH:
        return instance_way
    if scope["type"] != ScopeType.WEBSOCKET:
        return None
    return WayIn.PORT if b"port=" in scope["query_string"] else WayIn.SSH
