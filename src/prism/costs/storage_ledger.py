"""The costs of volumes and snapshots, in the same ledger as those of workspaces.

`StorageLedger` implements `storage.model.StorageChangeListener`. `StrandedCosts` ends the costs of
a home that no daemon serves: nobody knows what is still there.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from prism.catalog.plan import PriceBook
from prism.costs.ledger import Ledger
from prism.costs.model import MONTH_HOURS, Booking, CostKind, Rate
from prism.costs.plan import FREE, SIMULATED, Charge, booking
from prism.costs.plan import charges as charges_of
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.profiles.providers import traits_of
from prism.storage import store as storage
from prism.storage.model import Snapshot, StorageObserved, Volume, VolumeKind
from prism.storage.plan import monthly_cost
from prism.workspaces import store as workspaces

Payer = Callable[[Connection, str], tuple[str | None, str | None]]
VOLUME_KINDS = {VolumeKind.EBS: CostKind.VOLUME, VolumeKind.EFS: CostKind.FILES}
COSTS = {StorageObserved.THERE, StorageObserved.DELETING}
SOURCE = "the price list, as it was when it was made"
GIB = 2**30


class StorageLedger:
    """Opens and closes the segments of volumes and snapshots."""

    def __init__(self, ledger: Ledger, payer: Payer) -> None:
        """`payer` returns the allocation and pool that pay for a volume or snapshot."""
        self._ledger, self._payer = ledger, payer

    def changed(
        self,
        tx: Tx,
        before: Volume | Snapshot | None,
        after: Volume | Snapshot | None,
        at: datetime,
    ) -> None:
        """Book a change at `at`; None means that the volume or snapshot does not exist."""
        resource = after or before
        assert resource is not None, "a change has a row before or after it"
        allocation, pool = self._payer(tx.sql, resource.id)
        booking = Booking(
            resource=resource.id,
            name=resource.name,
            owner=resource.owner,
            profile=resource.location,
            project=resource.project,
            allocation=allocation,
            pool=pool,
        )
        self._ledger.set(tx, booking, {} if after is None else charges(after), at)


def charges(resource: Volume | Snapshot) -> dict[CostKind, Charge]:
    """The charge for the last observed state; if by use, from the first measurement on."""
    if resource.observed not in COSTS:
        return {}
    kind = VOLUME_KINDS[resource.kind] if isinstance(resource, Volume) else CostKind.SNAPSHOT
    measured = kind is not CostKind.VOLUME
    if measured and resource.used_bytes is None:
        return {}
    if measured:
        detail = f"{(resource.used_bytes or 0) / GIB:.3f} GiB {resource.kind}"
    else:
        detail = f"{resource.size_gb} GB {resource.volume_type}"
    return {kind: Charge(detail, _rate(resource))}


def _rate(resource: Volume | Snapshot) -> Rate:
    """The price at the creation, and its date."""
    month = monthly_cost(resource)
    if resource.gb_month == 0:
        return Rate(month, MONTH_HOURS, FREE)
    if month is None:
        return Rate(None, MONTH_HOURS, "unknown")
    simulated = traits_of(resource.location).simulated_prices_of
    source = f"{SIMULATED}: {SOURCE}" if simulated else SOURCE
    return Rate(month, MONTH_HOURS, source, resource.created_at.date())


class StrandedCosts:
    """Closes the segments of a location, and opens them again when it is served."""

    def __init__(
        self, ledger: Ledger, storage_ledger: StorageLedger, prices: PriceBook, clock: Clock
    ) -> None:
        self._ledger, self._storage, self._prices = ledger, storage_ledger, prices
        self._clock = clock

    def stop(self, tx: Tx, location: str, at: datetime) -> None:
        """Charge nothing in a location after `at`."""
        for workspace in workspaces.living_at(tx.sql, location):
            self._ledger.set(tx, booking(workspace), {}, at, sure=False)
        for row in stored_at(tx.sql, location):
            self._storage.changed(tx, row, None, at)

    def go_on(self, tx: Tx, location: str) -> None:
        """Charge for what is in a location, as it was last observed, from now on."""
        now = self._clock.now()
        for workspace in workspaces.living_at(tx.sql, location):
            costs = charges_of(workspace, self._prices)
            self._ledger.set(tx, booking(workspace), costs, now, sure=False)
        for row in stored_at(tx.sql, location):
            self._storage.changed(tx, None, row, now)


def stored_at(sql: Connection, location: str) -> list[Volume | Snapshot]:
    """All volumes and snapshots of a location."""
    volumes = storage.every_at(sql, Volume, location)
    return [*volumes, *storage.every_at(sql, Snapshot, location)]
