"""The balance of each cap: its amount, what is spent and what is reserved."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.model import Allocation, Cap, Pool, Window
from prism.budgets.plan import ALWAYS, disk_period, disks_until, window, windows
from prism.budgets.reserved_amounts import ReservationReader
from prism.costs import store as ledger
from prism.costs.plan import moment, unix_time
from prism.costs.store import Totals
from prism.kit.clock import Clock, StoppedClock
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.projects import store as projects
from prism.projects.model import Project


class Balance(Struct, frozen=True):
    """The balance of a cap in one of its periods; `within` is null if the cap has no money now.

    `disks` is the part of `reserved` for disks; `after` is the part of `settled` that was booked
    after the end of the pool. `is_unknown` says that no price in this period is known.
    """

    cap: Cap
    within: Window | None
    settled: int
    reserved: int
    disks: int = 0
    after: int = 0
    is_unknown: bool = False

    @property
    def committed(self) -> int:
        """The spent and the reserved money."""
        return self.settled + self.reserved

    @property
    def left(self) -> int:
        """What can still be reserved; 0 before a pool begins and after it has ended."""
        if self.within is None:
            return 0
        return max(0, self.cap.amount - self.committed)

    @property
    def shown_left(self) -> Micros:
        """`left` in whole cents, so that the shown cap, spent, reserved and left add up."""
        if not self.left:
            return Micros(0)
        cents = round(self.cap.amount, -4) - round(self.settled, -4) - round(self.reserved, -4)
        return Micros(max(0, cents))

    @property
    def overrun(self) -> int:
        """By how much spending exceeds the cap, for the reasons in docs/money.md."""
        return max(0, self.settled - self.cap.amount)

    @property
    def is_empty(self) -> bool:
        """Whether this is an allocation from which all money was moved away unspent."""
        return not self.cap.amount and not self.settled

    @property
    def part(self) -> float:
        """The spent part of the cap, from 0 to 1; 0 for an empty allocation."""
        return self.settled / self.cap.amount if self.cap.amount else float(self.settled > 0)

    @property
    def no_launches(self) -> str | None:
        """Why this cap pays for no launch even if money is left; null if it does."""
        if self.cap.admits(self.settled):
            return None
        if self.is_empty:
            return self.no_money
        return f"the threshold of {100 * self.cap.prevent:g} % is passed"

    @property
    def no_money(self) -> str:
        """The reason to show for an empty allocation."""
        return f"the {self.cap.words} has no money (moved away)"


class ReservedStored(NamedTuple):
    """The reserved money at one moment, summed by the database, without that of `besides`."""

    sql: Connection
    now: int
    besides: str = ""

    def of(self, cap: Cap, within: Window) -> tuple[int, int]:
        """The reserved money of a cap in one of its periods: for compute, and for disks."""
        until = disks_until(cap, within, self.now)
        return store.reserved(
            self.sql, cap, self.now, within, besides=self.besides, disks_until=until
        )


class Balances:
    """Reads ledger and reservations together, at the present moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def now(self) -> int:
        """The present moment, in seconds since 1970."""
        return unix_time(self._clock.now())

    def at(self, now: int) -> "Balances":
        """The balances at one moment, however long the reading takes."""
        return Balances(StoppedClock(moment(now)))

    def caps(
        self, sql: Connection, project: str, allocation: str | None, pool: str | None
    ) -> list[Cap]:
        """Every cap that applies to a project, for costs that this allocation and pool pay."""
        caps = []
        owner = projects.find(sql, project)
        if owner is not None and owner.cap is not None:
            caps.append(project_cap(owner, owner.cap))
        part = store.find_allocation(sql, allocation) if allocation else None
        source = store.find_pool(sql, pool) if pool else None
        if part is not None and source is not None:
            caps.append(allocation_cap(part, owner, source))
        if source is not None:
            caps.append(pool_cap(source))
        return caps

    def totals(self, sql: Connection) -> Totals:
        """What the ledger has booked by now, for each payer."""
        return Totals(sql, self.now)

    def settled(self, totals: Totals, cap: Cap, within: Window) -> int:
        """What the ledger has booked on a cap in one of its periods."""
        if within.start > totals.now:
            return 0
        total = totals.of(cap.column, cap.id)
        if within.start:
            total = Micros(total - _by(totals, cap, within.start))
        if within.end is not None and within.end < totals.now:
            total = Micros(_by(totals, cap, within.end) - _by(totals, cap, within.start))
        return total

    def present(self, cap: Cap) -> Window | None:
        """The present period of a cap; null if it has no money now."""
        return ALWAYS if cap.pool is None else window(cap.pool, self.now)

    def balance(self, sql: Connection, cap: Cap, totals: Totals | None = None) -> Balance:
        """The balance of a cap in its present period, or in its last one and after it."""
        totals = totals or self.totals(sql)
        return self.balance_from(totals, cap, ReservedStored(sql, totals.now))

    def tightest(self, sql: Connection, cap: Cap) -> Balance:
        """The balance in the period that has the least left, of all with reservations.

        A reservation may reach beyond midnight, into the next period.
        """
        totals = self.totals(sql)
        reserved = ReservedStored(sql, totals.now)
        balances = [self.balance_from(totals, cap, reserved)]
        if balances[0].within is not None:
            last = store.furthest(sql, cap) or totals.now
            for within in (*windows(cap, totals.now, last)[1:], disk_period(cap, totals.now)):
                if within is not None:
                    settled = self.settled(totals, cap, within)
                    balances.append(_balance(cap, within, settled, reserved))
        return min(balances, key=lambda it: it.cap.amount - it.committed)

    def balance_from(self, totals: Totals, cap: Cap, sums: ReservationReader) -> Balance:
        """The balance of a cap, from totals and sums that were read already."""
        within, spent = self.at(totals.now).present(cap), self.spent(totals, cap)
        if within is None:
            end = _ended_at(cap, totals.now)
            after = spent - _spent_in_last_period(totals, cap, end) if end else 0
            return Balance(cap, None, spent, 0, after=after)
        return _balance(cap, within, spent, sums)

    def priced(self, balance: Balance, unpriced_until: Mapping[str, int]) -> Balance:
        """The balance, marked as unknown if no price in its period is known."""
        within = self.counted(balance.cap)
        since = 0 if within is None else within.start
        is_unknown = not balance.settled and unpriced_until.get(balance.cap.id, -1) > since
        return replace(balance, is_unknown=is_unknown)

    def spent(self, totals: Totals, cap: Cap) -> int:
        """What was spent of a cap in its present period, or in its last one and after it."""
        within = self.at(totals.now).counted(cap)  # midnight may have passed meanwhile
        return 0 if within is None else self.settled(totals, cap, within)

    def counted(self, cap: Cap) -> Window | None:
        """The period whose spending is shown: the present one, or the last one and after it."""
        if (within := self.present(cap)) is not None:
            return within
        if (end := _ended_at(cap, self.now)) is None or (last := _last_period(cap, end)) is None:
            return None
        return Window(last.start, None)

    def threshold_balance(
        self, sql: Connection, project: Project, totals: Totals | None = None
    ) -> Balance | None:
        """The balance to which thresholds of a project refer: its own cap or all allocations.

        If disks have exceeded one allocation, the excess does not count against the others.
        Allocations that have ended or not begun do not count.
        """
        if project.cap is not None:
            return self.balance(sql, project_cap(project, project.cap), totals)
        totals = totals or self.totals(sql)
        return combined(project, [self.balance(sql, cap, totals) for cap in parts(sql, project)])

    def ran_out_at(self, totals: Totals, balance: Balance) -> int | None:
        """When spending reached the amount of a cap in its present period; null if it has not."""
        cap, within = balance.cap, balance.within
        if within is None or not cap.amount or balance.settled < cap.amount:
            return None
        start = within.start
        before = _by(totals, cap, start) if start else 0

        def is_reached(more: int) -> bool:
            return _by(totals, cap, start + more) - before >= cap.amount

        return start + bisect_left(range(totals.now - start), True, key=is_reached)

    def unmarked(self, sql: Connection, caps: Sequence[Cap]) -> list[tuple[Cap, int]]:
        """The caps for which no sum is stored yet at the beginning of their present period."""
        periods = [(cap, window(cap.pool, self.now)) for cap in caps if cap.pool is not None]
        began = [(cap, period.start) for cap, period in periods if period is not None]
        marked = ledger.marked(sql, {at for _, at in began}) if began else set()
        return [(cap, at) for cap, at in began if (cap.id, at) not in marked]

    def mark(self, tx: Tx, cap: Cap, at: int) -> None:
        """Store what was spent of a cap by a moment in the past."""
        ledger.mark(tx, cap.id, at, _by(self.totals(tx.sql), cap, at))


def _balance(cap: Cap, within: Window, settled: int, sums: ReservationReader) -> Balance:
    compute, disks = sums.of(cap, within)
    return Balance(cap, within, settled, compute + disks, disks)


def project_cap(project: Project, amount: Micros) -> Cap:
    """A project's own cap; the API gives its thresholds in percent."""
    alert, prevent = project.alert_threshold / 100, project.prevent_launch_threshold / 100
    return Cap(
        column="project",
        id=project.id,
        name=project.name,
        amount=amount,
        alert=alert,
        prevent=prevent,
    )


def allocation_cap(allocation: Allocation, project: Project | None, pool: Pool) -> Cap:
    """A project's part of a pool."""
    return Cap(
        column="allocation",
        id=allocation.id,
        name=project.name if project else "?",
        amount=allocation.amount,
        pool=pool,
        alert=allocation.alert_threshold,
    )


def parts(sql: Connection, project: Project) -> list[Cap]:
    """All allocations of a project."""
    rows = store.allocations_of(sql, project=project.id)
    return [allocation_cap(part, project, store.pool_named(sql, part.pool)) for part in rows]


def combined(project: Project, balances: Iterable[Balance]) -> Balance | None:
    """The allocations of a project that have money now, as one balance; None without any.

    If disks have exceeded one allocation, the excess does not count against the others.
    """
    now = [balance for balance in balances if balance.within is not None]
    if not now:
        return None
    cap = project_cap(project, Micros(sum(balance.cap.amount for balance in now)))
    spent = sum(min(balance.settled, balance.cap.amount) for balance in now)
    return Balance(cap, ALWAYS, spent, sum(balance.reserved for balance in now))


def sleep_reason(project: Project, balance: Balance) -> str | None:
    """Why a threshold puts all workspaces of a project to sleep; null if none does.

    `balance` is the one to which the thresholds of the project refer.
    """
    limit = project.auto_hibernate_threshold
    if limit is None or balance.is_empty or balance.settled * 100 < balance.cap.amount * limit:
        return None
    return (
        f"{limit:g} % of the budget of {dollars(balance.cap.amount)} of project "
        f"{project.name!r} is spent"
    )


def pool_cap(pool: Pool) -> Cap:
    """A whole pool."""
    return Cap(
        column="pool",
        id=pool.id,
        name=pool.name,
        amount=pool.total,
        pool=pool,
        alert=pool.alert_threshold,
    )


def every_cap(sql: Connection) -> list[Cap]:
    """All caps."""
    owners = {project.id: project for project in projects.every(sql)}
    pools = {pool.id: pool for pool in store.every_pool(sql)}
    caps = [
        project_cap(project, project.cap) for project in owners.values() if project.cap is not None
    ]
    for part in store.allocations_of(sql):
        caps.append(allocation_cap(part, owners.get(part.project), pools[part.pool]))
    return [*caps, *(pool_cap(pool) for pool in pools.values())]


def dollars(micros: int, places: int = 2) -> str:
    """An amount for texts; amounts below a cent are shown with all digits."""
    if places == 2 and micros and abs(micros) < 10_000:
        places = 6
    sign = "-" if round(micros / 1e6, places) < 0 else ""
    return f"{sign}${abs(micros) / 1e6:,.{places}f}"


def _ended_at(cap: Cap, now: int) -> int | None:
    """When the pool ended; null if it has not ended, and for a project's own cap."""
    if cap.pool is None or cap.pool.end_date is None:
        return None
    end = unix_time(cap.pool.end_date)
    return end if end <= now else None


def _by(totals: Totals, cap: Cap, at: int) -> int:
    return totals.by(cap.column, cap.id, at)


def _spent_in_last_period(totals: Totals, cap: Cap, end: int) -> int:
    last = _last_period(cap, end)
    return 0 if last is None else _by(totals, cap, end) - _by(totals, cap, last.start)


def _last_period(cap: Cap, end: int) -> Window | None:
    """The last period of a pool that ended."""
    return None if cap.pool is None else window(cap.pool, end - 1)
