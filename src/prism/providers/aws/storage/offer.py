"""Notes, prices and limits of AWS's storage, before anything is made."""

from prism.kit.money import Micros
from prism.providers.aws.prices.price_list import Prices
from prism.storage.model import VolumeKind


class AwsStorageOffer:
    """Implements `storage.model.StorageOffer` for one account and region; asks no cloud."""

    def __init__(self, place: str, region: str, prices: Prices) -> None:
        self.place, self._region, self._prices = place, region, prices

    def notes(self, kind: VolumeKind, size_gb: int | None) -> tuple[str, ...]:
        """Notes that a disk stays in one zone, and on the costs of a file system."""
        if kind is VolumeKind.EBS:
            return ("its zone is that of the first workspace it is attached to, and stays",)
        return ("it is paid by what it holds, as it grows",)

    def gb_month(self, kind: str) -> Micros | None:
        """AWS's price list, else the catalog's table; null where neither knows."""
        price = self._prices.stored(kind, self._region)
        return None if price is None else price.amount

    def expected_id(self, key: str, kind: VolumeKind) -> str | None:
        """None: AWS chooses the id."""
        return None

    def no_copies(self, kind: VolumeKind) -> str | None:
        """EC2 takes snapshots of disks only."""
        return NO_COPIES if kind is VolumeKind.EFS else None

    def no_verification(self) -> str | None:
        """EC2 needs a machine to read a snapshot."""
        return NO_VERIFICATION


NO_VERIFICATION = (
    "EC2 shows what a snapshot holds only to a machine that has a new volume of it, which costs "
    "money: restore it and look"
)
NO_COPIES = (
    "EC2 takes no snapshots of EFS file systems, and Prism does not use AWS Backup; copy what is "
    "on it to an ebs volume and take a snapshot of that"
)
