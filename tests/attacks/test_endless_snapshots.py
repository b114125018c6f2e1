"""Attacks on the verification of snapshots, by sparse files that take hours to hash."""

import pytest

from prism.providers.local.storage.checks import THREADS
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from tests.waiting import eventually

LARGE = 400_000  # bytes; what is larger than 256 KiB is hashed in the background


class Storage:
    """Volumes of several projects, and snapshots of them."""

    def __init__(self, folder):
        self.folder = folder / "storage"
        self.volumes = LocalVolumes(self.folder, folder / "workspaces", fresh=0)
        self.count = 0

    def snapshot(self, project, *, endless=False):
        """A snapshot of a new volume; its id."""
        self.count += 1
        name = f"{project}-{self.count}"
        order = VolumeSpec(key=f"volume_{self.count}", name=name, kind=VolumeKind.EBS, size_gb=10)
        id = self.volumes.create(order).id
        with open(self.folder / "volumes" / id / "data" / "file", "wb") as file:
            file.truncate(1 << 43 if endless else LARGE)
        key = f"snapshot_{self.count}"
        self.volumes.snapshot(SnapshotSpec(key=key, project=project, source=name), id)

        def taken():
            [copy] = [copy for copy in self.volumes.survey().copies if copy.key == key]
            return copy.id if copy.observed is StorageObserved.THERE else None

        return eventually(taken, 60)

    def is_verified(self, id):
        copies = {copy.id: copy for copy in self.volumes.survey().copies}
        return (verified := copies[id].verified) is not None and verified.trouble is None


@pytest.fixture
def storage(tmp_path):
    storage = Storage(tmp_path)
    yield storage
    storage.volumes.close()


@pytest.mark.parametrize("sources", [1, THREADS, THREADS + 3])
def test_endless_snapshots_of_a_project_do_not_delay_another(storage, sources):
    for _ in range(sources):
        storage.volumes.verify(storage.snapshot("Hostile", endless=True), "1")
    honest = storage.snapshot("Honest")
    storage.volumes.verify(honest, "1")
    eventually(lambda: storage.is_verified(honest), 60)


def test_endless_snapshots_of_one_source_do_not_delay_those_of_another(storage):
    storage.volumes.verify(storage.snapshot("Mine", endless=True), "1")
    other = storage.snapshot("Mine")
    storage.volumes.verify(other, "1")
    eventually(lambda: storage.is_verified(other), 60)
    assert len(storage.volumes._checks._running) <= THREADS
