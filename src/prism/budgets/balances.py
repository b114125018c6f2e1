"""The balance of each cap: its amount, what is spent and what is reserved. Pure functions."""

from collections.abc import Iterable

from msgspec import Struct

from prism.budgets.model import Allocation, Cap, Pool, Window
from prism.budgets.plan import ALWAYS
from prism.kit.money import Micros
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
        amount, settled, reserved = self.cap.amount, self.settled, self.reserved
        if self.within is None or amount <= settled + reserved:
            return Micros(0)
        return Micros(max(0, round(amount, -4) - round(settled, -4) - round(reserved, -4)))

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


class PoolShare(Struct, frozen=True):
    """The balance of an allocation, and that of its pool."""

    allocation: Balance
    pool: Balance

    @property
    def left(self) -> int:
        """What can still be reserved of both."""
        return min(self.allocation.shown_left, self.pool.shown_left)

    @property
    def is_unknown(self) -> bool:
        """Whether the rest of one of them is unknown."""
        return self.allocation.is_unknown or self.pool.is_unknown


class ProjectMoney:
    """The balances of all caps of a project at one moment.

    `present` are the allocations that have money now.
    """

    def __init__(self, own: Balance | None, parts: tuple[PoolShare, ...]) -> None:
        self.own, self.parts = own, parts
        self.present = [part.allocation for part in parts if part.allocation.within is not None]
        self._counted = self.present if own is None else [own]

    @property
    def balances(self) -> list[Balance]:
        """All balances: the project's own first, and each pool after its allocation."""
        balances = [] if self.own is None else [self.own]
        for part in self.parts:
            balances += [part.allocation, part.pool]
        return balances

    @property
    def own_caps(self) -> list[Balance]:
        """The balances of the project alone, without pools, which several projects share."""
        own = [] if self.own is None else [self.own]
        return own + [pool_share.allocation for pool_share in self.parts]

    @property
    def allocated(self) -> Micros | None:
        """The project's limit, or the sum of its allocations now; null without a limit."""
        if self.own is not None:
            return self.own.cap.amount
        return Micros(sum(balance.cap.amount for balance in self.present)) if self.parts else None

    @property
    def spent(self) -> Micros | None:
        """What is spent of `allocated`; null if no price is known."""
        total = sum([balance.settled for balance in self._counted])
        is_unpriced = not total and any(balance.is_unknown for balance in self._counted)
        return None if is_unpriced else Micros(total)

    @property
    def reserved(self) -> int:
        """What is reserved of `allocated`."""
        return sum([balance.reserved for balance in self._counted])

    @property
    def left(self) -> Micros | None:
        """What can still be reserved under every cap that applies.

        Null without a limit, and if nothing that one of the caps paid for has a known price.
        """
        limits = [] if self.own is None else [self.own.shown_left]
        if self.parts:
            limits.append(Micros(sum([pool_share.left for pool_share in self.parts])))
        unknown = any([pool_share.is_unknown for pool_share in self.parts])
        unknown = unknown and not any(pool_share.allocation.settled for pool_share in self.parts)
        unknown = unknown or (self.own is not None and self.own.is_unknown)
        return None if not limits or unknown else min(limits)

    @property
    def overrun(self) -> int:
        """The larger of two excesses: over the project's own cap, and over all allocations."""
        own = 0 if self.own is None else self.own.overrun
        return max(own, sum(pool_share.allocation.overrun for pool_share in self.parts))


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


def no_launches(project: Project, money: ProjectMoney) -> str | None:
    """Why nothing of a project may be launched, started or resumed; null if it may.

    As admission decides: by the project's own cap, by each allocation and its pool, and, without
    an own cap, by the allocations together.
    """
    if money.own is not None and (why := money.own.no_launches):
        return why
    present = [part for part in money.parts if part.allocation.within is not None]
    whys = [part.allocation.no_launches or part.pool.no_launches for part in present]
    if whys and all(whys):
        return whys[0]
    whole = combined(project, money.present) if money.own is None else money.own
    return None if whole is None else whole.no_launches or sleep_reason(project, whole)


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


def dollars(micros: int, places: int = 2) -> str:
    """An amount for texts; amounts below a cent are shown with all digits."""
    if places == 2 and micros and abs(micros) < 10_000:
        places = 6
    sign = "-" if round(micros / 1e6, places) < 0 else ""
    return f"{sign}${abs(micros) / 1e6:,.{places}f}"
