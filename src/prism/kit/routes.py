"""The routes of a package, registered with Litestar in as little time as possible.

Each application needs handlers of its own. Litestar would copy a whole router for them, compare
all dependencies with each other for each handler, read all signatures, and give each path a
handler for OPTIONS, which `RequestValidation` answers. That was four fifths of the time for
building an application.

Middleware is put before the routes that it concerns, so a request does not pass the others.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from inspect import get_annotations
from threading import RLock
from typing import Any, Self, cast

from litestar import HttpMethod, Litestar, Router, delete, get, post, put
from litestar._kwargs import KwargsModel
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler, WebsocketRouteHandler
from litestar.types import AnyCallable
from litestar.typing import FieldDefinition
from litestar.utils.path import normalize_path
from msgspec import Struct

Decorator = Callable[[AnyCallable], HTTPRouteHandler]
WEBSOCKET = "WS"  # in place of a method
PATH_PARAMETER = re.compile(r"\{(\w+):\w+\}")
_COMPLETING = RLock()  # a thread may ask for the description when a request comes


class HandlerRoutes(Struct, frozen=True):
    """The routes of one handler: `addresses` such as `GET /api/v1/instances/{name}`."""

    options: Mapping[str, Any]
    addresses: frozenset[str]

    @property
    def paths(self) -> set[str]:
        """The path templates."""
        return {address.partition(" ")[2] for address in self.addresses}

    @property
    def methods(self) -> set[str]:
        """The methods; `WEBSOCKET` for a handler of WebSockets."""
        return {address.partition(" ")[0] for address in self.addresses}


class RouteMiddleware(Struct, frozen=True):
    """A middleware for some routes; `concerns` says for each handler whether it needs it.

    The routes that Litestar itself adds, which describe the API, get none of them.
    """

    middleware: Callable[[Any], Any]
    concerns: Callable[[HandlerRoutes], bool]

    def __call__(self, app: Any) -> Any:
        """Put nothing before a route that did not say whether the middleware concerns it."""
        return app


class Routes:
    """Handlers below a path; a handler for OPTIONS comes before others of its path.

    `get`, `post`, `put` and `delete` are decorators like those of Litestar. They add the handler.
    """

    def __init__(
        self, path: str, handlers: Iterable[BaseRouteHandler] = (), tags: Sequence[str] = ()
    ) -> None:
        self.path, self.handlers, self.tags = path, list(handlers), tags

    def get(self, path: str = "", **options: Any) -> Decorator:
        """Add a handler for GET."""
        return self._adding(get(path, **options))

    def post(self, path: str = "", **options: Any) -> Decorator:
        """Add a handler for POST."""
        return self._adding(post(path, **options))

    def put(self, path: str = "", **options: Any) -> Decorator:
        """Add a handler for PUT."""
        return self._adding(put(path, **options))

    def delete(self, path: str = "", **options: Any) -> Decorator:
        """Add a handler for DELETE."""
        return self._adding(delete(path, **options))

    def _adding(self, decorator: HTTPRouteHandler) -> Decorator:
        def add(function: AnyCallable) -> HTTPRouteHandler:
            handler = decorator(function)
            self.handlers.append(handler)
            return handler

        return add

    def router(self, shared: Mapping[str, Provide]) -> Router:
        """A router for one application; its handlers know the dependencies that they name."""
        router = _OwnRouter(self.path, route_handlers=[], tags=self.tags)
        http = [handler for handler in self.handlers if isinstance(handler, HTTPRouteHandler)]
        answering = [handler for handler in http if HttpMethod.OPTIONS in handler.http_methods]
        if paths := _paths(http) - _paths(answering):
            options = LazyRouteHandler.of(_options_handler(paths))
            options.routes = self._routes_of(options)
            router.register(options)
        for handler in self.handlers:
            own = _own_copy(handler)
            own.dependencies = _dependencies_of(handler.fn, handler.dependencies or {}, shared)
            own.routes = self._routes_of(own)
            router.register(own)
        return router

    def _routes_of(self, handler: BaseRouteHandler) -> HandlerRoutes:
        methods = {WEBSOCKET}
        if isinstance(handler, HTTPRouteHandler):
            methods = {str(method) for method in handler.http_methods}
        paths = {normalize_path(f"{self.path}/{path}") for path in handler.paths}
        plain = {PATH_PARAMETER.sub(r"{\1}", path) for path in paths}
        addresses = frozenset(f"{method} {path}" for method in methods for path in plain)
        return HandlerRoutes(handler.opt, addresses)


class _OwnHandler(BaseRouteHandler):
    """A handler of one application, which gets only the middleware that concerns it."""

    routes: HandlerRoutes

    @classmethod
    def of(cls, handler: BaseRouteHandler) -> Self:
        """A copy of a handler."""
        own = cls.__new__(cls)
        vars, slots = cast("tuple[dict[str, Any] | None, dict[str, Any]]", handler.__getstate__())
        for name, value in (slots | (vars or {})).items():
            setattr(own, name, value)
        return own

    def resolve_middleware(self) -> list[Any]:
        """The middleware of all layers that concerns these routes."""
        return [
            part.middleware if isinstance(part, RouteMiddleware) else part
            for part in super().resolve_middleware()
            if not isinstance(part, RouteMiddleware) or part.concerns(self.routes)
        ]


class _OwnWebsocketHandler(_OwnHandler, WebsocketRouteHandler):
    pass


class LazyRouteHandler(_OwnHandler, HTTPRouteHandler):
    """A handler whose signature is read when a request or the description asks for it."""

    is_complete = False
    _is_begun = False
    _arguments: list["_Arguments"]

    @classmethod
    def of(cls, handler: BaseRouteHandler) -> Self:
        """A copy of a handler."""
        own = super().of(handler)
        own._arguments = []
        return own

    def __copy__(self) -> Self:
        return self  # no other application has it

    def on_registration(self, app: Litestar) -> None:
        """Resolve what middleware reads."""
        self.resolve_opts()

    def complete(self) -> None:
        """Do what Litestar would have done at the registration.

        The OpenAPI description adds path parameters that the function does not take to its
        signature. The models of the arguments come from the signature, so they are made first.
        """
        if self.is_complete:
            return
        with _COMPLETING:
            if self._is_begun:  # by this thread, or completed by another
                return
            self._is_begun = True
            try:
                super().on_registration(self.app)
                for arguments in self._arguments:
                    arguments.model = self._model(arguments.path_parameters)
                self.is_complete = True
            finally:
                self._is_begun = self.is_complete

    def resolve_layered_parameters(self) -> dict[str, FieldDefinition]:
        """The parameters of outer layers; the description reads them first."""
        self.complete()
        return super().resolve_layered_parameters()

    def create_kwargs_model(self, path_parameters: Mapping[str, Any]) -> KwargsModel:
        """The model of the arguments, made at the first use."""
        self._arguments.append(_Arguments(self, path_parameters))
        return cast("KwargsModel", self._arguments[-1])

    def _model(self, path_parameters: Mapping[str, Any]) -> KwargsModel:
        model = super().create_kwargs_model(dict(path_parameters))
        # One after the other: none waits for anything, and tasks would cost more than all of them.
        model.dependency_batches = [{part} for batch in model.dependency_batches for part in batch]
        return model


def _own_copy(handler: BaseRouteHandler) -> _OwnHandler:
    is_http = isinstance(handler, HTTPRouteHandler)
    return LazyRouteHandler.of(handler) if is_http else _OwnWebsocketHandler.of(handler)


class _Arguments:
    model: KwargsModel

    def __init__(self, handler: LazyRouteHandler, path_parameters: Mapping[str, Any]) -> None:
        self._handler, self.path_parameters = handler, path_parameters

    def __getattr__(self, name: str) -> Any:
        self._handler.complete()
        value = getattr(self.model, name)
        setattr(self, name, value)  # so that later requests do not come here
        return value


class _OwnRouter(Router):
    def __deepcopy__(self, memo: object) -> Self:
        return self  # no other application has it


def _paths(handlers: Iterable[BaseRouteHandler]) -> set[str]:
    return {path for handler in handlers for path in handler.paths}


def _options_handler(paths: Collection[str]) -> HTTPRouteHandler:
    def never() -> None:
        """Prevent Litestar from adding a handler; `RequestValidation` answers."""

    of = HTTPRouteHandler(
        sorted(paths),
        http_method=HttpMethod.OPTIONS,
        include_in_schema=False,
        sync_to_thread=False,
    )
    return of(never)


def _dependencies_of(
    function: AnyCallable, own: Mapping[str, Provide | AnyCallable], shared: Mapping[str, Provide]
) -> dict[str, Provide | AnyCallable]:
    """A handler's own dependencies, and the shared ones that these name."""
    asking = [function, *(getattr(part, "dependency", part) for part in own.values())]
    names = {name for part in asking for name in get_annotations(part)}
    return {name: part for name, part in shared.items() if name in names} | dict(own)
