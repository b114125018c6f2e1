"""What is wrong with a query is said by the name that people wrote, whatever ours is."""

import json
import re

import pytest

from prism.daemon.house import build
from prism.settings import Settings
from tests.conftest import Http
from tests.house.openapi import described
from tests.house.test_routes import resolved
from tests.shapes import failed

OPENAPI = json.loads(described())


def words(schema):
    """The words that a parameter allows; none where any will do."""
    ways = [resolved(OPENAPI, it) for it in schema.get("oneOf", schema.get("anyOf", [schema]))]
    return [word for it in ways for word in it.get("enum", []) if word is not None]


def particular():
    """Each parameter of a query that does not take just any text."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            for it in operation.get("parameters", []):
                schema = resolved(OPENAPI, it["schema"])
                if it["in"] == "query" and (words(schema) or "string" not in str(schema)):
                    yield method.upper(), path, it["name"], words(schema)


EVERY = [*particular()]


def test_there_are_some():
    assert {"state", "status", "format", "type", "limit", "granularity"} <= {it[2] for it in EVERY}


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    """Nothing is written here, so that one house does for all."""
    house = build(Settings(home=str(tmp_path_factory.mktemp("home")), user="ada"), {})
    house.db.create_tables()
    yield Http(house.app)
    house.close()


@pytest.mark.parametrize(("method", "path", "name", "allowed"), EVERY)
def test_a_wrong_value_goes_by_the_name_in_the_query(http, method, path, name, allowed):
    path = re.sub(r"\{[^}]*\}", "x", path)
    answer = http(method, f"{path}?{name}=nonsense")
    [wrong] = failed(answer, 422, "VALIDATION_FAILED")["data"]["fields"]
    assert wrong["field"] == name
    if allowed:
        said = wrong["why"].removeprefix("must be one of ").removesuffix(", not 'nonsense'")
        assert sorted(said.split(", ")) == sorted(allowed)
