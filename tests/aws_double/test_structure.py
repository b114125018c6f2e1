"""The double follows the rules of the project, and its tests cite the AWS documentation."""

import ast
from pathlib import Path

import pytest

import aws_double
from tests.optional import not_none
from tests.project.tree import functions, public, short

PACKAGE = Path(aws_double.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# These test the double itself; all others test the behaviour of AWS.
OURS = {"control", "double", "faults", "structure", "main", "rules", "scale"}
AWS = sorted(
    name
    for file in Path(__file__).parent.glob("test_*.py")
    if (name := file.stem.removeprefix("test_")) not in OURS
)


@pytest.mark.parametrize("file", FILES, ids=short)
def test_double_file_is_short_and_documented(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    for node in functions(tree):
        assert not_none(node.end_lineno) - node.lineno < 40, node.name
    for part in public(tree):
        assert ast.get_docstring(part), getattr(part, "name", "the module")


@pytest.mark.parametrize("name", AWS)
def test_double_tests_cite_the_aws_documentation(name):
    file = Path(__file__).with_name(f"test_{name}.py")
    for node in functions(ast.parse(file.read_text())):
        if node.name.startswith("test_"):
            docstring = ast.get_docstring(node) or ""
            assert "https://docs.aws.amazon.com/" in docstring, node.name
