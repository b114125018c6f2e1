"""The gate protects every route and method of the real application."""

import asyncio
import json
import re
from itertools import product
from typing import Any

import pytest
from litestar.routes import HTTPRoute, WebSocketRoute

from prism.daemon.app import build
from prism.daemon.main import _config
from prism.kit.gate import Gate
from prism.kit.request_counts import RequestCounts
from prism.kit.tables import metadata
from prism.settings import Settings
from tests.conftest import LOCATION

HOST = "localhost:8947"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
NOWHERE = ("/", "/nothing", "/api/v1", "/api/v1/nothing", "//api//v1//instances")
FOREIGN = {
    "foreign host": ({"host": "evil.example:8947"}, 421, "HOST_REJECTED"),
    "foreign origin": ({"host": HOST, "origin": "https://evil.example"}, 403, "ORIGIN_REJECTED"),
    "no host": ({}, 400, "HOST_INVALID"),
}
TEAM = {"auth": "tokens", "public_url": "https://prism.example.org"}


@pytest.fixture(params=[{}, TEAM], ids=["local mode", "team mode"])
def daemon(request, tmp_path, cloud, clock):
    stopped = []
    settings = {
        "home": str(tmp_path),
        "database_url": f"sqlite:///{tmp_path / 'db'}",
        "user": "ada",
    }
    daemon = build(
        Settings(**settings | request.param), {LOCATION: cloud}, clock, lambda: stopped.append(1)
    )
    metadata.create_all(daemon.db.writer)
    daemon.profiles.first_start({})
    yield daemon
    daemon.close()
    assert stopped == []


def every_request(daemon):
    """Every possible request: the kind of connection, the method, the path."""
    routes = daemon.app._app._app.app.routes
    assert {type(route) for route in routes} == {HTTPRoute, WebSocketRoute}
    kinds: dict[type, str] = {HTTPRoute: "http", WebSocketRoute: "websocket"}
    paths = {(kinds[type(route)], re.sub(r"\{[^}]*\}", "x", route.path)) for route in routes}
    paths |= set(product(kinds.values(), NOWHERE))
    for kind, path in sorted(paths):
        for method in METHODS if kind == "http" else ("GET",):
            yield kind, method, path


def answer_of(app, kind, method, path, headers):
    """The status, and the code of an error."""
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 8947),
        "client": ("127.0.0.1", 1),
        "scheme": {"http": "http", "websocket": "ws"}[kind],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "root_path": "",
    }
    messages: list[dict[str, Any]] = []

    async def receive():
        if any(message["type"].endswith(("body", "close", "accept")) for message in messages):
            return {"type": f"{kind}.disconnect", "code": 1000}
        return {"type": {"http": "http.request", "websocket": "websocket.connect"}[kind]}

    async def send(message):
        messages.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in messages)
    code = json.loads(body)["error"]["code"] if body.startswith(b'{"error"') else None
    return messages[0].get("status", messages[0]["type"]), code


@pytest.mark.parametrize("foreign", FOREIGN)
def test_request_with_a_foreign_host_or_origin_is_refused_on_every_route(daemon, foreign):
    headers, *refusal = FOREIGN[foreign]
    before = daemon.db.newest_event()
    answers = {
        (kind, method, path): answer_of(daemon.app, kind, method, path, headers)
        for kind, method, path in every_request(daemon)
    }
    differing = {knock: answer for knock, answer in answers.items() if answer != tuple(refusal)}
    if foreign == "foreign host" and daemon.team:
        # Prometheus knows daemons by their addresses; it needs a token, which no page has.
        assert differing.pop(("http", "GET", "/metrics")) == (401, "UNAUTHENTICATED")
    assert differing == {}
    assert {("http", "POST", "/api/v1/daemon/shutdown"), ("websocket", "GET", "/api/v1/ws")} < {
        *answers
    }
    assert daemon.db.newest_event() == before


def test_request_with_an_own_host_passes_the_gate(daemon):
    """So the test above distinguishes the gate from the application behind it."""
    friend = {"host": HOST}
    assert answer_of(daemon.app, "http", "GET", "/docs", friend) == (200, None)
    assert answer_of(daemon.app, "http", "GET", "/nothing", friend)[1] == "ENDPOINT_NOT_FOUND"


def test_gate_is_the_outermost_application_and_is_served(daemon):
    """A route mounted outside of the gate would not be among the application's routes."""
    assert type(daemon.app) is RequestCounts  # which has no routes
    assert type(daemon.app._app) is Gate
    assert _config(daemon, None).app is daemon.app
