"""Money is set aside before it is spent: implements what workspaces ask of upstairs.

Every promise is made in the write transaction of the wish, and there is one writer at a
time; so what is settled and what is set aside never exceed a cap together, however many
launches race, on however many daemons.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.books import Books, Standing, dollars, no_money_then, numbers, pace
from prism.budgets.model import BudgetExceeded, Cap, Reservation, Window
from prism.budgets.plan import SHORTEST, drawn, due, held, horizon, over, rates, renewed
from prism.costs import store as ledger
from prism.costs.model import HOUR, MONTH_HOURS, Kind
from prism.costs.plan import moment
from prism.errors import ValidationFailed
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.workspaces.model import Workspace
from prism.workspaces.plan import ACTIVE, state_of
from prism.workspaces.upstairs import Fund, Outlook


class Escrow:
    """Implements `LaunchGuard`, `Treasury` and, told after the ledger, `Meter`."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._books = clock, Books(clock)

    def fund(self, sql: Connection, project: str | None, budget: str | None) -> Fund:
        """Whose money pays for a launch."""
        if project is None:
            if budget is None:
                return Fund()
            store.pool_named(sql, budget)
            raise ValidationFailed.of(("project", "is missing: a budget pays for a project"))
        owner = projects.named(sql, project)
        parts = store.allocations_of(sql, project=owner.id)
        names = {it.pool: store.pool_named(sql, it.pool).name for it in parts}
        said = ", ".join(sorted(names.values())) or "none"
        fitting = [it for it in parts if budget in {None, it.pool, names[it.pool]}]
        if budget is not None and not fitting:
            # Word for word the same for a pool that is not there: whose else there are is secret.
            why = f"{budget!r} allocates nothing to {owner.name!r}; these do: {said}"
            raise ValidationFailed.of(("budget", why))
        if len(fitting) > 1:
            why = f"is missing: {owner.name!r} has money from several: {said}"
            raise ValidationFailed.of(("budget", why))
        if not fitting:
            return Fund(owner.id, owner.name)
        part = fitting[0]
        return Fund(owner.id, owner.name, part.id, part.pool, names[part.pool])

    def allow(self, tx: Tx, workspace: Workspace) -> datetime | None:
        """Set aside what it will need, or refuse; until when it may run on that."""
        if workspace.project is None:
            return None
        projects.named(tx.sql, workspace.project)
        if workspace.allocation is not None:
            store.allocation_named(tx.sql, workspace.allocation)
        caps = self._caps(tx.sql, workspace)
        wanted = self._wanted(tx.sql, workspace, caps)
        at = moment(due(wanted, caps, self._books.now))
        store.put_reservation(tx, wanted, at)
        return moment(wanted.until) if caps else None

    def outlook(self, sql: Connection, workspace: Workspace) -> Outlook:
        """What a launch would leave of the money that has least left."""
        _, disk = rates(workspace)
        if workspace.project is None:
            return Outlook(disk_month=disk)
        caps = self._caps(sql, workspace)
        wanted = self._wanted(sql, workspace, caps)
        standings = self._books.check(sql, caps, wanted)
        if not standings:
            return Outlook(disk_month=disk, notes=("no budget limits this project",))
        least = min(standings, key=lambda it: it.left)
        return Outlook(
            needed=Micros(held(wanted, self._books.now, least.within or Window(0, None))),
            left=Micros(least.left),
            of=least.cap.name,
            lasts_until=self._gone(sql, least, workspace),
            disk_month=disk,
        )

    def changed(
        self, tx: Tx, before: Workspace | None, after: Workspace, at: datetime, *, sure: bool
    ) -> None:
        """What the ledger counts by itself now is not set aside a second time."""
        if after.project is None or (it := store.reservation(tx.sql, after.id)) is None:
            return
        if after.ended_at is not None:
            store.release(tx, after.id)
            return
        began = self._began(tx.sql, after.id)
        running = began[0] > 0
        idle = not running and state_of(after) not in ACTIVE
        # What ran until now is settled; where it is to run again, the rest is held from here on.
        over = ledger.last_end(tx.sql, after.id) if it.running else it.since
        since, disk_since = began[0] or over, began[1] or it.disk_since
        compute, disk = rates(after)
        now = replace(
            it,
            compute=compute,
            disk=disk,
            running=running,
            since=since,
            until=since if idle else it.until,
            kept=began[1] > 0,
            disk_since=disk_since,
            disk_until=disk_since if idle and not began[1] else it.disk_until,
        )
        if now != it:
            dearer = (compute, disk) != (it.compute, it.disk)
            store.put_reservation(tx, now, self._clock.now() if dearer else None)

    def renew(self, tx: Tx, workspace: Workspace) -> tuple[datetime | None, bool, datetime]:
        """Carry a reservation on: until when it may run, whether it must go down, when to look."""
        it = store.reservation(tx.sql, workspace.id)
        assert it is not None, "only a reservation is renewed"
        caps = self._caps(tx.sql, workspace)
        expires = None if workspace.expires_at is None else int(workspace.expires_at.timestamp())
        compute, disk = rates(workspace)
        priced = replace(it, compute=compute, disk=disk)
        now = self._books.now
        fresh = renewed(priced, caps, now, expires)
        disk_until = min(it.disk_until, fresh.disk_until)
        for wanted in (fresh, replace(fresh, disk_until=disk_until)):
            if self._fits(tx.sql, caps, wanted):
                store.put_reservation(tx, wanted)
                until = moment(wanted.until) if caps and wanted.until > wanted.since else None
                return until, over(wanted, caps, now), moment(due(wanted, caps, now))
        rest = replace(it, until=min(it.until, fresh.until), disk_until=disk_until)
        return self._lapsing(tx, caps, rest)

    def _lapsing(
        self, tx: Tx, caps: Sequence[Cap], it: Reservation
    ) -> tuple[datetime | None, bool, datetime]:
        """There is no more money: it goes down when what is set aside is used up, or has ended."""
        now = self._books.now
        store.put_reservation(tx, it)
        if it.until <= it.since:  # only a disk: it is kept, whatever it costs
            return None, False, moment(due(it, caps, now))
        gone = any(
            at.within is None or at.settled + at.reserved > at.cap.amount
            for at in (self._books.standing(tx.sql, cap) for cap in caps)
        )
        down = gone or over(it, caps, now) or now >= it.until - SHORTEST
        again = min(due(it, caps, now), max(now + 30, it.until - SHORTEST))
        return moment(it.until), down, moment(again)

    def _fits(self, sql: Connection, caps: Sequence[Cap], wanted: Reservation) -> bool:
        if caps and (wanted.compute is None or wanted.disk is None):
            return False
        try:
            self._books.check(sql, caps, wanted)
        except BudgetExceeded:
            return False
        return True

    def _wanted(self, sql: Connection, it: Workspace, caps: Sequence[Cap]) -> Reservation:
        """What must be set aside for it to run; raises where it may not."""
        now, runs = self._books.now, state_of(it) in ACTIVE
        wanted = drawn(it, caps, now, self._began(sql, it.id))
        if not runs:  # it changes its project while it is off: only its disk is to be paid
            wanted = replace(wanted, until=wanted.since)
        if caps and (wanted.compute is None or wanted.disk is None):
            what = "a disk" if wanted.disk is None else it.instance_type
            raise BudgetExceeded(
                f"The price of {what} in {it.region} is not known",
                details=f"the {caps[0].words} has a cap, which nobody can keep without a price",
                remediation="Choose another type, or see `prism template list`",
            )
        self._admit(sql, caps, wanted)
        if runs and wanted.until < now + SHORTEST and horizon(caps, now)[1] is not None:
            raise BudgetExceeded(
                f"The {caps[-1].words} is about to end",
                details="there is no time left in it to run something",
                remediation="Use `prism budget list` to see available budgets",
            )
        self._books.check(sql, caps, wanted)
        return wanted

    def _admit(self, sql: Connection, caps: Sequence[Cap], wanted: Reservation) -> None:
        """Raise where there is no money now, or so much is spent that nothing more may begin."""
        for cap in caps:
            if self._books.present(cap) is None:
                raise no_money_then(cap, self._books.now)
        if self._goes_on(sql, wanted):
            return
        for cap in caps:
            if self._books.spent(sql, cap) >= cap.amount * cap.prevent:
                raise self._prevented(self._books.standing(sql, cap), wanted)
        owner = projects.named(sql, wanted.project)
        whole = self._books.whole(sql, owner) if owner.cap is None else None
        if whole is not None and whole.settled >= whole.cap.amount * whole.cap.prevent:
            raise self._prevented(whole, wanted)

    def _goes_on(self, sql: Connection, wanted: Reservation) -> bool:
        """Whether it runs on this very money already."""
        it = store.reservation(sql, wanted.id)
        if it is None or not wanted.running:
            return False
        return (it.project, it.allocation) == (wanted.project, wanted.allocation)

    def _prevented(self, at: Standing, wanted: Reservation) -> BudgetExceeded:
        return BudgetExceeded(
            f"The {at.cap.words} admits no more launches",
            details=(
                f"{100 * at.part:.1f} % of the cap of {dollars(at.cap.amount)} is spent, and "
                f"launches end at {100 * at.cap.prevent:g} %: settled {dollars(at.settled)}, "
                f"reserved {dollars(at.reserved)}"
            ),
            remediation="Raise it with `prism project update`, or stop what is not needed",
            data=numbers(at, held(wanted, self._books.now, at.within or Window(0, None))),
        )

    def _gone(self, sql: Connection, at: Standing, new: Workspace) -> datetime | None:
        """When the money is used up, if this and all that costs something now goes on."""
        compute, disk = rates(new)
        month = (compute or 0) * MONTH_HOURS + (disk or 0) + pace(ledger.open_now(sql), at.cap)
        left = at.cap.amount - at.settled
        if month <= 0 or left <= 0:
            return None
        gone = self._books.now + left * MONTH_HOURS * HOUR // month
        end = at.within.end if at.within else None
        return None if gone > 32503680000 or (end is not None and gone > end) else moment(gone)

    def _caps(self, sql: Connection, it: Workspace) -> list[Cap]:
        assert it.project is not None, "who has no project has no budget"
        return self._books.caps(sql, it.project, it.allocation, it.pool)

    def _began(self, sql: Connection, workspace: str) -> tuple[int, int]:
        """Since when the ledger counts a workspace's compute, and its disk; 0 for not."""
        held = {it.kind: it.began for it in ledger.open_of(sql, workspace)}
        return held.get(Kind.COMPUTE, 0), held.get(Kind.ROOT, 0)
