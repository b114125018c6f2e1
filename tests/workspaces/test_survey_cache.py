"""Looks are shared by who asks at the same time, and by nobody whose wish is newer."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.workspaces.model import Launch
from prism.workspaces.survey_cache import SurveyCache
from tests.conftest import ML

PLACE = "here"
ME, LONG_AGO = "me", timedelta(hours=1)


@pytest.fixture
def survey_cache(cloud, clock):
    cloud.busy = timedelta(seconds=2)
    return SurveyCache({PLACE: cloud}, clock)


def surveys(cloud):
    return cloud.calls.count("survey")


@pytest.mark.parametrize(
    ("seconds", "many"), [(0, 1), (0.9, 1), (1, 2), (60, 2), (-0.9, 1), (-60, 2)]
)
def test_a_look_serves_half_of_a_pause(survey_cache, cloud, clock, seconds, many):
    wished_at = clock.now() - LONG_AGO
    survey_cache.at(PLACE, ME, wished_at)
    clock.advance(seconds=seconds)
    survey_cache.at(PLACE, ME, wished_at)
    assert surveys(cloud) == many


def test_a_wish_is_not_judged_by_an_older_look(survey_cache, cloud, clock):
    survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    clock.advance(seconds=0.3)
    for _ in range(3):
        survey_cache.at(PLACE, ME, clock.now())
    assert surveys(cloud) == 2


@pytest.mark.parametrize("later", [0, 0.3])
def test_what_was_done_is_not_judged_by_an_older_look(survey_cache, cloud, clock, later):
    survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    clock.advance(seconds=later)
    survey_cache.acted(ME)
    survey_cache.at(PLACE, "another", clock.now() - LONG_AGO)
    assert surveys(cloud) == 1
    clock.advance(seconds=0.1)
    survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    assert surveys(cloud) == 2
    survey_cache.anew()
    assert not survey_cache._acted_at  # the dead are not remembered


def test_silence_is_shared_too(survey_cache, cloud, clock):
    cloud.faults.down = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    assert surveys(cloud) == 1
    cloud.faults.down = False
    clock.advance(seconds=1)
    assert survey_cache.at(PLACE, ME, clock.now() - LONG_AGO) == {}


def test_a_patrol_looks_for_itself_and_for_those_after_it(survey_cache, cloud, clock):
    survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    assert survey_cache.anew()[PLACE].machines() == {}
    survey_cache.at(PLACE, ME, clock.now() - LONG_AGO)
    assert surveys(cloud) == 2


def test_many_that_come_up_are_looked_at_together(daemon, cloud, clock):
    cloud.busy, cloud.faults.slow = timedelta(seconds=2), timedelta(seconds=10)
    for n in range(100):
        daemon.workspaces.launch(Launch(name=f"w{n}", template=ML))
    daemon.settle()
    clock.advance(seconds=2.5)
    before = surveys(cloud)
    daemon.settle()
    assert surveys(cloud) - before <= 2  # the patrol's own, and one for all rows
