"""The routes of a package, and what Litestar makes of them in as little time as possible.

Each application needs handlers of its own. Litestar would copy a whole router for them, compare
all dependencies with each other for each handler, and give each path a handler for OPTIONS, which
`Intake` answers. That was two fifths of what building an application computed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from inspect import get_annotations
from typing import Self

from litestar import HttpMethod, Router
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import AnyCallable
from msgspec import Struct


class Routes(Struct, frozen=True):
    """Handlers below a path; one that answers OPTIONS comes before others of its path."""

    path: str
    handlers: Sequence[BaseRouteHandler]
    tags: Sequence[str] = ()

    def router(self, given: Mapping[str, Provide]) -> Router:
        """A router for one application, whose handlers know the dependencies that they name."""
        made = _OwnRouter(self.path, route_handlers=[], tags=self.tags)
        http = [handler for handler in self.handlers if isinstance(handler, HTTPRouteHandler)]
        answering = [handler for handler in http if HttpMethod.OPTIONS in handler.http_methods]
        if paths := _paths(http) - _paths(answering):
            made.register(_options(paths))
        for handler in self.handlers:
            own = copy(handler)
            own.dependencies = _asked(handler.fn, handler.dependencies or {}, given)
            made.register(own)
        return made


class _OwnRouter(Router):
    def __deepcopy__(self, memo: object) -> Self:
        return self  # no other application has it


def _paths(handlers: Iterable[BaseRouteHandler]) -> set[str]:
    return {path for handler in handlers for path in handler.paths}


def _options(paths: Collection[str]) -> HTTPRouteHandler:
    def never() -> None:
        """Stand where Litestar would put more."""

    of = HTTPRouteHandler(
        sorted(paths),
        http_method=HttpMethod.OPTIONS,
        include_in_schema=False,
        sync_to_thread=False,
    )
    return of(never)


def _asked(
    function: AnyCallable, own: Mapping[str, Provide | AnyCallable], given: Mapping[str, Provide]
) -> dict[str, Provide | AnyCallable]:
    """What a handler has of its own, and of what is given that for which it or they ask."""
    asking = [function, *(getattr(part, "dependency", part) for part in own.values())]
    names = {name for part in asking for name in get_annotations(part)}
    return {name: part for name, part in given.items() if name in names} | dict(own)
