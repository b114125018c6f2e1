"""Spot machines: taken back, had again, destroyed, and never replaced behind our back."""

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.faults import CapacityUnavailable
from prism.workspaces.model import Observed
from prism.workspaces.ports import ProviderRefused


@pytest.fixture
def compute(place):
    return place.compute


def test_a_spot_machine_that_ec2_takes_back_says_so_and_can_be_had_again(place, compute):
    id = place.on(spot=True, hibernation=False)
    place.aws.interrupt(id)
    off = place.goes()
    assert (off.seen, off.failure.code) == (Observed.OFF, "SPOT_INTERRUPTED")
    with pytest.raises(CapacityUnavailable, match="only EC2 starts it again"):
        compute.start(id)
    back = place.goes(70)
    assert (back.id, back.failure) == (id, None)
    assert back.seen in {Observed.STARTING, Observed.ON}


@pytest.mark.parametrize("taken", [True, False])
def test_a_spot_machine_that_is_down_is_destroyed_with_its_request(place, compute, taken):
    """EC2 itself ends one that is stopped, when its request is cancelled."""
    id = place.on(spot=True, hibernation=False)
    if taken:
        place.aws.interrupt(id)
    else:
        compute.stop(id)
    place.goes()
    compute.terminate(id)
    place.goes(100)
    assert [it["state"] for it in place.aws.machines()] == ["terminated"]


@pytest.fixture
def cancelled(place, somebody):
    """A spot machine that runs and whose request somebody has cancelled."""
    id = place.on(spot=True)
    request = place.instances.look(id).spot_request
    somebody.call("ec2", "CancelSpotInstanceRequests", SpotInstanceRequestIds=[request])
    place.pass_on()
    return id


@pytest.mark.parametrize("verb", ["stop", "hibernate"])
@pytest.mark.parametrize("code", ["IncorrectSpotRequestState", "UnsupportedOperation"])
def test_one_whose_request_was_cancelled_cannot_be_stopped_and_says_what_can_be_done(
    place, compute, cancelled, verb, code
):
    """AWS's documents do not say with which code EC2 refuses it."""
    place.aws.fault(action="StopInstances", do="error", status=400, code=code, message="no")
    with pytest.raises(ProviderRefused, match="`prism terminate mine`") as no:
        getattr(compute, verb)(cancelled)
    assert no.value.code == "SPOT_REQUEST_CANCELLED"
    assert "runs on, and costs" in no.value.message
    assert place.look().seen is Observed.ON
    compute.terminate(cancelled)
    place.goes()
    assert [it["state"] for it in place.aws.machines()] == ["terminated"]


def test_ec2_itself_refuses_to_stop_it(place, compute, cancelled):
    with pytest.raises(ProviderRefused) as no:
        compute.stop(cancelled)
    assert no.value.code == "SPOT_REQUEST_CANCELLED"


def test_a_start_right_after_a_stop_waits_until_the_request_allows_it(place, compute):
    place.aws.rules = build({"times": {"marked_for_stop": 90}})
    id = place.on(spot=True, hibernation=False)
    compute.stop(id)
    place.goes()
    for _ in range(2):
        with pytest.raises(Unavailable, match="two minutes"):
            compute.start(id)
        place.goes(30)
    assert place.goes(60).seen is Observed.OFF
    compute.start(id)
    assert place.goes().seen in {Observed.STARTING, Observed.ON}


def test_a_request_that_never_allows_it_is_not_waited_for_without_end(place, compute):
    place.aws.rules = build({"times": {"marked_for_stop": 36000}})
    id = place.on(spot=True, hibernation=False)
    compute.stop(id)
    place.goes()
    with pytest.raises(Unavailable):
        compute.start(id)
    place.goes(700)
    with pytest.raises(ProviderRefused, match="appropriate state to support start"):
        compute.start(id)


def test_a_spot_machine_that_can_sleeps_when_it_is_taken_back(place):
    id = place.on(spot=True)
    place.aws.interrupt(id)
    assert place.goes().seen is Observed.ASLEEP


def test_a_spot_machine_that_is_destroyed_has_no_heir(place, compute):
    id = place.on(spot=True)
    compute.terminate(id)
    place.goes()
    assert [it["state"] for it in place.aws.machines()] == ["terminated"]


def test_a_spot_machine_that_ec2_hides_still_loses_its_request(place, compute):
    place.aws.rules = build({"times": {"unseen": 3}})
    id = place.launch(spot=True).id
    with pytest.raises(Unavailable):
        compute.terminate(id)
    assert place.calls("CancelSpotInstanceRequests")


def test_a_cancelled_request_whose_answer_was_lost_is_cancelled_again(place, compute):
    id = place.on(spot=True)
    place.aws.fault(action="CancelSpotInstanceRequests", do="lost")
    with pytest.raises(Unavailable):
        compute.terminate(id)
    compute.terminate(id)
    place.goes()
    assert [it["state"] for it in place.aws.machines()] == ["terminated"]


def test_the_heir_of_one_that_was_destroyed_at_its_console_goes_too(place, compute, cloud):
    id = place.on(spot=True)
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    place.aws.clock.advance(5)
    assert len(place.aws.machines()) == 2  # EC2 has brought another, without our tags
    assert [it.seen for it in compute.survey()] == [Observed.GONE]
    place.goes()
    assert {it["state"] for it in place.aws.machines()} == {"terminated"}
    before = len(place.calls())
    compute.survey()
    assert place.calls()[before:] == ["DescribeInstances"]


def test_an_heir_that_we_may_not_touch_is_said_once(place, compute, cloud, caplog):
    id = place.on(spot=True)
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    place.aws.clock.advance(5)
    place.aws.rules = build({"denied": ["ec2:TerminateInstances"]})
    compute.survey()
    compute.survey()
    [said] = [it.getMessage() for it in caplog.records if it.levelname == "ERROR"]
    assert "ec2:TerminateInstances" in said


def test_a_request_that_could_not_be_cancelled_is_tried_at_the_next_look(place, compute, cloud):
    id = place.on(spot=True)
    cloud.call("ec2", "TerminateInstances", InstanceIds=[id])
    place.pass_on()
    place.aws.fault(action="CancelSpotInstanceRequests", do="drop")
    compute.survey()
    compute.survey()
    assert len(place.calls("CancelSpotInstanceRequests")) == 2
