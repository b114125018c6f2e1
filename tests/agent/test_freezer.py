"""What a supervisor that was killed has left in its control group, and who comes after it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from prism.agent import freezer as freezing
from prism.agent.freezer import Cgroup, Signals, freezer
from prism.agent.processes import process
from tests.optional import not_none
from tests.waiting import eventually


@pytest.fixture
def control_group(tmp_path):
    """The group of a machine, as its supervisor would make it."""
    group = freezer(tmp_path)
    if not isinstance(group, Cgroup):
        pytest.skip("no control group may be made here")
    yield group
    if group.path.exists():
        group.kill()
        group.close()
    assert not group.path.exists()


def within(path):
    """A process that runs in a group."""
    return subprocess.Popen(["sleep", "600"], preexec_fn=lambda: Cgroup(path).join())


@pytest.mark.parametrize("frozen", [False, True])
def test_who_is_left_in_it_is_ended_and_the_next_may_use_it(tmp_path, control_group, frozen):
    left = within(control_group.path)
    if frozen:
        control_group.freeze()
    successor = freezer(tmp_path)
    assert isinstance(successor, Cgroup)
    assert successor.path == control_group.path
    assert left.wait(120) == -signal.SIGKILL
    child = within(successor.path)
    successor.freeze()
    successor.thaw()
    assert child.poll() is None
    successor.kill()
    assert child.wait(120) == -signal.SIGKILL


def test_groups_below_it_are_ended_and_removed_with_it(tmp_path, control_group):
    below = control_group.path / "of-a-workspace" / "deeper"
    below.mkdir(parents=True)
    left = within(below)
    successor = freezer(tmp_path)
    assert left.wait(120) == -signal.SIGKILL
    assert isinstance(successor, Cgroup)
    successor.close()
    assert not control_group.path.exists()


def test_a_group_that_nobody_may_join_is_passed_over(tmp_path, monkeypatch):
    """Played by folders: there is no file of a control group in them."""
    monkeypatch.setattr(freezing, "_places", lambda: [tmp_path / "groups"])
    folder = tmp_path / "local-1"
    folder.mkdir()
    signals = freezer(folder)
    assert isinstance(signals, Signals)
    child = subprocess.Popen(["sleep", "600"])
    try:
        signals.freeze()
        eventually(lambda: not_none(process(child.pid)).state == "T")
        signals.thaw()
        eventually(lambda: not_none(process(child.pid)).state == "S")
    finally:
        child.kill()
        child.wait()


def test_a_group_that_cannot_be_written_is_passed_over(tmp_path, monkeypatch):
    """As where `/sys/fs/cgroup` is read-only."""
    monkeypatch.setattr(freezing, "_places", lambda: [Path("/proc/self")])
    assert isinstance(freezer(tmp_path), Signals)
    assert os.listdir(tmp_path) == []
