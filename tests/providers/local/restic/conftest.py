"""A home with volumes, whose snapshots are copied by the real restic."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from prism.copies.model import ENDED, CopyLabel, CopyState
from prism.copies.ports import CopyOrder, CopyStatus
from prism.providers.local.restic.access import RepositoryAccess, no_s3
from prism.providers.local.storage.volumes import LocalVolumes, snapshot_id
from prism.storage.model import SnapshotOrigin, StorageObserved, VolumeKind
from prism.storage.ports import ProviderSnapshot, SnapshotSpec, VolumeSpec
from tests.needs import require
from tests.optional import not_none
from tests.waiting import eventually

TAKEN = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)


class CopyingHome:
    """A home with one volume, its snapshots and their copies."""

    def __init__(self, folder: Path, access: RepositoryAccess | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.volumes = LocalVolumes(
            folder / "storage",
            folder / "workspaces",
            fresh=0,
            access=access or RepositoryAccess(folder, no_s3),
        )
        order = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=10)
        self.data = folder / "storage" / "volumes" / self.volumes.create(order).id / "data"
        self._count = 0

    def take(self, key: str) -> ProviderSnapshot:
        """A snapshot of the volume."""
        self.volumes.snapshot(SnapshotSpec(key=key, name=key), self.data.parent.name)
        return self.there(key)

    def there(self, key: str) -> ProviderSnapshot:
        """A snapshot, once it is complete."""

        def is_there() -> ProviderSnapshot | None:
            [copy] = [copy for copy in self.volumes.survey().copies if copy.key == key]
            assert copy.observed is not StorageObserved.BROKEN, copy.trouble
            return copy if copy.observed is StorageObserved.THERE else None

        return eventually(is_there, 120)

    def order(self, key: str, destination: Path | str, **more: Any) -> CopyOrder:
        """A copy of a snapshot, to order it."""
        self._count += 1
        label = CopyLabel(
            key=key,
            name=key.replace("_", "-"),
            source="volume",
            source_id="volume_1",
            source_name="data",
            kind=VolumeKind.EBS,
            size_gb=10,
            taken_at=more.pop("taken_at", TAKEN),
            schedule=more.pop("schedule", None),
        )
        return CopyOrder(
            id=f"copy_{self._count}",
            snapshot=snapshot_id(key),
            label=label,
            destination=str(destination),
            **more,
        )

    def copy(self, key: str, destination: Path | str, **more: Any) -> CopyStatus:
        """How a copy of a snapshot ended."""
        order = self.order(key, destination, **more)
        self.volumes.copies.begin(order)
        return self.ended(order)

    def ended(self, order: CopyOrder) -> CopyStatus:
        """How a copy ended."""

        def has_ended() -> CopyStatus | None:
            status = not_none(self.volumes.copies.status(order.id))
            return status if status.state in ENDED else None

        return eventually(has_ended, 120)

    def copied(self, key: str, destination: Path | str, **more: Any) -> CopyStatus:
        """A copy that was made."""
        status = self.copy(key, destination, **more)
        assert status.state is CopyState.COMPLETED, status.trouble
        return status

    def fetch(self, destination: Path | str, remote_id: str, key: str = "fetched_1") -> Any:
        """Begin to fetch a copy, and return what it became."""
        origin = SnapshotOrigin(destination=str(destination), remote_id=remote_id)
        self.volumes.fetch(SnapshotSpec(key=key, name=key), VolumeKind.EBS, origin)

        def is_over() -> ProviderSnapshot | None:
            [copy] = [copy for copy in self.volumes.survey().copies if copy.key == key]
            return None if copy.observed is StorageObserved.MAKING else copy

        return eventually(is_over, 120)

    def fetched(self, destination: Path | str, remote_id: str, key: str = "fetched_1") -> Path:
        """The folder of a snapshot that was fetched."""
        copy = self.fetch(destination, remote_id, key)
        assert copy.observed is StorageObserved.THERE, copy.trouble
        return self.folder / "storage" / "snapshots" / snapshot_id(key)


MakeHome = Callable[..., CopyingHome]


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[MakeHome]:
    require("restic")
    homes: list[CopyingHome] = []

    def make(name: str = "home", access: RepositoryAccess | None = None) -> CopyingHome:
        homes.append(CopyingHome(tmp_path / name, access))
        return homes[-1]

    yield make
    for home in homes:
        home.volumes.close()


@pytest.fixture
def home(make_home: MakeHome) -> CopyingHome:
    return make_home()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder for copies."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder
