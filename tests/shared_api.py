"""One Litestar application for all daemons that a test process builds.

To make its routes takes longer than most tests do, and they are the same in each daemon. What
a daemon hands to them, and its middleware, is looked up in each request.
"""

from contextvars import ContextVar
from functools import cache

from litestar.di import Provide

from prism.kit.http import Api

ASKED = ContextVar("ASKED")  # the `SharedApi` that a request is for


class SharedApi:
    """Stands where `Api` does. Once it is served by a server, it has a Litestar of its own."""

    def __init__(self, routes, **given):
        self.routes_given, self.given, self.own = routes, given, None
        self.entered = cache(lambda number, app: given["middleware"][number](app))

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            self.own = Api(self.routes_given, **self.given)
        if self.own:
            return await self.own(scope, receive, send)
        before = ASKED.set(self)
        try:
            return await _shared(self)(scope, receive, send)
        finally:
            ASKED.reset(before)

    def __getattr__(self, name):
        return getattr(_shared(self), name)


_MADE = []


def _shared(api):
    """The application; made from the first daemon, as all have the same routes and names."""
    if not _MADE:
        given = api.given
        looked_up = {
            "dependencies": {name: _looked_up(name) for name in given["dependencies"]},
            "exception_handlers": {kind: _handled(kind) for kind in given["exception_handlers"]},
            "lifespan": [],
            "middleware": [_passed(number) for number in range(len(given["middleware"]))],
        }
        _MADE.append(Api(api.routes_given, **given | looked_up))
    return _MADE[0]


def _looked_up(name):
    return Provide(
        lambda: ASKED.get().given["dependencies"][name].dependency(), sync_to_thread=False
    )


def _handled(kind):
    return lambda request, error: ASKED.get().given["exception_handlers"][kind](request, error)


def _passed(number):
    def middleware(app):
        async def passed(scope, receive, send):
            await ASKED.get().entered(number, app)(scope, receive, send)

        return passed

    return middleware
