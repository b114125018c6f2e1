"""After a restart of its computer, a workspace is stopped, or started again if that is set."""

from datetime import timedelta

import pytest

from prism.budgets.model import BudgetExceeded
from prism.workspaces.model import (
    LaunchRequest,
    LifecycleVerb,
    Observed,
    UpdateRequest,
    WorkspaceFailure,
    WorkspaceState,
)
from prism.workspaces.plan import state_of
from tests.conftest import ML

REBOOT = WorkspaceFailure(
    "MACHINE_DIED", "the computer was restarted. Start it again with `prism start`"
)
SLEPT = WorkspaceFailure(
    "MACHINE_DIED", "its supervisor was killed; what was in its memory is lost. Start"
)
LOST = WorkspaceFailure(
    "MEMORY_LOST", "its memory is lost, its disk is kept: the computer was restarted"
)


def settle(daemon):
    """Reconciles what is due at once, and what is due some seconds later."""
    for _ in range(3):
        daemon.settle()
        daemon.clock.advance(seconds=2)


def running(daemon, **order):
    """A running workspace; returns the id of its machine."""
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML, **order))
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.RUNNING
    return daemon.workspaces.named("mine").machine_id


def current_state(daemon):
    return state_of(daemon.workspaces.named("mine"))


def prism_requests(daemon):
    """The requests that Prism itself made, with their reasons."""
    facts = daemon.db.events_after(0)
    return [
        (f.data["verb"], f.data["reason"])
        for f in facts
        if f.event == "instance_asked" and f.actor == "prism"
    ]


def test_workspace_is_stopped_after_a_reboot_and_shows_the_reason(daemon, cloud, http):
    id = running(daemon)
    cloud.reboot(id, REBOOT)
    settle(daemon)
    workspace = http("GET", "/api/v1/instances/mine").json()
    assert (workspace["state"], workspace["restart"]) == ("stopped", False)
    assert "the computer was restarted" in workspace["failure"]["message"]
    [event] = [f for f in daemon.db.events_after(0) if f.data.get("state") == "stopped"]
    assert "the computer was restarted" in event.data["failure"]["message"]
    assert prism_requests(daemon) == []


@pytest.mark.parametrize("how", ["at launch", "later"])
def test_workspace_with_restart_set_is_started_again_after_each_reboot(daemon, cloud, http, how):
    id = running(daemon, restart=how == "at launch")
    if how == "later":
        answer = http("PUT", "/api/v1/instances/mine", json={"restart": True})
        assert (answer.status_code, answer.json()["restart"]) == (200, True)
        assert [
            f.data["restart"] for f in daemon.db.events_after(0) if f.event == "instance_updated"
        ]
    cloud.reboot(id, REBOOT)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.RUNNING
    [(verb, reason)] = prism_requests(daemon)
    assert verb == "start"
    assert "the computer was restarted" in reason
    cloud.reboot(id, REBOOT)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.RUNNING, "after the next reboot too"


def test_stopped_hibernated_or_expired_workspace_is_not_started_after_a_reboot(
    daemon, cloud, clock
):
    id = running(daemon, restart=True, ttl_hours=2)
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    settle(daemon)
    cloud.reboot(id, REBOOT)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.STOPPED
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    daemon.workspaces.ask("mine", LifecycleVerb.HIBERNATE)
    settle(daemon)
    cloud.reboot(id, SLEPT)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.STOPPED
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    clock.advance(seconds=timedelta(hours=3).total_seconds())
    cloud.reboot(id, REBOOT)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.STOPPED
    assert [verb for verb, _ in prism_requests(daemon) if verb == "start"] == []


def test_restart_after_a_reboot_requires_budget(daemon, cloud, monkeypatch):
    id = running(daemon, restart=True)

    def refuse(tx, workspace, **_):
        raise BudgetExceeded("Project 'lab' has used its budget")

    monkeypatch.setattr(daemon.reservations, "allow", refuse)
    cloud.reboot(id, REBOOT)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.STOPPED
    [(verb, reason)] = prism_requests(daemon)
    assert verb == "stop"
    assert "not started again: Project 'lab' has used its budget" in reason
    monkeypatch.undo()
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.STOPPED, "it is not started later"
    daemon.workspaces.update("mine", UpdateRequest(restart=True))
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    assert current_state(daemon) is WorkspaceState.RUNNING


def test_lost_memory_is_shown_recorded_and_audited(daemon, cloud, http):
    id = running(daemon)
    daemon.workspaces.ask("mine", LifecycleVerb.HIBERNATE)
    settle(daemon)
    cloud.set_state(id, Observed.OFF, SLEPT)
    settle(daemon)
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    cloud.set_state(id, Observed.ON, LOST)
    settle(daemon)
    workspace = http("GET", "/api/v1/instances/mine").json()
    assert (workspace["state"], workspace["failure"]["code"]) == ("running", "MEMORY_LOST")
    history = str(http("GET", "/api/v1/audit").json())
    assert "what was in its memory is lost" in history
    assert "its memory is lost, its disk is kept" in history
    event_data = str([f.data for f in daemon.db.events_after(0)])
    assert "what was in its memory is lost" in event_data
    assert "its memory is lost, its disk is kept" in event_data
