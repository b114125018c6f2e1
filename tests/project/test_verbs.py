"""Every verb of a workspace is in all files that list verbs.

The verbs are the routes `POST /instances/{name}/VERB`. If a file lacks a verb, a test here fails
with the name of that file; the recipe in CONTRIBUTING lists the same files.
"""

import json
import re
from functools import cache

import pytest

from prism.access.rules import TABLE
from prism.cli.registry import COMMANDS, SHORTCUTS
from prism.cli.workspace import workspaces as commands
from prism.client.workspaces import Workspaces
from prism.lifecycle import COMES_UP
from prism.lifecycle import UNDER_WAY as ON_THE_WAY
from prism.lifecycle import VERBS as DECLARED
from prism.workspaces import service
from prism.workspaces.model import LifecycleVerb, WorkspaceState
from prism.workspaces.plan import POSSIBLE, STEPS
from tests.project.openapi import described
from tests.project.tree import ROOT
from tests.workspaces.test_shown_states import WAYS

OPENAPI = json.loads(described())
ROUTE = re.compile(r"/api/v1/instances/\{name\}/([^/{]+)$")
POST_ROUTES = {
    path: operations["post"]
    for path, operations in OPENAPI["paths"].items()
    if "post" in operations
}
COLLECTIONS = {"shares"}  # where a POST adds one to them
VERBS = {
    match[1]: POST_ROUTES[path]
    for path in POST_ROUTES
    if (match := ROUTE.match(path)) and match[1] not in COLLECTIONS
}
CHANGING = {
    verb
    for verb, each_verb in VERBS.items()
    if any(p["name"] == "wait" for p in each_verb["parameters"])
} - {"move", "resize"}
"""The verbs after which a workspace changes to another state."""


@cache
def text(name):
    return (ROOT / name).read_text()


def offered(verb):
    """The states in which the web GUI offers a verb."""
    [table] = re.findall(r"const ALLOWED.*? = {(.*?)};", text("web/src/lib/states.ts"), re.DOTALL)
    rows = re.findall(r"(\w+): \[(.*?)\]", table)
    return {state for state, verbs in rows if f"'{verb}'" in verbs}


# By file: whether it has a verb.
FILES_OF_VERBS = {
    "src/prism/access/rules.py": lambda verb: f"POST {{}}/instances/{{name}}/{verb}" in TABLE,
    "tests/access/rights.txt": lambda verb: (
        f"POST /api/v1/instances/{{name}}/{verb}: MANAGE" in text("tests/access/rights.txt")
    ),
    "src/prism/client/workspaces.py": lambda verb: hasattr(Workspaces, verb),
    "src/prism/cli/registry.py": lambda verb: ("workspace", verb) in COMMANDS,
    "src/prism/cli/workspace/workspaces.py": lambda verb: verb in commands.VERBS,
    "docs/cli.md": lambda verb: re.search(
        rf"^prism (workspace )?{verb} ", text("docs/cli.md"), re.M
    ),
}
LIFECYCLE = {
    "src/prism/lifecycle.py": lambda verb: verb in DECLARED,
    "tests/workspaces/test_shown_states.py": lambda verb: (
        verb in WAYS and WAYS[verb][-1] == DECLARED[verb].goal
    ),
    "web/src/api/actions.ts": lambda verb: f"{{name}}/{verb}'" in text("web/src/api/actions.ts"),
    "web/src/lib/states.ts": lambda verb: offered(verb) == DECLARED[verb].bulk,
    "web/src/strings.ts": lambda verb: text("web/src/strings.ts").count(f"\n  {verb}: '") == 2,
}
STORED = {
    "src/prism/lifecycle.py": lambda verb: verb in DECLARED,
    "src/prism/workspaces/plan.py (TABLE)": lambda verb: any(row == verb for row, _ in STEPS),
    "src/prism/workspaces/api.py": lambda verb: verb in VERBS,
}


def test_declared_verbs_equal_the_routes_that_change_the_state():
    assert DECLARED.keys() == CHANGING
    assert {"extend", "resize", "move", "rollback"} == VERBS.keys() - CHANGING
    assert "restart" in vars(service.WorkspaceService)


def test_web_gui_has_the_transitional_states():
    page = text("web/src/lib/states.ts")
    assert {*re.findall(r"(\w+): 'in-progress'", page)} == ON_THE_WAY
    [coming] = re.findall(r"COMING.*new Set\(\[(.*?)\]\)", page)
    assert {*re.findall(r"\w+", coming)} == COMES_UP


@pytest.mark.parametrize("verb", DECLARED.values(), ids=DECLARED)
def test_verb_is_done_at_its_goal_and_in_progress_before(verb):
    assert verb.bulk <= verb.possible
    assert not verb.done or verb.goal in verb.done
    assert verb.done - {verb.goal} <= ON_THE_WAY


@pytest.mark.parametrize("file", FILES_OF_VERBS)
@pytest.mark.parametrize("verb", VERBS)
def test_verb_is_in(file, verb):
    assert FILES_OF_VERBS[file](verb), f"{file} does not know {verb!r}"


@pytest.mark.parametrize("file", LIFECYCLE)
@pytest.mark.parametrize("verb", sorted(CHANGING))
def test_verb_that_changes_the_state_is_in(file, verb):
    assert LIFECYCLE[file](verb), f"{file} does not know {verb!r}"


@pytest.mark.parametrize("place", STORED)
@pytest.mark.parametrize(
    "verb", [verb for verb in LifecycleVerb if verb is not LifecycleVerb.LAUNCH]
)
def test_stored_verb_is_in(place, verb):
    assert STORED[place](verb), f"{place} does not know {verb.value!r}"


def test_every_verb_has_a_short_command():
    assert {*VERBS} <= {*SHORTCUTS}


@pytest.mark.parametrize("file", [*FILES_OF_VERBS, *LIFECYCLE, "src/prism/workspaces/plan.py"])
def test_recipe_for_a_verb_names(file):
    [recipe] = re.findall(
        r"^## Add a verb of a workspace$(.*?)^## ", text("CONTRIBUTING.md"), re.S | re.M
    )
    assert f"`{file}`" in recipe


def test_documentation_lists_the_states_from_which_a_verb_is_possible():
    tables = text("docs/states.md").split("\n\n")
    [rows] = [table.splitlines()[2:] for table in tables if table.startswith("| verb |")]
    documented = {
        verb: set(states.split(", "))
        for verb, states in ([cell.strip() for cell in row.split("|")[1:3]] for row in rows)
    }
    assert documented == {
        verb.value: {state.value for state in states} for verb, states in POSSIBLE.items()
    }
    [states] = [table for table in tables if table.startswith("| state |")]
    assert not {state.value for state in WorkspaceState} - set(re.findall(r"[a-z]+", states))
