"""What volumes and snapshots cost: implements `storage.model.Meter` on the same ledger."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from prism.costs.ledger import Ledger
from prism.costs.model import MONTH_HOURS, Booking, CostKind, Rate
from prism.costs.plan import FREE, SIMULATED, Charge
from prism.kit.db import Tx
from prism.storage.model import Seen, Snapshot, Volume
from prism.storage.model import VolumeKind as Sort
from prism.storage.plan import monthly_cost

Payer = Callable[[Connection, str], tuple[str | None, str | None]]
COSTS = {Seen.THERE, Seen.DELETING}
SOURCE = "the price list, as it was when it was made"
GIB = 2**30


class StorageLedger:
    """Opens and closes the segments of what keeps data."""

    def __init__(self, ledger: Ledger, payer: Payer = lambda sql, id: (None, None)) -> None:
        """`payer` says which allocation and pool pay for a volume or snapshot, by its id."""
        self._ledger, self._payer = ledger, payer

    def changed(
        self,
        tx: Tx,
        before: Volume | Snapshot | None,
        after: Volume | Snapshot | None,
        at: datetime,
    ) -> None:
        """It is so from `at` on; null is what there is not yet, or no more."""
        it = after or before
        assert it is not None, "something became something else"
        allocation, pool = self._payer(tx.sql, it.id)
        self._ledger.set(
            tx, _booking(it, allocation, pool), {} if after is None else charges(after), at
        )


def charges(it: Volume | Snapshot) -> dict[CostKind, Charge]:
    """What it costs as it was last seen; what is measured costs from its first measure on."""
    if it.seen not in COSTS:
        return {}
    measured = isinstance(it, Snapshot) or it.kind is Sort.EFS
    if measured and it.used_bytes is None:
        return {}
    kind = CostKind.SNAPSHOT if isinstance(it, Snapshot) else CostKind.VOLUME
    kind = CostKind.FILES if isinstance(it, Volume) and it.kind is Sort.EFS else kind
    return {kind: Charge(_detail(it, measured=measured), _rate(it))}


def _rate(it: Volume | Snapshot) -> Rate:
    """The price that it had when it was made, and of when that is."""
    month = monthly_cost(it)
    if it.gb_month == 0:
        return Rate(month, MONTH_HOURS, FREE)
    if month is None:
        return Rate(None, MONTH_HOURS, "unknown")
    source = f"{SIMULATED}: {SOURCE}" if it.place.startswith("local:") else SOURCE
    return Rate(month, MONTH_HOURS, source, it.created_at.date())


def _detail(it: Volume | Snapshot, *, measured: bool) -> str:
    if measured:
        return f"{(it.used_bytes or 0) / GIB:.3f} GiB {it.kind}"
    return f"{it.size_gb} GB {it.volume_type}"


def _booking(it: Volume | Snapshot, allocation: str | None, pool: str | None) -> Booking:
    return Booking(
        resource=it.id,
        name=it.name,
        owner=it.owner,
        profile=it.place,
        project=it.project,
        allocation=allocation,
        pool=pool,
    )
