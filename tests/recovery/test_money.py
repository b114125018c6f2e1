"""Whose money pays for what was recovered: projects by name, caps as they are now."""

from datetime import timedelta

import pytest

from tests.money import ClockedDaemon


@pytest.fixture
def lost_project(make_daemon, start_on_empty_database, clock, cloud):
    """A machine of the project `reef`, for two hours; the daemon that knew it is gone."""
    cloud.busy = timedelta(0)
    lab = ClockedDaemon(make_daemon(local_prices="aws"), clock)
    lab.project("reef", 50.0)
    lab.running(project="reef", idle_profile="batch")
    lab.live(hours=2)
    after = ClockedDaemon(start_on_empty_database(lab.daemon, local_prices="aws"), clock)
    after.settle()
    return after


@pytest.fixture
def recover(lost_project):
    def recover():
        answer = lost_project.post("recover", dry_run=False)
        assert answer.status_code == 200, answer.text
        [entry] = answer.json()["recovered"]
        return entry

    return recover


def test_a_project_of_that_name_pays_and_its_cap_holds(lost_project, recover):
    lost_project.project("reef", 50.0)
    recover()
    lost_project.settle()
    assert lost_project.workspace().project_name == "reef"
    [(_, settled, reserved)] = lost_project.standings()
    assert settled > 0, "what it ran since its start is counted"
    assert reserved > 0, "and what it will need is set aside"
    lost_project.live(hours=1)
    assert lost_project.state() == "running"


def test_where_the_project_is_missing_it_is_said_and_nobody_pays(lost_project, recover):
    recovery = recover()
    assert "project 'reef' is not here: nobody's budget pays for it" in recovery["notes"]
    lost_project.settle()
    assert (lost_project.workspace().project, lost_project.state()) == (None, "running")


def test_a_project_without_money_gets_its_machine_back_asleep(lost_project, recover):
    lost_project.project("reef", 0.05)
    recovery = recover()
    assert any(note.startswith("it goes to sleep at once: ") for note in recovery["notes"])
    lost_project.settle(seconds=1)
    assert lost_project.state() == "hibernated"
    assert lost_project.workspace().project_name == "reef"


def test_a_dry_run_sets_nothing_aside(lost_project):
    lost_project.project("reef", 50.0)
    assert lost_project.post("recover", dry_run=True).json()["recovered"]
    assert lost_project.reservations() == []
    [(_, settled, reserved)] = lost_project.standings()
    assert (settled, reserved) == (0, 0)


def test_its_idle_profile_watches_it_again_where_there_is_one(lost_project, recover):
    recover()
    assert lost_project.workspace().idle_profile == "batch"
    assert lost_project.get("idle/instances/mine")["profile"] == "batch"


def test_what_an_orphan_costs_is_shown(lost_project):
    [orphan] = lost_project.get("orphans")["orphans"]
    assert (orphan["hourly_rate"], orphan["project"]) == (0.0832, "reef")
    assert orphan["cost_so_far"] == 0.17
    assert orphan["price_source"].startswith("simulated")
