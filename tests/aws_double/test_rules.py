"""Rule files: their fields, and the line of each mistake."""

import json
import subprocess
import sys

import msgspec
import pytest

from aws_double.rulebook import BadRules, parse, read, schema
from aws_double.rules import Rules
from tests.project.tree import ROOT

PAGE = ROOT / "docs" / "aws-double.md"
WRONG = {
    "times: 3": (1, "Expected `object`"),
    "times:\n  pending: [1, -2]": (2, ">= 0.0"),
    "times:\n  pending: [1, 2, 3]": (2, "length <= 2"),
    "times:\n  boots: 1": (2, "unknown field `boots`"),
    "faults:\n  - do: lost\n  - do: loose": (3, "Invalid enum value 'loose'"),
    "faults:\n  - do: lost\n    action: Run*\n    tmies: 3": (4, "unknown field `tmies`"),
    "like: aws\nfaults:\n  - {action: RunInstances}": (3, "missing required field `do`"),
    "like: gcp": (1, "Invalid enum value 'gcp'"),
    "capacity:\n  - type: t3.*\n    left: -1": (3, ">= 0"),
    "a: [1": (1, "expected ',' or ']'"),
    '{"quotas": {"standard": "many"}}': (1, "Expected `int | null`"),
    "- like: aws": (1, "Expected `object`"),
}


@pytest.mark.parametrize("text", WRONG, ids=[text.replace("\n", " ") for text in WRONG])
def test_invalid_rules_name_the_line(text):
    line, why = WRONG[text]
    with pytest.raises(BadRules) as caught:
        parse(text, "mine.yml")
    assert str(caught.value).startswith(f"mine.yml:{line}: ")
    assert why in str(caught.value)


def test_empty_rules_file_equals_the_defaults(tmp_path):
    empty = tmp_path / "rules.yml"
    empty.write_text("# nothing\n")
    assert read(empty) == Rules()


def test_rules_like_aws_can_be_overridden():
    rules = parse("like: aws\ntimes: {pending: 1}\nthrottle: []\n")
    assert (rules.times.pending, rules.times.hibernation_ready) == (1, 120)
    assert rules.throttle == ()
    assert parse("like: aws").throttle


def test_docs_schema_equals_the_schema_of_the_rules():
    command = [sys.executable, "-m", "aws_double.rulebook"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == json.loads(msgspec.json.encode(schema()))
    assert PAGE.with_name("aws-double.schema.json").read_text() == run.stdout


NOTHING: tuple[object, ...] = (None, "", [])
KINDS = json.loads(msgspec.json.encode(schema()))["$defs"]


def rows(kind):
    """The rows of one kind of rules that the documentation must contain."""
    for name, field in KINDS[kind]["properties"].items():
        words, choices = field.get("description", ""), field.get("enum", ())
        if not all(choice in words for choice in choices):
            words = f"{words} ({', '.join(choices)})"
        default = field.get("default")
        cell = (
            "" if default in NOTHING or isinstance(default, dict) else f"`{json.dumps(default)}`"
        )
        assert words, name
        yield f"| `{name}` | {cell} | {words} |"


@pytest.mark.parametrize("kind", KINDS)
def test_docs_list_every_rule_with_its_description(kind):
    text = PAGE.read_text()
    assert [row for row in rows(kind) if row not in text] == []


def test_docs_examples_are_valid_rules():
    blocks = PAGE.read_text().split("```yaml\n")[1:]
    assert blocks
    for block in blocks:
        assert parse(block.split("```")[0]) != Rules()


def test_rules_equal_their_json_round_trip():
    rules = parse("like: aws\nfaults: [{do: late, seconds: 3}]\nspot: {t3.small: 0.01}")
    assert parse(msgspec.json.encode(rules).decode()) == rules
