"""Reads rules from YAML or JSON; errors name the line."""

import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from aws_double.rules import LIKE, Rules

STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")


class BadRules(ValueError):
    """The rules cannot be used."""


def read(path: Path) -> Rules:
    """The rules in a file."""
    return parse(path.read_text(), str(path))


def parse(text: str, name: str = "rules") -> Rules:
    """The rules in a text; JSON is YAML too."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadRules(f"{name}:{line}: {error.problem}") from error
    try:
        return build(document or {})
    except msgspec.ValidationError as error:
        raise BadRules(f"{name}:{_line(node, str(error))}: {error}") from error


def build(document: Any) -> Rules:
    """The rules of a decoded document."""
    start = LIKE.get(str(document.get("like"))) if isinstance(document, dict) else None
    if start and isinstance(times := document.get("times") or {}, dict):
        document = {**start, **document, "times": {**start["times"], **times}}
    return msgspec.convert(document, Rules)


def schema() -> dict[str, Any]:
    """The JSON schema of a file of rules."""
    return msgspec.json.schema(Rules)


def _line(node: Any, message: str) -> int:
    """The line of the deepest node on the path in msgspec's message."""
    path = message.rpartition(" - at `$")[2].rstrip("`") if " - at `$" in message else ""
    named = re.search(r"unknown field `(\w+)`", message)
    steps = [key or index for key, index in STEP.findall(path)] + ([named[1]] if named else [])
    line = 0
    for step in steps:
        line = node.start_mark.line
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    line, node = key.start_mark.line, value
                    break
        elif isinstance(node, yaml.SequenceNode) and step.isdigit():
            node = node.value[int(step)]
            line = node.start_mark.line
    return int(line) + 1


def main() -> int:
    """Print the schema: `python -m aws_double.rulebook`."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(schema()), indent=1).decode() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
