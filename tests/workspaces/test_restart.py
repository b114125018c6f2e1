"""What ran when its computer was restarted: said, or started again where that is set."""

from datetime import timedelta

import pytest

from prism.budgets.model import BudgetExceeded
from prism.workspaces.model import Failure, Launch, LifecycleVerb, Observed, State, Update
from prism.workspaces.plan import state_of
from tests.conftest import ML

REBOOT = Failure("MACHINE_DIED", "the computer was restarted. Start it again with `prism start`")
SLEPT = Failure("MACHINE_DIED", "its supervisor was killed; what was in its memory is lost. Start")
LOST = Failure("MEMORY_LOST", "its memory is lost, its disk is kept: the computer was restarted")


def settle(daemon):
    """What is due at once, and what is some seconds later."""
    for _ in range(3):
        daemon.settle()
        daemon.clock.advance(seconds=2)


def running(daemon, **order):
    """A workspace that runs; the id of its machine."""
    daemon.workspaces.launch(Launch(name="mine", template=ML, **order))
    settle(daemon)
    assert now(daemon) is State.RUNNING
    return daemon.workspaces.named("mine").machine_id


def now(daemon):
    return state_of(daemon.workspaces.named("mine"))


def asked(daemon):
    """What Prism itself has asked for, and why."""
    facts = daemon.db.events_after(0)
    return [
        (f.data["verb"], f.data["reason"])
        for f in facts
        if f.event == "instance_asked" and f.actor == "prism"
    ]


def test_one_that_ran_is_stopped_after_a_reboot_and_everybody_is_told_why(daemon, cloud, http):
    id = running(daemon)
    cloud.is_interrupted(id, REBOOT)
    settle(daemon)
    workspace = http("GET", "/api/v1/instances/mine").json()
    assert (workspace["state"], workspace["restart"]) == ("stopped", False)
    assert "the computer was restarted" in workspace["failure"]["message"]
    [event] = [f for f in daemon.db.events_after(0) if f.data.get("state") == "stopped"]
    assert "the computer was restarted" in event.data["failure"]["message"]
    assert asked(daemon) == []


@pytest.mark.parametrize("how", ["at launch", "later"])
def test_one_that_is_set_to_is_started_again(daemon, cloud, http, how):
    id = running(daemon, restart=how == "at launch")
    if how == "later":
        answer = http("PUT", "/api/v1/instances/mine", json={"restart": True})
        assert (answer.status_code, answer.json()["restart"]) == (200, True)
        assert [
            f.data["restart"] for f in daemon.db.events_after(0) if f.event == "instance_updated"
        ]
    cloud.is_interrupted(id, REBOOT)
    settle(daemon)
    assert now(daemon) is State.RUNNING
    [(verb, reason)] = asked(daemon)
    assert verb == "start"
    assert "the computer was restarted" in reason
    cloud.is_interrupted(id, REBOOT)
    settle(daemon)
    assert now(daemon) is State.RUNNING, "the next time too"


def test_one_that_was_stopped_slept_or_has_expired_is_not_started_again(daemon, cloud, clock):
    id = running(daemon, restart=True, ttl_hours=2)
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    settle(daemon)
    cloud.is_interrupted(id, REBOOT)
    settle(daemon)
    assert now(daemon) is State.STOPPED
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    daemon.workspaces.ask("mine", LifecycleVerb.HIBERNATE)
    settle(daemon)
    cloud.is_interrupted(id, SLEPT)
    settle(daemon)
    assert now(daemon) is State.STOPPED
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    clock.advance(seconds=timedelta(hours=3).total_seconds())
    cloud.is_interrupted(id, REBOOT)
    settle(daemon)
    assert now(daemon) is State.STOPPED
    assert [verb for verb, _ in asked(daemon) if verb == "start"] == []


def test_a_restart_is_admitted_by_the_budget_like_a_start(daemon, cloud, monkeypatch):
    id = running(daemon, restart=True)

    def no(tx, workspace, **_):
        raise BudgetExceeded("Project 'lab' has used its budget")

    monkeypatch.setattr(daemon.reservations, "allow", no)
    cloud.is_interrupted(id, REBOOT)
    settle(daemon)
    assert now(daemon) is State.STOPPED
    [(verb, reason)] = asked(daemon)
    assert verb == "stop"
    assert "not started again: Project 'lab' has used its budget" in reason
    monkeypatch.undo()
    settle(daemon)
    assert now(daemon) is State.STOPPED, "nobody asks again by himself"
    daemon.workspaces.update("mine", Update(restart=True))
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    assert now(daemon) is State.RUNNING


def test_memory_that_was_lost_is_said_in_the_answer_the_event_and_the_history(daemon, cloud, http):
    id = running(daemon)
    daemon.workspaces.ask("mine", LifecycleVerb.HIBERNATE)
    settle(daemon)
    cloud.becomes(id, Observed.OFF, SLEPT)
    settle(daemon)
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon)
    cloud.becomes(id, Observed.ON, LOST)
    settle(daemon)
    workspace = http("GET", "/api/v1/instances/mine").json()
    assert (workspace["state"], workspace["failure"]["code"]) == ("running", "MEMORY_LOST")
    history = str(http("GET", "/api/v1/audit").json())
    assert "what was in its memory is lost" in history
    assert "its memory is lost, its disk is kept" in history
    event_data = str([f.data for f in daemon.db.events_after(0)])
    assert "what was in its memory is lost" in event_data
    assert "its memory is lost, its disk is kept" in event_data
