"""An answer of EC2 overrides older descriptions of EC2."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.kit.clock import StoppedClock
from prism.providers.aws.api.written_tags import CONSISTENT_AFTER
from prism.providers.aws.compute.instance import HIBERNATED, Ec2Instance
from prism.providers.aws.compute.newer_states import NewerStates
from prism.workspaces.model import Observed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATE = 30.0  # seconds


@pytest.fixture
def late_machine_id(aws_parts):
    """A machine that is on, whose new states EC2 describes late."""
    id = aws_parts.on()
    aws_parts.aws.rules = build({"times": {"states": LATE, "stopping": 1, "hibernating": 1}})
    return id


def described():
    [reservation] = boto3.client("ec2").describe_instances()["Reservations"]
    return reservation["Instances"][0]["State"]["Name"]


@pytest.mark.parametrize(
    ("verb", "seen"),
    [
        ("stop", Observed.STOPPING),
        ("hibernate", Observed.STOPPING),
        ("terminate", Observed.STOPPING),
    ],
)
def test_machine_is_stopping_although_ec2_still_describes_running(
    aws_parts, late_machine_id, verb, seen
):
    getattr(aws_parts.compute, verb)(late_machine_id)
    assert (described(), aws_parts.look().observed) == ("running", seen)
    assert aws_parts.after(5).observed is seen
    aws_parts.aws.clock.advance(LATE)
    assert aws_parts.look().observed in {Observed.OFF, Observed.ASLEEP, Observed.GONE}


def test_machine_is_starting_although_ec2_still_describes_stopped(aws_parts, late_machine_id):
    """Otherwise a stop right after a start would count as done, and the machine would run on."""
    aws_parts.compute.stop(late_machine_id)
    aws_parts.after(LATE + 1)
    was = aws_parts.look()
    assert was.observed is Observed.OFF
    aws_parts.compute.start(late_machine_id)
    machine = aws_parts.look()
    assert (described(), machine.observed) == ("stopped", Observed.STARTING)
    now = aws_parts.aws.clock.now()
    assert machine.since >= now - timedelta(seconds=1), "the time is that of the last start"
    aws_parts.aws.clock.advance(5)
    aws_parts.compute.stop(late_machine_id)
    assert aws_parts.look().observed is Observed.STOPPING
    assert aws_parts.aws.machines("us-east-1")[0]["state"] == "stopping"


def test_start_of_a_stopping_machine_is_unavailable(aws_parts, late_machine_id):
    aws_parts.aws.rules = build({"times": {"states": LATE, "stopping": LATE}})
    aws_parts.compute.stop(late_machine_id)
    aws_parts.instances.survey()
    with pytest.raises(Unavailable, match="is stopping"):
        aws_parts.compute.start(late_machine_id)


def machine(state, launched=NOW, reason="", changed=None):
    return Ec2Instance(
        id="i-1",
        key="ws_1",
        state=state,
        type="t3.small",
        zone="z",
        launched=launched,
        reason=reason,
        changed=changed,
    )


def stopping(id="i-1", state="stopping"):
    return {"StoppingInstances": [{"InstanceId": id, "CurrentState": {"Name": state}}]}


@pytest.fixture
def time():
    return StoppedClock(NOW)


@pytest.fixture
def states(time):
    return NewerStates(time)


def test_older_description_does_not_replace_a_newer_description(states):
    """The servers of EC2 do not all learn of a change at the same time."""
    running = machine("running")
    after = states.note(running, stopping(), hibernate=True)
    assert (after.state, after.reason) == ("stopping", HIBERNATED)
    off = machine("stopped", reason=HIBERNATED, changed=NOW)
    assert states.over(off) == off
    assert states.over(running).state == "stopped"


def test_noted_state_keeps_the_described_tags(states):
    states.note(machine("running"), stopping(), hibernate=False)
    instance = Ec2Instance(**{**_fields(machine("running")), "tags": {"a": "b"}})
    assert (states.over(instance).state, states.over(instance).tags) == ("stopping", {"a": "b"})


def test_description_of_a_later_start_replaces_the_noted_state(states):
    states.note(machine("running"), stopping(), hibernate=False)
    again = machine("running", launched=NOW + timedelta(minutes=1))
    assert states.over(again) == again


def test_noted_state_is_dropped_after_a_limited_time(states, time):
    running = machine("running")
    states.note(running, stopping(), hibernate=False)
    time.advance(seconds=CONSISTENT_AFTER.total_seconds())
    assert states.over(running) == running


def test_answer_without_another_state_is_not_noted(states):
    nothing: dict[str, Any] = {}
    for answer in (nothing, stopping("i-2"), stopping(state="running")):
        assert states.note(machine("running"), answer, hibernate=False) is None
    assert states.over(machine("running")) == machine("running")


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
