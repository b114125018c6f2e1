"""Local volumes keep their data until they are deleted."""

import errno
import hashlib
import json
import os
import random
import stat
import subprocess
import sys
from contextlib import suppress
from functools import partial

import pytest
from msgspec.structs import replace

from prism.agent.protocol import replace_file
from prism.agent.system.safe_paths import remove_tree
from prism.providers.local.offer import machine_id
from prism.providers.local.storage import checks, removals, tree_snapshots
from prism.providers.local.storage.mounted_folders import DISK_MARKER
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import SnapshotSpec, StorageRefused, VolumeSpec
from prism.templates.model import Template
from prism.workspaces.model import Observed
from tests.disks import fill_disk, loop_disk
from tests.optional import not_none
from tests.providers.local.world import page
from tests.waiting import eventually

ORDER = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=10)
SHARED = VolumeSpec(key="volume_2", name="all", kind=VolumeKind.EFS)
WRITES = Template(name="writes", post_install=("echo inside > volumes/data/from-inside",))
KEPT = SnapshotSpec(key="snapshot_1")


@pytest.fixture
def volumes(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces", fresh=0)
    yield volumes
    volumes.close()


@pytest.fixture
def data_folder(tmp_path):
    """The folder with the data of a volume."""
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
        file.truncate(5_000_000)
    (folder / "folder1").chmod(0o500)
    return digest(folder)


def entries(folder):
    """The names in a folder of volumes or snapshots, without the mark that its disk is there."""
    return [name for name in os.listdir(folder) if name != DISK_MARKER]


def digest(folder):
    """Every name, mode, link and byte below a folder."""
    summed = hashlib.sha256()
    for top, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*files, *folders]):
            path = os.path.join(top, name)
            summed.update(f"{os.path.relpath(path, folder)} {os.lstat(path).st_mode:o}".encode())
            if os.path.islink(path):
                summed.update(os.readlink(path).encode())
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    summed.update(hashlib.file_digest(file, "sha256").digest())
    return summed.hexdigest()


def copied(volumes, key="snapshot_1"):
    def is_there():
        [copy] = [copy for copy in volumes.survey().copies if copy.key == key]
        return copy if copy.observed is StorageObserved.THERE else None

    return eventually(is_there, 120)


def link_of(world, id, name="data"):
    return world.root / id / "home" / "volumes" / name


def test_attached_volume_is_present_before_post_install_runs(world, volumes, data_folder):
    volume, machine = volumes.create(ORDER).id, machine_id("ws_1")
    volumes.attach(volume, machine, "data")
    assert world.launched(WRITES) == machine
    assert (data_folder(volume) / "from-inside").read_text() == "inside\n"
    assert os.readlink(link_of(world, machine)) == str(data_folder(volume))


def test_volume_data_is_unchanged_by_hibernation_crash_and_termination(
    world, volumes, data_folder
):
    volume = volumes.create(ORDER).id
    before = fill(data_folder(volume))
    machine = world.launched(page())
    volumes.attach(volume, machine, "data")
    eventually(lambda: link_of(world, machine).is_symlink())
    world.compute.hibernate(machine)
    world.becomes(machine, Observed.ASLEEP)
    assert digest(data_folder(volume)) == before
    world.supervisor(machine).kill()
    world.becomes(machine, Observed.OFF)
    assert digest(data_folder(volume)) == before
    world.compute.start(machine)
    world.becomes(machine, Observed.ON)
    assert digest(link_of(world, machine)) == before
    world.supervisor(machine).kill()
    world.compute.terminate(machine)
    world.becomes(machine, Observed.GONE)
    assert (digest(data_folder(volume)), link_of(world, machine).exists()) == (before, False)
    volumes.detach(volume, machine)
    assert [disk.attached for disk in volumes.survey().disks] == [frozenset()]
    assert digest(data_folder(volume)) == before


def test_volume_data_survives_repeated_attach_and_detach_and_a_crash(world, volumes, data_folder):
    own, shared = volumes.create(ORDER).id, volumes.create(SHARED).id
    before = [fill(data_folder(id), seed) for seed, id in enumerate((own, shared))]
    machine = world.launched(page())
    for turn in range(3):
        volumes.attach(own, machine, "data")
        volumes.attach(shared, machine, "all")
        if turn == 1:
            world.supervisor(machine).kill()
            world.becomes(machine, Observed.OFF)
            world.compute.start(machine)
            world.becomes(machine, Observed.ON)
        eventually(
            lambda: all(link_of(world, machine, name).is_symlink() for name in ("data", "all"))
        )
        assert [digest(data_folder(id)) for id in (own, shared)] == before
        volumes.detach(own, machine)
        volumes.detach(shared, machine)
        eventually(lambda: not os.listdir(link_of(world, machine).parent))
    assert [digest(data_folder(id)) for id in (own, shared)] == before


def test_attach_leaves_a_folder_of_the_user_at_the_link_path(world, volumes):
    volume, machine = volumes.create(ORDER).id, world.launched(page())
    link_of(world, machine).mkdir(parents=True)
    (link_of(world, machine) / "mine").write_text("precious")
    (link_of(world, machine).parent / "elsewhere").symlink_to("/etc")
    volumes.attach(volume, machine, "data")
    eventually(lambda: any("~/volumes" in note for note in world.report(machine)["notes"]))
    volumes.detach(volume, machine)
    eventually(lambda: not any("~/volumes" in note for note in world.report(machine)["notes"]))
    assert (link_of(world, machine) / "mine").read_text() == "precious"
    assert os.readlink(link_of(world, machine).parent / "elsewhere") == "/etc"


def test_volume_deletion_removes_locked_folders_and_follows_no_link(
    volumes, data_folder, tmp_path
):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    (data_folder(id) / "out").symlink_to(outside)
    locked = data_folder(id) / "folder1"
    locked.chmod(0o700)
    (locked / "out").symlink_to(outside)
    locked.chmod(0)
    volumes.delete(id)
    eventually(lambda: volumes.survey().disks == [])
    eventually(lambda: entries(tmp_path / "storage" / "volumes") == [])
    assert (outside / "file").read_text() == "precious"
    assert stat.S_IMODE(outside.stat().st_mode) & 0o700 == 0o700


def test_snapshot_equals_its_volume_including_links_and_holes(volumes, data_folder, tmp_path):
    id = volumes.create(ORDER).id
    before = fill(data_folder(id))
    volumes.snapshot(KEPT, id)
    snapshot = copied(volumes)
    copy = tmp_path / "storage" / "snapshots" / snapshot.id / "data"
    assert digest(copy) == digest(data_folder(id)) == before
    assert (copy / "again").stat().st_ino == (copy / "folder0" / "file0").stat().st_ino
    assert (copy / "hole").stat().st_blocks < 1000, "holes use no disk space"
    assert 0 < snapshot.used_bytes < 20_000_000


def test_snapshot_of_a_home_contains_no_link_to_a_volume(world, volumes, data_folder, tmp_path):
    volume, machine = volumes.create(ORDER).id, world.launched(page())
    volumes.attach(volume, machine, "data")
    eventually(lambda: link_of(world, machine).is_symlink())
    (world.root / machine / "home" / "thesis").write_text("precious")
    volumes.snapshot(KEPT, machine)
    copy = tmp_path / "storage" / "snapshots" / copied(volumes).id / "data"
    assert (copy / "thesis").read_text() == "precious"
    assert not (copy / "volumes" / "data").is_symlink()
    assert link_of(world, machine).is_symlink()


def program(code):
    """A replacement of `copying` that starts this code with the same order."""
    head = "import json, os, sys, time; order = json.loads(sys.argv[1])\n"

    def copying(order):
        argv = [sys.executable, "-c", head + code, json.dumps(order)]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe)

    return copying


FULL = 'print(json.dumps({"failed": "x: No space left on device", "full": True}))'
HALF = """
os.mkdir(order["target"])
open(order["target"] + "/half", "w").write("torn")
open(order["target"] + "/../../begun", "w").close()
sys.stdin.read()
sys.exit(3)
"""


def test_snapshot_on_a_full_disk_fails_and_can_be_repeated(
    volumes, data_folder, monkeypatch, tmp_path
):
    id = volumes.create(ORDER).id
    before, real = fill(data_folder(id)), tree_snapshots.copying
    monkeypatch.setattr(tree_snapshots, "copying", program(FULL))
    volumes.snapshot(KEPT, id)
    eventually(
        lambda: [copy.observed for copy in volumes.survey().copies] == [StorageObserved.BROKEN]
    )
    [broken] = volumes.survey().copies
    assert (broken.trouble.code, "free space" in broken.trouble.message) == ("DISK_FULL", True)
    assert not any((tmp_path / "storage" / "snapshots").iterdir())
    monkeypatch.setattr(tree_snapshots, "copying", real)
    volumes.snapshot(KEPT, id)
    copied(volumes)
    assert digest(data_folder(id)) == before


def test_interrupted_snapshot_is_made_anew_by_the_next_daemon(
    volumes, data_folder, monkeypatch, tmp_path
):
    id = volumes.create(ORDER).id
    before, real = fill(data_folder(id)), tree_snapshots.copying
    place = tmp_path / "storage" / "snapshots"
    monkeypatch.setattr(tree_snapshots, "copying", program(HALF))
    volumes.snapshot(KEPT, id)
    eventually((place / "begun").exists)
    (place / "begun").unlink()
    monkeypatch.setattr(tree_snapshots, "copying", real)
    later = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    assert later.survey().copies == [], "an incomplete snapshot is not listed"
    later.snapshot(KEPT, id)
    snapshot = copied(later)
    assert digest(place / snapshot.id / "data") == before
    volumes.close()
    eventually(lambda: len(entries(place)) == 1)
    later.close()


def test_snapshot_deleted_while_it_is_copied_never_appears(
    volumes, data_folder, monkeypatch, tmp_path
):
    id = volumes.create(ORDER).id
    monkeypatch.setattr(tree_snapshots, "copying", program(HALF))
    snapshot = volumes.snapshot(KEPT, id)
    eventually((tmp_path / "storage" / "snapshots" / "begun").exists)
    volumes.delete_snapshot(snapshot.id)
    eventually(lambda: volumes.survey().copies == [])
    eventually(lambda: os.listdir(tmp_path / "storage" / "snapshots") == ["begun"])


def test_nothing_is_remembered_of_snapshots_that_are_made_or_deleted(
    volumes, data_folder, monkeypatch
):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    volumes.snapshot(KEPT, id)
    copied(volumes)
    eventually(lambda: not volumes._copies._keys)
    real = tree_snapshots.copying
    monkeypatch.setattr(tree_snapshots, "copying", program(FULL))
    broken = volumes.snapshot(SnapshotSpec(key="snapshot_2"), id)
    eventually(lambda: [*volumes._copies._keys] == [broken.id])
    eventually(
        lambda: StorageObserved.BROKEN in {copy.observed for copy in volumes.survey().copies}
    )
    monkeypatch.setattr(tree_snapshots, "copying", real)
    volumes.delete_snapshot(broken.id)
    assert not volumes._copies._keys


def killing(times):
    """The real program, killed right after each of its first starts."""
    real, left = tree_snapshots.copying, [times]

    def copying(order):
        process = real(order)
        if left[0]:
            left[0] -= 1
            process.kill()
        return process

    return copying


def test_snapshot_copy_is_repeated_if_its_process_is_killed(
    volumes, data_folder, monkeypatch, tmp_path
):
    id = volumes.create(ORDER).id
    before = fill(data_folder(id))
    monkeypatch.setattr(tree_snapshots, "copying", killing(2))
    volumes.snapshot(KEPT, id)
    snapshot = copied(volumes)
    assert digest(tmp_path / "storage" / "snapshots" / snapshot.id / "data") == before


def test_snapshot_fails_if_its_process_is_killed_each_time(
    volumes, data_folder, monkeypatch, tmp_path
):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    monkeypatch.setattr(tree_snapshots, "copying", killing(100))
    volumes.snapshot(KEPT, id)
    eventually(
        lambda: [copy.observed for copy in volumes.survey().copies] == [StorageObserved.BROKEN]
    )
    assert volumes.survey().copies[0].trouble.code == "COPY_INTERRUPTED"
    assert not any((tmp_path / "storage" / "snapshots").iterdir())


def test_snapshot_does_not_fail_when_the_daemon_ends(volumes, data_folder, monkeypatch):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    monkeypatch.setattr(tree_snapshots, "copying", program(HALF))
    volumes.snapshot(KEPT, id)
    eventually(lambda: any(volumes._copies._running.values()))
    volumes.end()
    for process in list(volumes._copies._running.values()):
        process.kill()  # as a service manager does, to all at once
    eventually(lambda: not volumes._copies._running)
    assert volumes.survey().copies == []


def test_snapshot_fails_if_its_source_is_removed_during_the_copy(volumes, data_folder, tmp_path):
    home = tmp_path / "workspaces" / machine_id("ws_9") / "home"
    home.mkdir(parents=True)
    for number in range(3000):
        (home / f"file{number}").write_text("x" * 100)
    volumes.snapshot(KEPT, machine_id("ws_9"))
    eventually(lambda: any((tmp_path / "storage" / "snapshots").glob(".snap-*/data/file*")))
    home.rename(tmp_path / "trash")
    remove_tree(tmp_path / "trash")

    def ended():
        [copy] = volumes.survey().copies
        return copy.observed is not StorageObserved.MAKING and copy

    snapshot = eventually(ended)
    if snapshot.observed is StorageObserved.THERE:  # the copy was faster than the removal
        assert len(os.listdir(tmp_path / "storage" / "snapshots" / snapshot.id / "data")) == 3000
    else:
        assert "removed while it was copied" in snapshot.trouble.message


def test_restored_volume_is_broken_if_it_differs_from_the_manifest(volumes, data_folder, tmp_path):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    volumes.snapshot(KEPT, id)
    snapshot = copied(volumes)
    copy = tmp_path / "storage" / "snapshots" / snapshot.id / "data"
    file, times = copy / "folder2" / "file2", (copy / "folder2" / "file2").stat()
    torn = bytearray(file.read_bytes())
    torn[len(torn) // 2] ^= 1
    file.write_bytes(torn)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    (copy / "folder3" / "file3").unlink()
    volumes.restore(SHARED, snapshot.id)
    eventually(
        lambda: any(disk.observed is StorageObserved.BROKEN for disk in volumes.survey().disks)
    )
    [broken] = [disk for disk in volumes.survey().disks if disk.observed is StorageObserved.BROKEN]
    assert "folder2/file2 has different content" in broken.trouble.message
    assert "folder3/file3 is missing" in broken.trouble.message


def test_volume_is_deleting_with_the_reason_until_it_is_removed(volumes, data_folder, monkeypatch):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    stuck: list[bool] = []

    def refusing(path):
        if not stuck:
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        remove_tree(path)

    monkeypatch.setattr(removals, "remove_tree", refusing)
    monkeypatch.setattr(removals, "RETRY_SECONDS", 0.05)
    volumes.delete(id)
    with pytest.raises(StorageRefused):
        volumes.attach(id, machine_id("ws_1"), "data")
    [volume] = eventually(lambda: [disk for disk in volumes.survey().disks if disk.trouble])
    assert (volume.id, volume.observed, volume.trouble.code) == (
        id,
        StorageObserved.DELETING,
        "DELETE_FAILED",
    )
    assert "resource busy" in volume.trouble.message
    stuck.append(True)
    eventually(lambda: volumes.survey().disks == [])


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a small disk")
def test_volumes_are_deleted_on_a_disk_without_room_for_another_name(tmp_path):
    """XFS needs a block for the sixth name in a folder, ext4 for about the twentieth."""
    place = tmp_path / "disk"
    place.mkdir()
    with loop_disk(tmp_path / "image", place, "xfs"):
        volumes = LocalVolumes(place / "storage", place / "workspaces", fresh=0)
        ids = [volumes.create(replace(ORDER, key=f"volume_{number}")).id for number in range(5)]
        fill_disk(place / "rest")
        with pytest.raises(OSError, match="space"):
            (place / "storage" / "volumes" / ids[0]).rename(
                place / "storage" / "volumes" / f".{ids[0]}.deleted-01234567"
            )
        for _ in range(2):  # the reconciler repeats it, until the volume is gone
            for id in ids:
                volumes.delete(id)
        eventually(lambda: entries(place / "storage" / "volumes") == [])
        assert volumes.survey().disks == []
        volumes.close()


def test_volume_deletion_continues_in_the_next_daemon(volumes, data_folder, monkeypatch, tmp_path):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    monkeypatch.setattr(removals, "RETRY_SECONDS", 60)

    def refusing(path):
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    monkeypatch.setattr(removals, "remove_tree", refusing)
    volumes.delete(id)
    volumes.close()
    later = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    assert [(disk.id, disk.observed) for disk in later.survey().disks] == [
        (id, StorageObserved.DELETING)
    ]
    later.close()
    monkeypatch.setattr(removals, "remove_tree", remove_tree)
    last = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    eventually(lambda: last.survey().disks == [])
    assert entries(tmp_path / "storage" / "volumes") == []
    last.close()


LARGE = 400_000


def verified(volumes, id, token):
    """The result of this verification."""
    volumes.verify(id, token)

    def done():
        [copy] = volumes.survey().copies
        return copy.verified if copy.verified and copy.verified.token == token else None

    return eventually(done, 120)


def test_verification_detects_changed_content_of_a_large_file(volumes, data_folder, tmp_path):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    (data_folder(id) / "large").write_bytes(os.urandom(LARGE))
    volumes.snapshot(KEPT, id)
    snapshot = copied(volumes)
    assert snapshot.one_moment is True
    assert verified(volumes, snapshot.id, "1").trouble is None
    folder = tmp_path / "storage" / "snapshots" / snapshot.id
    eventually(lambda: json.loads((folder / "about.json").read_bytes())["hashed"])
    file, times = folder / "data" / "large", (folder / "data" / "large").stat()
    with open(file, "r+b") as torn:
        torn.seek(LARGE // 2)
        torn.write(b"rotten")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    trouble = verified(volumes, snapshot.id, "2").trouble
    assert (trouble.code, "large has different content" in trouble.message) == (
        "VERIFICATION_FAILED",
        True,
    )
    assert entries(folder.parent) == [snapshot.id], "no draft is left"
    later = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    assert not_none(later.survey().copies[0].verified).trouble == trouble
    later.close()


def test_snapshot_that_is_deleted_while_it_is_hashed_delays_no_other(
    volumes, data_folder, monkeypatch
):
    processes, copying = [], tree_snapshots.copying

    def noted(task):
        processes.append(copying(task))
        return processes[-1]

    def is_read():
        for process in processes:
            with suppress(OSError):  # it opens and closes files meanwhile
                place = f"/proc/{process.pid}/fd"
                opened = [os.readlink(f"{place}/{name}") for name in os.listdir(place)]
                if any("/snapshots/" in path and path.endswith("/sparse") for path in opened):
                    return process.poll() is None
        return False

    monkeypatch.setattr(tree_snapshots, "copying", noted)
    id = volumes.create(ORDER).id
    with open(data_folder(id) / "sparse", "wb") as file:
        file.truncate(1 << 43)  # takes no space, and hours to hash
    volumes.snapshot(KEPT, id)
    endless = copied(volumes)
    volumes.verify(endless.id, "1")
    eventually(is_read)
    volumes.delete_snapshot(endless.id)
    eventually(lambda: volumes.survey().copies == [])
    (data_folder(id) / "sparse").unlink()
    (data_folder(id) / "large").write_bytes(os.urandom(LARGE))
    volumes.snapshot(SnapshotSpec(key="snapshot_2"), id)
    assert verified(volumes, copied(volumes, "snapshot_2").id, "2").trouble is None


def test_snapshot_of_an_older_version_is_restored_without_a_manifest(
    volumes, data_folder, tmp_path
):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    volumes.snapshot(KEPT, id)
    snapshot = copied(volumes)
    folder = tmp_path / "storage" / "snapshots" / snapshot.id
    # Hashes that are computed later would be written into the files.
    eventually(lambda: json.loads((folder / "about.json").read_bytes())["hashed"])
    (folder / "manifest.json").unlink()
    for name in ("about.json", "about.json.copy"):
        about = json.loads((folder / name).read_bytes())
        del about["one_moment"], about["hashed"]  # the older version did not write these
        (folder / name).write_text(json.dumps(about))
    assert verified(volumes, snapshot.id, "1").trouble.code == "NO_MANIFEST"
    volumes.restore(SHARED, snapshot.id)
    eventually(lambda: [disk for disk in volumes.survey().disks if disk.id.startswith("fs-")])


def test_restore_is_refused_if_the_manifest_is_lost(volumes, data_folder, tmp_path):
    id = volumes.create(ORDER).id
    fill(data_folder(id))
    volumes.snapshot(KEPT, id)
    snapshot = copied(volumes)
    folder = tmp_path / "storage" / "snapshots" / snapshot.id
    (folder / "manifest.json").unlink()
    (folder / "data" / "folder3" / "file3").unlink()
    assert verified(volumes, snapshot.id, "1").trouble.code == "MANIFEST_LOST"
    with pytest.raises(StorageRefused, match=r"manifest .* is gone") as refused:
        volumes.restore(SHARED, snapshot.id)
    assert str(folder / "data") in refused.value.message, (
        "the message names the folder with the remaining data"
    )
    assert not any(disk.id.startswith("fs-") for disk in volumes.survey().disks)


def is_clean(folder):
    return not [*folder.glob(".snap-*"), *folder.glob(".fs-*")]


def test_startup_removes_only_leftovers_of_prism(tmp_path):
    """`.snapshots` and `.Trash` belong to the file system or to other programs."""
    for place in ("volumes", "snapshots"):
        storage = tmp_path / "storage" / place
        for name in (".snapshots/1/snapshot", ".Trash-1000", ".nfs0001", f".vol-{'0' * 17}.mine"):
            (storage / name).mkdir(parents=True)
            (storage / name / "data").write_text("kept")
        for name in (f".snap-{'a' * 17}-0123abcd", f".fs-{'b' * 17}.deleted-0123abcd"):
            (storage / name / "data").mkdir(parents=True)
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    for place in ("volumes", "snapshots"):
        storage = tmp_path / "storage" / place
        eventually(partial(is_clean, storage), 120)
        assert {path.name for path in storage.iterdir()} == {
            ".snapshots",
            ".Trash-1000",
            ".nfs0001",
            f".vol-{'0' * 17}.mine",
        }
        assert (storage / ".snapshots/1/snapshot/data").read_text() == "kept"
    volumes.close()


@pytest.mark.parametrize("kind", ["volume", "snapshot", "restored volume"])
def test_folder_entry_of_new_storage_is_fsynced(volumes, data_folder, tmp_path, monkeypatch, kind):
    """Otherwise it is lost in a power failure after it was reported as complete."""
    on_disk: list[tuple[str, str]] = []
    fsync = os.fsync

    def is_folder(file):
        return stat.S_ISDIR(os.fstat(file).st_mode)

    def noted(file):
        fsync(file)
        path = os.readlink(f"/proc/self/fd/{file}")
        on_disk.extend((path, name) for name in os.listdir(path) if os.path.isdir(path))

    monkeypatch.setattr(os, "fsync", lambda file: noted(file) if is_folder(file) else fsync(file))
    id, place = volumes.create(ORDER).id, "volumes"
    if kind != "volume":
        volumes.snapshot(KEPT, id)
        id, place = copied(volumes).id, "snapshots"
    if kind == "restored volume":
        id, place = volumes.restore(SHARED, id).id, "volumes"
        eventually(
            lambda: [disk for disk in volumes.survey().disks if disk.id == id and disk.known]
        )
    eventually(lambda: (str(tmp_path / "storage" / place), id) in on_disk, 120)


MOUNTED = """
import sys
from pathlib import Path
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.ports import StorageRefused
root, id = Path(sys.argv[1]), sys.argv[2]
volumes = LocalVolumes(root / "storage", root / "workspaces")
try:
    volumes.delete(id)
except StorageRefused as no:
    print(no.message)
print([it.id for it in volumes.survey().disks] == [id])
"""


def test_deletion_of_a_mounted_volume_is_refused_and_keeps_its_data(
    volumes, data_folder, tmp_path
):
    """A disk is mounted over the folder of the volume."""
    id = volumes.create(ORDER).id
    folder, disk = data_folder(id).parent, tmp_path / "disk"
    program = f"""
        mkdir {disk} && cp -a {folder}/. {disk} && echo kept >{disk}/data/it
        mount --bind {disk} {folder} || exit 77
        {sys.executable} -c "$1" {tmp_path} {id}
        cat {folder}/data/it
    """
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", program, "sh", MOUNTED]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"needs mounts: {done.stderr.strip()}")
    why, *rest = done.stdout.splitlines() or [done.stderr]
    assert why == f"{folder} cannot be removed: Device or resource busy"
    assert rest == ["True", "kept"]


def test_verification_continues_after_a_result_that_could_not_be_written(
    volumes, data_folder, monkeypatch
):
    volumes.snapshot(KEPT, volumes.create(ORDER).id)
    id = copied(volumes).id
    failures = [OSError(errno.ENOSPC, "No space left on device")]

    def write(path, content, **how):
        if path.name == "verified.json" and failures:
            raise failures.pop()
        replace_file(path, content, **how)

    monkeypatch.setattr(checks, "replace_file", write)
    volumes.verify(id, "1")
    eventually(lambda: not failures)
    assert verified(volumes, id, "2").trouble is None
