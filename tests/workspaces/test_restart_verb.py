"""`restart`: one request for a stop and a start."""

import pytest

from prism.budgets.model import BudgetExceeded
from prism.workspaces.model import Launch, Seen, State, Termination, Verb
from prism.workspaces.plan import state_of
from prism.workspaces.ports import Refused
from tests.conftest import ML

PATH = "/api/v1/instances/mine"


def settle(house):
    """What is due at once, and what is some seconds later."""
    for _ in range(4):
        house.settle()
        house.rooms.clock.advance(seconds=2)


@pytest.fixture
def mine(house, cloud):
    """A workspace that runs."""
    house.workspaces.launch(Launch(name="mine", template=ML))
    settle(house)
    assert state(house) is State.RUNNING
    cloud.calls.clear()
    return house.workspaces.named("mine")


def state(house):
    return state_of(house.workspaces.named("mine"))


def told(house):
    """Who asked for what, and why."""
    facts = house.db.facts_after(0)
    asked = [f for f in facts if f.event == "instance_asked"]
    return [(f.actor, f.data["verb"], f.data.get("reason")) for f in asked[1:]]


def calls(cloud):
    """The stops and starts that reached the provider."""
    return [it.split()[0] for it in cloud.calls if it.split()[0] in {"stop", "start"}]


def test_it_is_stopped_and_started(house, cloud, http, mine):
    answer = http("POST", f"{PATH}/restart")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["previous_state"], said["new_state"]) == ("running", "stopping")
    assert said["estimated_ready_time"]
    assert http("GET", PATH).json()["restarting"] is True
    settle(house)
    assert state(house) is State.RUNNING
    assert calls(cloud) == ["stop", "start"]
    assert http("GET", PATH).json()["restarting"] is False
    assert told(house) == [
        ("ada", "stop", None),
        ("prism", "start", "it was stopped to be restarted"),
    ]
    settle(house)
    assert calls(cloud) == ["stop", "start"], "once"


def test_a_crash_between_stop_and_start_leaves_neither_out(house, cloud, monkeypatch, mine):
    """The stop is recorded with the wish to start, or it is not recorded at all."""

    def dies(*_, **__):
        raise SystemError("the daemon was killed here")

    house.workspaces.restart("mine")
    reconciler = house.reconciler
    monkeypatch.setattr(reconciler, "_finish_restart", dies)
    settle(house)
    assert state(house) is not State.RUNNING
    assert house.workspaces.named("mine").restarting, "whoever comes next goes on with it"
    monkeypatch.undo()
    settle(house)
    house.rooms.clock.advance(seconds=600)
    settle(house)
    assert state(house) is State.RUNNING
    assert calls(cloud)[-1] == "start"


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.TERMINATE])
def test_what_is_asked_meanwhile_takes_its_place(house, cloud, mine, verb):
    house.workspaces.restart("mine")
    house.workspaces.restart("mine")  # the same again changes nothing
    if verb is Verb.STOP:
        house.workspaces.ask("mine", verb)
    else:
        house.workspaces.terminate("mine", Termination(confirm="DELETE"))
    settle(house)
    assert state(house) is {Verb.STOP: State.STOPPED, Verb.TERMINATE: State.TERMINATED}[verb]
    assert "start" not in calls(cloud)


def test_one_that_is_stopped_or_failed_is_only_started(house, cloud, mine):
    house.workspaces.ask("mine", Verb.STOP)
    settle(house)
    assert house.workspaces.restart("mine")[0] is State.STOPPED
    settle(house)
    assert state(house) is State.RUNNING
    assert calls(cloud) == ["stop", "start"]


def test_one_that_sleeps_is_refused_with_what_is_possible(house, http, mine):
    house.workspaces.ask("mine", Verb.HIBERNATE)
    settle(house)
    answer = http("POST", f"{PATH}/restart")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_STATE")
    assert "resume" in answer.json()["error"]["details"]
    assert state(house) is State.HIBERNATED


def test_one_that_cannot_be_stopped_runs_on_and_is_not_started_later(
    house, cloud, monkeypatch, mine
):
    def refused(id):
        raise Refused("this machine cannot be stopped")

    monkeypatch.setattr(cloud, "stop", refused)
    house.workspaces.restart("mine")
    settle(house)
    it = house.workspaces.named("mine")
    assert (state(house), it.restarting) == (State.RUNNING, False)
    assert it.failure.message == "this machine cannot be stopped"
    monkeypatch.undo()
    cloud.becomes(it.machine_id, Seen.OFF)
    settle(house)
    assert state(house) is State.STOPPED, "somebody else stopped it; nobody restarts that"


def test_where_the_money_is_gone_meanwhile_it_stays_stopped_and_says_why(
    house, cloud, http, monkeypatch, mine
):
    def no(tx, workspace, **_):
        raise BudgetExceeded("Project 'lab' has used its budget")

    house.workspaces.restart("mine")
    monkeypatch.setattr(house.rooms.escrow, "allow", no)
    settle(house)
    shown = http("GET", PATH).json()
    assert (shown["state"], shown["restarting"]) == ("stopped", False)
    assert shown["failure"]["code"] == "BUDGET_EXCEEDED"
    assert "not started again: Project 'lab' has used its budget" in shown["failure"]["message"]
    assert calls(cloud) == ["stop"]
