"""Two pages of reference for the documentation's site, from the API's description and the client.

Run alone, it prints one: `reference.py api` or `reference.py client`.
"""

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OPENAPI = ROOT / "docs" / "openapi.json"
CLIENT = ROOT / "src" / "prism" / "client"
Json = dict[str, Any]
API_HEAD = """# The API

Every route of the daemon, from [its own description](openapi.json). Addresses begin with
`http://localhost:8947`. Each error has a `code` and, if something helps, a `remediation`.
"""
CLIENT_HEAD = """# The Python client

Every method of `prism.client.Client`. `AsyncClient` has the same ones, to be awaited
([how](cli.md#the-same-from-python)).
"""


def api_reference(description: Json) -> str:
    """A page with each route: what it does, its parameters, its request and its answer."""
    by_tag: dict[str, list[str]] = defaultdict(list)
    schemas = description["components"]["schemas"]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            [tag, *_] = operation.get("tags") or ["others"]
            by_tag[tag].append(route(method.upper(), path, operation, schemas))
    parts = [f"## {tag.capitalize()}\n\n{''.join(by_tag[tag])}" for tag in sorted(by_tag)]
    types = [declared_type(name, schema) for name, schema in sorted(schemas.items())]
    return "\n".join([API_HEAD, *parts, "## Types\n", *types])


def declared_type(name: str, schema: Json) -> str:
    """The section of a type."""
    text = f"### {name}\n\n{plain(schema)}\n\n"
    if not (properties := schema.get("properties")):
        return text + f"{kind(schema)}\n"
    rows = (f"| `{key}` | {kind(field)} | {plain(field)} |\n" for key, field in properties.items())
    return f"{text}| field | type | |\n|---|---|---|\n{''.join(rows)}"


def route(method: str, path: str, operation: Json, schemas: Json) -> str:
    """The section of one route."""
    rows = [
        (f"`{field['name']}`", f"{field['in']}, {kind(field['schema'])}", plain(field))
        for field in operation.get("parameters", ())
        if field["in"] != "path"
    ]
    rows += [
        row
        for body in schemas_of(operation.get("requestBody", {}))
        for row in fields(body, schemas)
    ]
    answers = [
        f"{code}: {', '.join(map(kind, schemas_of(answer))) or 'no content'}"
        for code, answer in operation["responses"].items()
        if code.startswith("2")
    ]
    text = f"### `{method} {path}`\n\n{plain(operation)}\n\n"
    if rows:
        text += "| field | type | |\n|---|---|---|\n"
        text += "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"
    return text + f"Answer: {'; '.join(answers)}\n\n"


def fields(schema: Json, schemas: Json) -> Iterator[tuple[str, str, str]]:
    """The rows of a request's fields."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        schema = schemas[name]
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in required else ", optional"
        yield f"`{name}`", f"body, {kind(field)}{optional}", plain(field)


def schemas_of(message: Json) -> list[Json]:
    """What a request or an answer consists of."""
    return [
        content["schema"] for content in message.get("content", {}).values() if "schema" in content
    ]


def kind(schema: Json) -> str:
    """A type in a few words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(map(kind, schema[several])))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    names = schema.get("type", "any")
    return " or ".join(names) if isinstance(names, list) else str(schema.get("format", names))


def plain(described: Json) -> str:
    """A description on one line, as a cell of a table."""
    return re.sub(r"\s+", " ", described.get("description") or "").replace("|", "\\|")


def client_reference(folder: Path) -> str:
    """A page with each method of the client: its signature, and what it does."""
    classes: dict[str, ast.ClassDef] = {}
    for file in sorted(folder.glob("*.py")):
        tree = ast.parse(file.read_text())
        classes |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    parts = [CLIENT_HEAD, section("Client", classes["Client"], "client")]
    for noun, name in nouns(classes["Client"]):
        parts.append(section(noun.capitalize(), classes[name], f"client.{noun}"))
    return "\n".join(parts)


def nouns(client: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The public attributes that the client's constructor sets, with their classes."""
    for target, value in assignments(client):
        match target, value:
            case ast.Attribute(value=ast.Name(id="self"), attr=noun), ast.Call(
                func=ast.Name(id=name)
            ) if not noun.startswith("_"):
                yield noun, name


def assignments(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each target and its value, also of `a, b = c, d`."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                yield from zip(targets, values, strict=True)
            case ast.Assign(targets=[target], value=value):
                yield target, value


def section(title: str, defined: ast.ClassDef, prefix: str) -> str:
    """The methods of a class."""
    text = f"## {title}\n\n{ast.get_docstring(defined) or ''}\n\n"
    for method in defined.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            signature = (
                f"{prefix}.{method.name}({ast.unparse(method.args).removeprefix('self, ')})"
            )
            signature = signature.replace("(self)", "()")
            returned = f" -> {ast.unparse(method.returns)}" if method.returns else ""
            text += (
                f"```python\n{signature}{returned}\n```\n\n{ast.get_docstring(method) or ''}\n\n"
            )
    return text


PAGES: dict[str, Callable[[], str]] = {
    "docs/api.md": lambda: api_reference(json.loads(OPENAPI.read_text())),
    "docs/client.md": lambda: client_reference(CLIENT),
}

if __name__ == "__main__":
    sys.stdout.write(PAGES[f"docs/{sys.argv[1]}.md"]())
