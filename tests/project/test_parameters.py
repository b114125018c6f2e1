"""What is wrong with a query is said by the name that people wrote, whatever ours is."""

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
    """The words that a parameter allows; none where any will do."""
    ways = [
        resolved(OPENAPI, choice) for choice in schema.get("oneOf", schema.get("anyOf", [schema]))
    ]
    return [word for way in ways for word in way.get("enum", []) if word is not None]


def particular():
    """Each parameter of a query that does not take just any text."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", []):
                schema = resolved(OPENAPI, parameter["schema"])
                if parameter["in"] == "query" and (words(schema) or "string" not in str(schema)):
                    yield method.upper(), path, parameter["name"], words(schema)


EVERY = [*particular()]
PASSED_ON = ("/web-proxy/", "/dcv-proxy/")
ROUTES = [
    (method.upper(), path)
    for path, methods in OPENAPI["paths"].items()
    if not path.startswith(PASSED_ON)
    for method in methods
]


def test_there_are_some():
    assert {"state", "status", "format", "type", "limit", "granularity"} <= {
        entry[2] for entry in EVERY
    }


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    """Nothing is written here, so that one daemon does for all."""
    daemon = build(Settings(home=str(tmp_path_factory.mktemp("home")), user="ada"), {})
    metadata.create_all(daemon.db.writer)
    yield Http(daemon.app)
    daemon.close()


@pytest.mark.parametrize(("method", "path", "name", "allowed"), EVERY)
def test_a_wrong_value_goes_by_the_name_in_the_query(http, method, path, name, allowed):
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
def test_an_unknown_parameter_is_refused_with_those_that_exist(http, method, path):
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
def test_a_misspelt_parameter_changes_no_list(http, query):
    [wrong] = failed(http("GET", f"/api/v1/instances?{query}"), 422, "VALIDATION_FAILED")["data"][
        "fields"
    ]
    assert "cursor, limit, owner, project, state, template" in wrong["why"]


def test_a_refused_parameter_launches_nothing(http):
    order = {"name": "mine", "template": "Plain Shell"}
    answer = http("POST", "/api/v1/instances/launch?dryrun=true", json=order)
    failed(answer, 422, "VALIDATION_FAILED")
    assert http("GET", "/api/v1/instances").json() == []


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ssh-proxy/mine"])
def test_a_websocket_with_an_unknown_parameter_is_refused(http, path):
    messages = asyncio.run(handshake(http.app, path, b"nonsense=1"))
    assert messages[0]["type"] == "websocket.http.response.start"
    assert messages[0]["status"] == 422
    assert b"nonsense: is unknown" in messages[1]["body"]


async def handshake(app, path, query):
    """What an application answers to a browser that asks for a WebSocket."""
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


def test_every_right_that_depends_on_a_parameter_names_one_that_exists():
    known = {name for method, path in ROUTES for name in documented(method, path)}
    named = [
        rule.where.removeprefix("query.") for rule in TABLE.values() if "query." in rule.where
    ]
    assert named
    assert known >= {*named}
