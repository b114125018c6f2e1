"""What volumes and snapshots cost, in the same ledger as workspaces.

Implements `storage.model.StorageChangeListener`.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from prism.costs.ledger import Ledger
from prism.costs.model import MONTH_HOURS, Booking, CostKind, Rate
from prism.costs.plan import FREE, SIMULATED, Charge
from prism.kit.db import Tx
from prism.profiles.providers import traits_of
from prism.storage.model import Snapshot, StorageObserved, Volume
from prism.storage.model import VolumeKind as Sort
from prism.storage.plan import monthly_cost

Payer = Callable[[Connection, str], tuple[str | None, str | None]]
COSTS = {StorageObserved.THERE, StorageObserved.DELETING}
SOURCE = "the price list, as it was when it was made"
GIB = 2**30


class StorageLedger:
    """Opens and closes the segments of what keeps data."""

    def __init__(self, ledger: Ledger, payer: Payer) -> None:
        """`payer` says which allocation and pool pay for a volume or snapshot, by its id."""
        self._ledger, self._payer = ledger, payer

    def changed(
        self,
        tx: Tx,
        before: Volume | Snapshot | None,
        after: Volume | Snapshot | None,
        at: datetime,
    ) -> None:
        """A change at `at`; null means not there yet, or not any more."""
        resource = after or before
        assert resource is not None, "something became something else"
        allocation, pool = self._payer(tx.sql, resource.id)
        booking = Booking(
            resource=resource.id,
            name=resource.name,
            owner=resource.owner,
            profile=resource.place,
            project=resource.project,
            allocation=allocation,
            pool=pool,
        )
        self._ledger.set(tx, booking, {} if after is None else charges(after), at)


def charges(resource: Volume | Snapshot) -> dict[CostKind, Charge]:
    """What it costs as it was last seen; what is measured costs from its first measure on."""
    if resource.seen not in COSTS:
        return {}
    measured = isinstance(resource, Snapshot) or resource.kind is Sort.EFS
    if measured and resource.used_bytes is None:
        return {}
    kind = CostKind.SNAPSHOT if isinstance(resource, Snapshot) else CostKind.VOLUME
    kind = CostKind.FILES if isinstance(resource, Volume) and resource.kind is Sort.EFS else kind
    if measured:
        detail = f"{(resource.used_bytes or 0) / GIB:.3f} GiB {resource.kind}"
    else:
        detail = f"{resource.size_gb} GB {resource.volume_type}"
    return {kind: Charge(detail, _rate(resource))}


def _rate(resource: Volume | Snapshot) -> Rate:
    """The price that it had when it was made, and of when that is."""
    month = monthly_cost(resource)
    if resource.gb_month == 0:
        return Rate(month, MONTH_HOURS, FREE)
    if month is None:
        return Rate(None, MONTH_HOURS, "unknown")
    source = f"{SIMULATED}: {SOURCE}" if traits_of(resource.place).simulated_prices_of else SOURCE
    return Rate(month, MONTH_HOURS, source, resource.created_at.date())
