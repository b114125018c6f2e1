"""Delays the first requests about workspaces until their machines were looked at."""

from collections.abc import Collection

from prism.errors import Problem
from prism.kit.gate import AsgiApp, Receive, Scope, Send
from prism.kit.routes import HandlerRoutes
from prism.workspaces.read_model import ReadModel
from prism.workspaces.surveys.first_surveys import FirstSurveys

PATHS = ("/api/v1/instances", "/web-proxy/", "/dcv-proxy/", "/ssh-proxy/")


class FirstSurveyWait:
    """ASGI middleware; `every_path`: no path names a workspace, as at the workspaces' origins."""

    def __init__(
        self,
        app: AsgiApp,
        first_surveys: FirstSurveys,
        read_model: ReadModel,
        *,
        every_path: bool = False,
    ) -> None:
        self._app, self._first_surveys, self._read_model = app, first_surveys, read_model
        self._every_path = every_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait if necessary, and then call the application."""
        if not self._first_surveys.is_complete and scope["type"] in {"http", "websocket"}:
            path: str = scope["path"]
            await self._first_surveys.wait(self._locations(path))
        await self._app(scope, receive, send)

    @staticmethod
    def concerns(routes: HandlerRoutes) -> bool:
        """Whether a handler's requests are about workspaces."""
        return any(path.startswith(PATHS) for path in routes.paths)

    def _locations(self, path: str) -> Collection[str]:
        """The locations of all living workspaces, or of the one that the path names."""
        pages = self._read_model.pages
        _, *names = path.removeprefix("/api/v1").strip("/").split("/")
        if names and not self._every_path:
            try:
                return {pages.named(names[0]).workspace.location}
            except Problem:
                return ()
        return pages.locations
