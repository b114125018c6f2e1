"""Reserves money before it is spent, as the admission check of workspaces.

Each reservation is made in the write transaction of the request, and there is one writer at a
time. So spent and reserved money together never exceed a cap, however many launches happen at once
on however many daemons.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.admission import CapComparison, check, no_money_then, refusal_data
from prism.budgets.balances import Balance, Balances, dollars, sleep_reason
from prism.budgets.forecasts import Forecasts
from prism.budgets.model import BudgetExceeded, Cap, Reservation
from prism.budgets.plan import (
    ALWAYS,
    SHORTEST,
    LedgerStart,
    due,
    extend_by,
    extension,
    horizon,
    longest,
    must_sleep,
    public_address,
    rates,
    renewed,
    reservation_for,
    reserved,
)
from prism.budgets.runway import CapUse, Runway, earliest
from prism.catalog.plan import PriceBook
from prism.costs import store as ledger
from prism.costs.ledger import RECENT_SURVEY
from prism.costs.model import MONTH_HOURS, CostKind
from prism.costs.plan import moment, unix_time
from prism.costs.store import Totals
from prism.errors import Unavailable, ValidationFailed
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.workspaces.hooks import BudgetForecast, CapForecast, FundingSource
from prism.workspaces.model import LifecycleVerb, Observed, Workspace
from prism.workspaces.plan import ACTIVE, state_of

NO_MONEY = "its budget cannot pay for more time"
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

    def __init__(self, clock: Clock, prices: PriceBook) -> None:
        self._clock, self._prices, self._balances = clock, prices, Balances(clock)

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
        if workspace.project is None:
            return None
        projects.named(tx.sql, workspace.project)
        if workspace.allocation is not None:
            store.allocation_named(tx.sql, workspace.allocation)
        self._require_recent(tx.sql, workspace)
        caps = self._caps(tx.sql, workspace)
        reservation = self._admitted(tx.sql, workspace, caps, beyond)
        at = moment(due(reservation, caps, self._balances.now))
        store.put_reservation(tx, reservation, at)
        return moment(reservation.until) if caps else None

    def outlook(self, sql: Connection, workspace: Workspace) -> BudgetForecast:
        """What a launch would reserve and leave of each cap; the one with least left is first."""
        _, disk = rates(workspace, self._prices)
        hourly = public_address(workspace, self._prices)
        address = None if hourly is None else Micros(hourly * MONTH_HOURS)
        if workspace.project is None:
            return BudgetForecast(disk_month=disk, address_month=address)
        caps = self._caps(sql, workspace)
        reservation = self._admitted(sql, workspace, caps)
        now = self._balances.now
        present = [
            balance
            for balance in check(self._balances, sql, caps, reservation, adds_disk=True)
            if balance.within is not None and balance.within.start <= now
        ]
        if not present:
            notes = ["no budget limits this project"]
            return BudgetForecast(disk_month=disk, address_month=address, notes=tuple(notes))
        first = self._first_runway(sql, present, reservation, workspace)
        caps_left = [_remainder(balance, reservation, now) for balance in present]
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
        if after.project is None or (reservation := store.reservation(tx.sql, after.id)) is None:
            return
        if after.ended_at is not None:
            store.release(tx, after.id)
            return
        began = self._began(tx.sql, after.id)
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
        reservation = store.reservation(tx.sql, workspace.id)
        assert reservation is not None, "only a reservation is renewed"
        if not self._is_current(reservation):  # it may have stopped; a survey will show that
            until = moment(reservation.until) if reservation.until > reservation.since else None
            return Renewal(until, moment(self._balances.now + UNSEEN))
        caps = self._caps(tx.sql, workspace)
        expires = None if workspace.expires_at is None else int(workspace.expires_at.timestamp())
        compute, disk = rates(workspace, self._prices)
        priced = replace(reservation, compute=compute, disk=disk)
        now = self._balances.now
        fresh = renewed(priced, caps, now, expires)
        extended = self._longest_affordable(tx.sql, caps, priced, fresh)
        if extended is None:
            return self._let_lapse(tx, caps, extend_by(reservation, fresh, 0))
        store.put_reservation(tx, extended)
        until = moment(extended.until) if caps and extended.until > extended.since else None
        ends = must_sleep(extended, caps, now)
        down = f"{NO_MONEY}: the {caps[-1].words} ends" if ends else None
        return Renewal(until, moment(due(extended, caps, now)), down)

    def _longest_affordable(
        self, sql: Connection, caps: Sequence[Cap], reservation: Reservation, fresh: Reservation
    ) -> Reservation | None:
        """`fresh`, or as much of it as fits; compute and disk are extended equally.

        None if the reservation cannot be extended, or does not fit any more.
        """
        if caps and (reservation.compute is None or reservation.disk is None):
            return None
        comparison = CapComparison(self._balances, sql, caps, reservation.id)
        if comparison.fit(fresh):
            return fresh
        more = longest(
            extension(reservation, fresh),
            lambda more: comparison.fit(extend_by(reservation, fresh, more)),
        )
        part = extend_by(reservation, fresh, more or 0)
        runs = part.until > part.since
        enough = SHORTEST if runs else 1
        return part if more is not None and more >= enough else None

    def _let_lapse(self, tx: Tx, caps: Sequence[Cap], reservation: Reservation) -> Renewal:
        """The result without money: sleep when the reservation is used up or the pool ends."""
        now = self._balances.now
        store.put_reservation(tx, reservation)
        if reservation.until <= reservation.since:  # for a disk only, which is always kept
            return Renewal(None, moment(due(reservation, caps, now)))
        balances = [self._balances.balance(tx.sql, cap) for cap in caps]
        gone = any(
            balance.within is None or balance.committed > balance.cap.amount
            for balance in balances
        )
        down = gone or must_sleep(reservation, caps, now) or now >= reservation.until - SHORTEST
        again = min(due(reservation, caps, now), max(now + 30, reservation.until - SHORTEST))
        why = _no_money(min(balances, key=lambda it: it.left)) if down and balances else NO_MONEY
        return Renewal(moment(reservation.until), moment(again), why if down else None)

    def _admitted(
        self,
        sql: Connection,
        workspace: Workspace,
        caps: Sequence[Cap],
        beyond: datetime | None = None,
    ) -> Reservation:
        """The reservation that a workspace needs to run; raises if it may not run."""
        now, runs = self._balances.now, state_of(workspace) in ACTIVE
        began = self._began(sql, workspace.id)
        reservation = reservation_for(workspace, caps, now, began, self._prices)
        if not runs:  # it changes its project while it is off, so only its disk costs money
            reservation = replace(reservation, until=reservation.since)
        if caps:
            _require_price(workspace, reservation, caps[0])
        totals = self._balances.totals(sql)
        self._require_launches_allowed(sql, caps, reservation, totals)
        if runs and reservation.until < now + SHORTEST and horizon(caps, now)[1] is not None:
            raise BudgetExceeded(
                f"The {caps[-1].words} is about to end",
                details="there is no time left in it to run anything",
                remediation="Use `prism budget list` to see available budgets",
            )
        old = unix_time(beyond) if beyond else None
        hours = old is not None or not _is_woken(workspace)
        check(
            self._balances,
            sql,
            caps,
            reservation,
            beyond=old,
            takes_hours=hours,
            adds_disk=_adds_disk(store.reservation(sql, reservation.id), reservation),
            totals=totals,
        )
        return reservation

    def _require_launches_allowed(
        self, sql: Connection, caps: Sequence[Cap], reservation: Reservation, totals: Totals
    ) -> None:
        """Raise if a cap has no money now, or a threshold prevents launches."""
        for cap in caps:
            if self._balances.present(cap) is None:
                raise no_money_then(cap, self._balances.now)
        if self._runs_on_same_money(sql, reservation):
            return
        for cap in caps:
            if not cap.admits(self._balances.spent(totals, cap)):
                raise self._launch_refused(self._balances.balance(sql, cap, totals), reservation)
        owner = projects.named(sql, reservation.project)
        if owner.cap is not None and owner.auto_hibernate_threshold is None:
            return
        whole = self._balances.threshold_balance(sql, owner, totals)
        if whole is not None and owner.cap is None and whole.no_launches:
            raise self._launch_refused(whole, reservation)
        if whole is not None and (why := sleep_reason(owner, whole)):
            raise BudgetExceeded(
                f"All workspaces of {owner.name!r} sleep: {why}",
                details="what starts now would be put to sleep at once",
                remediation=f"Raise the threshold with {_change_command(whole.cap)}",
                data=refusal_data(whole, reserved(reservation, self._balances.now)),
            )

    def _runs_on_same_money(self, sql: Connection, reservation: Reservation) -> bool:
        """Whether the workspace already runs, paid by the same project and allocation."""
        stored = store.reservation(sql, reservation.id)
        if stored is None or not reservation.running:
            return False
        return (stored.project, stored.allocation) == (reservation.project, reservation.allocation)

    def _launch_refused(self, balance: Balance, reservation: Reservation) -> BudgetExceeded:
        data = refusal_data(
            balance, reserved(reservation, self._balances.now, balance.within or ALWAYS)
        )
        if balance.is_empty:
            return BudgetExceeded(
                f"{balance.no_money[0].upper()}{balance.no_money[1:]}",
                details="cap $0.00, settled $0.00, reserved $0.00",
                remediation="Move some to it: `prism allocation move --help`",
                data=data,
            )
        return BudgetExceeded(
            f"The {balance.cap.words} admits no more launches",
            details=(
                f"{100 * balance.part:.1f} % of the cap of {dollars(balance.cap.amount)} is spent"
                f", and launches end at {100 * balance.cap.prevent:g} %: "
                f"settled {dollars(balance.settled)}, reserved {dollars(balance.reserved)}"
            ),
            remediation=f"Raise it with {_change_command(balance.cap)}, or stop unused workspaces",
            data=data,
        )

    def _first_runway(
        self, sql: Connection, present: Sequence[Balance], reservation: Reservation, new: Workspace
    ) -> Runway:
        """When the new workspace would have to sleep if nothing else changed."""
        uses = []
        for balance in present:
            rows = store.reservations_of(sql, balance.cap.column, balance.cap.id)
            rows = [row for row in rows if row.id != reservation.id]
            uses.append(CapUse(balance, [*rows, reservation]))
        known = {} if new.expires_at is None else {new.id: unix_time(new.expires_at)}
        forecasts = Forecasts(self._balances, sql)
        asleep = forecasts.threshold(projects.named(sql, reservation.project), uses, known)
        return earliest([asleep, *forecasts.ends(uses, known).values()])

    def _require_recent(self, sql: Connection, workspace: Workspace) -> None:
        """Raise if no recent survey has shown the machine, because its cost would be a guess."""
        counted = self._began(sql, workspace.id).counted
        if not counted or self._balances.now - counted <= RECENT_SURVEY:
            return
        raise Unavailable(
            f"Workspace {workspace.name!r} was last seen at {moment(counted):%Y-%m-%d %H:%M} UTC",
            details="Prism has to see it again before it changes what it costs",
            remediation="Try again in a few seconds",
        )

    def _is_current(self, reservation: Reservation) -> bool:
        return (
            not (reservation.running and reservation.counted)
            or self._balances.now - reservation.counted <= RECENT_SURVEY
        )

    def _caps(self, sql: Connection, workspace: Workspace) -> list[Cap]:
        assert workspace.project is not None, "only a project has a budget"
        return self._balances.caps(sql, workspace.project, workspace.allocation, workspace.pool)

    def _began(self, sql: Connection, workspace: str) -> LedgerStart:
        """When the ledger began to count a workspace's compute, and its disk."""
        segments = {segment.kind: segment for segment in ledger.open_of(sql, workspace)}
        compute, disk = segments.get(CostKind.COMPUTE), segments.get(CostKind.ROOT)
        return LedgerStart(
            compute=compute.began if compute else 0,
            disk=disk.began if disk else 0,
            counted=(compute.counted or 0) if compute else 0,
        )


def _change_command(cap: Cap) -> str:
    """The command that changes a cap."""
    return {
        "project": f"`prism project update {cap.id}`",
        "allocation": f"`prism allocation update {cap.id}`",
        "pool": f"`prism budget update {cap.id}`",
    }[cap.column]


def _require_price(workspace: Workspace, reservation: Reservation, cap: Cap) -> None:
    """Raise if a cap applies and the price of the machine or its disk is not known."""
    if reservation.compute is None or reservation.disk is None:
        unpriced = "a disk" if reservation.disk is None else workspace.instance_type
        raise BudgetExceeded(
            f"The price of {unpriced} in {workspace.region} is not known",
            details=f"the {cap.words} has a cap, which needs a price",
            remediation="Choose another type, or see `prism template list`",
        )


def _adds_disk(stored: Reservation | None, reservation: Reservation) -> bool:
    """Whether the caps of a reservation do not pay for its disk yet."""
    if stored is None or stored.disk_until <= stored.disk_since:
        return True
    if (stored.allocation, stored.pool) != (reservation.allocation, reservation.pool):
        return True
    return (reservation.disk or 0) > (stored.disk or 0)


def _is_woken(workspace: Workspace) -> bool:
    """Whether the request is a start or resume, which do not contain hours."""
    return (
        workspace.verb in {LifecycleVerb.START, LifecycleVerb.RESUME}
        and workspace.observed is not Observed.ON
    )


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
