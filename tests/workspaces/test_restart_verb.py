"""`restart`: one request for a stop and a start."""

import pytest

from prism.budgets.model import BudgetExceeded
from prism.workspaces.model import (
    LaunchRequest,
    LifecycleVerb,
    Observed,
    TerminateRequest,
    WorkspaceState,
)
from prism.workspaces.plan import state_of
from prism.workspaces.ports import ProviderRefused
from tests.conftest import ML

WORKSPACE = "/api/v1/instances/mine"


def settle(daemon):
    """Reconciles what is due at once, and what is due some seconds later."""
    for _ in range(4):
        daemon.settle()
        daemon.clock.advance(seconds=2)


@pytest.fixture
def running_workspace(daemon, cloud):
    """A running workspace."""
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    cloud.calls.clear()
    return daemon.workspaces.named("mine")


def state(daemon):
    return state_of(daemon.workspaces.named("mine"))


def recorded_requests(daemon):
    """The requests after the launch: actor, verb and reason."""
    facts = daemon.db.events_after(0)
    requests = [f for f in facts if f.event == "instance_asked"]
    return [(f.actor, f.data["verb"], f.data.get("reason")) for f in requests[1:]]


def calls(cloud):
    """The stop and start calls to the provider."""
    return [call.split()[0] for call in cloud.calls if call.split()[0] in {"stop", "start"}]


def test_restart_stops_and_starts_once(daemon, cloud, http, running_workspace):
    answer = http("POST", f"{WORKSPACE}/restart")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["previous_state"], body["new_state"]) == ("running", "stopping")
    assert body["estimated_ready_time"]
    assert http("GET", WORKSPACE).json()["restarting"] is True
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    assert calls(cloud) == ["stop", "start"]
    assert http("GET", WORKSPACE).json()["restarting"] is False
    assert recorded_requests(daemon) == [
        ("ada", "stop", None),
        ("prism", "start", "it was stopped to be restarted"),
    ]
    settle(daemon)
    assert calls(cloud) == ["stop", "start"], "it is restarted once"


def test_restart_survives_a_crash_between_stop_and_start(
    daemon, cloud, monkeypatch, running_workspace
):
    """The stop and the request to start are recorded together or not at all."""

    def crash(*_, **__):
        raise SystemError("the daemon was killed here")

    daemon.workspaces.restart("mine")
    monkeypatch.setattr(daemon.workspaces, "finish_restart", crash)
    settle(daemon)
    assert state(daemon) is not WorkspaceState.RUNNING
    assert daemon.workspaces.named("mine").restarting, "the restart is continued later"
    monkeypatch.undo()
    settle(daemon)
    daemon.clock.advance(seconds=600)
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    assert calls(cloud)[-1] == "start"


@pytest.mark.parametrize("verb", [LifecycleVerb.STOP, LifecycleVerb.TERMINATE])
def test_restart_is_replaced_by_a_stop_or_terminate_request(
    daemon, cloud, running_workspace, verb
):
    daemon.workspaces.restart("mine")
    daemon.workspaces.restart("mine")  # a repeated request changes nothing
    if verb is LifecycleVerb.STOP:
        daemon.workspaces.ask("mine", verb)
    else:
        daemon.workspaces.terminate("mine", TerminateRequest(confirm="DELETE"))
    settle(daemon)
    assert (
        state(daemon)
        is {
            LifecycleVerb.STOP: WorkspaceState.STOPPED,
            LifecycleVerb.TERMINATE: WorkspaceState.TERMINATED,
        }[verb]
    )
    assert "start" not in calls(cloud)


def test_restart_of_a_stopped_workspace_only_starts_it(daemon, cloud, running_workspace):
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    settle(daemon)
    assert daemon.workspaces.restart("mine")[0] is WorkspaceState.STOPPED
    settle(daemon)
    assert state(daemon) is WorkspaceState.RUNNING
    assert calls(cloud) == ["stop", "start"]


def test_restart_of_a_hibernated_workspace_is_refused(daemon, http, running_workspace):
    daemon.workspaces.ask("mine", LifecycleVerb.HIBERNATE)
    settle(daemon)
    answer = http("POST", f"{WORKSPACE}/restart")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_STATE")
    assert "resume" in answer.json()["error"]["details"]
    assert state(daemon) is WorkspaceState.HIBERNATED


def test_restart_whose_stop_is_refused_does_not_start_later(
    daemon, cloud, monkeypatch, running_workspace
):
    def refused(id):
        raise ProviderRefused("this machine cannot be stopped")

    monkeypatch.setattr(cloud, "stop", refused)
    daemon.workspaces.restart("mine")
    settle(daemon)
    workspace = daemon.workspaces.named("mine")
    assert (state(daemon), workspace.restarting) == (WorkspaceState.RUNNING, False)
    assert workspace.failure.message == "this machine cannot be stopped"
    monkeypatch.undo()
    cloud.set_state(workspace.machine_id, Observed.OFF)
    settle(daemon)
    assert state(daemon) is WorkspaceState.STOPPED, "a later stop is not followed by a start"


def test_restart_without_budget_leaves_the_workspace_stopped_with_the_reason(
    daemon, cloud, http, monkeypatch, running_workspace
):
    def refuse(tx, workspace, **_):
        raise BudgetExceeded("Project 'lab' has used its budget")

    daemon.workspaces.restart("mine")
    monkeypatch.setattr(daemon.reservations, "allow", refuse)
    settle(daemon)
    workspace = http("GET", WORKSPACE).json()
    assert (workspace["state"], workspace["restarting"]) == ("stopped", False)
    assert workspace["failure"]["code"] == "BUDGET_EXCEEDED"
    assert (
        "not started again: Project 'lab' has used its budget" in workspace["failure"]["message"]
    )
    assert calls(cloud) == ["stop"]
