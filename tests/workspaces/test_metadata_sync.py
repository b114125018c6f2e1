"""The metadata of a machine follows the changes of its workspace, on both databases."""

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


def advance(clocked_daemon, seconds=120):
    """Advances the clock and reconciles everything that is due."""
    for _ in range(3):
        clocked_daemon.clock.advance(seconds=seconds / 3)
        clocked_daemon.daemon.settle()


def describe_calls(cloud):
    return [call for call in cloud.calls if call.startswith("describe")]


def machine(clocked_daemon, cloud):
    return cloud.ordered(clocked_daemon.workspace().machine_id)


def metadata_versions(clocked_daemon):
    """The version of the metadata, and the version that the machine has."""
    workspace = clocked_daemon.workspace()
    return workspace.metadata_version, workspace.applied_metadata_version


def ask(clocked_daemon, path, status=200, **body):
    answer = clocked_daemon.post(path, **body)
    assert answer.status_code == status, answer.text


def test_stop_and_start_write_no_metadata(clocked_daemon, cloud):
    for verb in ("stop", "start"):
        ask(clocked_daemon, f"instances/mine/{verb}")
        advance(clocked_daemon)
    assert (describe_calls(cloud), metadata_versions(clocked_daemon)) == ([], (0, 0))


def test_new_project_is_written_to_the_machine_once(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/move", project="bees")
    advance(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "bees"
    advance(clocked_daemon, 3600)
    assert len(describe_calls(cloud)) == 1


def test_renamed_project_is_written_to_the_machine(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/move", project="bees")
    advance(clocked_daemon)
    assert clocked_daemon.put("projects/bees", name="wasps").status_code == 200
    advance(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "wasps"


def test_expiry_and_idle_profile_are_written_to_the_machine(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/extend", 204, hours=9)
    advance(clocked_daemon)
    assert (
        machine(clocked_daemon, cloud).ends_at == clocked_daemon.workspace().expires_at is not None
    )
    ask(clocked_daemon, "idle/instances/mine/configure", profile="batch")
    advance(clocked_daemon)
    assert machine(clocked_daemon, cloud).idle_profile == "batch"
    assert len(describe_calls(cloud)) == 2


def test_start_after_the_expiry_writes_the_new_expiry(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/extend", 204, hours=1)
    advance(clocked_daemon, 7200)
    assert clocked_daemon.state() in {"stopped", "hibernated"}
    ask(clocked_daemon, "instances/mine/start")
    advance(clocked_daemon)
    assert (
        machine(clocked_daemon, cloud).ends_at
        == clocked_daemon.workspace().expires_at
        > clocked_daemon.clock.now()
    )


def test_metadata_is_written_despite_lost_answers(clocked_daemon, cloud):
    ask(clocked_daemon, "instances/mine/move", project="bees")
    cloud.faults.lose_replies = 2
    advance(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "bees"
    assert metadata_versions(clocked_daemon) == (1, 1)
    calls = len(describe_calls(cloud))
    advance(clocked_daemon, 3600)
    assert len(describe_calls(cloud)) == calls


def test_unavailable_provider_delays_metadata_and_no_verbs(clocked_daemon, cloud, monkeypatch):
    tries = []

    def describe(id, order):
        tries.append(id)
        raise Unavailable("The cloud does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(cloud, "describe", describe)
        ask(clocked_daemon, "instances/mine/move", project="bees")
        advance(clocked_daemon)
        assert 2 <= len(tries) <= 5, "retried with a delay"
        ask(clocked_daemon, "instances/mine/stop")
        advance(clocked_daemon)
        assert clocked_daemon.state() == "stopped"
    advance(clocked_daemon)
    assert machine(clocked_daemon, cloud).project == "bees"


def test_refused_metadata_is_not_written_again_until_it_changes(
    clocked_daemon, cloud, monkeypatch
):
    tries = []

    def describe(id, order):
        tries.append(id)
        raise ProviderRefused("No")

    monkeypatch.setattr(cloud, "describe", describe)
    ask(clocked_daemon, "instances/mine/move", project="bees")
    advance(clocked_daemon, 3600)
    assert len(tries) == 1


def test_change_while_metadata_is_written_is_written_too(clocked_daemon, cloud, monkeypatch):
    tell, once = cloud.describe, iter([True])

    def describe(id, order):
        tell(id, order)
        if next(once, False):
            ask(clocked_daemon, "idle/instances/mine/configure", profile="batch")

    monkeypatch.setattr(cloud, "describe", describe)
    ask(clocked_daemon, "instances/mine/move", project="bees")
    advance(clocked_daemon)
    assert (
        machine(clocked_daemon, cloud).project,
        machine(clocked_daemon, cloud).idle_profile,
    ) == ("bees", "batch")
    assert len(describe_calls(cloud)) == 2


def test_change_before_the_machine_is_launched_is_part_of_the_order(daemon, clock, cloud):
    lab = ClockedDaemon(daemon, clock)
    lab.project("bees")
    assert lab.launch().status_code == 201
    ask(lab, "instances/mine/move", project="bees")
    advance(lab)
    assert machine(lab, cloud).project == "bees"
    assert len(describe_calls(cloud)) <= 1
