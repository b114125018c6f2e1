"""Money for volumes and snapshots is set aside before they are made, as it is for root disks."""

from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.books import Books
from prism.budgets.model import BudgetExceeded, Reservation
from prism.budgets.plan import disk_horizon, due, horizon, renewed
from prism.costs import store as ledger
from prism.costs.plan import moment
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.storage import store as storage
from prism.storage.model import Seen, Snapshot, Volume
from prism.storage.plan import at_most, monthly_cost

OVER = {Seen.GONE, Seen.BROKEN}


class StorageEscrow:
    """Implements `storage.model.StorageGuard` and, told after the ledger, `Meter`.

    A project's own cap pays for its storage; pools and allocations pay for workspaces.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._books = clock, Books(clock)

    def allow(self, tx: Tx, it: Volume | Snapshot, *, backup: bool) -> None:
        """Set aside what it costs in 30 days, or refuse; a backup is never refused."""
        if it.project is None:
            return
        projects.named(tx.sql, it.project)
        caps = self._books.caps(tx.sql, it.project, None, None)
        wanted = self._drawn(tx.sql, it)
        if caps and not backup:
            if wanted.disk is None:
                raise BudgetExceeded(
                    f"The price of {it.name!r} is not known",
                    details=f"the {caps[0].words} has a cap; nobody can keep one without a price",
                    remediation="Choose another type, or leave the project out",
                )
            self._books.check(tx.sql, caps, wanted)
        store.put_reservation(tx, wanted, moment(due(wanted, caps, self._books.now)))

    def changed(
        self,
        tx: Tx,
        before: Volume | Snapshot | None,
        after: Volume | Snapshot | None,
        at: datetime,
    ) -> None:
        """What the ledger counts by itself now is not set aside a second time."""
        it = after or before
        assert it is not None, "something became something else"
        if it.project is None:
            return
        began = self._began(tx.sql, it.id)
        if after is None or (after.seen in OVER and not began):
            store.release(tx, it.id)
            return
        held = store.reservation(tx.sql, it.id)
        if held is None and not began:
            return
        known = held or self._drawn(tx.sql, after)
        now = replace(
            known, disk=_rate(after), kept=began > 0, disk_since=began or known.disk_since
        )
        if now != held:
            news = held is None or now.disk != held.disk
            store.put_reservation(tx, now, self._clock.now() if news else None)

    def renew(self, tx: Tx, held: Reservation) -> datetime | None:
        """Carry on what is set aside, if it fits; when to look again, null for what is gone.

        What does not fit is kept all the same: Prism deletes no data by itself.
        """
        volumes = storage.by_ids(tx.sql, Volume, [held.id])
        copies = storage.by_ids(tx.sql, Snapshot, [held.id])
        found: list[Volume | Snapshot] = [*volumes, *copies]
        if not found:
            return None
        caps = self._books.caps(tx.sql, held.project, None, None)
        priced = replace(held, disk=_rate(found[0]))
        fresh = renewed(priced, caps, self._books.now, None)
        if caps:
            try:
                self._books.check(tx.sql, caps, fresh)
            except BudgetExceeded:
                fresh = priced
        store.put_reservation(tx, fresh)
        return moment(due(fresh, caps, self._books.now))

    def _drawn(self, sql: Connection, it: Volume | Snapshot) -> Reservation:
        assert it.project is not None, "who has no project has no budget"
        now, began = self._books.now, self._began(sql, it.id)
        edge, _ = horizon(self._books.caps(sql, it.project, None, None), now)
        return Reservation(
            id=it.id,
            name=it.name,
            project=it.project,
            compute=Micros(0),
            since=now,
            until=now,
            disk=_rate(it),
            disk_since=began or now,
            disk_until=disk_horizon(edge, now),
            kept=began > 0,
        )

    def _began(self, sql: Connection, id: str) -> int:
        """Since when the ledger counts it; 0 for not."""
        return max((it.began for it in ledger.open_of(sql, id)), default=0)


def _rate(it: Volume | Snapshot) -> Micros | None:
    """What a month of it costs; what is not measured yet, at most."""
    return monthly_cost(it) if it.used_bytes is not None else at_most(it)
