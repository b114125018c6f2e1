"""The time of hibernation, and whether a machine ran, if the provider reports only a part."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from prism.workspaces.model import LifecycleVerb, Observed
from prism.workspaces.plan import asleep_since, ran_unseen
from tests.workspaces.test_plan import AT, NEW


def at(minutes):
    return None if minutes is None else AT + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("began", "looked", "now", "deadline", "asleep"),
    [
        (0, 1, 1.5, None, 1.5),  # observed at once
        (0, 24, 25, None, 25),  # observed at the end of a long hibernation
        (0, -5, 600, None, 10),  # not observed: at most the reserved time
        (0, 3, 600, None, 10),
        (0, 30, 600, None, 31),  # it was observed running half an hour later
        (0, -5, 4, None, 4),
        (1, -5, 600, 0, 10),  # the reservation ends so long after the deadline
        (0, -5, 600, 5, 10),
        (15, -5, 600, 0, 15),  # it ran until its hibernation began
    ],
)
def test_time_of_hibernation_is_estimated_from_observations_and_deadline(
    began, looked, now, deadline, asleep
):
    workspace = replace(NEW, reserved_until=at(deadline))
    assert asleep_since(workspace, at(began), at(looked), at(now)) == at(asleep)


@pytest.mark.parametrize("verb", LifecycleVerb)
@pytest.mark.parametrize("seen", Observed)
@pytest.mark.parametrize(
    "before", [Observed.NONE, Observed.UNSURE, Observed.STARTING, Observed.OFF, Observed.ASLEEP]
)
def test_machine_ran_unseen_if_it_was_started_and_is_down(before, seen, verb):
    workspace = replace(NEW, observed=before, verb=verb)
    down = seen in {
        Observed.STOPPING,
        Observed.OFF,
        Observed.ASLEEP,
        Observed.BROKEN,
        Observed.GONE,
    }
    up = verb in {LifecycleVerb.LAUNCH, LifecycleVerb.START, LifecycleVerb.RESUME}
    assert ran_unseen(workspace, replace(workspace, observed=seen), at(1)) == (down and up)


@pytest.mark.parametrize(
    ("changed", "started"),
    [
        ({"observed": Observed.ON}, 1),  # it was observed running
        ({"charged": True}, 1),
        ({"observed_generation": 1}, 1),  # the request was fulfilled
        ({}, -1),  # an earlier start
        ({}, None),  # no known start
    ],
)
def test_machine_did_not_run_unseen_without_a_start_after_the_request(changed, started):
    workspace = replace(NEW, **({"observed": Observed.STARTING} | changed))
    assert not ran_unseen(
        workspace, replace(workspace, observed=Observed.OFF, charged=False), at(started)
    )


def test_start_time_in_whole_seconds_counts_as_after_the_request():
    wished = replace(NEW, observed=Observed.STARTING, requested_at=AT + timedelta(seconds=0.9))
    assert ran_unseen(wished, replace(wished, observed=Observed.OFF), AT)
