"""The JSON Schema of a template file, for editors; made from the model, never by hand."""

import json
from pathlib import Path
from typing import Any

import msgspec

from prism.templates.model import Template

PUBLISHED = Path(__file__).parent / "template.schema.json"


def schema() -> dict[str, Any]:
    """The schema. A parent may bring what a file leaves out, so only `name` is required."""
    generated: dict[str, Any] = msgspec.json.schema(Template)
    for kind in ("Service", "TemplateParameter"):
        generated["$defs"][kind].pop("required", None)
    draft = "https://json-schema.org/draft/2020-12/schema"
    whole = {"$schema": draft, "title": "Prism template", **generated}
    plain: dict[str, Any] = json.loads(json.dumps(whole))  # as a reader of the file sees it
    return plain


def publish() -> None:
    """Write the schema into the package."""
    PUBLISHED.write_text(json.dumps(schema(), indent=2) + "\n")


if __name__ == "__main__":
    publish()
