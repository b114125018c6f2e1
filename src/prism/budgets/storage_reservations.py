"""Reserves money for volumes and snapshots before they are made, as for root disks.

`StrandedReservations` reserves none for a home that no daemon serves: nothing in it is charged.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.admission import CapComparison, admit, affordable
from prism.budgets.books import BookReader, Books
from prism.budgets.events import BudgetOvercommitted
from prism.budgets.model import Reservation
from prism.budgets.plan import (
    ALWAYS,
    Demand,
    due,
    part_horizon,
    renewed,
    reservation_for,
    reserved_disk,
)
from prism.budgets.reservations import ReservationService
from prism.costs import store as ledger
from prism.costs.plan import moment
from prism.costs.storage_ledger import stored_at
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.storage import store as storage
from prism.storage.model import Snapshot, StorageChangeListener, StorageObserved, Volume
from prism.storage.plan import at_most, monthly_cost
from prism.workspaces import store as workspaces
from prism.workspaces.events import SYSTEM
from prism.workspaces.hooks import FundingPolicy

AGAIN = timedelta(hours=1)  # until the next look whether a home is served
OVER = {StorageObserved.GONE, StorageObserved.BROKEN}


class StorageReservationService:
    """Implements `storage.model.StorageGuard` and, after the ledger, `StorageChangeListener`.

    Storage counts against every cap that applies, as workspaces do: the project's own, and the
    allocation that pays for it. A copy is paid by what pays for its source.
    """

    def __init__(
        self,
        clock: Clock,
        reader: BookReader,
        *,
        ledger_listener: StorageChangeListener,
        funding: FundingPolicy,
    ) -> None:
        """`ledger_listener` is called when the payer changes; `funding` finds budgets by name."""
        self._clock, self._reader = clock, reader
        self._ledger_listener, self._funding = ledger_listener, funding

    def allow(
        self, tx: Tx, resource: Volume | Snapshot, *, backup: bool, budget: str | None = None
    ) -> None:
        """Reserve the cost of 30 days, or refuse; a backup is never refused."""
        if resource.project is None:
            return
        projects.named(tx.sql, resource.project)
        books = self._reader.open(tx.sql)
        if books.limits is not None:
            books.limits.record(tx, resource.id)
        demand = _demand(
            tx.sql, resource, *self._payer(tx.sql, resource, budget, strict=not backup)
        )
        caps = books.caps_of(demand)
        if backup:
            reservation = reservation_for(demand, caps, books.now)
        else:
            reservation = admit(books, demand).reservation
        store.put_reservation(tx, reservation, moment(due(reservation, caps, books.now)))

    def changed(
        self,
        tx: Tx,
        before: Volume | Snapshot | None,
        after: Volume | Snapshot | None,
        at: datetime,
    ) -> None:
        """Shorten the reservation by what the ledger counts from now on."""
        resource = after or before
        assert resource is not None, "a change has a row before or after it"
        if resource.project is None:
            return
        began = _began(tx.sql, resource.id)
        if after is None or (after.observed in OVER and not began):
            store.release(tx, resource.id)
            return
        reservation = store.find_reservation(tx.sql, resource.id)
        if reservation is None and not began:
            return
        known = reservation
        if known is None:  # nothing reserved its money when it was made
            books, demand = self._reader.open(tx.sql), _demand(tx.sql, after, None, None)
            known = reservation_for(demand, books.caps(demand.project, None, None), books.now)
        now = replace(
            known, disk=_rate(after), kept=began > 0, disk_since=began or known.disk_since
        )
        if now != reservation:
            repriced = reservation is None or now.disk != reservation.disk
            store.put_reservation(tx, now, self._clock.now() if repriced else None)
            self._record_growth(tx, reservation, now)

    def _record_growth(self, tx: Tx, before: Reservation | None, after: Reservation) -> None:
        """Record each cap that growth has exceeded; it is not refused, because data is kept."""
        if (after.disk or 0) <= ((before and before.disk) or 0):
            return
        books = self._reader.open(tx.sql)
        at = books.now
        for cap in books.caps(after.project, after.allocation, after.pool):
            balance = books.balance(cap)
            within = balance.within or ALWAYS
            more = reserved_disk(after, at, within, own=cap.is_own)
            if before is not None:
                more -= reserved_disk(before, at, within, own=cap.is_own)
            if balance.committed - more <= cap.amount < balance.committed:
                tx.happened(
                    BudgetOvercommitted(
                        actor=SYSTEM,
                        subject=cap.title,
                        scope=cap.column,
                        id=cap.id,
                        project=None if cap.column == "pool" else after.project,
                        resource=after.name,
                        cap=cap.amount,
                        settled=balance.settled,
                        reserved=balance.reserved,
                    )
                )

    def renew(self, tx: Tx, reservation: Reservation) -> datetime | None:
        """Extend the reservation as far as it fits; when to renew next, None if it is gone.

        Data that does not fit is kept: Prism deletes no data by itself.
        """
        resource = find_resource(tx.sql, reservation.id)
        if resource is None:
            return None
        books = self._reader.open(tx.sql)
        reservation = self._adopt(tx, books, reservation, resource)
        payer = (reservation.project, reservation.allocation, reservation.pool)
        caps = books.caps(*payer, owner=resource.owner, resource=resource.id)
        priced = replace(reservation, disk=_rate(resource))
        fresh, _ = affordable(books, caps, priced, renewed(priced, caps, books.now, None))
        store.put_reservation(tx, fresh)
        return moment(due(fresh, caps, books.now))

    def release(self, tx: Tx, reservation: Reservation) -> bool:
        """End an allocation's payments for a volume or snapshot; False if it is neither."""
        resource = find_resource(tx.sql, reservation.id)
        if resource is None:
            return False
        self._pay(tx, replace(reservation, allocation=None, pool=None), resource)
        return True

    def _adopt(
        self, tx: Tx, books: Books, reservation: Reservation, resource: Volume | Snapshot
    ) -> Reservation:
        """Let the project's only allocation pay, if none pays yet and it has enough money."""
        parts = store.allocations_of(tx.sql, project=reservation.project)
        if reservation.allocation is not None or len(parts) != 1:
            return reservation
        [part] = parts
        caps = books.caps(reservation.project, part.id, part.pool)
        money = {"allocation": part.id, "pool": part.pool, "disk": _rate(resource)}
        until = part_horizon(caps, books.now)
        adopted = replace(reservation, **money, part_until=until)
        if not CapComparison(books, caps, reservation.id, adds_disk=True).fit(adopted):
            return reservation
        self._pay(tx, adopted, resource)
        return adopted

    def _pay(self, tx: Tx, reservation: Reservation, resource: Volume | Snapshot) -> None:
        """Change the payer from now on."""
        store.put_reservation(tx, reservation)
        self._ledger_listener.changed(tx, resource, resource, self._clock.now())

    def _payer(
        self, sql: Connection, resource: Volume | Snapshot, budget: str | None, *, strict: bool
    ) -> tuple[str | None, str | None]:
        """The allocation and pool that pay for a new volume or snapshot."""
        source = resource.source_id if isinstance(resource, Snapshot) else resource.from_snapshot
        whole = store.find_reservation(sql, source) if source and budget is None else None
        if whole is not None and whole.project == resource.project:
            return whole.allocation, whole.pool
        parts = store.allocations_of(sql, project=resource.project)
        chosen = isinstance(resource, Volume) and source is None and strict
        if budget is not None or (chosen and len(parts) > 1):
            fund = self._funding.fund(sql, resource.project, budget)
            return fund.allocation, fund.pool
        return (parts[0].id, parts[0].pool) if parts else (None, None)


def _demand(
    sql: Connection, resource: Volume | Snapshot, allocation: str | None, pool: str | None
) -> Demand:
    """What a volume or snapshot needs."""
    assert resource.project is not None, "only a project has a budget"
    disk = _rate(resource)
    return Demand(
        id=resource.id,
        name=resource.name,
        project=resource.project,
        allocation=allocation,
        pool=pool,
        owner=resource.owner,
        disk=disk,
        unpriced=repr(resource.name) if disk is None else "",
        disk_since=_began(sql, resource.id),
    )


def _began(sql: Connection, id: str) -> int:
    """When the ledger began to count a volume or snapshot; 0 if it does not."""
    return max((segment.began for segment in ledger.open_of(sql, id)), default=0)


class StrandedReservations:
    """Ends the reservations of a location, and renews them when it is served."""

    def __init__(
        self, clock: Clock, workspaces: ReservationService, storage: StorageReservationService
    ) -> None:
        self._clock, self._workspaces, self._storage = clock, workspaces, storage
        self._locations = set[str]()

    def stop(self, tx: Tx, location: str, at: datetime) -> None:
        """Reserve nothing in a location."""
        self._locations.add(location)
        later = self._clock.now() + AGAIN
        for id in _ids(tx.sql, location):
            if reservation := store.find_reservation(tx.sql, id):
                store.put_reservation(tx, _without_money(reservation), later)

    def go_on(self, tx: Tx, location: str) -> None:
        """Reserve money for what is in a location, as far as there is some."""
        now = self._clock.now()
        for workspace in workspaces.living_at(tx.sql, location):
            self._workspaces.changed(tx, None, workspace, now, sure=False)
        for row in stored_at(tx.sql, location):
            self._storage.changed(tx, row, row, now)
        for id in _ids(tx.sql, location):
            store.due(tx, id, now)

    def holds(self, sql: Connection, id: str) -> bool:
        """Whether the reservation is of something that no daemon serves."""
        if not self._locations:
            return False
        rows = workspaces.by_ids(sql, [id])
        if rows:
            return rows[0].location in self._locations
        resource = find_resource(sql, id)
        return resource is not None and resource.location in self._locations


def payer(sql: Connection, id: str) -> tuple[str | None, str | None]:
    """The allocation and pool that pay for a volume or snapshot, as decided when it was made."""
    reservation = store.find_reservation(sql, id)
    return (None, None) if reservation is None else (reservation.allocation, reservation.pool)


def find_resource(sql: Connection, id: str) -> Volume | Snapshot | None:
    """The volume or snapshot with that id."""
    volumes = storage.by_ids(sql, Volume, [id])
    if volumes:
        return volumes[0]
    copies = storage.by_ids(sql, Snapshot, [id])
    return copies[0] if copies else None


def _rate(resource: Volume | Snapshot) -> Micros | None:
    """The price of a month; the maximum, if the size is not measured yet."""
    return monthly_cost(resource) if resource.used_bytes is not None else at_most(resource)


def _ids(sql: Connection, location: str) -> Iterator[str]:
    """Everything in a location that may have a reservation."""
    yield from (workspace.id for workspace in workspaces.living_at(sql, location))
    yield from (row.id for row in stored_at(sql, location))


def _without_money(reservation: Reservation) -> Reservation:
    return replace(
        reservation,
        running=False,
        until=reservation.since,
        kept=False,
        disk_until=reservation.disk_since,
        part_until=reservation.disk_since,
    )
