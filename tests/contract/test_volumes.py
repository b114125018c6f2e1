"""What `Volumes` means: one suite, every provider."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from prism.kit.clock import StoppedClock
from prism.providers.local.volumes import LocalVolumes
from prism.storage.model import Kind, Seen
from prism.storage.ports import CopyOrder, StorageRefused, VolumeOrder
from tests.doubles.volumes import MemoryVolumes
from tests.waiting import eventually

MACHINES = ("local-0123456789abcdef0", "local-0123456789abcdef1")
NOBODY = "local-fffffffffffffffff"
ORDER = VolumeOrder(key="volume_1", name="data", kind=Kind.EBS, size_gb=10, volume_type="gp3")
SHARED = VolumeOrder(key="volume_2", name="all", kind=Kind.EFS)
KEPT = CopyOrder(key="snapshot_1")


class Memory:
    """The double, and the hands that change its world."""

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
    """This machine, and the hands that change its world."""

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
        pass  # time passes by itself, and whoever asked waits for a fact


@pytest.fixture(params=["memory", "local"])
def world(request, tmp_path):
    it = Memory() if request.param == "memory" else Local(tmp_path)
    yield it
    it.volumes.close()


@pytest.fixture
def volumes(world):
    return world.volumes


def disk(volumes, key="volume_1"):
    return next((it for it in volumes.survey().disks if it.key == key), None)


def copy(volumes, key="snapshot_1"):
    return next((it for it in volumes.survey().copies if it.key == key), None)


def there(world, find, *key):
    def is_there():
        world.wait()
        found = find(world.volumes, *key)
        return found if found and found.seen is Seen.THERE else None

    return eventually(is_there)


def test_there_is_nothing_at_first(volumes):
    survey = volumes.survey()
    assert (list(survey.disks), list(survey.copies)) == ([], [])


@pytest.mark.parametrize("order", [ORDER, SHARED], ids=["ebs", "efs"])
def test_the_same_key_makes_one_volume(volumes, order):
    made = volumes.create(order)
    again = volumes.create(order)
    assert (made.id, made.key, made.seen) == (again.id, order.key, Seen.THERE)
    assert made.id.startswith("vol-" if order.kind is Kind.EBS else "fs-")
    [found] = volumes.survey().disks
    assert (found.id, found.key, found.seen, found.attached) == (
        made.id,
        order.key,
        Seen.THERE,
        frozenset(),
    )


def test_a_machine_has_it_until_it_has_it_no_more(volumes):
    id = volumes.create(ORDER).id
    for _ in range(2):
        volumes.attach(id, MACHINES[0], "data")
        assert disk(volumes).attached == {MACHINES[0]}
    for _ in range(2):
        volumes.detach(id, MACHINES[0])
        assert disk(volumes).attached == frozenset()


def test_several_machines_share_one_and_one_has_several(volumes):
    shared, own = volumes.create(SHARED).id, volumes.create(ORDER).id
    for machine in MACHINES:
        volumes.attach(shared, machine, "all")
    volumes.attach(own, MACHINES[0], "data")
    volumes.detach(shared, MACHINES[0])
    assert disk(volumes, "volume_2").attached == {MACHINES[1]}
    assert disk(volumes).attached == {MACHINES[0]}


def test_what_it_holds_survives_being_attached_and_detached(world, volumes):
    id = volumes.create(ORDER).id
    world.write(id, "precious")
    volumes.attach(id, MACHINES[0], "data")
    volumes.detach(id, MACHINES[0])
    volumes.create(ORDER)
    assert world.holds(id) == "precious"


def test_a_volume_that_is_not_there_cannot_be_attached(volumes):
    with pytest.raises(StorageRefused):
        volumes.attach("vol-0123456789abcdef0", MACHINES[0], "data")
    volumes.detach("vol-0123456789abcdef0", NOBODY)


def test_a_deleted_one_is_gone_and_stays_gone(volumes):
    id = volumes.create(ORDER).id
    for _ in range(2):
        volumes.delete(id)
        assert disk(volumes) is None


def test_how_much_is_used_is_known_after_a_while(world, volumes):
    id = volumes.create(ORDER).id
    world.write(id, "x" * 50_000)
    eventually(lambda: (disk(volumes).used_bytes or 0) >= 50_000)


def test_a_snapshot_is_made_once_and_keeps_what_there_was(world, volumes):
    id = volumes.create(ORDER).id
    world.write(id, "then")
    assert volumes.snapshot(KEPT, id).seen in {Seen.MAKING, Seen.THERE}
    made = there(world, copy)
    assert made.used_bytes >= len("then")
    assert volumes.snapshot(KEPT, id).id == made.id
    world.write(id, "now")
    back = volumes.restore(SHARED, made.id)
    again = volumes.restore(SHARED, made.id)
    assert back.id == again.id != id
    there(world, disk, "volume_2")
    assert (world.holds(back.id), world.holds(id)) == ("then", "now")


def test_a_snapshot_outlives_what_it_was_taken_of(world, volumes):
    id = volumes.create(ORDER).id
    world.write(id, "then")
    volumes.snapshot(KEPT, id)
    made = there(world, copy)
    volumes.delete(id)
    back = volumes.restore(SHARED, made.id).id
    there(world, disk, "volume_2")
    assert world.holds(back) == "then"
    volumes.delete_snapshot(made.id)
    volumes.delete_snapshot(made.id)
    assert copy(volumes) is None
    assert world.holds(back) == "then"


def test_the_root_disk_of_a_machine_can_be_kept(world, volumes):
    world.write_root(MACHINES[0], "thesis")
    volumes.snapshot(KEPT, MACHINES[0])
    back = volumes.restore(ORDER, there(world, copy).id).id
    there(world, disk)
    assert world.holds(back) == "thesis"


@pytest.mark.parametrize("source", [NOBODY, "vol-0123456789abcdef0", "../../etc"])
def test_what_is_not_there_cannot_be_kept(volumes, source):
    with pytest.raises(StorageRefused):
        volumes.snapshot(KEPT, source)
    with pytest.raises(StorageRefused):
        volumes.restore(ORDER, "snap-0123456789abcdef0")
    assert not volumes.survey().copies


def test_nothing_of_another_place_is_touched(tmp_path):
    volumes = LocalVolumes(tmp_path / "storage", tmp_path / "workspaces")
    (tmp_path / "kept").mkdir()
    for id in ("../kept", "vol-../../kept", str(tmp_path / "kept")):
        volumes.delete(id)
        volumes.delete_snapshot(id)
    with pytest.raises(StorageRefused):
        volumes.attach(volumes.create(ORDER).id, "../../kept", "data")
    assert sorted(os.listdir(tmp_path)) == ["kept", "storage"]
