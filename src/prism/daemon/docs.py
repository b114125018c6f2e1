"""Describes the API: `/api/v1/openapi.json` for programs, `/docs` for people.

What is the same for every route is added here: errors, authentication, and the key for repeating
a POST.

The page is made here, with one style sheet: Litestar's own pages load theirs from the
internet.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from html import escape
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.routes import HTTPRoute

from prism import __version__
from prism.daemon.event_schemas import LIVE_EVENT, WEBSOCKET, error_codes, event_schemas
from prism.kit.envelope import ErrorEnvelope
from prism.kit.http import PARAMETERS
from prism.kit.idempotency import HEADER
from prism.kit.stream import LAST_EVENT_ID
from prism.workspaces.waiting import MAX_WAIT_SECONDS, WAIT

Schema = dict[str, Any]
DESCRIPTION_PATH, EVENTS_PATH, WS = "/api/v1/openapi.json", "/api/v1/events", "/api/v1/ws"
DOCS_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }
body { padding: 0 1rem; color: #1b1f24; background: #fff; }
code { font: 0.9em ui-monospace, monospace; }
h2 { margin-top: 3rem; text-transform: capitalize; } h3 { margin: 2rem 0 0; }
h3 b { color: #0b6e4f; } p { margin: 0.3rem 0; } table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: #57606a; margin-top: 0.7rem; }
td { border-top: 1px solid #d0d7de; padding: 0.2rem 1rem 0.2rem 0; vertical-align: top; }
td:first-child { width: 30%; } nav a { margin-right: 1rem; }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; }
h3 b { color: #56d4a0; } a { color: #79b8ff; } td { border-color: #30363d; } }
"""
# Media types by the value of `?format=`.
MEDIA = {"csv": "text/csv", "markdown": "text/markdown", "html": "text/html"}
TEXT = {"schema": {"type": "string"}}
REFUSED_RESPONSE = {"$ref": "#/components/responses/Refused"}
FAILED_RESPONSE = {"$ref": "#/components/responses/Failed"}
THEIRS = {"description": "What the workspace's own service answers"}
PASSED_ON_PATHS = ("/web-proxy/", "/dcv-proxy/")
WHO: list[Schema] = [{}, {"token": []}]  # local mode needs no token
TOKEN_SCHEME = {"type": "http", "scheme": "bearer", "description": "A token, in team mode."}
REPEATED: Schema = {
    "name": HEADER,
    "in": "header",
    "description": "A request that is sent twice with one key happens once.",
    "schema": {"type": "string", "pattern": r"^[ -~]{1,255}$(?!\n)"},
}
PARAMETER: dict[str, Schema] = {
    WAIT: {
        "name": WAIT,
        "in": "query",
        "description": "Seconds to hold the answer back until it is done.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
    },
    LAST_EVENT_ID: {
        "name": LAST_EVENT_ID,
        "in": "query",
        "description": "The last event that you have, where you cannot send `Last-Event-ID`.",
        "schema": {"type": "string"},
    },
}
"""Parameters that middleware reads and no handler declares, by name."""
DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class DocsPage(OpenAPIRenderPlugin):
    """The page in place of Litestar's own ones."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Schema) -> bytes:
        """The API as a page."""
        return page(completed(request.app)).encode()


@get(DESCRIPTION_PATH, include_in_schema=False, sync_to_thread=False)
def description(request: Request[Any, Any, Any]) -> Schema:
    """The API as OpenAPI."""
    return completed(request.app)


def completed(app: Litestar) -> Schema:
    """The description, with the parts that are the same for every route."""
    api = app.openapi_schema.to_schema()
    _, shapes = msgspec.json.schema_components(
        [ErrorEnvelope], ref_template="#/components/schemas/{name}"
    )
    parts = api["components"]
    shapes["ErrorBody"]["properties"]["code"] = {
        "anyOf": [{"enum": error_codes()}, {"type": "string"}]
    }
    known = {**event_schemas(), **parts["schemas"], **shapes}
    parts["schemas"] = dict(sorted(known.items()))
    api["paths"][WS] = {"get": deepcopy(WEBSOCKET)}
    api["paths"] = dict(sorted(api["paths"].items()))
    stream = api["paths"][EVENTS_PATH]["get"]["responses"]["200"]["content"]["text/event-stream"]
    stream["schema"] |= {"contentMediaType": "application/json", "contentSchema": LIVE_EVENT}
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
    parts["responses"] = {
        "Refused": {"description": "Why it was refused; nothing has changed", "content": body},
        "Failed": {"description": "Prism, or what it needs, does not work", "content": body},
    }
    undeclared = {**_undeclared(app), (WS, "get"): (LAST_EVENT_ID,)}
    parts["securitySchemes"], api["security"] = {"token": TOKEN_SCHEME}, WHO
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            _complete(path, method, operation)
            for name in undeclared.get((path, method), ()):
                operation.setdefault("parameters", []).append(PARAMETER[name])
            _loosen(parts["schemas"], operation)
    return api


def _complete(path: str, method: str, operation: Schema) -> None:
    answers = operation["responses"]
    answers.pop("400", None)  # its schema is Litestar's, not ours
    if path.startswith(PASSED_ON_PATHS):
        operation["responses"] = {"default": THEIRS}
        return
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "format":
            kinds = [MEDIA[word] for word in parameter["schema"]["enum"] if word in MEDIA]
            answers["200"]["content"] |= dict.fromkeys(kinds, TEXT)
        elif parameter["name"] == "follow":
            answers["200"]["content"] |= {"text/plain": TEXT}
    answers |= {"4XX": REFUSED_RESPONSE, "5XX": FAILED_RESPONSE}
    if method == "post":
        operation.setdefault("parameters", []).append(REPEATED)


def _undeclared(app: Litestar) -> dict[tuple[str, str], Sequence[str]]:
    """By path and method, the query parameters that a route takes without declaring them."""
    return {
        (route.path_format, method.lower()): handler.opt[PARAMETERS]
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if PARAMETERS in handler.opt
    }


def config() -> OpenAPIConfig:
    """Litestar's configuration; a new one for each application, which adds to it."""
    return OpenAPIConfig(
        title="Prism",
        version=__version__,
        description="Research workspaces on your own machine and in the cloud.",
        use_handler_docstrings=True,
        render_plugins=[DocsPage(path="/", media_type=MediaType.HTML)],
        # Litestar answers every unknown path below this router with a page of its own: never
        # put it at `/api/v1`.
        openapi_router=Router(
            "/docs",
            route_handlers=[],
            include_in_schema=False,
            response_headers={"Content-Security-Policy": DOCS_POLICY, "X-Frame-Options": "DENY"},
        ),
    )


def _loosen(schemas: Schema, operation: Schema) -> None:
    """Make a body optional if no field of it is required."""
    if body := operation.get("requestBody"):
        name = _content(body)["$ref"].rpartition("/")[2]
        body["required"] = bool(schemas[name]["required"])


def page(api: Schema) -> str:
    """The description as an HTML page."""
    tags: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(
                "".join(_operation(api, method.upper(), path, operation))
            )
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in tags)
    sections = "".join(
        f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(operations)}'
        for tag, operations in tags.items()
    )
    title = f"{escape(api['info']['title'])} {escape(api['info']['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{DOCS_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(api['info']['description'])} For programs:"
        f' <a href="{DESCRIPTION_PATH}"><code>{DESCRIPTION_PATH}</code></a>.</p>'
        f"<nav>{links}</nav>{sections}</html>"
    )


def _operation(api: Schema, method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"<h3><code><b>{method}</b> {escape(path)}</code></h3>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    queries = [
        parameter for parameter in operation.get("parameters", ()) if parameter["in"] != "path"
    ]
    if queries:
        rows = (
            (query["name"], query["schema"], query.get("description", "")) for query in queries
        )
        yield _table(api, "Parameters", rows)
    if body := _content(operation.get("requestBody", {})):
        yield _table(api, "Body", _fields(api, body))
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield _table(api, f"Answer {status}", _fields(api, _content(response)))


def _table(api: Schema, caption: str, rows: Iterator[tuple[str, Schema, str]]) -> str:
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(_kind(api, schema))}<td>{escape(text)}"
        for name, schema, text in rows
    )
    return f"<table><caption>{escape(caption)}</caption>{lines}</table>"


def _content(part: Schema) -> Schema:
    """The schema of a body, whatever its media type."""
    return next((media.get("schema", {}) for media in part.get("content", {}).values()), {})


def _fields(api: Schema, schema: Schema) -> Iterator[tuple[str, Schema, str]]:
    """The fields of an object, or of each object in a list."""
    whole = _resolved(api, schema)
    if whole.get("type") == "array":
        whole = _resolved(api, whole["items"])
    needed = whole.get("required", ())
    for name, field in whole.get("properties", {}).items():
        text = field.get("description", "")
        yield f"{name}*" if name in needed else name, field, text


def _resolved(api: Schema, schema: Schema) -> Schema:
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: Schema = api["components"]["schemas"][name] if name else schema
    return resolved


def _kind(api: Schema, schema: Schema) -> str:
    """The type of a value, in a few words."""
    whole = _resolved(api, schema)
    if choices := whole.get("oneOf") or whole.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(api, choice) for choice in choices))
    if "enum" in whole:
        return ", ".join(str(value) for value in whole["enum"])
    if "const" in whole:
        return str(whole["const"])
    kind = whole.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(api, whole.get('items', {}))}"
    words = kind if isinstance(kind, list) else [kind]
    return " or ".join(
        whole.get("format", "string") if word == "string" else word for word in words
    )
