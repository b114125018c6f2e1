"""Spot machines: interrupted, started again, terminated, and not replaced by EC2."""

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.faults import CapacityUnavailable
from prism.workspaces.model import Observed
from prism.workspaces.ports import ProviderRefused


@pytest.fixture
def compute(aws_parts):
    return aws_parts.compute


def test_interrupted_spot_machine_is_reported_and_started_again_by_ec2(aws_parts, compute):
    id = aws_parts.on(spot=True, hibernation=False)
    aws_parts.aws.interrupt(id)
    off = aws_parts.after()
    assert (off.observed, off.failure.code) == (Observed.OFF, "SPOT_INTERRUPTED")
    with pytest.raises(CapacityUnavailable, match="only EC2 starts it again"):
        compute.start(id)
    back = aws_parts.after(70)
    assert (back.id, back.failure) == (id, None)
    assert back.observed in {Observed.STARTING, Observed.ON}


@pytest.mark.parametrize("taken", [True, False])
def test_terminated_spot_machine_that_was_off_is_not_replaced(aws_parts, compute, taken):
    """EC2 terminates a stopped spot machine when its request is cancelled."""
    id = aws_parts.on(spot=True, hibernation=False)
    if taken:
        aws_parts.aws.interrupt(id)
    else:
        compute.stop(id)
    aws_parts.after()
    compute.terminate(id)
    aws_parts.after(100)
    assert [machine["state"] for machine in aws_parts.aws.machines()] == ["terminated"]


@pytest.fixture
def cancelled_machine_id(aws_parts, other_user):
    """A running spot machine, whose request was cancelled outside Prism."""
    id = aws_parts.on(spot=True)
    request = aws_parts.instances.look(id).spot_request
    other_user.call("ec2", "CancelSpotInstanceRequests", SpotInstanceRequestIds=[request])
    aws_parts.pass_on()
    return id


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
@pytest.mark.parametrize("code", ["IncorrectSpotRequestState", "UnsupportedOperation"])
def test_machine_with_a_cancelled_request_can_only_be_terminated(
    aws_parts, compute, cancelled_machine_id, verb, code
):
    """AWS's documents do not say with which code EC2 refuses it."""
    aws_parts.aws.fault(action="StopInstances", do="error", status=400, code=code, message="no")
    with pytest.raises(ProviderRefused, match="`prism terminate mine`") as no:
        getattr(compute, verb)(cancelled_machine_id)
    assert no.value.code == "SPOT_REQUEST_CANCELLED"
    assert "runs and costs money" in no.value.message
    assert aws_parts.look().observed is Observed.ON
    compute.terminate(cancelled_machine_id)
    aws_parts.after()
    assert [machine["state"] for machine in aws_parts.aws.machines()] == ["terminated"]


def test_ec2_refuses_to_stop_a_machine_with_a_cancelled_request(
    aws_parts, compute, cancelled_machine_id
):
    with pytest.raises(ProviderRefused) as no:
        compute.stop(cancelled_machine_id)
    assert no.value.code == "SPOT_REQUEST_CANCELLED"


def test_start_right_after_a_stop_waits_for_the_spot_request(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"marked_for_stop": 90}})
    id = aws_parts.on(spot=True, hibernation=False)
    compute.stop(id)
    aws_parts.after()
    for _ in range(2):
        with pytest.raises(Unavailable, match="two minutes"):
            compute.start(id)
        aws_parts.after(30)
    assert aws_parts.after(60).observed is Observed.OFF
    compute.start(id)
    assert aws_parts.after().observed in {Observed.STARTING, Observed.ON}


def test_start_is_refused_if_the_spot_request_never_allows_it(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"marked_for_stop": 36000}})
    id = aws_parts.on(spot=True, hibernation=False)
    compute.stop(id)
    aws_parts.after()
    with pytest.raises(Unavailable):
        compute.start(id)
    aws_parts.after(700)
    with pytest.raises(ProviderRefused, match="appropriate state to support start"):
        compute.start(id)


def test_interrupted_spot_machine_with_hibernation_hibernates(aws_parts):
    id = aws_parts.on(spot=True)
    aws_parts.aws.interrupt(id)
    assert aws_parts.after().observed is Observed.ASLEEP


def test_terminated_spot_machine_is_not_replaced(aws_parts, compute):
    id = aws_parts.on(spot=True)
    compute.terminate(id)
    aws_parts.after()
    assert [machine["state"] for machine in aws_parts.aws.machines()] == ["terminated"]


def test_request_of_an_invisible_spot_machine_is_cancelled(aws_parts, compute):
    aws_parts.aws.rules = build({"times": {"unseen": 3}})
    id = aws_parts.launch(spot=True).id
    with pytest.raises(Unavailable):
        compute.terminate(id)
    assert aws_parts.calls("CancelSpotInstanceRequests")


def test_cancellation_with_a_lost_answer_is_repeated(aws_parts, compute):
    id = aws_parts.on(spot=True)
    aws_parts.aws.fault(action="CancelSpotInstanceRequests", do="lost")
    with pytest.raises(Unavailable):
        compute.terminate(id)
    compute.terminate(id)
    aws_parts.after()
    assert [machine["state"] for machine in aws_parts.aws.machines()] == ["terminated"]


def test_replacement_of_a_machine_terminated_outside_prism_is_terminated(
    aws_parts, compute, cloud
):
    id = aws_parts.on(spot=True)
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    aws_parts.aws.clock.advance(5)
    assert len(aws_parts.aws.machines()) == 2  # EC2 has brought another, without our tags
    assert [machine.observed for machine in compute.survey()] == [Observed.GONE]
    aws_parts.after()
    assert {machine["state"] for machine in aws_parts.aws.machines()} == {"terminated"}
    before = len(aws_parts.calls())
    compute.survey()
    assert aws_parts.calls()[before:] == ["DescribeInstances"]


def test_denied_termination_of_a_replacement_is_logged_once(aws_parts, compute, cloud, caplog):
    id = aws_parts.on(spot=True)
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    aws_parts.aws.clock.advance(5)
    aws_parts.aws.rules = build({"denied": ["ec2:TerminateInstances"]})
    compute.survey()
    compute.survey()
    [message] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "ec2:TerminateInstances" in message


def test_failed_cancellation_is_retried_at_the_next_survey(aws_parts, compute, cloud):
    id = aws_parts.on(spot=True)
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    aws_parts.pass_on()
    aws_parts.aws.fault(action="CancelSpotInstanceRequests", do="drop")
    compute.survey()
    compute.survey()
    assert len(aws_parts.calls("CancelSpotInstanceRequests")) == 2
