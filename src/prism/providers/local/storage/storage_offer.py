"""Notes and prices of storage on this machine."""

import shutil
from pathlib import Path

from prism.catalog.plan import PriceBook, performance_price
from prism.kit.money import Micros
from prism.providers.local.offer import PRICED_AS
from prism.providers.local.storage import quota
from prism.providers.local.storage.volumes import volume_id
from prism.storage.model import VolumeKind

GB = 2**30
NOT_ENFORCED = "its size is not enforced here: it is a folder on this machine's disk"


class LocalStorageOffer:
    """Implements `storage.model.StorageOffer`; `prices` are AWS's, simulated here."""

    def __init__(self, location: str, root: Path, prices: PriceBook | None = None) -> None:
        self.location, self._root, self._prices = location, root, prices

    def notes(self, kind: VolumeKind, size_gb: int | None) -> tuple[str, ...]:
        """Notes if its size is not enforced here, or is more than the disk has free."""
        if size_gb is None:
            return ()
        bound = quota.enforced(self._root.absolute())
        notes = [] if bound else [NOT_ENFORCED]
        free = self._free_bytes()
        if size_gb * GB > free:
            notes.append(f"{size_gb} GB asked for, this machine's disk has {free // GB} GB left")
        return tuple(notes)

    def gb_month(self, kind: str) -> Micros | None:
        """Zero; or, if simulated, AWS's price."""
        if self._prices is None:
            return Micros(0)
        price = self._prices.storage(kind, PRICED_AS)
        return price.amount if price else None

    def performance_month(
        self, kind: str | None, iops: int | None, throughput: int | None
    ) -> Micros | None:
        """Zero; or, if simulated, AWS's price."""
        if self._prices is None:
            return Micros(0)
        return performance_price(kind, iops, throughput, self.gb_month)

    def expected_id(self, key: str, kind: VolumeKind) -> str | None:
        """The id that `LocalVolumes` gives to this key."""
        return volume_id(key, kind)

    def no_copies(self, kind: VolumeKind) -> str | None:
        """Every folder can be copied."""
        return None

    def no_verification(self) -> str | None:
        """Each copy has a manifest."""
        return None

    def no_rollback(self) -> str | None:
        """A home is a folder, which can be replaced."""
        return None

    def no_copies_elsewhere(self) -> str | None:
        """A snapshot is a folder with a manifest."""
        return None

    def _free_bytes(self) -> int:
        folder = self._root.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free
