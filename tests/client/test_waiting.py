"""Waiting for a state of a workspace: success, failure and time limits."""

import pytest

from prism.client import waiting
from prism.client.errors import DaemonUnreachable
from prism.client.waiting import StillUnderWay, WorkspaceFailed, follow
from prism.errors import NotFound
from tests.client.scripted import problem

GONE = problem(404, "INSTANCE_NOT_FOUND", "Workspace 'mine' not found")


def workspace_in(state, **more):
    return {"name": "mine", "state": state, "failure": None, **more}


def test_follow_yields_each_state_until_the_wanted_one(wire, server):
    states = ["launching", "launching", "running"]
    server.on("GET /instances/mine", *map(workspace_in, states))
    assert [workspace["state"] for workspace in follow(wire, "mine", "running")] == states
    assert [request.waits for request in server.asked] == [False, True, True]


def test_workspace_whose_location_does_not_answer_is_not_waited_for_by_the_daemon(wire, server):
    """Its state may be old, so the daemon would answer at once."""
    old = workspace_in("running", waiting="the computer does not answer")
    server.on("GET /instances/mine", workspace_in("launching"), old, workspace_in("running"))
    assert len([*follow(wire, "mine", "running")]) == 3
    assert [request.waits for request in server.asked] == [False, True, False]


def test_older_daemon_that_refuses_to_wait_is_asked_without_it_from_then_on(wire, server):
    refused = problem(400, "VALIDATION_FAILED", "wait: is unknown")
    states = [workspace_in(state) for state in ("launching", "launching", "launching", "running")]
    server.on("GET /instances/mine", states[0], refused, *states[1:])
    assert len([*follow(wire, "mine", "running")]) == 4
    assert [request.waits for request in server.asked] == [False, True, False, False, False]


@pytest.mark.parametrize("state", ["stopped", "hibernated", "terminated"])
def test_follow_raises_if_the_workspace_reaches_another_final_state(wire, server, state):
    server.on("GET /instances/mine", workspace_in("launching"), workspace_in(state))
    with pytest.raises(WorkspaceFailed, match=f"mine is {state}, not running"):
        list(follow(wire, "mine", "running"))


def test_follow_raises_the_failure_with_a_remedy(wire, server):
    failure = {"code": "PACKAGE_NOT_FOUND", "message": "no package nmpy; correct the template"}
    server.on("GET /instances/mine", workspace_in("failed", failure=failure))
    with pytest.raises(WorkspaceFailed, match="nmpy") as raised:
        list(follow(wire, "mine", "running"))
    assert raised.value.details == "PACKAGE_NOT_FOUND"
    assert "`prism start mine`" in raised.value.remediation
    assert raised.value.data == {"failure": failure}


def test_missing_workspace_counts_as_terminated_only_if_that_is_wanted(wire, server):
    server.on("GET /instances/mine", workspace_in("terminating"), GONE)
    assert [workspace["state"] for workspace in follow(wire, "mine", "terminated")][
        -1
    ] == "terminated"
    with pytest.raises(NotFound):
        list(follow(wire, "mine", "running"))


BROKEN = {"code": "PACKAGE_NOT_FOUND", "message": "no package nmpy"}
NO = {"code": "AWS_DENIED", "message": "ec2:TerminateInstances"}


def test_earlier_failure_does_not_end_the_wait_for_termination(wire, server):
    looks = [workspace_in("terminating", failure=BROKEN)] * 3
    server.on("GET /instances/mine", *looks, GONE)
    assert [workspace["state"] for workspace in follow(wire, "mine", "terminated")][
        -1
    ] == "terminated"


@pytest.mark.parametrize("first", [None, BROKEN])
def test_new_failure_ends_the_wait_for_termination_at_once(wire, server, first):
    looks = [workspace_in("terminating", failure=failure) for failure in (first, NO)]
    server.on("GET /instances/mine", *looks)
    with pytest.raises(WorkspaceFailed, match="mine is terminating: ec2:TerminateInstances"):
        list(follow(wire, "mine", "terminated"))
    assert len(server.asked) == 2


class StoppedTime:
    """Stands for `time`: time passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def stopped_time(monkeypatch):
    monkeypatch.setattr(waiting, "time", time := StoppedTime())
    return time


def test_lasting_failure_ends_the_wait_for_termination_after_a_while(wire, server, stopped_time):
    server.on("GET /instances/mine", workspace_in("terminating", failure=NO))
    with pytest.raises(WorkspaceFailed, match="ec2:TerminateInstances"):
        list(follow(wire, "mine", "terminated", seconds=60))
    assert (
        waiting.FAILURE_SECONDS
        <= stopped_time.now
        < waiting.FAILURE_SECONDS + waiting.MAX_POLL_DELAY
    )


def test_follow_raises_still_under_way_after_the_time_limit(wire, server, stopped_time):
    server.on("GET /instances/mine", workspace_in("launching"))
    with pytest.raises(StillUnderWay, match="mine is still launching"):
        list(follow(wire, "mine", "running", seconds=5))
    assert 5 <= stopped_time.now < 5 + waiting.MAX_POLL_DELAY


def test_follow_continues_after_a_restart_of_the_daemon(wire, server, monkeypatch):
    monkeypatch.setattr(waiting, "MAX_POLL_DELAY", 0.01)
    server.on("GET /instances/mine", workspace_in("launching"), b"", b"", workspace_in("running"))
    states = [workspace["state"] for workspace in follow(wire, "mine", "running")]
    assert states == ["launching", "running"]


def test_follow_raises_if_the_daemon_does_not_return(wire, server, monkeypatch):
    monkeypatch.setattr(waiting, "FAILURE_SECONDS", 0.0)
    server.on("GET /instances/mine", workspace_in("launching"))
    looks = follow(wire, "mine", "running")
    assert next(looks)["state"] == "launching"
    server.close()
    with pytest.raises(DaemonUnreachable):
        next(looks)
