"""The project that pays for a recovered workspace, and its caps."""

from datetime import timedelta

import pytest

from tests.money import ClockedDaemon


@pytest.fixture
def lost_project(make_daemon, start_on_empty_database, clock, cloud):
    """A machine of the project `reef` that ran for two hours; the database is lost."""
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


def test_recovered_workspace_is_paid_by_the_project_of_the_same_name(lost_project, recover):
    lost_project.project("reef", 50.0)
    recover()
    lost_project.settle()
    assert lost_project.workspace().project_name == "reef"
    [(_, settled, reserved)] = lost_project.balances()
    assert settled > 0, "the time since its start is settled"
    assert reserved > 0, "money is reserved"
    lost_project.live(hours=1)
    assert lost_project.state() == "running"


def test_workspace_of_a_missing_project_is_recovered_without_a_project(lost_project, recover):
    recovery = recover()
    assert "project 'reef' does not exist: no budget pays for it" in recovery["notes"]
    lost_project.settle()
    assert (lost_project.workspace().project, lost_project.state()) == (None, "running")


def test_workspace_of_a_project_without_money_is_recovered_and_hibernated(lost_project, recover):
    lost_project.project("reef", 0.05)
    recovery = recover()
    assert any(note.startswith("it goes to sleep at once: ") for note in recovery["notes"])
    lost_project.settle(seconds=1)
    assert lost_project.state() == "hibernated"
    assert lost_project.workspace().project_name == "reef"


def test_dry_run_of_recover_reserves_no_money(lost_project):
    lost_project.project("reef", 50.0)
    assert lost_project.post("recover", dry_run=True).json()["recovered"]
    assert lost_project.reservations() == []
    [(_, settled, reserved)] = lost_project.balances()
    assert (settled, reserved) == (0, 0)


def test_recovered_workspace_has_its_idle_profile(lost_project, recover):
    recover()
    assert lost_project.workspace().idle_profile == "batch"
    assert lost_project.get("idle/instances/mine")["profile"] == "batch"


def test_orphan_shows_its_price_and_cost_so_far(lost_project):
    [orphan] = lost_project.get("orphans")["orphans"]
    assert (orphan["hourly_rate"], orphan["project"]) == (0.0832, "reef")
    assert orphan["cost_so_far"] == 0.17
    assert orphan["price_source"].startswith("simulated")
