"""HTTP around the application: strict requests in, problems out.

A request is checked in one order, whatever the route: the body's size, its type, its
syntax, then fields and parameters. `RequestValidation` checks all of it before the handler, the
transaction and the idempotency key.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
import msgspec.inspect
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.events import BaseEventEmitterBackend
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from prism import errors
from prism.errors import InvalidJson, ValidationFailed
from prism.kit import enum_errors, problem_page
from prism.kit.clock import Clock
from prism.kit.database.disk_reserve import HINT, NO_ROOM, HomeDiskFull
from prism.kit.envelope import (
    BodyTooLarge,
    Bug,
    EndpointNotFound,
    InvalidRequest,
    MethodNotAllowed,
    RequestTooSlow,
    Unauthenticated,
    UnsupportedMediaType,
    headers_of,
    status_of,
    to_wire,
)
from prism.kit.routes import Routes

log = logging.getLogger(__name__)
JSON = "application/json"
ProblemHandler = Callable[[Request[Any, Any, Any], Any], Response[Any]]
MAX_BODY_BYTES = 1024 * 1024  # bytes of a body
BODY_TIMEOUT = 30.0  # seconds that may pass between two pieces of one
RAW = "raw"  # the `opt` of a route that takes bodies as they come, such as a proxy
PASSED_ON_KEY = "passed_on"  # the `opt` of a route whose query belongs to somebody else
PARAMETERS = "parameters"
"""The `opt` of a route: names of query parameters that its handler does not declare, because a
middleware reads them or the handler reads the query itself."""
WITHOUT_KEY = "without_key"
"""The `opt` of a route that ignores `Idempotency-Key`, whose transaction would stay open while
the handler waits for something far away. A repeated request must be refused or do no harm."""
READS = "reads"  # the `opt` of a route that changes nothing in the database, whatever its method
WRITES: ContextVar[bool] = ContextVar("WRITES", default=False)
"""Whether this request may change something; those have threads of their own."""
BODY, DECODED = "prism_body", "prism_decoded"  # where `RequestValidation` puts them in the scope
FRAMEWORK: dict[int, type[errors.Problem]] = {
    401: Unauthenticated,
    404: EndpointNotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
}
MISSING_PARAMETER = re.compile(r"Missing required \w+ parameter '([^']*)'")
SHAPE = re.compile(r"matching regex (.*)$", re.DOTALL)
FIELD_ERROR = re.compile(r"^Object (?:missing required|contains unknown) field `([^`]*)`")
PLACE = re.compile(r"^(?P<why>.*) - at `?(?:key` in `)?\$\.?(?P<place>.*?)`?$", re.DOTALL)


class EmptyBody(Struct, forbid_unknown_fields=True):
    """The body of a route without a body."""


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body is decoded strictly; Litestar alone would turn `"5"` into 5."""

    async def body(self) -> bytes:
        """The body; without one an empty object, so that errors name the missing fields."""
        return await super().body() or b"{}"

    async def json(self) -> Any:
        """The body as the type that the handler declares."""
        scope = cast("dict[str, Any]", self.scope)
        if DECODED not in scope:
            value = parsed(body := await self.body())
            scope[DECODED] = typed(value, body, self.route_handler)
        return scope[DECODED]


class NoEventEmitter(BaseEventEmitterBackend):
    """Replaces Litestar's events, which nothing uses; its emitter would start a task."""

    async def __aexit__(self, *of: object) -> None:
        """Nothing to end."""

    def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
        """Ignore the event."""


class Api(Litestar):
    """An application that uses types of msgspec only.

    Litestar looks for pydantic and attrs, and imports them if they are installed: 0.1 s of every
    start, and 15 MB, for types that Prism does not have.
    """

    def __init__(
        self, routes: Iterable[Routes], dependencies: Mapping[str, Provide], **more: Any
    ) -> None:
        routers = [part.router(dependencies) for part in routes]
        super().__init__(routers, event_emitter_backend=NoEventEmitter, **more)

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


class RequestValidation(ASGIMiddleware):
    """Refuses invalid requests before anything has an effect."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = PASSED_ON_KEY

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Read and check the body and the parameters, and pass them on."""
        if scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS":
            return await _answer_options(scope, send)
        if scope["route_handler"].opt.get(RAW):
            check_parameters(scope)
            return await next_app(scope, receive, send)
        body = await _body(scope, receive)
        if body and _media_type(scope) != JSON:
            raise UnsupportedMediaType(
                details=f"Content-Type: {_media_type(scope) or 'none'}",
                remediation=f"Send JSON with `Content-Type: {JSON}`",
            )
        value = parsed(body)
        check_parameters(scope)
        extra, handler = cast("dict[str, Any]", scope), scope["route_handler"]
        extra[BODY], extra[DECODED] = body, typed(value, body, handler)
        WRITES.set(extra["method"] not in {"GET", "HEAD"} and not handler.opt.get(READS))
        return await next_app(scope, replay_body(body, receive), send)


def parsed(body: bytes) -> Any:
    """The decoded JSON, of any type; an empty object for an empty body."""
    try:
        value = msgspec.json.decode(body) if body else {}
    except msgspec.ValidationError as error:  # a number beyond what a float holds
        raise validation_failed(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(details=str(error)) from error
    except RecursionError as error:
        raise InvalidJson(details="The JSON is nested too deeply") from error
    if b"\\u0000" in body and (places := list(_nul_places(value))):
        raise ValidationFailed.of(*((place, "must not contain NUL") for place in places))
    return value


def typed(value: Any, body: bytes, handler: BaseRouteHandler) -> Any:
    """The body as the type that the handler declares, decoded strictly."""
    field = handler.parsed_data_field if isinstance(handler, HTTPRouteHandler) else None
    if field is None and value == {}:
        return None
    try:
        return msgspec.json.decode(body or b"{}", type=field.annotation if field else EmptyBody)
    except msgspec.ValidationError as error:
        kind = field.annotation if field else EmptyBody
        first = validation_failed(error, kind)
        raise _with_other_fields(first, value, kind) from error


def _with_other_fields(first: ValidationFailed, value: Any, kind: Any) -> ValidationFailed:
    """The problem of all fields: msgspec stops at the first that it finds."""
    if not (isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct)):
        return first
    failures = [first]
    fields = single_fields(kind)
    for name in value.keys() | fields.keys():
        try:
            if name in fields:
                alone = {name: value[name]} if name in value else {}
                msgspec.json.decode(msgspec.json.encode(alone), type=fields[name])
            elif kind.__struct_config__.forbid_unknown_fields:
                msgspec.json.decode(msgspec.json.encode({name: None}), type=EmptyBody)
        except msgspec.ValidationError as error:
            failures.append(validation_failed(error, kind))
    whys: dict[str, str] = {}
    for failure in failures:
        for entry in (failure.data or {})["fields"]:
            whys.setdefault(entry["field"], entry["why"])
    return ValidationFailed.of(*sorted(whys.items()))


@cache
def single_fields(kind: type[Struct]) -> dict[str, type[Struct]]:
    """For each field, by its name in JSON, a struct of only this field."""
    return {
        field.encode_name: msgspec.defstruct(
            kind.__name__,
            [(field.name, field.type) if field.required else (field.name, field.type, None)],
            rename={field.name: field.encode_name},
        )
        for field in msgspec.structs.fields(kind)
    }


def validation_failed(error: msgspec.ValidationError, kind: Any = Any) -> ValidationFailed:
    """The problem for an error of msgspec about a `kind`; it names the field."""
    words, place = str(error), ""
    if at := PLACE.match(words):
        words, place = at["why"], at["place"]
    if named := FIELD_ERROR.match(words):
        place = f"{place}.{named[1]}".lstrip(".")
    if shape := SHAPE.search(words):
        words = pattern_descriptions(kind).get(shape[1], words)
    return ValidationFailed.of((place or "body", enum_errors.message(words, kind, place)))


@cache
def pattern_descriptions(kind: Any) -> dict[str, str]:
    """The descriptions of the patterns in a type, by pattern, for error messages."""
    meanings: dict[str, str] = {}
    left, known = [msgspec.inspect.type_info(kind)], set[int]()
    while left:
        if id(part := left.pop()) in known or not isinstance(part, Struct):
            continue
        known.add(id(part))
        if isinstance(part, msgspec.inspect.Metadata):
            pattern = getattr(part.type, "pattern", None)
            if pattern and (meaning := (part.extra_json_schema or {}).get("description")):
                meanings[repr(pattern)] = f"Expected {meaning}"
        for name in part.__struct_fields__:
            value = getattr(part, name)
            left += value if isinstance(value, tuple) else [value]
    return meanings


def problems(clock: Clock) -> dict[int | type[Exception], ProblemHandler]:
    """Exception handlers that turn every failure into the error envelope."""

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        problem = as_problem(error, request.scope.get("route_handler"))
        headers = headers_of(problem)
        if isinstance(error, HTTPException) and (allow := (error.headers or {}).get("allow")):
            headers["Allow"] = ", ".join(sorted(m for m in allow.split(", ") if m.isupper()))
        body, content_headers = _encoded(request.scope, problem, clock.now())
        kind, headers = content_headers["Content-Type"], {**content_headers, **headers}
        status = status_of(problem)
        return Response(body, status_code=status, media_type=kind, headers=headers)

    return {Exception: answer, HTTPException: answer}


def as_problem(error: Exception, handler: BaseRouteHandler | None = None) -> errors.Problem:
    """The problem for an exception of that handler; an unexpected one is logged."""
    if isinstance(error, errors.Problem):
        return error
    if isinstance(error, ValidationException):
        return ValidationFailed.of(*_fields(error, handler))
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return HomeDiskFull(details=str(error), remediation=HINT)
    if isinstance(error, HTTPException) and error.status_code < 500:
        return FRAMEWORK.get(error.status_code, InvalidRequest)(details=_details(error))
    reference = secrets.token_hex(4)
    log.error("bug %s", reference, exc_info=error)
    return Bug(details=f"reference {reference}", remediation="Look for it in the daemon's log")


async def refuse(
    scope: Any,
    send: Any,
    problem: errors.Problem,
    at: datetime,
    link: str | None = None,
    *,
    again: bool = False,
) -> None:
    """Answer with a problem, over HTTP or WebSocket: as a page in a browser, else as JSON.

    `link` is the address to which the page leads; with `again` it loads itself again soon.
    """
    kind = "http" if scope["type"] == "http" else "websocket.http"
    if kind != "http" and f"{kind}.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": problem.code})
        return
    body, content_headers = _encoded(scope, problem, at, link, again=again)
    headers = {**content_headers, "Content-Length": str(len(body)), **headers_of(problem)}
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    start = {"type": f"{kind}.response.start", "status": status_of(problem), "headers": lines}
    await send(start)
    await send({"type": f"{kind}.response.body", "body": body, "more_body": False})


async def redirect(send: Any, location: str, *cookies: str) -> None:
    """Lead a browser on with GET, and set cookies; nothing of the address is sent along."""
    headers = [
        (b"location", location.encode("ascii", "ignore")),
        (b"content-length", b"0"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        *((b"set-cookie", cookie.encode()) for cookie in cookies),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _encoded(
    scope: Any,
    problem: errors.Problem,
    at: datetime,
    link: str | None = None,
    *,
    again: bool = False,
) -> tuple[bytes, dict[str, str]]:
    """A problem as a page or as JSON, and the headers for that."""
    if problem_page.wants_page(scope):
        return problem_page.page_of(problem, link, again=again), problem_page.HEADERS
    return to_wire(problem, at), {"Content-Type": JSON}


async def _answer_options(scope: Scope, send: Send) -> None:
    """Answer OPTIONS with every method of the path; Litestar's own answer lacks later ones."""
    template, routes = scope["path_template"], Litestar.from_scope(scope).routes
    at = (
        httproute
        for httproute in routes
        if isinstance(httproute, HTTPRoute) and httproute.path_format == template
    )
    allow = ", ".join(sorted({method for route in at for method in route.methods}))
    headers = [(b"allow", allow.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; if it is too large, the rest is not even read."""
    length = header(scope, b"content-length")
    if length in {b"", b"0"} and not header(scope, b"transfer-encoding"):
        return b""
    announced, read, pieces, more = int(length or 0), 0, [], True
    while more and max(announced, read) <= MAX_BODY_BYTES:
        message = await next_piece(receive)
        if message["type"] == "http.disconnect":
            raise InvalidRequest(details="The request ended before its body was complete")
        pieces.append(message.get("body", b""))
        read += len(pieces[-1])
        more = message.get("more_body", False)
    if max(announced, read) > MAX_BODY_BYTES:
        raise BodyTooLarge(remediation="Send less, or in several requests")
    return b"".join(pieces)


async def next_piece(receive: Receive) -> Any:
    """The next piece of a body; raises if it does not arrive in time."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await receive()
    except TimeoutError as error:
        raise RequestTooSlow(
            details=f"no more of its body arrived for {BODY_TIMEOUT:g} seconds",
            remediation="Send the whole request at once",
        ) from error


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body once more, and then later messages."""
    sent = False

    async def replay() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def check_parameters(scope: Scope) -> None:
    """Refuse parameters that the route does not have, that are repeated, or that contain NUL."""
    if wrong := list(_wrong_parameters(scope)):
        raise ValidationFailed.of(*wrong)


def _wrong_parameters(scope: Scope) -> Iterator[tuple[str, str]]:
    for name, value in scope["path_params"].items():
        if "\0" in str(value):
            yield name, "must not contain NUL"
    if not (query := scope["query_string"]):
        return
    known, seen = parameters_of(Litestar.from_scope(scope), scope["route_handler"]), set[str]()
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in seen:
            yield name, "is given more than once"
        elif "\0" in name + value:
            yield name.replace("\0", ""), "must not contain NUL"
        elif name not in known:
            yield name or "query", _unknown(known)
        seen.add(name)


def _unknown(known: Collection[str]) -> str:
    if not known:
        return "is unknown; this route has no query parameters"
    return f"is unknown; the query parameters of this route are {', '.join(sorted(known))}"


@cache
def parameters_of(app: Litestar, handler: BaseRouteHandler) -> frozenset[str]:
    """The names of the query parameters that a route takes."""
    declared = {
        parameter.field_alias
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for registered, model in route.route_handler_map.values()
        if registered is handler
        for parameter in model.expected_query_params
    }
    return frozenset({*declared, *handler.opt.get(PARAMETERS, ())})


def _nul_places(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, str) and "\0" in value:
        yield place or "body"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _nul_places(item, f"{place}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            below = f"{place}.{name}".lstrip(".").replace("\0", "")
            yield from [below] if "\0" in name else _nul_places(item, below)


def _fields(
    error: ValidationException, handler: BaseRouteHandler | None
) -> Iterator[tuple[str, str]]:
    """The errors in parameters, by their names in the query."""
    if missing := MISSING_PARAMETER.search(error.detail):
        yield missing[1], "is missing"
        return
    known = handler.parsed_fn_signature.parameters if handler else {}
    entries: Any = error.extra if isinstance(error.extra, list) else []
    for entry in entries:
        name, words = entry.get("key", "body"), entry["message"]
        if parameter := known.get(name):
            name = getattr(parameter.kwarg_definition, "name", None) or name
            words = enum_errors.message(words, parameter.annotation)
        yield name, words


def _details(error: HTTPException) -> str:
    return "" if error.status_code in FRAMEWORK else str(error.detail)


def _media_type(scope: Scope) -> str:
    return header(scope, b"content-type").decode("latin-1").partition(";")[0].strip().lower()


def header(scope: Any, name: bytes) -> bytes:
    """The first header of that (lower-case) name, or nothing."""
    return next((value for key, value in scope["headers"] if key == name), b"")
