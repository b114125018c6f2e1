"""What each limit stands at: its caps, what is settled, what is set aside."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.model import BudgetExceeded, Cap, Pool, Reservation, Window
from prism.budgets.plan import affordable, held, window, windows
from prism.costs import store as ledger
from prism.costs.model import MONTH_HOURS
from prism.costs.plan import second
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.projects.model import Project


class Standing(Struct, frozen=True):
    """Where a cap stands in one of its periods; `within` is null when it has none."""

    cap: Cap
    within: Window | None
    settled: int
    reserved: int

    @property
    def left(self) -> int:
        """What may still be promised; never less than nothing."""
        return max(0, self.cap.amount - self.settled - self.reserved)


class Books:
    """Reads ledger and reservations together, as of now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def now(self) -> int:
        """The moment, as the ledger counts it."""
        return second(self._clock.now())

    def caps(
        self, sql: Connection, project: str, allocation: str | None, pool: str | None
    ) -> list[Cap]:
        """Every limit that money of this project, from this allocation, must fit."""
        found = []
        owner = projects.find(sql, project)
        if owner is not None and owner.cap is not None:
            found.append(project_cap(owner, owner.cap))
        part = store.find_allocation(sql, allocation) if allocation else None
        source = store.find_pool(sql, pool) if pool else None
        if part is not None and source is not None:
            found.append(allocation_cap(part.id, owner, source, part.amount, part.alert_threshold))
        if source is not None:
            found.append(pool_cap(source))
        return found

    def settled(self, sql: Connection, cap: Cap, within: Window) -> int:
        """What the ledger has booked on a cap in one of its periods."""
        if within.start > self.now:
            return 0
        total = ledger.total(sql, cap.column, cap.id, self.now)
        if within.start:
            total = Micros(total - self._by(sql, cap, within.start))
        if within.end is not None and within.end < self.now:
            total = Micros(self._by(sql, cap, within.end) - (self._by(sql, cap, within.start)))
        return total

    def reserved(self, sql: Connection, cap: Cap, within: Window) -> int:
        """What is set aside of a cap in one of its periods."""
        rows = store.reservations_of(sql, cap.column, cap.id)
        return sum(held(it, self.now, within) for it in rows)

    def sum_held(self, rows: Sequence[Reservation]) -> int:
        """What these set aside together."""
        return sum(held(it, self.now) for it in rows)

    def present(self, cap: Cap) -> Window | None:
        """The period of a cap that it is now; null where it has none."""
        return Window(0, None) if cap.pool is None else window(cap.pool, self.now)

    def standing(self, sql: Connection, cap: Cap) -> Standing:
        """Where a cap stands in its present period, or in its last one."""
        within = self.present(cap)
        if within is None:
            assert cap.pool is not None, "only a pool has periods"
            end = cap.pool.end_date
            over = end is not None and second(end) <= self.now
            last = window(cap.pool, second(end) - 1) if over and end else None
            settled = self.settled(sql, cap, last) if last else 0
            return Standing(cap, None, settled, 0)
        return Standing(
            cap, within, self.settled(sql, cap, within), self.reserved(sql, cap, within)
        )

    def unmarked(self, sql: Connection, caps: Sequence[Cap]) -> list[tuple[Cap, int]]:
        """The caps whose present period began at a moment that is not summed up yet."""
        found = []
        for cap in caps:
            here = None if cap.pool is None else window(cap.pool, self.now)
            if here is not None and not ledger.is_marked(sql, cap.id, here.start):
                found.append((cap, here.start))
        return found

    def mark(self, tx: Tx, cap: Cap, at: int) -> None:
        """Keep what was spent on a cap by a moment that has passed."""
        ledger.mark(tx, cap.id, at, self._by(tx.sql, cap, at))

    def check(self, sql: Connection, caps: Sequence[Cap], wanted: Reservation) -> list[Standing]:
        """Raise where it does not fit; else where each cap will stand, this included."""
        end = max(wanted.until + wanted.stopping, wanted.disk_until)
        found = []
        for cap in caps:
            rows = store.reservations_of(sql, cap.column, cap.id)
            for within in windows(cap, self.now, end):
                if within is None:
                    raise no_money_then(cap, self.now)
                others = sum(held(it, self.now, within) for it in rows if it.id != wanted.id)
                before = Standing(cap, within, self.settled(sql, cap, within), others)
                need = held(wanted, self.now, within)
                if before.settled + others + need > cap.amount:
                    owner = projects.find(sql, wanted.project)
                    raise _exceeded(before, wanted, need, owner.name if owner else "")
                found.append(Standing(cap, within, before.settled, others + need))
        return found

    def _by(self, sql: Connection, cap: Cap, at: int) -> int:
        return ledger.total_by(sql, cap.column, cap.id, at, self.now)


def project_cap(it: Project, amount: Micros) -> Cap:
    """A project's own cap; its thresholds are percent on the wire."""
    alert, prevent = it.alert_threshold / 100, it.prevent_launch_threshold / 100
    return Cap(
        column="project", id=it.id, name=it.name, amount=amount, alert=alert, prevent=prevent
    )


def allocation_cap(
    id: str, project: Project | None, pool: Pool, amount: Micros, alert: float
) -> Cap:
    """A project's part of a pool."""
    name = f"{project.name if project else '?'}, from {pool.name}"
    return Cap(column="allocation", id=id, name=name, amount=amount, pool=pool, alert=alert)


def pool_cap(it: Pool) -> Cap:
    """A whole pool."""
    return Cap(
        column="pool", id=it.id, name=it.name, amount=it.total, pool=it, alert=it.alert_threshold
    )


def every_cap(sql: Connection) -> list[Cap]:
    """Every cap there is."""
    owners = {it.id: it for it in projects.every(sql)}
    pools = {it.id: it for it in store.every_pool(sql)}
    found = [project_cap(it, it.cap) for it in owners.values() if it.cap is not None]
    for part in store.allocations_of(sql):
        owner, source = owners.get(part.project), pools[part.pool]
        found.append(allocation_cap(part.id, owner, source, part.amount, part.alert_threshold))
    return [*found, *(pool_cap(it) for it in pools.values())]


def dollars(micros: int) -> str:
    """An amount for sentences."""
    return f"${micros / 1e6:,.2f}" if abs(micros) >= 10_000 or not micros else f"${micros / 1e6:f}"


def numbers(at: Standing, needed: int) -> dict[str, Any]:
    """The same for programs, in USD."""
    sums = {"cap": at.cap.amount, "settled": at.settled, "reserved": at.reserved}
    return {name: micros / 1e6 for name, micros in {**sums, "needed": needed}.items()}


def _exceeded(at: Standing, wanted: Reservation, need: int, owner: str) -> BudgetExceeded:
    disk = held(replace(wanted, until=wanted.since), 0)
    span = affordable(at.left, wanted.compute, disk)
    if not wanted.compute:  # only a disk
        span = affordable(at.left * MONTH_HOURS, wanted.disk, 0)
    hours = span.total_seconds() / 3600
    possible = f"the {dollars(at.left)} left do not pay its disk" if at.left else "nothing is left"
    if hours > 0:
        possible = f"what is left pays for {hours:.1f} h of it"
    return BudgetExceeded(
        f"The {at.cap.words} has not enough money left for {wanted.name!r}",
        details=(
            f"cap {dollars(at.cap.amount)}, settled {dollars(at.settled)}, "
            f"reserved {dollars(at.reserved)}, needed {dollars(need)}; {possible}"
        ),
        remediation=f"See `prism budget forecast {_quoted(owner)}`",
        data=numbers(at, need),
    )


def no_money_then(cap: Cap, now: int) -> BudgetExceeded:
    """The problem of a pool that has not begun, or has ended."""
    pool = cap.pool
    assert pool is not None, "only a pool has periods"
    begun = second(pool.start_date) <= now
    day = pool.end_date if begun else pool.start_date
    return BudgetExceeded(
        f"The {cap.words} {'has ended' if begun else 'has not begun'}",
        details=f"it {'ended' if begun else 'begins'} on {day:%Y-%m-%d}",
        remediation="Use `prism budget list` to see available budgets",
        data={"cap": 0.0, "settled": 0.0, "reserved": 0.0, "needed": 0.0},
    )


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
