"""Reserves no money for a home that no daemon serves: nothing in it is charged."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.model import Reservation
from prism.budgets.reservations import ReservationService
from prism.budgets.storage_reservations import StorageReservationService, find_resource
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.storage import store as storage
from prism.storage.model import Snapshot, Volume
from prism.workspaces import store as workspaces

AGAIN = timedelta(hours=1)  # until the next look whether it is served


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
            if reservation := store.reservation(tx.sql, id):
                store.put_reservation(tx, _without_money(reservation), later)

    def go_on(self, tx: Tx, location: str) -> None:
        """Reserve money for what is in a location, as far as there is some."""
        now = self._clock.now()
        for workspace in workspaces.living_at(tx.sql, location):
            self._workspaces.changed(tx, workspace, workspace, now, sure=False)
        for row in _stored(tx.sql, location):
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


def _ids(sql: Connection, location: str) -> Iterator[str]:
    """Everything in a location that may have a reservation."""
    yield from (workspace.id for workspace in workspaces.living_at(sql, location))
    yield from (row.id for row in _stored(sql, location))


def _stored(sql: Connection, location: str) -> list[Volume | Snapshot]:
    volumes = storage.every_at(sql, Volume, location)
    return [*volumes, *storage.every_at(sql, Snapshot, location)]


def _without_money(reservation: Reservation) -> Reservation:
    return replace(
        reservation,
        running=False,
        until=reservation.since,
        kept=False,
        disk_until=reservation.disk_since,
        part_until=reservation.disk_since,
    )
