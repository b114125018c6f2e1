"""Surveys are shared between rows, except by a row whose request is newer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prism.errors import Unavailable
from prism.workspaces.model import LaunchRequest
from prism.workspaces.surveys.survey_cache import SurveyCache
from tests.conftest import ML

LOCATION = "here"
ME, LONG_AGO = "me", timedelta(hours=1)


@pytest.fixture
def survey_cache(cloud, clock):
    cloud.busy = timedelta(seconds=2)
    return SurveyCache({LOCATION: cloud}, clock)


def surveys(cloud):
    return cloud.calls.count("survey")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 1), (0.9, 1), (1, 2), (60, 2), (-0.9, 1), (-60, 2)]
)
def test_survey_is_reused_for_half_of_its_interval(survey_cache, cloud, clock, seconds, expected):
    requested_at = clock.now() - LONG_AGO
    survey_cache.at(LOCATION, ME, requested_at)
    clock.advance(seconds=seconds)
    survey_cache.at(LOCATION, ME, requested_at)
    assert surveys(cloud) == expected


def test_survey_older_than_the_request_is_not_used(survey_cache, cloud, clock):
    survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    clock.advance(seconds=0.3)
    for _ in range(3):
        survey_cache.at(LOCATION, ME, clock.now())
    assert surveys(cloud) == 2


@pytest.mark.parametrize("later", [0, 0.3])
def test_survey_older_than_the_last_action_of_the_row_is_not_used(
    survey_cache, cloud, clock, later
):
    survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    clock.advance(seconds=later)
    survey_cache.acted(ME)
    survey_cache.at(LOCATION, "another", clock.now() - LONG_AGO)
    assert surveys(cloud) == 1
    clock.advance(seconds=0.1)
    survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    assert surveys(cloud) == 2
    survey_cache.anew()
    assert not survey_cache._acted_at  # a new survey clears the actions


def test_failed_survey_is_shared_too(survey_cache, cloud, clock):
    cloud.faults.down = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    assert surveys(cloud) == 1
    cloud.faults.down = False
    clock.advance(seconds=1)
    assert survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO) == {}


def test_mark_due_surveys_again_and_its_survey_is_reused(survey_cache, cloud, clock):
    survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    assert survey_cache.anew()[LOCATION].machines() == {}
    survey_cache.at(LOCATION, ME, clock.now() - LONG_AGO)
    assert surveys(cloud) == 2


def test_many_starting_machines_share_surveys(daemon, cloud, clock):
    cloud.busy, cloud.faults.slow = timedelta(seconds=2), timedelta(seconds=10)
    for n in range(100):
        daemon.workspaces.launch(LaunchRequest(name=f"w{n}", template=ML))
    daemon.settle()
    clock.advance(seconds=2.5)
    before = surveys(cloud)
    daemon.settle()
    assert surveys(cloud) - before <= 2  # one of `mark_due`, one for all rows


def test_absurd_answer_of_one_location_does_not_end_the_survey_of_others(cloud, clock):
    cloud.busy = timedelta(seconds=2)
    computes: dict[str, Any] = {"spoiled": Spoiled(), LOCATION: cloud}
    surveys = SurveyCache(computes, clock).anew()
    assert surveys["spoiled"].problem == "The answer of spoiled cannot be used"
    assert surveys[LOCATION].problem is None


class Spoiled:
    """A location whose answer has a time that no calendar has."""

    busy = timedelta(seconds=1)

    def survey(self):
        """As the standard library refuses such a time."""
        return [datetime.fromtimestamp(1e300, UTC)]
