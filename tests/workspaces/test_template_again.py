"""`start` with the current template, for a workspace that was never ready."""

import pytest

from prism.budgets.model import BudgetExceeded
from prism.workspaces.model import LaunchRequest, WorkspaceFailure, WorkspaceState
from prism.workspaces.plan import state_of
from tests.conftest import HOME

WORKSPACE = "/api/v1/instances/mine"
AGAIN = {"template_again": True}
FAULT = WorkspaceFailure("POST_INSTALL_FAILED", "`moo` ended with exit code 127")
TEXT = """\
name: Corrected Later
slug: corrected-later
description: For a test
base: ubuntu-22.04
package_manager: pip
packages:
  pip: [six]
parameters:
  colour: {{type: string, default: {colour}}}
  sound: {{type: string, default: moo}}
post_install:
  - {command}
"""
OTHER = TEXT.format(command="x", colour="red").replace("  sound", "  noise")


def settle(daemon):
    for _ in range(4):
        daemon.settle()
        daemon.clock.advance(seconds=2)


@pytest.fixture
def write_template():
    """Writes the template; it is removed after the test."""
    file = HOME / "templates" / "corrected-later.yml"
    file.parent.mkdir(exist_ok=True)

    def write(command, colour="red"):
        file.write_text(TEXT.format(command=command, colour=colour))

    yield write
    file.unlink(missing_ok=True)


@pytest.fixture
def failed_workspace(daemon, cloud, write_template):
    """A workspace that failed because of its template."""
    write_template("moo")
    cloud.faults.broken = FAULT
    parameters = {"sound": "baa"}
    daemon.workspaces.launch(
        LaunchRequest(name="mine", template="corrected-later", parameters=parameters)
    )
    settle(daemon)
    assert state(daemon) is WorkspaceState.FAILED
    return daemon.workspaces.named("mine")


def state(daemon):
    return state_of(daemon.workspaces.named("mine"))


def test_failed_workspace_starts_with_the_corrected_template(
    daemon, cloud, http, write_template, failed_workspace
):
    write_template("echo moo", colour="blue")
    answer = http("POST", f"{WORKSPACE}/start", json=AGAIN)
    assert answer.status_code == 200, answer.text
    assert answer.json()["new_state"] == "starting"
    cloud.faults.broken = None
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    order = cloud.ordered(failed_workspace.machine_id)
    assert order.template.post_install == ("echo moo",)
    assert order.parameters == {"colour": "blue", "sound": "baa"}, "chosen parameters are kept"
    verbs = [call.split()[0] for call in cloud.calls if failed_workspace.machine_id in call]
    assert verbs.index("change_template") < verbs.index("start")
    request = [f for f in daemon.db.events_after(0) if f.event == "instance_asked"][-1]
    verb_and_reason = request.data["verb"], request.data["reason"]
    assert verb_and_reason == ("start", "its template was read again")


def test_refused_launch_uses_the_corrected_template(daemon, cloud, http, write_template):
    write_template("moo")
    cloud.faults.full = True
    daemon.workspaces.launch(LaunchRequest(name="mine", template="corrected-later"))
    settle(daemon)
    assert (state(daemon), daemon.workspaces.named("mine").machine_id) == (
        WorkspaceState.FAILED,
        None,
    )
    write_template("echo moo")
    cloud.faults.full = False
    assert http("POST", f"{WORKSPACE}/start", json=AGAIN).status_code == 200
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    machine_id = daemon.workspaces.named("mine").machine_id
    assert cloud.ordered(machine_id).template.post_install == ("echo moo",)


def test_plain_start_keeps_the_template_of_the_launch(
    daemon, cloud, http, write_template, failed_workspace
):
    write_template("echo moo")
    cloud.faults.broken = None
    assert http("POST", f"{WORKSPACE}/start").status_code == 200
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    assert cloud.ordered(failed_workspace.machine_id).template.post_install == ("moo",)


@pytest.mark.parametrize("down", [False, True])
def test_workspace_that_was_ready_once_refuses_another_template(
    daemon, cloud, http, write_template, failed_workspace, down
):
    cloud.faults.broken = None
    http("POST", f"{WORKSPACE}/start")
    settle(daemon)
    if down:
        http("POST", f"{WORKSPACE}/stop")
        settle(daemon)
    before = daemon.workspaces.named("mine")
    write_template("echo moo")
    answer = http("POST", f"{WORKSPACE}/start", json=AGAIN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_STATE")
    assert "ready before" in answer.json()["error"]["details"]
    assert "prism launch 'Corrected Later' NEW-NAME" in answer.json()["error"]["remediation"]
    assert daemon.workspaces.named("mine") == before


def test_workspace_being_launched_refuses_another_template(daemon, http, write_template):
    write_template("moo")
    daemon.workspaces.launch(LaunchRequest(name="mine", template="corrected-later"))
    answer = http("POST", f"{WORKSPACE}/start", json=AGAIN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_STATE")
    assert "launching" in answer.json()["error"]["details"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "TEMPLATE_NOT_FOUND"),
        ("name: [", "TEMPLATE_INVALID"),
        (
            TEXT.format(command="x", colour="red").replace("  sound", "  noise"),
            "VALIDATION_FAILED",
        ),
    ],
)
def test_unusable_template_changes_nothing(daemon, http, failed_workspace, text, code):
    file = HOME / "templates" / "corrected-later.yml"
    file.unlink() if text is None else file.write_text(text)
    answer = http("POST", f"{WORKSPACE}/start", json=AGAIN)
    assert answer.json()["error"]["code"] == code
    assert daemon.workspaces.named("mine") == failed_workspace


def test_repeated_start_with_the_template_changes_nothing(
    daemon, http, write_template, failed_workspace
):
    write_template("echo moo")
    assert http("POST", f"{WORKSPACE}/start", json=AGAIN).status_code == 200
    before = daemon.workspaces.named("mine")
    assert http("POST", f"{WORKSPACE}/start", json=AGAIN).status_code == 200
    assert daemon.workspaces.named("mine") == before
    write_template("echo moo again")
    answer = http("POST", f"{WORKSPACE}/start", json=AGAIN)
    assert answer.status_code == 409, "a start in progress refuses another template"
    assert daemon.workspaces.named("mine") == before


def test_start_with_a_repeated_key_starts_once(daemon, http, write_template, failed_workspace):
    write_template("echo moo")
    keys = {"Idempotency-Key": "k1"}
    first = http("POST", f"{WORKSPACE}/start", json=AGAIN, headers=keys)
    wish = daemon.workspaces.named("mine").generation
    write_template("echo something else")
    assert http("POST", f"{WORKSPACE}/start", json=AGAIN, headers=keys).json() == first.json()
    assert daemon.workspaces.named("mine").generation == wish
    other = http("POST", f"{WORKSPACE}/start", headers=keys)
    assert other.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT"


def test_start_with_the_template_requires_budget(
    daemon, http, write_template, failed_workspace, monkeypatch
):
    def refuse(*_, **__):
        raise BudgetExceeded("Project 'lab' has used its budget")

    write_template("echo moo")
    monkeypatch.setattr(daemon.reservations, "allow", refuse)
    assert (
        http("POST", f"{WORKSPACE}/start", json=AGAIN).json()["error"]["code"] == "BUDGET_EXCEEDED"
    )
    assert daemon.workspaces.named("mine") == failed_workspace, (
        "the refused start left the template unchanged"
    )
