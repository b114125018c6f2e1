"""The routes of the reference exist with its fields, and all routes are described."""

import json
import re

import pytest

from prism.kit import stream
from prism.kit.events import RESYNC
from tests.project.openapi import WRITTEN, described
from tests.project.tree import ROOT, refuse
from tests.shapes import EXAMPLES

KINDS = {
    dict: {"object"},
    list: {"array"},
    str: {"string"},
    bool: {"boolean"},
    int: {"integer"},
    float: {"number"},
}
# Routes of the reference without an example.
UNSHOWN = {
    "GET logs",
    "GET logs/{}",
    "GET logs/{}/types",
    "GET ws",
    "GET /aws-proxy/{}",
    "GET /dcv-proxy/{}",
    "GET /ssh-proxy/{}",
    "GET /web-proxy/{}",
}


def plain(route):
    """A route without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", route).replace("/api/v1/", "")


@pytest.fixture(scope="module")
def openapi():
    return json.loads(described())


@pytest.fixture(scope="module")
def built_paths(openapi):
    paths = {
        plain(f"{method.upper()} {path}")
        for path, methods in openapi["paths"].items()
        for method in methods
    }
    return paths | {plain(f"GET {path}") for path in stream.listen.paths}


def test_every_route_of_the_reference_exists(built_paths):
    missing = sorted(({plain(route) for route in EXAMPLES} | UNSHOWN) - built_paths)
    refuse(missing, "tests/spec/examples.json has routes that the daemon lacks; add them")


def test_routes_have_the_fields_of_the_reference(openapi):
    """By their description; the tests of each package compare the answers."""
    routes = {
        plain(f"{method.upper()} {path}"): operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }
    differ = []
    for route in EXAMPLES:
        operation = routes[plain(route)]
        body = content(operation.get("requestBody", {}))
        answer = content(
            max(pair for pair in operation["responses"].items() if pair[0][0] in "12")[1]
        )
        for direction, schema in (("request", body), ("response", answer)):
            if direction in EXAMPLES[route]:
                example = EXAMPLES[route][direction]
                problems = lacking(openapi, example, schema, direction)
                differ += [f"{route}: {problem}" for problem in problems]
    refuse(differ, "Answers may have more fields than tests/spec/examples.json, not fewer")


def content(part):
    return next((media["schema"] for media in part.get("content", {}).values()), {})


def lacking(openapi, example, schema, where):
    """The parts of an example that a schema lacks."""
    schema = resolved(openapi, schema)
    choices = [
        resolved(openapi, choice) for choice in schema.get("oneOf", schema.get("anyOf", [schema]))
    ]
    fits = [choice for choice in choices if {*kinds(choice)} & KINDS[type(example)]]
    if not fits:
        yield f"{where} is not {type(example).__name__}"
    elif isinstance(example, dict):
        fields = fits[0].get("properties", {})
        for name, value in example.items():
            if name in fields:
                yield from lacking(openapi, value, fields[name], f"{where}.{name}")
            elif not fits[0].get("additionalProperties"):
                yield f"{where}.{name} is missing"
    elif isinstance(example, list) and example:
        yield from lacking(openapi, example[0], fits[0]["items"], f"{where}[]")


def resolved(openapi, schema):
    name = schema.get("$ref", "").rpartition("/")[2]
    return openapi["components"]["schemas"][name] if name else schema


def kinds(schema):
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def test_openapi_file_equals_the_generated_description(openapi):
    assert json.loads(WRITTEN.read_text()) == openapi, "run `make openapi` and look at the diff"


def test_every_route_has_a_description_and_a_tag(openapi):
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path}"
            assert operation.get("tags"), f"{method} {path}"


def test_web_gui_has_a_text_for_each_event(openapi):
    """Without one it would show the name of the event, such as `Invitation mailed`."""
    events = openapi["components"]["schemas"]["LiveEvent"]["anyOf"]
    shapes = (resolved(openapi, event) for event in events)
    names = {shape["properties"]["event"]["const"] for shape in shapes}
    strings = (ROOT / "web/src/strings.ts").read_text()
    [table] = re.findall(r"^const EVENTS.*? = {\n(.*?)^};", strings, re.DOTALL | re.MULTILINE)
    texts = {*re.findall(r"^  (\w+): '.+',$", table, re.MULTILINE)}
    refuse(names - texts - {RESYNC}, "Write a text for the event in EVENTS of web/src/strings.ts")
    refuse(texts - names, "No event has this name; delete its text from web/src/strings.ts")


def test_every_schema_has_a_unique_title(openapi):
    """Generators of clients name classes by the title, and drop duplicates."""
    shapes = openapi["components"]["schemas"]
    titles = [shape.get("title", name) for name, shape in shapes.items()]
    assert sorted(titles) == sorted(set(titles))
    assert all(name.isalnum() for name in shapes)


def test_each_response_format_is_described(openapi):
    paths = []
    for path, methods in openapi["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "format":
                    words = parameter["schema"]["enum"]
                    if "json" not in words:  # it is a field of the JSON answer
                        continue
                    kinds = operation["responses"]["200"]["content"]
                    # FOCUS is a set of columns of CSV, so it has no media type of its own.
                    assert len(kinds) == len({*words} - {"focus"}), (path, words, [*kinds])
                    paths.append(path)
    assert paths
