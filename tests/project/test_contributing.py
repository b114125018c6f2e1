"""The recipes of CONTRIBUTING name existing files, and each kind of file of a package."""

import re

import pytest

from tests.project.tree import PACKAGES, ROOT, refuse

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"^## (Add a .*?)$\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))
PATH_IN_TEXT = re.compile(r"`((?:src|tests|docs|web|kit|scripts)/[^`\s]*)`")
STANDS_FOR = {"<noun>": "workspaces", "<subject>": "workspace", "<vendor>": "local"}


def paths(recipe):
    """The files and folders of a recipe, with an example in the place of a noun."""
    for path in PATH_IN_TEXT.findall(recipe):
        for name, example in STANDS_FOR.items():
            path = path.replace(name, example)
        yield f"src/prism/{path}" if path.startswith("kit/") else path


def test_there_is_a_recipe_for_each_kind_of_change():
    kinds = "route, column, setting, provider, package, template"
    of_workspaces = {f"Add a {kind} of a workspace" for kind in ("verb", "flag")}
    assert {*RECIPES} == {f"Add a {kind}" for kind in kinds.split(", ")} | of_workspaces


@pytest.mark.parametrize("name", RECIPES)
def test_files_of_a_recipe_exist(name):
    files = [*paths(RECIPES[name])]
    assert files
    missing = (file for file in files if not (ROOT / file).exists())
    refuse(missing, f"CONTRIBUTING.md, “{name}”, names files that do not exist; correct it")


@pytest.mark.parametrize("name", ["Add a route", "Add a verb of a workspace"])
def test_recipe_names_rights_client_command_and_openapi(name):
    named = {*paths(RECIPES[name])}
    assert "src/prism/access/rules.py" in named
    assert any("/client/" in path for path in named)
    assert any("/cli/" in path for path in named)
    assert "docs/openapi.json" in named


def test_ten_files_to_read_first_exist():
    [sentence] = re.findall(r"^Read these ten files.*?:(.*?)\.$", TEXT, re.DOTALL | re.MULTILINE)
    files = re.findall(r"`([a-z_/]+\.py)`", sentence.split(". ")[0])
    assert len(files) == 10
    missing = (file for file in files if not (ROOT / "src/prism" / file).is_file())
    refuse(missing, "CONTRIBUTING.md, “Read these ten files”, names files that do not exist")


def test_tests_that_contributing_names_exist():
    named = {*re.findall(r"`(tests/[^`]*\.py)`", TEXT)}
    assert len(named) > 5
    missing = (path for path in named if "<" not in path and not (ROOT / path).is_file())
    refuse(missing, "CONTRIBUTING.md names tests that do not exist; correct it")


def test_example_of_a_noun_is_a_package():
    assert STANDS_FOR["<noun>"] in PACKAGES
