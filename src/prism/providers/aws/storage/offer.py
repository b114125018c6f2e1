"""Notes, prices and limits of AWS's storage; makes no call."""

from prism.catalog.plan import performance_price
from prism.kit.money import Micros
from prism.providers.aws.prices.price_list import Prices
from prism.storage.model import VolumeKind


class AwsStorageOffer:
    """Implements `storage.model.StorageOffer` for one account and region."""

    def __init__(self, location: str, region: str, prices: Prices) -> None:
        self.location, self._region, self._prices = location, region, prices

    def notes(self, kind: VolumeKind, size_gb: int | None) -> tuple[str, ...]:
        """Notes that a disk stays in one zone, and on the costs of a file system."""
        if kind is VolumeKind.EBS:
            return ("it stays in the zone of the first workspace to which it is attached",)
        return ("you pay for the data in it, which can grow",)

    def gb_month(self, kind: str) -> Micros | None:
        """The price from AWS's list, else from the catalog's table; None if neither has it."""
        price = self._prices.stored(kind, self._region)
        return None if price is None else price.amount

    def performance_month(
        self, kind: str | None, iops: int | None, throughput: int | None
    ) -> Micros | None:
        """The price of the IOPS of io2, and of what gp3 has beyond 3,000 IOPS and 125 MiB/s."""
        return performance_price(kind, iops, throughput, self.gb_month)

    def expected_id(self, key: str, kind: VolumeKind) -> str | None:
        """None: AWS chooses the id."""
        return None

    def no_copies(self, kind: VolumeKind) -> str | None:
        """Why a volume of this kind has no snapshots: EC2 takes them of EBS volumes only."""
        return NO_COPIES if kind is VolumeKind.EFS else None

    def no_verification(self) -> str | None:
        """Why snapshots cannot be verified: only a machine can read one."""
        return NO_VERIFICATION

    def no_rollback(self) -> str | None:
        """Why a rollback is not possible: Prism does not replace root volumes of EC2."""
        return NO_ROLLBACK

    def no_copies_elsewhere(self) -> str | None:
        """Why snapshots are not copied to other disks: their data is readable on machines only."""
        return NO_COPIES_ELSEWHERE


NO_COPIES_ELSEWHERE = (
    "an EC2 snapshot is in S3 of its region already, so it outlives this computer. For another "
    "region use `aws ec2 copy-snapshot --source-region REGION --source-snapshot-id ID`; for a "
    "disk of your own, restore it to a volume and copy the files with `prism cp`"
)
NO_ROLLBACK = "Prism does not replace the root disk of an EC2 instance"
NO_VERIFICATION = (
    "EC2 shows a snapshot's data only on a new volume of a machine, which costs "
    "money: restore it and look"
)
NO_COPIES = (
    "EC2 takes no snapshots of EFS file systems, and Prism does not use AWS Backup; copy what is "
    "on it to an ebs volume and take a snapshot of that"
)
