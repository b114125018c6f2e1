"""A file that cannot be read is reported and repaired, and does not hide others."""

import json
import random
import threading

import pytest

from prism.agent.protocol import replace_file
from prism.providers.local.offer import machine_id
from prism.providers.local.storage import mirrored_file
from prism.providers.local.storage.about import About
from prism.providers.local.storage.volumes import LocalVolumes, snapshot_id, volume_id
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import SnapshotSpec, StorageRefused, VolumeSpec
from tests.conftest import LOCATION, Http
from tests.waiting import eventually

DELETING = StorageObserved.DELETING
TORN = [b"", b"{", b"\x00" * 64, b'{"key": 7}', b"[]"]


@pytest.fixture
def volumes(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces", fresh=0)
    yield volumes
    volumes.close()


def order(number):
    return VolumeSpec(key=f"volume_{number}", name=f"data{number}", kind=VolumeKind.EBS, size_gb=1)


def tear(path, seed=0, both=False):
    chance = random.Random(seed)
    path.write_bytes(chance.choice(TORN))
    if both:
        path.with_name(f"{path.name}.copy").write_bytes(chance.choice(TORN))


@pytest.mark.parametrize("bad", TORN)
def test_torn_file_is_repaired_from_its_second_copy(tmp_path, bad):
    path = tmp_path / "about.json"
    mirrored_file.write(path, b'{"key": "a"}')
    path.write_bytes(bad)
    assert mirrored_file.read(path, About).key == "a"
    assert path.read_bytes() == b'{"key": "a"}'
    path.unlink()
    assert mirrored_file.read(path, About).key == "a"


def test_removed_file_is_not_restored_from_its_copy(tmp_path):
    path = tmp_path / "about.json"
    mirrored_file.write(path, b'{"key": "a"}')
    mirrored_file.remove(path)
    with pytest.raises(FileNotFoundError):
        mirrored_file.read(path, About)


def test_survey_names_an_unreadable_volume_and_lists_the_others(volumes, tmp_path):
    ids = [volumes.create(order(number)).id for number in range(5)]
    tear(tmp_path / "storage" / "volumes" / ids[2] / "about.json", seed=1, both=True)
    seen = volumes.survey()
    assert {disk.id for disk in seen.disks} == {*ids} - {ids[2]}
    assert list(seen.unreadable) == [ids[2]]
    assert "about.json" in seen.unreadable[ids[2]]


def test_unreadable_attachments_of_a_machine_do_not_hide_those_of_others(volumes, tmp_path):
    first, two = (volumes.create(order(number)).id for number in range(2))
    machines = [machine_id(f"workspace_{number}") for number in range(2)]
    (tmp_path / "workspaces").mkdir()
    volumes.attach(first, machines[0], "data0")
    volumes.attach(two, machines[1], "data1")
    path = tmp_path / "workspaces" / f"{machines[0]}.mounts.json"
    tear(path)
    attached = {disk.id: set(disk.attached) for disk in volumes.survey().disks}
    assert attached == {first: {machines[0]}, two: {machines[1]}}, "the file is repaired"
    show(tmp_path, machines[0], first)
    tear(path, both=True)
    seen = volumes.survey()
    assert {disk.id: set(disk.attached) for disk in seen.disks} == {
        first: set(),
        two: {machines[1]},
    }
    assert list(seen.unreadable) == [machines[0]]
    with pytest.raises(StorageRefused, match="still in ~/volumes"):
        volumes.delete(first)
    third = volumes.create(order(2)).id
    volumes.delete(third)  # nothing shows it
    assert third not in {disk.id for disk in volumes.survey().disks if disk.observed != DELETING}
    volumes.attach(first, machines[0], "data0")
    assert volumes.survey().unreadable == {}
    with pytest.raises(StorageRefused, match="still attached"):
        volumes.delete(first)


def show(tmp_path, machine, volume):
    """A link in a machine's home, as its supervisor makes it."""
    folder = tmp_path / "workspaces" / machine / "home" / "volumes"
    folder.mkdir(parents=True)
    (folder / "data0").symlink_to(tmp_path / "storage" / "volumes" / volume / "data")


def test_damaged_attachments_of_a_machine_that_shows_no_volume_are_removed(volumes, tmp_path):
    id, machine = volumes.create(order(0)).id, machine_id("workspace_0")
    (tmp_path / "workspaces").mkdir()
    volumes.attach(id, machine, "data0")
    tear(tmp_path / "workspaces" / f"{machine}.mounts.json", both=True)
    assert volumes.survey().unreadable == {}
    assert [*(tmp_path / "workspaces").iterdir()] == []
    volumes.delete(id)


def test_attachments_of_a_machine_that_ended_while_it_left_its_volume_are_removed(
    volumes, tmp_path
):
    id, machine = volumes.create(order(0)).id, machine_id("workspace_0")
    (tmp_path / "workspaces").mkdir()
    volumes.attach(id, machine, "data0")
    path = tmp_path / "workspaces" / f"{machine}.mounts.json"
    known = json.loads(path.read_bytes())
    leaving = {**known, "volumes": [], "leaving": known["volumes"]}
    mirrored_file.write(path, json.dumps(leaving).encode())
    volumes.survey()
    assert [*(tmp_path / "workspaces").iterdir()] == []


def test_unreadable_file_of_a_known_volume_is_rewritten(make_daemon, cloud, clock, tmp_path):
    real = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces", fresh=0)
    daemon = make_daemon(disks_by_location={LOCATION: real})
    http = Http(daemon.app)
    created = http(
        "POST", "/api/v1/storage/volumes/create", json={"type": "ebs", "name": "d", "size_gb": 1}
    ).json()
    settle(daemon, clock)
    folder = tmp_path / "storage" / "volumes" / created["volume_id"]
    (folder / "data" / "kept").write_text("kept")
    tear(folder / "about.json", seed=3, both=True)
    settle(daemon, clock)
    volume = http("GET", "/api/v1/storage/volumes/d").json()
    assert (volume["state"], volume["failure"]) == ("available", None)
    assert (folder / "data" / "kept").read_text() == "kept"
    assert [disk.key for disk in real.survey().disks], "its file has its key again"
    real.close()


def settle(daemon, clock):
    for _ in range(3):
        clock.advance(seconds=30)
        daemon.settle()


LARGE = 300_000  # bytes; what is larger than 256 KiB is hashed in the background


def large_snapshot(volumes, tmp_path, content=b"x"):
    """A snapshot of which the background has to complete the manifest; its folder."""
    volume = volumes.create(order(1)).id
    data = tmp_path / "storage" / "volumes" / volume / "data"
    (data / "large").write_bytes(content * LARGE)
    snapshot = SnapshotSpec(key="snapshot_1")
    volumes.snapshot(snapshot, volume)
    folder = tmp_path / "storage" / "snapshots" / snapshot_id(snapshot.key)
    eventually(folder.exists)
    return folder


def is_hashed(path):
    return json.loads(path.read_bytes()).get("hashed")


def test_both_copies_record_that_a_snapshot_is_hashed(volumes, tmp_path):
    about = large_snapshot(volumes, tmp_path) / "about.json"
    second = about.with_name("about.json.copy")
    assert not is_hashed(about)
    eventually(lambda: volumes.survey() and is_hashed(about) and is_hashed(second))
    tear(about)
    assert [copy.key for copy in volumes.survey().copies] == ["snapshot_1"]
    assert is_hashed(about), "repaired from a second copy of the same age"


def test_snapshot_file_torn_before_hashing_is_repaired_and_verified(volumes, tmp_path):
    folder = large_snapshot(volumes, tmp_path)
    (folder / "about.json").write_bytes(b'{"key"')
    volumes.verify(folder.name, "one")
    [copy] = eventually(lambda: [copy for copy in volumes.survey().copies if copy.verified])
    assert (copy.verified.token, copy.verified.trouble) == ("one", None)
    assert is_hashed(folder / "about.json")


def test_unreadable_snapshot_fails_its_own_verification_only(volumes, tmp_path):
    torn = large_snapshot(volumes, tmp_path)
    tear(torn / "about.json", both=True)
    whole = SnapshotSpec(key="snapshot_2")
    volumes.snapshot(whole, volume_id(order(1).key, VolumeKind.EBS))
    eventually((torn.parent / snapshot_id(whole.key)).exists)
    volumes.verify(torn.name, "one")
    volumes.verify(snapshot_id(whole.key), "two")
    [copy] = eventually(lambda: [copy for copy in volumes.survey().copies if copy.verified])
    assert (copy.id, copy.verified.trouble) == (snapshot_id(whole.key), None)
    result = json.loads((torn / "verified.json").read_bytes())
    assert result["trouble"]["code"] == "SNAPSHOT_UNREADABLE"
    assert "about.json" in result["trouble"]["message"]


def test_file_that_is_removed_while_a_reader_repairs_it_stays_removed(tmp_path, monkeypatch):
    path = tmp_path / "about.json"
    mirrored_file.write(path, b'{"key": "a"}')
    tear(path)
    removing = threading.Thread(target=mirrored_file.remove, args=(path,))

    def replace_late(path, text):
        removing.start()
        removing.join(0.2)  # it waits for the reader
        replace_file(path, text)

    monkeypatch.setattr(mirrored_file, "replace_file", replace_late)
    assert mirrored_file.read(path, About).key == "a"
    removing.join()
    assert not path.exists()
