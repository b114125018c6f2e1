"""docs/aws-rules.md names tests that exist, and a document or its absence for each rule."""

import ast
import re
from pathlib import Path

from tests.project.tree import refuse

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "aws-rules.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "rule" and not set(row[0]) <= {"-"}]


def functions(path):
    return {
        node.name
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef)
    }


def test_every_named_test_exists():
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 60
    missing = (
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or (name and name not in functions(path))
    )
    refuse(missing, "The table of rules names tests that do not exist; correct it")


def test_every_rule_has_a_document_a_rule_of_the_double_and_a_test():
    for row in rows():
        rule, document, double, prism = row
        assert rule and document, rule
        assert double.startswith("none") or NAMED.search(double), rule
        assert prism.startswith("**Not kept:**") or NAMED.search(prism), rule


def test_rules_without_a_document_say_so():
    undocumented = [row[0] for row in rows() if row[1].startswith("none")]
    assert "EC2 hibernates Linux through systemd's `hibernate.target`" in undocumented
