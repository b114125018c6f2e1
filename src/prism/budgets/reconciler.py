"""Renews reservations, records exceeded thresholds, and sums up each day of the ledger."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import sleep_reason
from prism.budgets.books import BookReader, Books, every_cap
from prism.budgets.events import ThresholdExceeded
from prism.budgets.model import Cap
from prism.budgets.reservations import ReservationService
from prism.budgets.storage_reservations import (
    AGAIN,
    StorageReservationService,
    StrandedReservations,
)
from prism.costs.ledger import Ledger
from prism.costs.plan import unix_time
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.reconcile import Claim, DatabaseReconciler, ReconcileResult
from prism.projects import store as projects
from prism.workspaces import store as workspaces
from prism.workspaces.events import SYSTEM
from prism.workspaces.plan import ACTIVE, state_of
from prism.workspaces.service import WorkspaceService

EVERY, DAY = timedelta(seconds=30), timedelta(days=1)


class BudgetReconciler(DatabaseReconciler):
    """Renews each reservation when it is due, and checks all caps every 30 seconds."""

    rows = store.reservations

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        reservations: ReservationService,
        ledger: Ledger,
        reader: BookReader,
        storage: StorageReservationService,
        stranded: StrandedReservations,
        workspace_service: WorkspaceService,
        settlements: Sequence[Callable[[], object]],
    ) -> None:
        self._db, self._clock, self._reservations = db, clock, reservations
        self._ledger, self._workspaces, self._settlements = ledger, workspace_service, settlements
        self._storage, self._reader, self._stranded = storage, reader, stranded

    def mark_due(self) -> timedelta:
        """Compare each cap with its spending, and sum up the days that are over."""
        self.watch()
        self._ledger.roll()
        for settle in self._settlements:
            settle()
        return EVERY

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Renew one reservation."""
        return ReconcileResult(DAY, lambda tx: self._renew(tx, claim.id))

    def watch(self) -> None:
        """Record newly exceeded thresholds, and put workspaces to sleep if a threshold says so."""
        with self._db.read() as sql:
            books, known = self._reader.open_whole(sql), store.crossed(sql)
            caps = [cap for cap in every_cap(sql) if cap.column != "project"]
            settled = {cap.id: books.spent(cap) for cap in caps}
            sleepy = []
            for project in projects.every(sql):
                if (whole := books.threshold_balance(project, reserved=False)) is None:
                    continue
                caps.append(whole.cap)
                settled[project.id] = whole.settled
                if sleep_reason(project, whole):
                    sleepy.append(project.id)
            unmarked = books.unmarked(caps)
        if unmarked:  # launches read the sums at the beginning of each pool's period
            with self._db.write() as tx:
                self._reader.open(tx.sql).mark(tx, caps)
        over = {
            (cap.id, f"{cap.alert:g}"): cap
            for cap in caps
            if (spent := settled[cap.id]) > 0 and spent >= cap.amount * cap.alert
        }
        if self._crossed(books, over, known) != over.keys() or known.keys() - over.keys():
            self._record_crossings(over, settled)
        for project_id in sleepy:
            self._sleep_project(project_id)

    def _crossed(
        self,
        books: Books,
        over: Mapping[tuple[str, str], Cap],
        known: Mapping[tuple[str, str], datetime],
    ) -> set[tuple[str, str]]:
        """The thresholds that are recorded as exceeded in the present period of their cap."""
        recorded = set()
        for key in over.keys() & known.keys():
            within = books.counted(over[key])
            if within is None or unix_time(known[key]) >= within.start:
                recorded.add(key)
        return recorded

    def _record_crossings(self, over: dict[tuple[str, str], Cap], settled: dict[str, int]) -> None:
        with self._db.write() as tx:
            known = store.crossed(tx.sql)  # read again: another daemon may have recorded it
            recorded = self._crossed(self._reader.open(tx.sql), over, known)
            for scope, threshold in known.keys() - recorded:
                store.uncross(tx, scope, threshold)
            for key in sorted(over.keys() - recorded):
                cap = over[key]
                store.cross(tx, *key, self._clock.now())
                tx.happened(
                    ThresholdExceeded(
                        actor=SYSTEM,
                        subject=cap.title,
                        scope=cap.column,
                        id=cap.id,
                        project=_project_of(tx.sql, cap),
                        threshold=cap.alert,
                        cap=cap.amount,
                        settled=settled[cap.id],
                    )
                )

    def _sleep_project(self, project: str) -> None:
        with self._db.write() as tx:
            owner = projects.find(tx.sql, project)
            books = self._reader.open(tx.sql)
            whole = None if owner is None else books.threshold_balance(owner, reserved=False)
            why = None if owner is None or whole is None else sleep_reason(owner, whole)
            if why is None:
                return  # the project was changed meanwhile
            for workspace in workspaces.living_in(tx.sql, project):
                self._force_sleep(tx, workspace.id, why)

    def _renew(self, tx: Tx, id: str) -> None:
        if self._stranded.holds(tx.sql, id):
            store.due(tx, id, self._clock.now() + AGAIN)
            return
        rows = workspaces.by_ids(tx.sql, [id])
        known = store.find_reservation(tx.sql, id)
        if known is not None and not rows and (at := self._storage.renew(tx, known)) is not None:
            store.due(tx, id, at)
            return
        if known is None or not rows or rows[0].ended_at is not None:
            store.release(tx, id)
            return
        workspace = rows[0]
        renewal = self._reservations.renew(tx, workspace)
        renewed = store.find_reservation(tx.sql, id)
        assert renewed is not None, "it was renewed in this transaction"
        store.put_reservation(tx, renewed, renewal.next_at)
        if state_of(workspace) not in ACTIVE:
            return
        if renewal.until != workspace.reserved_until:
            self._workspaces.set_reservation(id, renewal.until)
        if renewal.sleep_reason:
            self._force_sleep(tx, id, renewal.sleep_reason)

    def _force_sleep(self, tx: Tx, id: str, why: str) -> None:
        [workspace] = workspaces.by_ids(tx.sql, [id])
        if state_of(workspace) in ACTIVE:
            self._workspaces.force_sleep(id, why)


def _project_of(sql: Connection, cap: Cap) -> str | None:
    """The project whose members get the event; None for a pool: only the operator does."""
    if cap.column == "allocation":
        part = store.find_allocation(sql, cap.id)
        return None if part is None else part.project
    return cap.id if cap.column == "project" else None
