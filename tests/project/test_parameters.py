"""Errors of query parameters use the names in the query."""

import asyncio
import json
import re

import pytest

from prism.access.rules import TABLE
from prism.daemon.app import build
from prism.kit.tables import metadata
from prism.settings import Settings
from tests.conftest import Http
from tests.project.openapi import described
from tests.project.test_routes import resolved
from tests.shapes import failed

OPENAPI = json.loads(described())


def words(schema):
    """The words that a parameter allows; none if it allows any text."""
    ways = [
        resolved(OPENAPI, choice) for choice in schema.get("oneOf", schema.get("anyOf", [schema]))
    ]
    return [word for way in ways for word in way.get("enum", []) if word is not None]


def typed_parameters():
    """Each query parameter that does not accept any text."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", []):
                schema = resolved(OPENAPI, parameter["schema"])
                if parameter["in"] == "query" and (words(schema) or "string" not in str(schema)):
                    yield method.upper(), path, parameter["name"], words(schema)


TYPED_PARAMETERS = [*typed_parameters()]
PASSED_ON = ("/web-proxy/", "/dcv-proxy/")
ROUTES = [
    (method.upper(), path)
    for path, methods in OPENAPI["paths"].items()
    # WebSockets only; and identity providers add parameters of their own to the callback.
    if not path.startswith((*PASSED_ON, "/api/v1/ws", "/auth/callback"))
    for method in methods
]


def test_typed_query_parameters_are_found():
    assert {"state", "status", "format", "type", "limit", "granularity"} <= {
        entry[2] for entry in TYPED_PARAMETERS
    }


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    """One daemon for all tests, because they write nothing."""
    daemon = build(Settings(home=str(tmp_path_factory.mktemp("home")), user="ada"), {})
    metadata.create_all(daemon.db.writer)
    yield Http(daemon.app)
    daemon.close()


@pytest.mark.parametrize(("method", "path", "name", "allowed"), TYPED_PARAMETERS)
def test_invalid_value_is_refused_with_the_name_of_its_parameter(
    http, method, path, name, allowed
):
    path = re.sub(r"\{[^}]*\}", "x", path)
    answer = http(method, f"{path}?{name}=nonsense")
    [wrong] = failed(answer, 422, "VALIDATION_FAILED")["data"]["fields"]
    assert wrong["field"] == name
    if allowed:
        alternatives = (
            wrong["why"].removeprefix("must be one of ").removesuffix(", not 'nonsense'")
        )
        assert sorted(alternatives.split(", ")) == sorted(allowed)


def documented(method, path):
    parameters = OPENAPI["paths"][path][method.lower()].get("parameters", [])
    return {parameter["name"] for parameter in parameters if parameter["in"] == "query"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_unknown_parameter_is_refused_with_the_existing_ones(http, method, path):
    address = f"{re.sub(r'{[^}]*}', 'x', path)}?nonsense=1"
    [wrong] = failed(http(method, address), 422, "VALIDATION_FAILED")["data"]["fields"]
    assert wrong["field"] == "nonsense"
    why, _, named = wrong["why"].rpartition(" are ")
    if known := documented(method, path):
        assert why == "is unknown; the query parameters of this route"
        assert set(named.split(", ")) == known
    else:
        assert wrong["why"] == "is unknown; this route has no query parameters"


@pytest.mark.parametrize("query", ["limit=1&Limit=1", "limi=1", "limit%20=1", "=1", "limit[]=1"])
def test_misspelt_parameter_of_a_list_is_refused(http, query):
    [wrong] = failed(http("GET", f"/api/v1/instances?{query}"), 422, "VALIDATION_FAILED")["data"][
        "fields"
    ]
    assert "cursor, limit, owner, project, state, template" in wrong["why"]


def test_unknown_parameter_of_a_launch_creates_nothing(http):
    order = {"name": "mine", "template": "Plain Shell"}
    answer = http("POST", "/api/v1/instances/launch?dryrun=true", json=order)
    failed(answer, 422, "VALIDATION_FAILED")
    assert http("GET", "/api/v1/instances").json() == []


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ssh-proxy/mine"])
def test_websocket_with_an_unknown_parameter_is_refused(http, path):
    messages = asyncio.run(handshake(http.app, path, b"nonsense=1"))
    assert messages[0]["type"] == "websocket.http.response.start"
    assert messages[0]["status"] == 422
    assert b"nonsense: is unknown" in messages[1]["body"]


async def handshake(app, path, query):
    """The answer of an application to a WebSocket handshake."""
    messages = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        messages.append(message)

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost:8947"), (b"origin", b"http://localhost:8947")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8947),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return messages


def test_access_rules_name_existing_query_parameters():
    known = {name for method, path in ROUTES for name in documented(method, path)}
    named = [
        rule.where.removeprefix("query.") for rule in TABLE.values() if "query." in rule.where
    ]
    assert named
    assert known >= {*named}
