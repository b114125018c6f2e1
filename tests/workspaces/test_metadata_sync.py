"""What a machine says of itself follows what changes here, on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.workspaces.ports import ProviderRefused
from tests.money import ClockedDaemon


@pytest.fixture
def lab(daemon, clock, cloud):
    cloud.busy = timedelta(0)
    lab = ClockedDaemon(daemon, clock)
    lab.project("bees")
    lab.running()
    return lab


def looked(lab, seconds=120):
    """Time passes, and everything that is due is done."""
    for _ in range(3):
        lab.clock.advance(seconds=seconds / 3)
        lab.daemon.settle()


def described(cloud):
    return [call for call in cloud.calls if call.startswith("describe")]


def machine(lab, cloud):
    return cloud.ordered(lab.workspace().machine_id)


def facts(lab):
    """How often what its machine says has changed, and which of that it was told."""
    it = lab.workspace()
    return it.facts_version, it.told_version


def ask(lab, path, status=200, **body):
    answer = lab.post(path, **body)
    assert answer.status_code == status, answer.text


def test_nothing_is_told_while_nothing_changes(lab, cloud):
    for verb in ("stop", "start"):
        ask(lab, f"instances/mine/{verb}")
        looked(lab)
    assert (described(cloud), facts(lab)) == ([], (0, 0))


def test_another_project_is_told_once(lab, cloud):
    ask(lab, "instances/mine/move", project="bees")
    looked(lab)
    assert machine(lab, cloud).project == "bees"
    looked(lab, 3600)
    assert len(described(cloud)) == 1


def test_a_projects_new_name_is_told(lab, cloud):
    ask(lab, "instances/mine/move", project="bees")
    looked(lab)
    assert lab.put("projects/bees", name="wasps").status_code == 200
    looked(lab)
    assert machine(lab, cloud).project == "wasps"


def test_an_extension_and_an_idle_profile_are_told(lab, cloud):
    ask(lab, "instances/mine/extend", 204, hours=9)
    looked(lab)
    assert machine(lab, cloud).ends_at == lab.workspace().expires_at is not None
    ask(lab, "idle/instances/mine/configure", profile="batch")
    looked(lab)
    assert machine(lab, cloud).idle_profile == "batch"
    assert len(described(cloud)) == 2


def test_who_wakes_up_late_is_told_the_new_end(lab, cloud):
    ask(lab, "instances/mine/extend", 204, hours=1)
    looked(lab, 7200)
    assert lab.state() in {"stopped", "hibernated"}
    ask(lab, "instances/mine/start")
    looked(lab)
    assert machine(lab, cloud).ends_at == lab.workspace().expires_at > lab.clock.now()


def test_a_reply_that_is_lost_is_no_matter(lab, cloud):
    ask(lab, "instances/mine/move", project="bees")
    cloud.faults.lose_replies = 2
    looked(lab)
    assert machine(lab, cloud).project == "bees"
    assert facts(lab) == (1, 1)
    calls = len(described(cloud))
    looked(lab, 3600)
    assert len(described(cloud)) == calls


def test_what_cannot_be_told_stands_in_nobodys_way(lab, cloud, monkeypatch):
    tries = []

    def describe(id, order):
        tries.append(id)
        raise Unavailable("The cloud does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(cloud, "describe", describe)
        ask(lab, "instances/mine/move", project="bees")
        looked(lab)
        assert 2 <= len(tries) <= 5, "tried again after a while, and not in a hurry"
        ask(lab, "instances/mine/stop")
        looked(lab)
        assert lab.state() == "stopped"
    looked(lab)
    assert machine(lab, cloud).project == "bees"


def test_who_says_no_is_not_asked_again_until_something_changes(lab, cloud, monkeypatch):
    tries = []

    def describe(id, order):
        tries.append(id)
        raise ProviderRefused("No")

    monkeypatch.setattr(cloud, "describe", describe)
    ask(lab, "instances/mine/move", project="bees")
    looked(lab, 3600)
    assert len(tries) == 1


def test_what_changes_while_it_is_told_is_told_too(lab, cloud, monkeypatch):
    tell, once = cloud.describe, iter([True])

    def describe(id, order):
        tell(id, order)
        if next(once, False):
            ask(lab, "idle/instances/mine/configure", profile="batch")

    monkeypatch.setattr(cloud, "describe", describe)
    ask(lab, "instances/mine/move", project="bees")
    looked(lab)
    assert (machine(lab, cloud).project, machine(lab, cloud).idle_profile) == ("bees", "batch")
    assert len(described(cloud)) == 2


def test_what_changes_before_the_launch_is_ordered_so(daemon, clock, cloud):
    lab = ClockedDaemon(daemon, clock)
    lab.project("bees")
    assert lab.launch().status_code == 201
    ask(lab, "instances/mine/move", project="bees")
    looked(lab)
    assert machine(lab, cloud).project == "bees"
    assert len(described(cloud)) <= 1
