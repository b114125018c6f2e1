"""What each limit stands at: its caps, what is settled, what is set aside."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.model import Allocation, BudgetExceeded, Cap, Pool, Reservation, Window
from prism.budgets.plan import ALWAYS, affordable, held, window, windows
from prism.costs import store as ledger
from prism.costs.model import DAY, HOUR, MONTH_HOURS, Segment
from prism.costs.plan import day_of, second
from prism.costs.service import BURN
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

    @property
    def part(self) -> float:
        """How much of the cap is spent, of 1; of nothing, as of an emptied allocation, all is."""
        return self.settled / self.cap.amount if self.cap.amount else 1.0


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
            found.append(allocation_cap(part, owner, source))
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
        return ALWAYS if cap.pool is None else window(cap.pool, self.now)

    def standing(self, sql: Connection, cap: Cap) -> Standing:
        """Where a cap stands in its present period, or in its last one."""
        within = self.present(cap)
        reserved = 0 if within is None else self.reserved(sql, cap, within)
        return Standing(cap, within, self.spent(sql, cap), reserved)

    def spent(self, sql: Connection, cap: Cap) -> int:
        """What is settled on a cap in its present period, or was in its last one."""
        within = self.present(cap)
        if within is None:
            assert cap.pool is not None, "only a pool has periods"
            end = cap.pool.end_date
            over = end is not None and second(end) <= self.now
            within = window(cap.pool, second(end) - 1) if over and end else None
        return self.settled(sql, cap, within) if within else 0

    def whole(self, sql: Connection, it: Project) -> Standing | None:
        """What a project's thresholds are percent of: its own cap, else all its allocations now.

        What disks have spent beyond one of them is not counted against the others, nor is what
        has ended or not begun.
        """
        if it.cap is not None:
            return self.standing(sql, project_cap(it, it.cap))
        every_part = (self.standing(sql, cap) for cap in parts(sql, it))
        now = [at for at in every_part if at.within is not None]
        if not now:
            return None
        cap = project_cap(it, Micros(sum(at.cap.amount for at in now)))
        spent = sum(min(at.settled, at.cap.amount) for at in now)
        return Standing(cap, ALWAYS, spent, sum(at.reserved for at in now))

    def burn(self, sql: Connection, cap: Cap, began: int) -> int | None:
        """What a cap paid in the last 30 days of UTC, as `CostService.burns` says of projects.

        Scaled up while the cap, or what began then, is younger; null in the first hour.
        """
        first = (day_of(self.now) - BURN + 1) * DAY
        age = self.now - max(first, cap.since, began)
        if age < HOUR:
            return None
        paid = ledger.total(sql, cap.column, cap.id, self.now) - self._by(sql, cap, first)
        return paid * BURN * DAY // age

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


def allocation_cap(it: Allocation, project: Project | None, pool: Pool) -> Cap:
    """A project's part of a pool."""
    return Cap(
        column="allocation",
        id=it.id,
        name=f"{project.name if project else '?'}, from {pool.name}",
        amount=it.amount,
        pool=pool,
        alert=it.alert_threshold,
        since=second(it.allocated_at),
    )


def parts(sql: Connection, it: Project) -> list[Cap]:
    """All that is allocated to a project."""
    found = store.allocations_of(sql, project=it.id)
    return [allocation_cap(part, it, store.pool_named(sql, part.pool)) for part in found]


def pace(held: Iterable[Segment], cap: Cap) -> int:
    """What a cap pays in 720 hours of what costs something now."""
    mine = (it for it in held if it.is_paid and getattr(it, cap.column) == cap.id)
    return sum((it.amount or 0) * (MONTH_HOURS // it.hours) for it in mine)


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
        found.append(allocation_cap(part, owners.get(part.project), pools[part.pool]))
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
