"""The recipes of CONTRIBUTING are replayed: with exactly the files they name, the rules hold.

`docs/recipes/*.diff` are changes that somebody could make: a route with its command, a verb and
a flag. Each is applied to a copy of the project, whose own rules and tests then run. A recipe that
no longer applies, or that lacks a file which the project now demands, fails here.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.project.test_contributing import RECIPES, paths
from tests.project.tree import ROOT, tracked

GENERATED = "docs/openapi.json"  # by `make openapi`
HEADER = re.compile(r"^diff --git a/\S+ b/(\S+)$", re.MULTILINE)
MOST_FILES = {"route": 13, "verb": 12, "flag": 12}  # the route is one with a command
HEADINGS = {
    "route": "Add a route",
    "verb": "Add a verb of a workspace",
    "flag": "Add a flag of a workspace",
}
# CONTRIBUTING says `<noun>` where the example of a route has the files of storage.
OF_ANOTHER_NOUN = {
    "route": {
        "model.py",
        "snapshot_service.py",
        "api.py",
        "storage.py",
        "snapshots.py",
        "test_api.py",
    }
}
RULES = (
    *("project/test_rules.py", "project/test_routes.py", "project/test_names.py"),
    *("project/test_parameters.py", "project/test_verbs.py", "project/test_gui_commands.py"),
    *("access/test_rules.py", "cli/test_docs.py", "cli/test_sent_options.py"),
)
# By recipe: the tests of the packages that it changes.
TESTS = {
    "route": ("storage/test_api.py",),
    "verb": ("workspaces/test_shown_states.py", "workspaces/test_statements.py"),
    "flag": ("workspaces/test_api.py", "kit/database/test_migrate.py"),
}


def diff_of(recipe):
    """The recipe's change, with the numbers that its migration has today."""
    text = (ROOT / f"docs/recipes/{recipe}.diff").read_text()
    newest = max((ROOT / "src/prism/daemon/migrations/versions").glob("[0-9]*.py")).name[:4]
    return text.replace("NEXT", f"{int(newest) + 1:04}").replace("LAST", newest)


def files_of(recipe):
    return {*HEADER.findall(diff_of(recipe)), GENERATED}


@pytest.fixture(scope="module")
def copy_of_project(tmp_path_factory):
    """Makes a copy of the project, as a repository of its own."""

    def copy(name):
        root = tmp_path_factory.mktemp(name)
        for file in tracked():
            target = root / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target, follow_symlinks=False)
        for words in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *words], cwd=root, check=True)
        return root

    return copy


# Files that a change could do without, and no test would notice: the change's own tests.
NOT_MISSED = {"tests/storage/test_api.py", "tests/workspaces/test_api.py"}


def in_copy(root, *words):
    """Runs Python in the copy, with the copy's own code."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True
    )


def replay(root, recipe, without=None):
    """Applies a recipe to a copy, but for one file, and describes the API again."""
    parts = re.split(r"^(?=diff --git )", diff_of(recipe), flags=re.MULTILINE)
    change = "".join(part for part in parts if not without or f" b/{without}\n" not in part)
    applied = subprocess.run(
        ["git", "apply", "-C1", "-"], cwd=root, input=change, capture_output=True, text=True
    )
    assert applied.returncode == 0, f"docs/recipes/{recipe}.diff is out of date: {applied.stderr}"
    if without != GENERATED:
        described = in_copy(root, "-m", "tests.project.openapi")
        assert described.returncode == 0, described.stderr[-2000:]
        (root / GENERATED).write_text(described.stdout)


def run_rules(root, recipe):
    files = (f"tests/{file}" for file in (*RULES, *TESTS[recipe]))
    options = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "--tb=short")
    return in_copy(root, "-m", "pytest", *options, *files)


@pytest.mark.parametrize("recipe", TESTS)
def test_recipe_is_no_longer_than_contributing_says(recipe):
    assert len(files_of(recipe)) <= MOST_FILES[recipe]


@pytest.mark.parametrize("recipe", TESTS)
def test_contributing_names_each_file_of_a_recipe(recipe):
    named = {*paths(RECIPES[HEADINGS[recipe]])}
    folders = tuple(path for path in named if path.endswith("/"))
    absent = {file for file in files_of(recipe) - named if not file.startswith(folders)}
    assert {file.rpartition("/")[2] for file in absent} <= OF_ANOTHER_NOUN.get(recipe, set())


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("recipe", TESTS)
def test_recipe_still_makes_a_change_that_keeps_every_rule(recipe, copy_of_project):
    root = copy_of_project(recipe)
    replay(root, recipe)
    code = sorted(file for file in files_of(recipe) if file.endswith(".py"))
    for words in (["check"], ["format", "--check"]):
        style = in_copy(root, "-m", "ruff", *words, "--quiet", *code)
        assert style.returncode == 0, style.stdout
    outcome = run_rules(root, recipe)
    assert outcome.returncode == 0, outcome.stdout[-4000:]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("recipe", "file"),
    [
        pytest.param(recipe, file, id=f"{recipe}-{file}")
        for recipe in TESTS
        for file in sorted(files_of(recipe) - NOT_MISSED)
    ],
)
def test_rules_fail_if_a_file_of_the_recipe_is_left_out(recipe, file, copy_of_project):
    root = copy_of_project(recipe)
    replay(root, recipe, without=file)
    assert run_rules(root, recipe).returncode != 0
