"""A launch or a supervisor is killed at any moment; the machine can still be used."""

import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from prism.providers.local.folder_setup import MachineOptions, make
from prism.providers.local.storage.mounted_folders import DISK_MARKER
from prism.workspaces.model import Observed
from prism.workspaces.ports import MachineSpec
from tests.processes import with_words
from tests.providers.local.world import World, page
from tests.waiting import eventually

MORTAL = (sys.executable, "-m", "tests.providers.local.mortal")
ORDER = MachineSpec(
    key="ws_1",
    name="mine",
    template=page(post_install=("true",)),
    instance_type="t3.small",
    root_gb=8,
    hibernation=True,
)


def check_only_machine(world, id):
    """One machine that is on, with one supervisor and one server; then none."""
    world.becomes(id, Observed.ON)
    assert [machine.key for machine in world.compute.survey()] == ["ws_1"]
    assert len(world.programs(id)) == 1
    assert len(with_words(world.left(), "supervisor.py")) == 1
    world.close()
    assert not world.left()
    assert {path.name for path in world.root.iterdir()} <= {id, DISK_MARKER} | _drafts(world)


def _drafts(world):
    """Drafts of killed launches, which are no machines and are removed later."""
    return {path.name for path in world.root.iterdir() if path.name.startswith(".local-")}


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_launch_killed_at_any_event_makes_one_machine_when_repeated(package_cache, stride):
    number, ended = 1 - stride, False
    while not ended:
        number += stride
        with tempfile.TemporaryDirectory() as name:
            home = Path(name) / "home"
            home.mkdir()
            done = subprocess.run([*MORTAL, "launch", home, package_cache, str(number)])
            ended = done.returncode == 0
            assert ended or done.returncode == -signal.SIGKILL
            world = World(home, package_cache)
            world.compute.survey()  # a survey starts a supervisor for each machine that has none
            check_only_machine(world, world.launch(page()))
    assert number > 10


def is_or_is_off(world, id, seen):
    return world.machine(id).observed in {seen, Observed.OFF}


def life(world, id, number):
    """Start, hibernate, resume and stop, under a supervisor that dies at that event."""
    folder, tally = world.root / id, world.root.parent / "events"
    make(folder, ORDER, MachineOptions(cache=world.cache, grace=1))
    subprocess.run([*MORTAL, "supervise", folder, tally, str(number)], check=False)
    steps = (
        (None, Observed.ON),
        ("hibernate", Observed.ASLEEP),
        ("start", Observed.ON),
        ("stop", Observed.OFF),
    )
    for verb, seen in steps:
        if verb:
            getattr(world.compute, verb)(id)
        eventually(partial(is_or_is_off, world, id, seen), 120)
    return len(tally.read_bytes())


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_machine_starts_after_its_supervisor_was_killed_at_any_event(package_cache, stride):
    number, died = 1, True
    while died:
        with tempfile.TemporaryDirectory() as name:
            world = World(Path(name) / "home", package_cache)
            id = f"local-{'0' * 17}"
            died = life(world, id, number) >= number
            world.compute.start(id)
            check_only_machine(world, id)
        number += stride
    assert number > 30
