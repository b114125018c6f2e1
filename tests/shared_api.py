"""One Litestar application for all daemons of a test process.

To make its routes takes longer than most tests, and they are the same in each daemon. The
dependencies and the middleware of a daemon are looked up in each request.
"""

from contextvars import ContextVar
from functools import cache
from typing import Any

from litestar.di import Provide

from prism.kit.http import Api, ProblemHandler
from prism.kit.routes import RouteMiddleware

ASKED: ContextVar["SharedApi"] = ContextVar("ASKED")  # the application of the current request


class SharedApi:
    """Used in place of `Api`. Once a server runs it, it has a Litestar of its own."""

    def __init__(self, routes: list[Any], **options: Any) -> None:
        self.routes_given, self.options = routes, options
        self.own: Api | None = None
        self.entered = cache(lambda number, app: _plain(options["middleware"][number])(app))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.own = Api(self.routes_given, **self.options)
        if self.own:
            return await self.own(scope, receive, send)
        before = ASKED.set(self)
        try:
            return await _shared(self)(scope, receive, send)
        finally:
            ASKED.reset(before)

    def __getattr__(self, name: str) -> Any:
        return getattr(_shared(self), name)


_MADE: list[Api] = []


def _shared(api: SharedApi) -> Api:
    """The application, made from the first daemon, as all have the same routes and names."""
    if not _MADE:
        options = api.options
        looked_up = {
            "dependencies": {name: _looked_up(name) for name in options["dependencies"]},
            "exception_handlers": {kind: _handled(kind) for kind in options["exception_handlers"]},
            "lifespan": [],
            "middleware": [_passed(*numbered) for numbered in enumerate(options["middleware"])],
        }
        _MADE.append(Api(api.routes_given, **options | looked_up))
    return _MADE[0]


def _looked_up(name: str) -> Provide:
    return Provide(
        lambda: ASKED.get().options["dependencies"][name].dependency(), sync_to_thread=False
    )


def _handled(kind: int | type[Exception]) -> ProblemHandler:
    return lambda request, error: ASKED.get().options["exception_handlers"][kind](request, error)


def _plain(part: Any) -> Any:
    return part.middleware if isinstance(part, RouteMiddleware) else part


def _passed(number: int, part: Any) -> Any:
    def middleware(app: Any) -> Any:
        async def passed(scope: Any, receive: Any, send: Any) -> None:
            await ASKED.get().entered(number, app)(scope, receive, send)

        return passed

    if isinstance(part, RouteMiddleware):
        return RouteMiddleware(middleware, part.concerns)
    return middleware
