"""Volumes on this machine: what they hold survives everything that is not their deletion."""

import hashlib
import os
import random
import stat
import subprocess

import pytest

from prism.providers.local import copies
from prism.providers.local.terms import machine_id
from prism.providers.local.volumes import LocalVolumes
from prism.storage.model import Kind, Seen
from prism.storage.ports import CopyOrder, VolumeOrder
from prism.templates.model import Template
from prism.workspaces.model import Seen as Machine
from tests.providers.local.world import page
from tests.waiting import eventually

ORDER = VolumeOrder(key="volume_1", name="data", kind=Kind.EBS, size_gb=10)
SHARED = VolumeOrder(key="volume_2", name="all", kind=Kind.EFS)
WRITES = Template(name="writes", post_install=("echo inside > volumes/data/from-inside",))
KEPT = CopyOrder(key="snapshot_1")


@pytest.fixture
def volumes(tmp_path):
    it = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces", fresh=0)
    yield it
    it.close()


@pytest.fixture
def data(tmp_path):
    """Where what a volume holds is."""
    return lambda id: tmp_path / "storage" / "volumes" / id / "data"


def fill(folder, seed=0):
    """Files of all sizes, and their digest."""
    chance = random.Random(seed)
    for number in range(40):
        place = folder / f"folder{number % 5}"
        place.mkdir(exist_ok=True)
        (place / f"file{number}").write_bytes(chance.randbytes(chance.randrange(200_000)))
    (folder / "link").symlink_to("folder0/file0")
    os.link(folder / "folder0" / "file0", folder / "again")
    with open(folder / "hole", "wb") as file:
        file.truncate(50_000_000)
    (folder / "folder1").chmod(0o500)
    return digest(folder)


def digest(folder):
    """Every name, mode, link and byte below a folder."""
    found = hashlib.sha256()
    for top, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*files, *folders]):
            path = os.path.join(top, name)
            found.update(f"{os.path.relpath(path, folder)} {os.lstat(path).st_mode:o}".encode())
            if os.path.islink(path):
                found.update(os.readlink(path).encode())
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def copied(volumes, key="snapshot_1"):
    def is_there():
        [it] = [it for it in volumes.survey().copies if it.key == key]
        return it if it.seen is Seen.THERE else None

    return eventually(is_there, 30)


def shown(world, id, name="data"):
    return world.root / id / "home" / "volumes" / name


def test_a_machine_has_its_volume_before_its_first_program_runs(world, volumes, data):
    volume, machine = volumes.create(ORDER).id, machine_id("ws_1")
    volumes.attach(volume, machine, "data")
    assert world.launched(WRITES) == machine
    assert (data(volume) / "from-inside").read_text() == "inside\n"
    assert os.readlink(shown(world, machine)) == str(data(volume))


def test_no_end_of_a_machine_touches_what_a_volume_holds(world, volumes, data):
    volume = volumes.create(ORDER).id
    before = fill(data(volume))
    machine = world.launched(page())
    volumes.attach(volume, machine, "data")
    eventually(lambda: shown(world, machine).is_symlink())
    world.compute.hibernate(machine)
    world.becomes(machine, Machine.ASLEEP)
    assert digest(data(volume)) == before
    world.supervisor(machine).kill()
    world.becomes(machine, Machine.OFF)
    assert digest(data(volume)) == before
    world.compute.start(machine)
    world.becomes(machine, Machine.ON)
    assert digest(shown(world, machine)) == before
    world.supervisor(machine).kill()
    world.compute.terminate(machine)
    world.becomes(machine, Machine.GONE)
    assert (digest(data(volume)), shown(world, machine).exists()) == (before, False)
    volumes.detach(volume, machine)
    assert [it.attached for it in volumes.survey().disks] == [frozenset()]
    assert digest(data(volume)) == before


def test_attached_and_detached_over_and_over_while_supervisors_die(world, volumes, data):
    own, shared = volumes.create(ORDER).id, volumes.create(SHARED).id
    before = [fill(data(id), seed) for seed, id in enumerate((own, shared))]
    machine = world.launched(page())
    for turn in range(3):
        volumes.attach(own, machine, "data")
        volumes.attach(shared, machine, "all")
        if turn == 1:
            world.supervisor(machine).kill()
            world.becomes(machine, Machine.OFF)
            world.compute.start(machine)
            world.becomes(machine, Machine.ON)
        eventually(lambda: all(shown(world, machine, it).is_symlink() for it in ("data", "all")))
        assert [digest(data(id)) for id in (own, shared)] == before
        volumes.detach(own, machine)
        volumes.detach(shared, machine)
        eventually(lambda: not os.listdir(shown(world, machine).parent))
    assert [digest(data(id)) for id in (own, shared)] == before


def test_what_a_person_has_put_in_the_way_is_left_alone(world, volumes):
    volume, machine = volumes.create(ORDER).id, world.launched(page())
    shown(world, machine).mkdir(parents=True)
    (shown(world, machine) / "mine").write_text("precious")
    (shown(world, machine).parent / "elsewhere").symlink_to("/etc")
    volumes.attach(volume, machine, "data")
    eventually(lambda: any("~/volumes" in note for note in world.said(machine)["notes"]))
    volumes.detach(volume, machine)
    eventually(lambda: not any("~/volumes" in note for note in world.said(machine)["notes"]))
    assert (shown(world, machine) / "mine").read_text() == "precious"
    assert os.readlink(shown(world, machine).parent / "elsewhere") == "/etc"


def test_a_deletion_follows_no_link_and_ends_in_locked_folders(volumes, data, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    id = volumes.create(ORDER).id
    fill(data(id))
    (data(id) / "out").symlink_to(outside)
    (data(id) / "folder1" / "out").symlink_to(outside)
    volumes.delete(id)
    assert volumes.survey().disks == []
    eventually(lambda: not any((tmp_path / "storage" / "volumes").iterdir()))
    assert (outside / "file").read_text() == "precious"
    assert stat.S_IMODE(outside.stat().st_mode) & 0o700 == 0o700


def test_a_copy_is_the_same_to_the_last_bit(volumes, data, tmp_path):
    id = volumes.create(ORDER).id
    before = fill(data(id))
    volumes.snapshot(KEPT, id)
    kept = copied(volumes)
    copy = tmp_path / "storage" / "snapshots" / kept.id / "data"
    assert digest(copy) == digest(data(id)) == before
    assert (copy / "again").stat().st_ino == (copy / "folder0" / "file0").stat().st_ino
    assert (copy / "hole").stat().st_blocks < 1000, "holes take no room"
    assert 0 < kept.used_bytes < 20_000_000


def test_a_copy_of_a_home_has_no_way_into_volumes(world, volumes, data, tmp_path):
    volume, machine = volumes.create(ORDER).id, world.launched(page())
    volumes.attach(volume, machine, "data")
    eventually(lambda: shown(world, machine).is_symlink())
    (world.root / machine / "home" / "thesis").write_text("precious")
    volumes.snapshot(KEPT, machine)
    copy = tmp_path / "storage" / "snapshots" / copied(volumes).id / "data"
    assert (copy / "thesis").read_text() == "precious"
    assert not (copy / "volumes" / "data").is_symlink()
    assert shown(world, machine).is_symlink()


def test_a_full_disk_is_said_and_another_try_is_possible(volumes, data, monkeypatch, tmp_path):
    id = volumes.create(ORDER).id
    before = fill(data(id))
    real, said = copies.copying, "echo 'cp: error writing: No space left on device' >&2; exit 1"

    def full(source, target):
        return subprocess.Popen(["sh", "-c", said], stderr=subprocess.PIPE)

    monkeypatch.setattr(copies, "copying", full)
    volumes.snapshot(KEPT, id)
    eventually(lambda: [it.seen for it in volumes.survey().copies] == [Seen.BROKEN])
    [broken] = volumes.survey().copies
    assert (broken.trouble.code, "make room" in broken.trouble.message) == ("DISK_FULL", True)
    assert not any((tmp_path / "storage" / "snapshots").iterdir())
    monkeypatch.setattr(copies, "copying", real)
    volumes.snapshot(KEPT, id)
    copied(volumes)
    assert digest(data(id)) == before


def test_a_copy_that_died_with_its_daemon_is_made_anew(volumes, data, monkeypatch, tmp_path):
    id = volumes.create(ORDER).id
    before, real = fill(data(id)), copies.copying
    begun = []

    def endless(source, target):
        target.mkdir()
        (target / "half").write_text("torn")
        begun.append(subprocess.Popen(["sleep", "600"], stderr=subprocess.PIPE))
        return begun[0]

    monkeypatch.setattr(copies, "copying", endless)
    volumes.snapshot(KEPT, id)
    eventually(lambda: begun)
    monkeypatch.setattr(copies, "copying", real)
    later = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    assert later.survey().copies == [], "half a snapshot is none"
    later.snapshot(KEPT, id)
    kept = copied(later)
    assert digest(tmp_path / "storage" / "snapshots" / kept.id / "data") == before
    volumes.close()
    eventually(lambda: begun[0].poll() is not None)
    eventually(lambda: len(os.listdir(tmp_path / "storage" / "snapshots")) == 1)


def test_a_copy_that_is_deleted_while_it_is_made_never_appears(volumes, data, monkeypatch):
    id = volumes.create(ORDER).id
    sleeping = []

    def endless(source, target):
        sleeping.append(subprocess.Popen(["sleep", "600"], stderr=subprocess.PIPE))
        return sleeping[0]

    monkeypatch.setattr(copies, "copying", endless)
    made = volumes.snapshot(KEPT, id)
    eventually(lambda: sleeping)
    volumes.delete_snapshot(made.id)
    eventually(lambda: volumes.survey().copies == [])
    assert sleeping[0].wait(10) < 0


def test_what_vanishes_while_it_is_read_is_no_failure(volumes, data, monkeypatch, tmp_path):
    id = volumes.create(ORDER).id
    fill(data(id))
    real, gone = copies.copying, "cp: cannot stat 'x': No such file or directory"

    def racing(source, target):
        real(source, target).communicate()
        return subprocess.Popen(["sh", "-c", f'echo "{gone}" >&2; exit 1'], stderr=-1)

    monkeypatch.setattr(copies, "copying", racing)
    volumes.snapshot(KEPT, id)
    kept = copied(volumes)
    assert digest(tmp_path / "storage" / "snapshots" / kept.id / "data") == digest(data(id))
