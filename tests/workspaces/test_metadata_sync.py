"""What a machine says of itself follows what changes here, on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.workspaces.ports import ProviderRefused
from tests.money import ClockedDaemon


@pytest.fixture
def clocked_daemon(daemon, clock, cloud):
    cloud.busy = timedelta(0)
    lab = ClockedDaemon(daemon, clock)
    lab.project("bees")
    lab.running()
    return lab


def looked(clocked_daemon, seconds=120):
    """Time passes, and everything that is due is done."""
    for _ in range(3):
        clocked_daemon.clock.advance(seconds=seconds / 3)
        clocked_daemon.daemon.settle()


def described(cloud):
    return [call for call in cloud.calls if call.startswith("describe")]


def machine(clocked_daemon, cloud):
    return cloud.ordered(clocked_daemon.workspace().machine_id)


def facts(clocked_daemon):
    """How often what its machine says has changed, and which of that it was told."""
    workspace = clocked_daemon.workspace()
    return workspace.facts_version, workspace.told_version


def ask(clocked_daemon, path, status=200, **body):
    answer = clocked_daemon.post(path, **body)
    assert answer.status_code == status, answer.text


def test_nothing_is_told_while_nothing_changes(clocked_daemon, cloud):
    for verb in ("stop", "start"):
        ask(clocked_daemon, f"instances/mine/{verb}")
        looked(clocked_daemon)
    assert (described(cloud), facts(clocked_daemon)) == ([], (0, 0))


def test_another_project_is_told_once(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/move", project="bees")
    looked(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "bees"
    looked(clocked_daemon, 3600)
    assert len(described(cloud)) == 1


def test_a_projects_new_name_is_told(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/move", project="bees")
    looked(clocked_daemon)
    assert clocked_daemon.put("projects/bees", name="wasps").status_code == 200
    looked(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "wasps"


def test_an_extension_and_an_idle_profile_are_told(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/extend", 204, hours=9)
    looked(clocked_daemon)
    assert (
        machine(clocked_daemon, cloud).ends_at == clocked_daemon.workspace().expires_at is not None
    )
    ask(clocked_daemon, "idle/instances/mine/configure", profile="batch")
    looked(clocked_daemon)
    assert machine(clocked_daemon, cloud).idle_profile == "batch"
    assert len(described(cloud)) == 2


def test_who_wakes_up_late_is_told_the_new_end(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/extend", 204, hours=1)
    looked(clocked_daemon, 7200)
    assert clocked_daemon.state() in {"stopped", "hibernated"}
    ask(clocked_daemon, "instances/mine/start")
    looked(clocked_daemon)
    assert (
        machine(clocked_daemon, cloud).ends_at
        == clocked_daemon.workspace().expires_at
        > clocked_daemon.clock.now()
    )


def test_a_reply_that_is_lost_is_no_matter(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/move", project="bees")
    cloud.faults.lose_replies = 2
    looked(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "bees"
    assert facts(clocked_daemon) == (1, 1)
    calls = len(described(cloud))
    looked(clocked_daemon, 3600)
    assert len(described(cloud)) == calls


def test_what_cannot_be_told_stands_in_nobodys_way(clocked_daemon, cloud, monkeypatch):
    tries = []

    def describe(id, order):
        tries.append(id)
        raise Unavailable("The cloud does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(cloud, "describe", describe)
        ask(clocked_daemon, "instances/mine/move", project="bees")
        looked(clocked_daemon)
        assert 2 <= len(tries) <= 5, "tried again after a while, and not in a hurry"
        ask(clocked_daemon, "instances/mine/stop")
        looked(clocked_daemon)
        assert clocked_daemon.state() == "stopped"
    looked(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "bees"


def test_who_says_no_is_not_asked_again_until_something_changes(
    clocked_daemon, cloud, monkeypatch
):
    tries = []

    def describe(id, order):
        tries.append(id)
        raise ProviderRefused("No")

    monkeypatch.setattr(cloud, "describe", describe)
    ask(clocked_daemon, "instances/mine/move", project="bees")
    looked(clocked_daemon, 3600)
    assert len(tries) == 1


def test_what_changes_while_it_is_told_is_told_too(clocked_daemon, cloud, monkeypatch):
    tell, once = cloud.describe, iter([True])

    def describe(id, order):
        tell(id, order)
        if next(once, False):
            ask(clocked_daemon, "idle/instances/mine/configure", profile="batch")

    monkeypatch.setattr(cloud, "describe", describe)
    ask(clocked_daemon, "instances/mine/move", project="bees")
    looked(clocked_daemon)
    assert (
        machine(clocked_daemon, cloud).project,
        machine(clocked_daemon, cloud).idle_profile,
    ) == ("bees", "batch")
    assert len(described(cloud)) == 2


def test_what_changes_before_the_launch_is_ordered_so(daemon, clock, cloud):
    lab = ClockedDaemon(daemon, clock)
    lab.project("bees")
    assert lab.launch().status_code == 201
    ask(lab, "instances/mine/move", project="bees")
    looked(lab)
    assert machine(lab, cloud).project == "bees"
    assert len(described(cloud)) <= 1
