"""Reserves money before it is spent, as the admission check of workspaces.

Each reservation is made in the write transaction of the request, and there is one writer at a
time. So spent and reserved money together never exceed a cap, however many launches happen at once
on however many daemons.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.admission import admit, affordable
from prism.budgets.balances import Balance, dollars
from prism.budgets.books import BookReader, Books
from prism.budgets.model import Cap, Reservation
from prism.budgets.plan import (
    ALWAYS,
    SHORTEST,
    STOPPING,
    Demand,
    due,
    extend_by,
    extension,
    must_sleep,
    public_address,
    rates,
    renewed,
    reserved,
)
from prism.budgets.runway import CapUse, Runway, earliest
from prism.catalog.plan import PriceBook
from prism.costs import store as ledger
from prism.costs.ledger import RECENT_SURVEY
from prism.costs.model import MONTH_HOURS, CostKind
from prism.costs.plan import moment, price_factors, unix_time
from prism.errors import Unavailable, ValidationFailed
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.workspaces.hooks import BudgetForecast, CapForecast, FundingSource
from prism.workspaces.model import LifecycleVerb, Observed, Workspace
from prism.workspaces.plan import ACTIVE, state_of

NO_MONEY = "its budget cannot pay for more time"
WAKING = {LifecycleVerb.START, LifecycleVerb.RESUME}
UNSEEN = 15  # seconds until the next look at a reservation without a recent survey


class Renewal(Struct, frozen=True):
    """The result of a renewal: until when a workspace runs, and when to renew next.

    `sleep_reason` says why the workspace must sleep now; None if it need not.
    """

    until: datetime | None
    next_at: datetime
    sleep_reason: str | None = None


class ReservationService:
    """Implements `AdmissionCheck`, `FundingPolicy` and, after the ledger, `ChangeListener`."""

    def __init__(self, clock: Clock, prices: PriceBook, reader: BookReader) -> None:
        self._clock, self._prices, self._reader = clock, prices, reader

    def fund(self, sql: Connection, project: str | None, budget: str | None) -> FundingSource:
        """The project, allocation and pool that pay for a launch."""
        if project is None:
            if budget is None:
                return FundingSource()
            store.pool_named(sql, budget)
            raise ValidationFailed.of(("project", "is missing: a budget pays for a project"))
        owner = projects.named(sql, project)
        parts = store.allocations_of(sql, project=owner.id)
        names = {part.pool: store.pool_named(sql, part.pool).name for part in parts}
        pool_names = ", ".join(sorted(names.values())) or "none"
        fitting = [part for part in parts if budget in {None, part.pool, names[part.pool]}]
        if budget is not None and not fitting:
            # A pool that does not exist gets the same text: others' pools are secret.
            why = f"{budget!r} allocates nothing to {owner.name!r}; these do: {pool_names}"
            raise ValidationFailed.of(("budget", why))
        if len(fitting) > 1:
            why = f"is missing: {owner.name!r} has money from several: {pool_names}"
            raise ValidationFailed.of(("budget", why))
        if not fitting:
            return FundingSource(owner.id, owner.name)
        part = fitting[0]
        return FundingSource(owner.id, owner.name, part.id, part.pool, names[part.pool])

    def allow(
        self, tx: Tx, workspace: Workspace, *, beyond: datetime | None = None
    ) -> datetime | None:
        """Reserve the money, or raise; returns until when the workspace may run with it."""
        books, old = self._reader.open(tx.sql), unix_time(beyond) if beyond else None
        if books.limits is not None:
            books.limits.record(tx, workspace.id)
            if beyond is None:
                books.limits.require_room(tx.sql, workspace)
        if workspace.project is None:
            return None
        projects.named(tx.sql, workspace.project)
        if workspace.allocation is not None:
            store.allocation_named(tx.sql, workspace.allocation)
        demand = self._demand(tx.sql, workspace, workspace.project)
        _require_recent(workspace, demand.counted, books.now)
        admitted = admit(books, demand, beyond=old)
        reservation, caps = admitted.reservation, admitted.caps
        store.put_reservation(tx, reservation, moment(due(reservation, caps, books.now)))
        return moment(reservation.until) if caps else None

    def outlook(self, sql: Connection, workspace: Workspace) -> BudgetForecast:
        """What a launch would reserve and leave of each cap; the one with least left is first."""
        _, disk = rates(workspace, self._prices)
        hourly = public_address(workspace, self._prices)
        address = None if hourly is None else Micros(hourly * MONTH_HOURS)
        books = self._reader.open(sql)
        if books.limits is not None:
            books.limits.require_room(sql, workspace)
        if workspace.project is None:
            return BudgetForecast(disk_month=disk, address_month=address)
        admitted = admit(books, self._demand(sql, workspace, workspace.project))
        reservation, balances = admitted.reservation, admitted.balances
        present = [b for b in balances if b.within is not None and b.within.start <= books.now]
        if not present:
            notes = ["no budget limits this project"]
            return BudgetForecast(disk_month=disk, address_month=address, notes=tuple(notes))
        first = _first_runway(books, present, reservation, workspace)
        caps_left = [_remainder(balance, reservation, books.now) for balance in present]
        least = min(range(len(present)), key=lambda i: (caps_left[i].left, present[i].left))
        notes = [f"runs out first: {first.because}"] if first.because else []
        return BudgetForecast(
            needed=caps_left[least].needed,
            left=caps_left[least].left,
            of=present[least].cap.title,
            caps=tuple(caps_left),
            lasts_until=None if first.at is None else moment(first.at),
            disk_month=disk,
            address_month=address,
            notes=tuple(notes),
        )

    def changed(
        self, tx: Tx, before: Workspace | None, after: Workspace, at: datetime, *, sure: bool
    ) -> None:
        """Shorten the reservation by what the ledger counts from now on."""
        if before is not None and _counts_the_same(before, after):
            return
        if (
            after.project is None
            or (reservation := store.find_reservation(tx.sql, after.id)) is None
        ):
            return
        if after.ended_at is not None:
            store.release(tx, after.id)
            return
        began = _ledger_start(tx.sql, after.id)
        running = began.compute > 0
        idle = not running and state_of(after) not in ACTIVE
        # The run until now is settled; if it should run again, the rest is reserved from now on.
        since, disk_since = began.compute, began.disk or reservation.disk_since
        if not running:
            since = ledger.last_end(tx.sql, after.id) if reservation.running else reservation.since
        lapsed = idle and not began.disk
        compute, disk = rates(after, self._prices)
        now = replace(
            reservation,
            compute=compute,
            disk=disk,
            running=running,
            since=since,
            until=since if idle else reservation.until,
            kept=began.disk > 0,
            disk_since=disk_since,
            disk_until=disk_since if lapsed else reservation.disk_until,
            part_until=disk_since if lapsed else reservation.part_until,
            counted=began.counted,
        )
        if now != reservation:
            dearer = (compute, disk) != (reservation.compute, reservation.disk)
            store.put_reservation(tx, now, self._clock.now() if dearer else None)

    def confirmed(self, tx: Tx, ids: Sequence[str], at: datetime) -> None:
        """Implements `RunningTime`: what the ledger counts until then is not reserved."""
        store.confirm(tx, ids, unix_time(at))

    def renew(self, tx: Tx, workspace: Workspace) -> Renewal:
        """Extend a reservation as far as its caps can pay."""
        reservation, books = (
            store.find_reservation(tx.sql, workspace.id),
            self._reader.open(tx.sql),
        )
        assert reservation is not None, "only a reservation is renewed"
        now = books.now
        if _is_unseen(reservation.counted if reservation.running else 0, now):
            # It may have stopped; a survey will show that.
            until = moment(reservation.until) if reservation.until > reservation.since else None
            return Renewal(until, moment(now + UNSEEN))
        assert workspace.project is not None, "only a project has a budget"
        payer = (workspace.project, workspace.allocation, workspace.pool)
        caps = books.caps(
            *payer,
            owner=workspace.owner,
            resource=workspace.id,
            launcher=workspace.launched_by,
        )
        expires = None if workspace.expires_at is None else unix_time(workspace.expires_at)
        compute, disk = rates(workspace, self._prices)
        priced = replace(reservation, compute=compute, disk=disk)
        fresh = renewed(priced, caps, now, expires)
        extended, more = affordable(books, caps, priced, fresh)
        runs = extended.until > extended.since
        least = min(SHORTEST if runs else 1, extension(priced, fresh))
        if more is None or more < least or (caps and None in {compute, disk}):
            return _let_lapse(tx, books, caps, extend_by(reservation, fresh, 0))
        store.put_reservation(tx, extended)
        until = moment(extended.until) if caps and runs else None
        ends = must_sleep(extended, caps, now)
        down = f"{NO_MONEY}: the {caps[-1].words} ends" if ends else None
        return Renewal(until, moment(due(extended, caps, now)), down)

    def _demand(self, sql: Connection, workspace: Workspace, project: str) -> Demand:
        """What a workspace needs to run, or, if it is moved while it is off, to be kept."""
        began, stored = _ledger_start(sql, workspace.id), store.find_reservation(sql, workspace.id)
        compute, disk = rates(workspace, self._prices)
        unpriced = "a disk" if disk is None else workspace.instance_type
        payer = (project, workspace.allocation, workspace.pool)
        paid_by = None if stored is None else (stored.project, stored.allocation, stored.pool)
        is_paid = (
            stored is not None
            and (stored.allocation, stored.pool) == payer[1:]
            and stored.disk_until > stored.disk_since
            and (disk or 0) <= (stored.disk or 0)
        )
        return Demand(
            id=workspace.id,
            name=workspace.name,
            project=project,
            allocation=workspace.allocation,
            pool=workspace.pool,
            owner=workspace.owner,
            launcher=workspace.launched_by,
            compute=compute,
            disk=disk,
            unpriced=f"{unpriced} in {workspace.region}" if None in {compute, disk} else "",
            since=began.compute,
            counted=began.counted,
            disk_since=began.disk,
            until=None if workspace.expires_at is None else unix_time(workspace.expires_at),
            stopping=STOPPING if workspace.hibernation else 0,
            runs=state_of(workspace) in ACTIVE,
            wakes=workspace.verb in WAKING and workspace.observed is not Observed.ON,
            adds_disk=not is_paid,
            obeys_thresholds=not began.compute or paid_by is None or paid_by[:2] != payer[:2],
        )


def _counts_the_same(before: Workspace, after: Workspace) -> bool:
    """Whether a change leaves the costs as they are, and what is reserved for them."""
    if price_factors(before) != price_factors(after):
        return False
    runs = after.observed is Observed.ON or after.charged
    return runs or (state_of(before) in ACTIVE) == (state_of(after) in ACTIVE)


class _LedgerStart(NamedTuple):
    """When the ledger began to count compute and disk, 0 for not; compute until `counted`."""

    compute: int
    disk: int
    counted: int


def _ledger_start(sql: Connection, workspace: str) -> _LedgerStart:
    segments = {segment.kind: segment for segment in ledger.open_of(sql, workspace)}
    compute, disk = segments.get(CostKind.COMPUTE), segments.get(CostKind.ROOT)
    return _LedgerStart(
        compute.began if compute else 0,
        disk.began if disk else 0,
        (compute.counted or 0) if compute else 0,
    )


def _is_unseen(counted: int, now: int) -> bool:
    """Whether no recent survey has shown a machine that the ledger counts until then."""
    return bool(counted) and now - counted > RECENT_SURVEY


def _require_recent(workspace: Workspace, counted: int, now: int) -> None:
    """Raise if no recent survey has shown the machine, because its cost would be a guess."""
    if _is_unseen(counted, now):
        raise Unavailable(
            f"Workspace {workspace.name!r} was last seen at {moment(counted):%Y-%m-%d %H:%M} UTC",
            details="Prism has to see it again before it changes what it costs",
            remediation="Try again in a few seconds",
        )


def _let_lapse(tx: Tx, books: Books, caps: Sequence[Cap], reservation: Reservation) -> Renewal:
    """The result without money: sleep when the reservation is used up or the pool ends."""
    now = books.now
    store.put_reservation(tx, reservation)
    if reservation.until <= reservation.since:  # for a disk only, which is always kept
        return Renewal(None, moment(due(reservation, caps, now)))
    balances = [books.balance(cap) for cap in caps]
    gone = any(
        balance.within is None or balance.committed > balance.cap.amount for balance in balances
    )
    down = gone or must_sleep(reservation, caps, now) or now >= reservation.until - SHORTEST
    again = min(due(reservation, caps, now), max(now + 30, reservation.until - SHORTEST))
    why = _no_money(min(balances, key=lambda it: it.left)) if down and balances else NO_MONEY
    return Renewal(moment(reservation.until), moment(again), why if down else None)


def _first_runway(
    books: Books, present: Sequence[Balance], reservation: Reservation, new: Workspace
) -> Runway:
    """When the new workspace would have to sleep if nothing else changed."""
    uses = [
        CapUse(use.balance, [*(row for row in use.rows if row.id != new.id), reservation])
        for use in books.uses(present)
    ]
    known = {} if new.expires_at is None else {new.id: unix_time(new.expires_at)}
    asleep = books.threshold(projects.named(books.sql, reservation.project), uses, known)
    return earliest([asleep, *books.ends(uses, known).values()])


def _remainder(balance: Balance, reservation: Reservation, now: int) -> CapForecast:
    """What a reservation takes from one cap, and what it leaves."""
    needed = reserved(reservation, now, balance.within or ALWAYS, own=balance.cap.is_own)
    return CapForecast(balance.cap.words, Micros(needed), balance.shown_left)


def _no_money(balance: Balance) -> str:
    """Why the workspace has to sleep, with the numbers of the cap that has least left."""
    if balance.within is None:
        return f"{NO_MONEY}: the {balance.cap.words} has ended"
    disks = f", {dollars(balance.disks)} of it for disks" if balance.disks else ""
    return (
        f"{NO_MONEY}: of the {dollars(balance.cap.amount)} of {balance.cap.words} "
        f"{dollars(balance.settled)} is spent and {dollars(balance.reserved)} reserved{disks}"
    )
