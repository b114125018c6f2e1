"""The contract of `Volumes`, tested for every provider."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from prism.errors import Unavailable
from prism.kit.clock import StoppedClock
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import SnapshotSpec, StorageRefused, SurveyPart, VolumeSpec
from tests.contract.ebs import Aws
from tests.doubles.volumes import MemoryVolumes
from tests.waiting import eventually

MACHINES = ("local-0123456789abcdef0", "local-0123456789abcdef1")
UNKNOWN_MACHINE = "local-fffffffffffffffff"
ORDER = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=10, volume_type="gp3")
SHARED = VolumeSpec(key="volume_2", name="all", kind=VolumeKind.EFS)
RESTORED = VolumeSpec(
    key="volume_2", name="back", kind=VolumeKind.EBS, size_gb=10, volume_type="gp3"
)
SNAPSHOT = SnapshotSpec(key="snapshot_1")


class Memory:
    """Volumes in memory, and the changes that tests make there."""

    machines, unknown_machine, measures = MACHINES, UNKNOWN_MACHINE, True

    def __init__(self):
        self.clock = StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.volumes = MemoryVolumes(self.clock)
        self.volumes.faults.slow = timedelta(seconds=1)

    def write(self, id, text):
        self.volumes.disks[id].holds = text

    def holds(self, id):
        return self.volumes.disks[id].holds

    def write_root(self, machine, text):
        self.volumes.machines[machine] = text

    def wait(self):
        self.clock.advance(seconds=2)


class Local:
    """Volumes of this computer, and the changes that tests make there."""

    machines, unknown_machine, measures = MACHINES, UNKNOWN_MACHINE, True

    def __init__(self, root):
        self.root = root
        self.volumes = LocalVolumes(root / "storage", root / "workspaces", fresh=0)

    def _data(self, id):
        return self.root / "storage" / "volumes" / id / "data"

    def write(self, id, text):
        (self._data(id) / "file").write_text(text)

    def holds(self, id):
        file = self._data(id) / "file"
        return file.read_text() if file.exists() else ""

    def write_root(self, machine, text):
        home = self.root / "workspaces" / machine / "home"
        home.mkdir(parents=True)
        (home / "file").write_text(text)

    def wait(self):
        pass  # real time passes by itself, and tests wait for conditions


@pytest.fixture(params=["memory", "local", "aws"])
def world(request, tmp_path):
    worlds: dict[str, Callable[[], Memory | Local | Aws]] = {
        "memory": Memory,
        "local": lambda: Local(tmp_path),
        "aws": lambda: Aws(request.getfixturevalue("aws")),
    }
    tested_world = worlds[request.param]()
    yield tested_world
    tested_world.volumes.close()


@pytest.fixture
def volumes(world):
    return world.volumes


def disk(volumes, key="volume_1"):
    return next((disk for disk in volumes.survey().disks if disk.key == key), None)


def copy(volumes, key="snapshot_1"):
    return next((copy for copy in volumes.survey().copies if copy.key == key), None)


def wait_until_there(world, find, *key):
    def is_there():
        world.wait()
        thing = find(world.volumes, *key)
        return thing if thing and thing.observed is StorageObserved.THERE else None

    return eventually(is_there)


def create_volume(world, order):
    """Create a volume and wait until it exists; return its id."""
    world.volumes.create(order)
    return wait_until_there(world, disk, order.key).id


def attach(world, key, machine, name):
    """Attach repeatedly until the volume is attached; providers may need several calls."""

    def is_so():
        volume = disk(world.volumes, key)
        world.volumes.attach(volume.id, machine, name)
        world.wait()
        volume = disk(world.volumes, key)
        return volume.id if machine in volume.attached - volume.unmounted else None

    return eventually(is_so)


def detach(world, key, machine):
    def is_so():
        world.volumes.detach(disk(world.volumes, key).id, machine)
        world.wait()
        return machine not in disk(world.volumes, key).attached

    eventually(is_so)


def test_survey_is_empty_at_first(volumes):
    survey = volumes.survey()
    assert (list(survey.disks), list(survey.copies)) == ([], [])


@pytest.mark.parametrize("order", [ORDER, SHARED], ids=["ebs", "efs"])
def test_create_with_the_same_key_returns_the_same_volume(world, volumes, order):
    volume = volumes.create(order)
    again = volumes.create(order)
    assert (volume.id, volume.key) == (again.id, order.key)
    assert volume.id.startswith("vol-" if order.kind is VolumeKind.EBS else "fs-")
    listed_volume = wait_until_there(world, disk, order.key)
    assert (listed_volume.id, listed_volume.key, listed_volume.attached) == (
        volume.id,
        order.key,
        frozenset(),
    )
    assert len(volumes.survey().disks) == 1


def test_survey_of_a_part_lists_that_part(world, volumes):
    own, shared = create_volume(world, ORDER), create_volume(world, SHARED)
    for part, id in ((SurveyPart.EBS, own), (SurveyPart.EFS, shared)):
        assert id in {disk.id for disk in volumes.survey({part}).disks}
    volumes.snapshot(SNAPSHOT, own)
    wait_until_there(world, copy)
    assert len(volumes.survey({SurveyPart.SNAPSHOTS}).copies) == 1


def test_volume_is_attached_and_detached_repeatedly(world, volumes):
    create_volume(world, ORDER)
    for _ in range(2):
        attach(world, "volume_1", world.machines[0], "data")
        assert disk(volumes).attached == {world.machines[0]}
    for _ in range(2):
        detach(world, "volume_1", world.machines[0])
        assert disk(volumes).attached == frozenset()


def test_shared_volume_is_attached_to_several_machines(world, volumes):
    create_volume(world, SHARED)
    create_volume(world, ORDER)
    for machine in world.machines:
        attach(world, "volume_2", machine, "all")
    attach(world, "volume_1", world.machines[0], "data")
    detach(world, "volume_2", world.machines[0])
    assert disk(volumes, "volume_2").attached == {world.machines[1]}
    assert disk(volumes).attached == {world.machines[0]}


def test_volume_content_survives_detach_and_attach(world, volumes):
    create_volume(world, ORDER)
    id = attach(world, "volume_1", world.machines[0], "data")
    world.write(id, "precious")
    detach(world, "volume_1", world.machines[0])
    attach(world, "volume_1", world.machines[0], "data")
    assert disk(volumes).id == id
    assert world.holds(id) == "precious"


def test_attach_of_an_unknown_volume_is_refused(world, volumes):
    # A provider that cannot tell a deleted volume from a new, still invisible one asks to retry.
    with pytest.raises((StorageRefused, Unavailable)):
        volumes.attach("vol-0123456789abcdef0", world.machines[0], "data")
    volumes.detach("vol-0123456789abcdef0", world.unknown_machine)


def test_delete_of_a_volume_can_be_repeated(world, volumes):
    id = create_volume(world, ORDER)
    for _ in range(2):
        volumes.delete(id)
        eventually(lambda: disk(volumes) is None)


def test_used_bytes_of_a_volume_are_measured_if_the_provider_can(world, volumes):
    id = create_volume(world, ORDER)
    world.write(id, "x" * 50_000)
    if world.measures:
        eventually(lambda: (disk(volumes).used_bytes or 0) >= 50_000)
    else:
        assert disk(volumes).used_bytes is None


def test_snapshot_and_restore_with_the_same_key_act_once_and_keep_the_content(world, volumes):
    id = create_volume(world, ORDER)
    world.write(id, "then")
    assert volumes.snapshot(SNAPSHOT, id).observed in {
        StorageObserved.MAKING,
        StorageObserved.THERE,
    }
    snapshot = wait_until_there(world, copy)
    assert snapshot.used_bytes >= len("then")
    assert volumes.snapshot(SNAPSHOT, id).id == snapshot.id
    world.write(id, "now")
    back = volumes.restore(RESTORED, snapshot.id)
    again = volumes.restore(RESTORED, snapshot.id)
    assert back.id == again.id != id
    wait_until_there(world, disk, "volume_2")
    assert (world.holds(back.id), world.holds(id)) == ("then", "now")


def test_snapshot_survives_its_volume_and_the_restored_volume_its_snapshot(world, volumes):
    id = create_volume(world, ORDER)
    world.write(id, "then")
    volumes.snapshot(SNAPSHOT, id)
    snapshot = wait_until_there(world, copy)
    volumes.delete(id)
    back = volumes.restore(RESTORED, snapshot.id).id
    wait_until_there(world, disk, "volume_2")
    assert world.holds(back) == "then"
    volumes.delete_snapshot(snapshot.id)
    volumes.delete_snapshot(snapshot.id)
    eventually(lambda: copy(volumes) is None)
    assert world.holds(back) == "then"


def test_snapshot_of_a_machine_contains_its_root_disk(world, volumes):
    world.write_root(world.machines[0], "thesis")
    volumes.snapshot(SNAPSHOT, world.machines[0])
    back = volumes.restore(RESTORED, wait_until_there(world, copy).id).id
    wait_until_there(world, disk, "volume_2")
    assert world.holds(back) == "thesis"


@pytest.mark.parametrize("source", ["unknown machine", "vol-0123456789abcdef0", "../../etc"])
def test_snapshot_or_restore_of_an_unknown_source_is_refused(world, volumes, source):
    with pytest.raises(StorageRefused):
        volumes.snapshot(
            SNAPSHOT, world.unknown_machine if source == "unknown machine" else source
        )
    with pytest.raises(StorageRefused):
        volumes.restore(ORDER, "snap-0123456789abcdef0")
    assert not volumes.survey().copies


def test_local_volumes_ignore_ids_outside_their_folder(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    (tmp_path / "kept").mkdir()
    for id in ("../kept", "vol-../../kept", str(tmp_path / "kept")):
        volumes.delete(id)
        volumes.delete_snapshot(id)
    with pytest.raises(StorageRefused):
        volumes.attach(volumes.create(ORDER).id, "../../kept", "data")
    assert sorted(os.listdir(tmp_path)) == ["kept", "storage", "storage-used", "volumes-used"]
