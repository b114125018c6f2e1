"""When locations are surveyed, also if the clock changes."""

from datetime import UTC, datetime, timedelta

import pytest

from prism.kit.clock import StoppedClock
from prism.storage.survey_schedule import NOWHERE, SurveySchedule
from tests.doubles.volumes import MemoryVolumes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALM = timedelta(seconds=60)


@pytest.fixture
def schedule():
    """The schedule of one location that was surveyed just now."""
    schedule = SurveySchedule({"here": MemoryVolumes(StoppedClock(NOW), calm=CALM)})
    assert schedule.due(NOW) == ["here"]
    return schedule


def test_location_is_due_at_its_own_interval(schedule):
    assert schedule.pause(NOW) == CALM
    assert schedule.due(NOW + CALM - timedelta(seconds=1)) == []
    assert schedule.due(NOW + CALM) == ["here"]
    assert SurveySchedule({}).pause(NOW) == NOWHERE


def test_survey_before_the_due_time_pauses_until_then(schedule):
    early = NOW + CALM - timedelta(milliseconds=2)  # the clock was slowed down
    assert schedule.due(early) == []
    assert schedule.pause(early) == timedelta(milliseconds=2)


def test_location_is_due_after_the_clock_was_set_back(schedule):
    back = NOW - timedelta(hours=2)
    assert schedule.due(back) == ["here"]
    assert schedule.pause(back) == CALM
