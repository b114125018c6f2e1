"""What the command line can do, the web GUI can too; the differences are listed with reasons.

A command is in the GUI if the GUI calls the route with the same effect. `LEFT_OUT` lists what the
GUI shall not have; it may not list what it has.
"""

import re
from functools import cache

from prism.cli.registry import COMMANDS
from prism.workspaces.model import LaunchRequest
from tests.project.test_names import OWN, SAME
from tests.project.tree import ROOT

CALL = re.compile(r"api\.(GET|POST|PUT|DELETE)\(\s*'/api/v1([^']*)'")
# Routes that the GUI uses without the client: as links, as frames, and for the progress of bytes.
OTHERWISE = {
    "GET /instances/{name}/files/content": "files/content?${query}",
    "PUT /instances/{name}/files/content": "request.open('PUT', url)",
    "GET /projects/{project_id}/report": "/report?format=html",
    "GET /budgets/{budget_id}/statement": "/statement?format=html",
    "GET /costs/export": "/api/v1/costs/export?format=csv",
    "GET /logs/{instance}": "/api/v1/logs/${",
}
LEFT_OUT = {
    "daemon stop": "the page would end itself, and could not start the daemon again",
    "project show": "the list of projects has everything that the page shows",
    "budget show": "the list of pools has everything that the page shows",
    "volume show": "the list of volumes has everything that the page shows",
    "snapshot show": "the list of snapshots has everything that the page shows",
    "member list": "the list of projects has their members",
}


@cache
def sources():
    """The text of the GUI, without its tests and generated types."""
    files = sorted((ROOT / "web/src").rglob("*.ts*"))
    return "\n".join(file.read_text() for file in files if file.name != "schema.d.ts")


def is_called(route):
    calls = {f"{method} {path}" for method, path in CALL.findall(sources())}
    return route in calls or ((text := OTHERWISE.get(route)) is not None and text in sources())


def test_commands_are_in_the_gui_or_in_a_list_with_a_reason():
    absent = {command for command, (_, route) in SAME.items() if not is_called(route)}
    assert absent == {*LEFT_OUT}


def test_list_names_commands_that_exist():
    commands = {" ".join(command) for command in COMMANDS} | OWN | {*SAME}
    assert {*LEFT_OUT} <= commands


def test_every_option_of_a_launch_is_in_the_form():
    """But for the dry run, which the form asks for at each change, and launches for others."""
    files = ("lib/launchOptions.ts", "lib/order.ts", "features/launch/LaunchForm.tsx")
    form = "".join((ROOT / "web/src" / file).read_text() for file in files)
    fields = set(LaunchRequest.__struct_fields__) - {"dry_run", "owner"}
    assert not {field for field in fields if not re.search(rf"\b{field}\b", form)}
