"""A machine that never stops writing is paused while a snapshot is made, and no longer."""

import subprocess
import time

import pytest

from prism.agent.machine.pause import ANSWER_FILE, BOUND, REQUEST_FILE
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from prism.workspaces.model import Observed
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import page
from tests.waiting import eventually

FILES = 1500
# No file stays unchanged for as long as a copy takes, and `a` is never behind `b`.
WRITER = """
import itertools, os, sys
os.chdir(sys.argv[1])
for number in itertools.count():
    for name in ("a", "b"):
        with open(name + ".new", "w") as file:
            file.write(str(number))
        os.replace(name + ".new", name)
"""


@pytest.fixture
def volumes(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces", fresh=0)
    yield volumes
    volumes.close()


def writing(world, machine, folder):
    """Start a program that writes, and wait for its first files."""
    line = f"nohup python3 -c '{WRITER}' {folder} >/dev/null 2>&1 &"
    assert run(world, machine, "sh", "-c", line)[0] == 0
    eventually((folder / "b").exists)


def wait_for_change(path):
    before = path.read_text()
    return eventually(lambda: path.read_text() not in {before, ""})


@pytest.mark.parametrize("of", [pytest.param("home", marks=pytest.mark.slow), "volume"])
def test_snapshot_of_changing_files_is_of_one_moment_and_writing_continues(world, volumes, of):
    machine, source = world.launch(page()), ""
    if of == "volume":
        order = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=10)
        source = volumes.create(order).id
        volumes.attach(source, machine, "data")
    world.becomes(machine, Observed.ON)
    folder = volumes._volumes / source / "data" if source else world.root / machine / "home"
    if source:
        eventually(lambda: run(world, machine, "ls", str(folder))[0] == 0)
    for number in range(FILES):  # so that reading all of them takes a moment
        (folder / str(number)).touch()
    writing(world, machine, folder)
    wait_for_change(folder / "b")

    id = volumes.snapshot(SnapshotSpec(key="snapshot_1", name="s"), source or machine).id

    def kept():
        return next(
            copy
            for copy in volumes.survey().copies
            if copy.id == id and copy.observed is StorageObserved.THERE
        )

    copy = eventually(kept, 60, passing=(StopIteration,))
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True
    ).stdout
    if kind.strip() in {"ext2/ext3", "xfs", "btrfs"}:  # others do not show all writes
        assert copy.one_moment is True
    data = volumes._snapshots / id / "data"
    first, second = (int((data / name).read_text()) for name in ("a", "b"))
    assert first - second in {0, 1}
    wait_for_change(folder / "b")
    assert world.machine(machine).observed is Observed.ON
    eventually(
        lambda: (
            not {REQUEST_FILE, ANSWER_FILE}
            & {path.name for path in (world.root / machine).iterdir()}
        )
    )


def test_paused_machine_resumes_by_itself_after_the_time_limit(world):
    machine = world.launched(page())
    folder = world.root / machine
    writing(world, machine, folder / "home")
    began = time.monotonic()
    (folder / REQUEST_FILE).write_text("nobody")
    eventually((folder / ANSWER_FILE).exists)
    assert (folder / ANSWER_FILE).read_text() == "nobody"
    stood = (folder / "home" / "a").read_text()
    eventually(lambda: not (folder / ANSWER_FILE).exists(), BOUND + 15)
    assert time.monotonic() - began >= BOUND
    eventually(lambda: (folder / "home" / "a").read_text() not in {stood, ""})


def test_paused_machine_can_be_stopped(world):
    machine = world.launched(page())
    (world.root / machine / REQUEST_FILE).write_text("somebody")
    eventually((world.root / machine / ANSWER_FILE).exists)
    world.compute.stop(machine)
    assert world.becomes(machine, Observed.OFF).failure is None
    assert not (world.root / machine / ANSWER_FILE).exists()
