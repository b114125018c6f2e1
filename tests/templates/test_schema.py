"""The published schema and the documentation match the model."""

import json
from pathlib import Path

from prism.templates.model import Service, Template, TemplateParameter
from prism.templates.schema import PUBLISHED, schema
from prism.templates.store import BUILT_IN

DOCS = Path(__file__).parents[2] / "docs"


def test_published_schema_equals_the_schema_of_the_model():
    assert json.loads(PUBLISHED.read_text()) == schema(), "run `python -m prism.templates.schema`"


def test_schema_describes_every_field_and_refuses_others():
    kinds = schema()["$defs"]
    for model in (Template, Service, TemplateParameter):
        kind = kinds[model.__name__]
        assert kind["additionalProperties"] is False
        assert kind["properties"].keys() == set(model.__struct_fields__)
        assert all(field.get("description") for field in kind["properties"].values())
    assert kinds["Template"]["required"] == ["name"]


def test_documentation_names_every_field():
    text = (DOCS / "templates.md").read_text()
    for model in (Template, Service, TemplateParameter):
        for field in model.__struct_fields__:
            assert f"`{field}`" in text, field


def test_documentation_names_every_built_in_template():
    text = (DOCS / "templates.md").read_text()
    for file in BUILT_IN.glob("*.yml"):
        name = file.read_text().splitlines()[0].removeprefix("name: ")
        assert f"| {name} |" in text
