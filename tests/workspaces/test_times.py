"""When a machine fell asleep, and whether it ran, where its provider says only a part of it."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from prism.workspaces.model import LifecycleVerb, Observed
from prism.workspaces.plan import asleep_since, ran_unseen
from tests.workspaces.test_plan import AT, NEW


def at(minutes):
    return None if minutes is None else AT + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("dozed", "looked", "now", "deadline", "asleep"),
    [
        (0, 1, 1.5, None, 1.5),  # who looks sees it
        (0, 24, 25, None, 25),  # however long it takes
        (0, -5, 600, None, 10),  # nobody looked: what is set aside, and no more
        (0, 3, 600, None, 10),
        (0, 30, 600, None, 31),  # it was seen awake half an hour later
        (0, -5, 4, None, 4),
        (1, -5, 600, 0, 10),  # what is set aside ends so long after its deadline
        (0, -5, 600, 5, 10),
        (15, -5, 600, 0, 15),  # and yet it ran until it began to fall asleep
    ],
)
def test_when_it_fell_asleep(dozed, looked, now, deadline, asleep):
    workspace = replace(NEW, reserved_until=at(deadline))
    assert asleep_since(workspace, at(dozed), at(looked), at(now)) == at(asleep)


@pytest.mark.parametrize("verb", LifecycleVerb)
@pytest.mark.parametrize("seen", Observed)
@pytest.mark.parametrize(
    "before", [Observed.NONE, Observed.UNSURE, Observed.STARTING, Observed.OFF, Observed.ASLEEP]
)
def test_it_ran_where_it_was_brought_up_and_is_down(before, seen, verb):
    workspace = replace(NEW, seen=before, verb=verb)
    down = seen in {
        Observed.STOPPING,
        Observed.OFF,
        Observed.ASLEEP,
        Observed.BROKEN,
        Observed.GONE,
    }
    up = verb in {LifecycleVerb.LAUNCH, LifecycleVerb.START, LifecycleVerb.RESUME}
    assert ran_unseen(workspace, replace(workspace, seen=seen), at(1)) == (down and up)


@pytest.mark.parametrize(
    ("changed", "started"),
    [
        ({"seen": Observed.ON}, 1),  # it was seen to run
        ({"charged": True}, 1),
        ({"granted": 1}, 1),  # and one whose wish was granted too
        ({}, -1),  # an earlier start
        ({}, None),  # nobody knows of any
    ],
)
def test_it_did_not_run_unseen(changed, started):
    workspace = replace(NEW, **({"seen": Observed.STARTING} | changed))
    assert not ran_unseen(
        workspace, replace(workspace, seen=Observed.OFF, charged=False), at(started)
    )


def test_a_start_may_be_told_in_whole_seconds():
    wished = replace(NEW, seen=Observed.STARTING, wished_at=AT + timedelta(seconds=0.9))
    assert ran_unseen(wished, replace(wished, seen=Observed.OFF), AT)
