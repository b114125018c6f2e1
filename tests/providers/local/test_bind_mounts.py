"""Volumes are attached to a sandboxed machine and detached from it while it runs."""

import contextlib
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from prism.agent.sandbox import sandbox_process
from prism.agent.sandbox.sandbox_process import SandboxProcess
from prism.agent.system import syscalls
from prism.agent.system.bind_mounts import hide_mount, show_mount
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import StorageRefused, VolumeSpec
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.test_life import LENT, NOBODY, python_for_all, surroundings
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import page
from tests.waiting import eventually

pytestmark = pytest.mark.needs("bwrap")
root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: only root may bring mounts into a sandbox"
)
OWN = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=10)
OTHER = VolumeSpec(key="volume_2", name="other", kind=VolumeKind.EBS, size_gb=10)


@pytest.fixture
def volumes(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces", fresh=0)
    yield volumes
    volumes.close()


def data(volumes, id):
    return volumes._volumes / id / "data"


def has_late_note(world, id):
    return any("came while it ran" in note for note in world.report(id)["notes"])


@root
def test_volume_attached_to_a_running_machine_is_mounted_at_once(world, volumes):
    machine = world.launched(page())
    assert world.report(machine)["sandbox"] == "bubblewrap"
    programs = world.programs(machine)
    own, other = volumes.create(OWN).id, volumes.create(OTHER).id
    (data(volumes, other) / "diary").write_text("secret")
    (data(volumes, own) / "before").write_text("precious")
    volumes.attach(own, machine, "data")
    look = ("sh", "-c", "cat ~/volumes/data/before && echo inside > ~/volumes/data/after")
    eventually(lambda: run(world, machine, *look) == (0, "precious"))
    assert (data(volumes, own) / "after").read_text() == "inside\n"
    assert (has_late_note(world, machine), world.programs(machine)) == (False, programs)
    _, seen = run(world, machine, "ls", str(volumes._volumes))
    assert seen.split() == [own], "other volumes are not visible"
    code, _ = run(world, machine, "sh", "-c", f"mkdir {volumes._volumes}/mine")
    assert code != 0
    code, output = run(
        world,
        machine,
        "sh",
        "-c",
        "cp /bin/true ~/volumes/data/s; mknod "
        "~/volumes/data/null c 1 3 && cat ~/volumes/data/null",
    )
    assert code != 0, output


@root
def test_volume_detached_from_a_running_machine_is_hidden(world, volumes):
    own = volumes.create(OWN).id
    machine = world.launched(page())
    path = data(volumes, own)
    touch, hidden = ("sh", "-c", "touch ~/volumes/data/file"), ("ls", "-A", str(path))
    for _ in range(2):
        volumes.attach(own, machine, "data")
        eventually(lambda: run(world, machine, *touch)[0] == 0)
        volumes.detach(own, machine)
        eventually(lambda: run(world, machine, *hidden) == (0, ""))
        assert run(world, machine, "ls", "-A", "volumes") == (0, "")
    assert (data(volumes, own) / "file").exists()


@root
def test_volume_attached_before_the_start_is_hidden_when_it_is_detached(world, volumes):
    own = volumes.create(OWN).id
    machine = world.launch(page())
    volumes.attach(own, machine, "data")
    world.compute.stop(machine)
    eventually(lambda: world.machine(machine).observed.value == "off", 120)
    world.compute.start(machine)
    eventually(lambda: world.machine(machine).observed.value == "on", 120)
    (data(volumes, own) / "file").write_text("precious")
    assert run(world, machine, "sh", "-c", "cat ~/volumes/data/file") == (0, "precious")
    volumes.detach(own, machine)
    hidden = ("cat", str(data(volumes, own) / "file"))
    eventually(lambda: run(world, machine, *hidden)[0] != 0)
    assert (data(volumes, own) / "file").read_text() == "precious"


HOLDER = """
import signal, sys
file = open(sys.argv[1], "ab", buffering=0)
file.write(b"x")
signal.pause()
"""


@root
def test_detach_is_refused_while_a_program_writes_to_the_volume(world, volumes):
    own = volumes.create(OWN).id
    machine = world.launched(page())
    volumes.attach(own, machine, "data")
    path = data(volumes, own) / "file"
    eventually(lambda: run(world, machine, "touch", str(path))[0] == 0)
    line = f"nohup python3 -c '{HOLDER}' {path} >/dev/null 2>&1 & echo $!"
    assert run(world, machine, "sh", "-c", line)[0] == 0
    eventually(lambda: path.stat().st_size > 0)

    volumes.detach(own, machine)

    def refused():
        with pytest.raises(StorageRefused) as why:
            volumes.detach(own, machine)
        return str(why.value)

    assert "python3 (process" in eventually(refused, passing=(pytest.fail.Exception,))
    [disk] = volumes.survey().disks
    assert disk.attached == {machine}, "it is attached while a program writes to it"
    with pytest.raises(StorageRefused, match="attached"):
        volumes.delete(own)
    [writer] = world.worded(machine, str(path))
    writer.kill()
    eventually(lambda: not volumes.survey().disks[0].attached)
    assert run(world, machine, "ls", str(path))[0] != 0
    volumes.delete(own)
    eventually(lambda: not volumes.survey().disks)


@root
def test_stop_detaches_a_volume_that_a_program_writes_to(world, volumes):
    own = volumes.create(OWN).id
    machine = world.launched(page())
    volumes.attach(own, machine, "data")
    path = data(volumes, own) / "file"
    eventually(lambda: run(world, machine, "touch", str(path))[0] == 0)
    line = f"nohup python3 -c '{HOLDER}' {path} >/dev/null 2>&1 & echo $!"
    assert run(world, machine, "sh", "-c", line)[0] == 0
    eventually(lambda: path.stat().st_size > 0)
    volumes.detach(own, machine)
    assert volumes.survey().disks[0].attached == {machine}
    world.compute.stop(machine)
    world.becomes(machine, Observed.OFF)
    assert not volumes.survey().disks[0].attached


@root
def test_volume_of_an_ordinary_user_stays_attached_until_the_workspace_stops():
    with surroundings() as (home, environ):
        program = [*LENT, "env", python_for_all(), "-m", "tests.providers.local.detaching"]
        program += [home / "prism", home / "cache"]
        done = subprocess.run(program, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["uid"], seen["sandbox"]) == (NOBODY, "bubblewrap")
    assert "stop the workspace" in seen["refusal"]
    assert seen["attached"], "it is attached while programs can write to it"
    assert (seen["attached_when_off"], seen["holds"]) == ([], "precious")


def test_failed_mount_is_tried_once_per_attachment(monkeypatch, tmp_path):
    tried = []
    monkeypatch.setattr(SandboxProcess, "_attach", lambda self, pid, path: tried.append(path))
    monkeypatch.setattr(sandbox_process, "_first_inside", lambda pid: 1)
    process = SandboxProcess.__new__(SandboxProcess)
    process.kind, process.volumes, process.pid, process._unattachable, process._folder = (
        "bubblewrap",
        [],
        1,
        set(),
        tmp_path,
    )
    monkeypatch.setattr(process, "_identity", SimpleNamespace(shared=False), raising=False)
    for volumes in (["a"], ["a"], ["a", "b"], [], ["a"]):
        process.update_volumes(volumes)
    assert (tried, process.volumes) == (["a", "b", "a"], [])


def test_volume_outside_the_storage_folder_has_no_mount_target(tmp_path):
    process = SandboxProcess.__new__(SandboxProcess)
    process._folder = tmp_path / "workspaces" / "local-1"
    process._folder.mkdir(parents=True)
    assert process._target(str(tmp_path / "other" / "data")) is None
    inside = process._target(str(tmp_path / "storage" / "volumes" / "vol-1" / "data"))
    assert inside == str(process._folder / "targets" / "vol-1" / "data")
    assert os.path.isdir(inside)


@root
def test_mount_is_attached_only_to_the_folder_made_for_it(tmp_path):
    """As if a workspace had put another folder, or a link, where a volume is to be."""
    real, target, other = (tmp_path / name for name in ("real", "target", "other"))
    for path in (real, target, other):
        path.mkdir()
    (link := tmp_path / "link").symlink_to(other)
    with namespace() as pid:
        for place in (other, link, tmp_path / "missing"):
            tree = syscalls.detached(str(real))
            assert not show_mount(pid, tree, str(place), str(target))
            os.close(tree)
        tree = syscalls.detached(str(real))
        assert show_mount(pid, tree, str(target), str(target))
        os.close(tree)
        mounted = Path(f"/proc/{pid}/mountinfo").read_text()
        assert [str(path) in mounted for path in (target, other)] == [True, False]
        assert not hide_mount(pid, str(link / "target"), str(target))
        assert hide_mount(pid, str(target), str(target))
        assert str(target) not in Path(f"/proc/{pid}/mountinfo").read_text()


@contextlib.contextmanager
def namespace():
    """A process with mounts of its own."""
    line = ["unshare", "--mount", "sh", "-c", "echo; read end"]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe) as process:
        not_none(process.stdout).readline()
        yield process.pid
        not_none(process.stdin).close()
