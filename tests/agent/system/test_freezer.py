"""Control groups, and what the supervisor of a machine does with its predecessor's group."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from prism.agent.system import freezer as freezing
from prism.agent.system.freezer import Cgroup, Signals, freezer
from prism.agent.system.processes import process
from tests.optional import not_none
from tests.waiting import eventually


@pytest.fixture
def control_group(tmp_path):
    """The group of a machine, as its supervisor would create it."""
    group = freezer(tmp_path)
    if not isinstance(group, Cgroup):
        pytest.skip("needs control groups")
    yield group
    if group.path.exists():
        group.kill()
        group.close()
    assert not group.path.exists()


def start_in_group(path):
    """A process that runs in a group."""
    return subprocess.Popen(["sleep", "600"], preexec_fn=lambda: Cgroup(path).join())


@pytest.mark.parametrize("frozen", [False, True])
def test_processes_left_in_the_control_group_are_killed_and_the_group_is_reused(
    tmp_path, control_group, frozen
):
    left = start_in_group(control_group.path)
    if frozen:
        control_group.freeze()
    successor = freezer(tmp_path)
    assert isinstance(successor, Cgroup)
    assert successor.path == control_group.path
    assert left.wait(120) == -signal.SIGKILL
    assert "frozen 0" in (successor.path / "cgroup.events").read_text()
    child = start_in_group(successor.path)
    successor.freeze()
    successor.thaw()
    assert child.poll() is None
    successor.kill()
    assert child.wait(120) == -signal.SIGKILL


def test_nested_control_groups_are_killed_and_removed(tmp_path, control_group):
    below = control_group.path / "of-a-workspace" / "deeper"
    below.mkdir(parents=True)
    left = start_in_group(below)
    successor = freezer(tmp_path)
    assert left.wait(120) == -signal.SIGKILL
    assert isinstance(successor, Cgroup)
    successor.close()
    assert not control_group.path.exists()


def test_freezer_uses_signals_when_the_control_group_cannot_be_joined(tmp_path, monkeypatch):
    """Plain folders lack the files of a control group."""
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


def test_freezer_uses_signals_when_control_groups_are_read_only(tmp_path, monkeypatch):
    """As if `/sys/fs/cgroup` were mounted read-only."""
    monkeypatch.setattr(freezing, "_places", lambda: [Path("/proc/self")])
    assert isinstance(freezer(tmp_path), Signals)
    assert os.listdir(tmp_path) == []
