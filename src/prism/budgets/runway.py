"""When money runs out; reserved money counts too. Pure functions.

A workspace sleeps when its reservation cannot be renewed. So this extends each reservation like a
renewal does, to the last moment at which all of them fit, by `plan.reserved`, as admission does.
If a pool can pay to the end of its period, the next period follows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from prism.budgets.balances import Balance, dollars
from prism.budgets.model import Reservation, Window
from prism.budgets.plan import (
    DISK_ADVANCE,
    begin_words,
    longest,
    reserved,
    reserved_compute,
    reserved_disk,
    window,
)

FAR = 253370764800  # the year 9999, which stands for never
NOTHING: Mapping[str, int] = {}
PERIODS = 13  # of a pool that are computed: a year of months


class Runway(Struct, frozen=True):
    """Until when a cap pays, in seconds since 1970, and why no longer; null without an end."""

    at: int | None
    because: str | None = None


NEVER = Runway(None)


class CapUse(Struct, frozen=True):
    """The balance of a cap, and the reservations that it pays for."""

    balance: Balance
    rows: Sequence[Reservation]

    def lasting(self, ends: Mapping[str, int]) -> list[Reservation]:
        """The reservations of running workspaces that must be renewed before they end."""
        return [row for row in self.rows if _runs(row) and ends.get(row.id, FAR) > row.until]


def runways(uses: Sequence[CapUse], ends: Mapping[str, int], now: int) -> dict[str, Runway]:
    """When each cap runs out, by its id.

    `ends` says which workspaces expire, and when. A workspace that its own cap or allocation puts
    to sleep takes no more from its pool, and its disk is not reserved in advance any more.
    """
    stops, unrenewed, runway_of = dict(ends), dict[str, int](), dict[str, Runway]()
    for column in ("person", "token", "allocation", "project", "pool"):
        known, before = dict(stops), dict(unrenewed)
        for use in (cap_use for cap_use in uses if cap_use.balance.cap.column == column):
            runway_of[use.balance.cap.id] = end = runway(use.balance, use.rows, known, now, before)
            if end.at is None or not (lasting := use.lasting(known)):
                continue
            for reservation in lasting:
                stops[reservation.id] = min(
                    stops.get(reservation.id, FAR), max(reservation.until, end.at)
                )
            for reservation in use.rows:
                unrenewed[reservation.id] = min(unrenewed.get(reservation.id, FAR), end.at)
    return runway_of


def runway(
    balance: Balance,
    rows: Sequence[Reservation],
    ends: Mapping[str, int],
    now: int,
    unrenewed: Mapping[str, int] = NOTHING,
) -> Runway:
    """When a cap puts its workspaces to sleep, if everything continues to run or sleep.

    If nothing runs, when disks will have used up the cap. `ends` says which workspaces end by
    themselves, and when: those need no renewal. `unrenewed` says from when on a disk's reservation
    is not extended, because another cap that pays for it has nothing left.
    """
    use, last = CapUse(balance, rows), _pool_end(balance)
    lasting = use.lasting(ends)
    if balance.is_empty and not lasting:
        return Runway(None, balance.no_money)
    if balance.within is not None and not lasting and balance.settled >= balance.cap.amount:
        return Runway(now, f"{_whole(balance)} is spent")
    awake = max((ends.get(reservation.id, FAR) for reservation in lasting), default=0)
    for within in _windows(balance):
        start, end = max(now, within.start), within.end or FAR
        base = min((reservation.until for reservation in lasting), default=now)
        period = _Period(use, ends, within, now, base, unrenewed)
        until = min(end, awake)
        if until > start and not period.holds(until):
            ends_at = _latest(start, until, period.holds)
            return _bounded(Runway(ends_at, period.binding(ends_at)), balance, lasting, last)
        start = max(start, until)
        if start < end and not period.pays(end - 1):
            ends_at = _latest(start, end, period.pays)
            whole = _whole(balance)
            words = f"{whole} is spent" if ends_at <= now else f"disks will have spent {whole}"
            return _bounded(Runway(ends_at, words), balance, lasting, last)
    until_then = [
        reservation
        for reservation in lasting
        if ends.get(reservation.id, FAR) >= last - reservation.stopping
    ]
    return _bounded(NEVER, balance, until_then, last)


class _Period(Struct, frozen=True):
    """A cap in one of its periods, with all reservations extended."""

    use: CapUse
    ends: Mapping[str, int]
    within: Window
    now: int
    base: int  # from when on reservations have to be extended
    unrenewed: Mapping[str, int]  # from when on a disk's is not extended (`runway`)

    @property
    def _is_present(self) -> bool:
        return self.within.start <= self.now

    def holds(self, at: int) -> bool:
        """Whether all reservations that last can be extended until then."""
        return self._fits(self._carried(reservation, at) for reservation in self.use.rows)

    def pays(self, at: int) -> bool:
        """Whether workspaces and disks have not used up the cap by then."""
        return self._fits(
            _kept_until(self._carried(reservation, at), at) for reservation in self.use.rows
        )

    def binding(self, at: int) -> str:
        """A text about the part of the cap that compute cannot get."""
        whole, disks = _whole(self.use.balance), self.use.balance.disks
        if not self._is_present:
            own = self.use.balance.cap.is_own
            rows = (self._carried(reservation, at) for reservation in self.use.rows)
            disks = sum(
                reserved_disk(reservation, self.now, self.within, own=own) for reservation in rows
            )
        words = f"{dollars(disks)} of {whole} is reserved for disks" if disks else ""
        begun = begin_words(self.within, self.use.balance.cap.pool)
        when = "" if self._is_present else f", in the period that begins on {begun}"
        return f"{words or f'{whole} is used up'}{when}"

    def _fits(self, rows: Iterable[Reservation]) -> bool:
        cap = self.use.balance.cap
        settled = self.use.balance.settled if self._is_present else 0
        needed = sum(
            reserved(reservation, self.now, self.within, own=cap.is_own) for reservation in rows
        )
        return settled + needed <= cap.amount

    def _carried(self, reservation: Reservation, at: int) -> Reservation:
        """A reservation, extended until `at` if it lasts."""
        more, until = (
            max(0, min(at, self.unrenewed.get(reservation.id, FAR)) - self.base),
            reservation.until,
        )
        if _runs(reservation):
            until = max(until, min(at, self.ends.get(reservation.id, FAR)))
        if not reservation.kept and not _runs(reservation):
            return reservation
        part = (
            reservation.part_until + more
            if self._is_present
            else max(reservation.part_until, at + DISK_ADVANCE)
        )
        disk = reservation.disk_until + more
        if reservation.id in self.unrenewed:  # the disk is paid as it is used
            disk, part = max(disk, at), max(part, at)
        return replace(reservation, until=until, disk_until=disk, part_until=part)


def threshold(uses: Sequence[CapUse], percent: float, ends: Mapping[str, int], now: int) -> Runway:
    """When these caps together reach a share of spending at which workspaces are put to sleep.

    Counted like `Balances.threshold_balance`: the excess of disks over one allocation does not
    count against another. Never, if nothing runs by then.
    """
    start = now
    for _ in range(PERIODS):
        caps = [(use, w) for use in uses if (w := _window(use.balance, start)) is not None]
        if not caps:
            return NEVER
        end = min(within.end or FAR for _, within in caps)
        total = sum(use.balance.cap.amount for use, _ in caps)

        def below(at: int, caps: Sequence[tuple[CapUse, Window]] = caps, of: int = total) -> bool:
            return (
                sum(_spent(use, within, ends, now, at) for use, within in caps) * 100
                < of * percent
            )

        if not below(end - 1):
            reached = start if not below(start) else _latest(start, end - 1, below) + 1
            if any(
                _awake_until(reservation, ends) > reached
                for use, _ in caps
                for reservation in use.rows
            ):
                return Runway(reached, f"all workspaces sleep at {percent:g} % of it")
        if end >= FAR:
            return NEVER
        start = end
    return NEVER


def of_project(uses: Sequence[CapUse], runway_of: Mapping[str, Runway], project: str) -> Runway:
    """The first runway of a project that runs something, else the first of its disks."""
    runs = [
        use
        for use in uses
        if any(_runs(reservation) for reservation in use.rows if reservation.project == project)
    ]
    keeps = [use for use in uses if _keeps_only_disks(use, project)]
    own = [use.balance for use in uses if use.balance.cap.column != "pool"]
    funds = [balance for balance in own if balance.within is not None]
    if funds and all(balance.is_empty for balance in funds) and not runs and not keeps:
        return runway_of[funds[0].cap.id]
    some = [use for use in runs or keeps or uses if not use.balance.is_empty]
    return earliest([runway_of[use.balance.cap.id] for use in some])


def earliest(runways: Sequence[Runway]) -> Runway:
    """The runway that ends first; if none ends, one without an end, with any reason."""
    ending = [runway for runway in runways if runway.at is not None]
    if not ending:
        return next((runway for runway in runways if runway.because), NEVER)
    return min(ending, key=lambda it: it.at or 0)


def _keeps_only_disks(use: CapUse, project: str) -> bool:
    """Whether a project has disks, but nothing that runs, on a cap."""
    keeps = any(reservation.kept for reservation in use.rows if reservation.project == project)
    return keeps and not any(_runs(reservation) for reservation in use.rows)


def _spent(use: CapUse, within: Window, ends: Mapping[str, int], now: int, at: int) -> int:
    """What will be spent of a cap in one of its periods; of an allocation at most all of it."""
    settled = use.balance.settled if within.start <= now else 0
    own = use.balance.cap.is_own
    for reservation in use.rows:
        until = min(at, _awake_until(reservation, ends))
        so_far = _kept_until(
            replace(reservation, until=until, stopping=0) if _runs(reservation) else reservation,
            at,
        )
        compute = reserved_compute(so_far, now, within)
        settled += compute + reserved_disk(so_far, now, within, own=own)
    return settled if own else min(settled, use.balance.cap.amount)


def _kept_until(reservation: Reservation, at: int) -> Reservation:
    """The reservation, with its disk paid until then and not in advance."""
    if not reservation.kept and not _runs(reservation):
        return replace(reservation, disk=None)
    return replace(reservation, disk_until=at, part_until=at)


def _awake_until(reservation: Reservation, ends: Mapping[str, int]) -> int:
    return max(reservation.until, ends.get(reservation.id, FAR)) if _runs(reservation) else 0


def _runs(reservation: Reservation) -> bool:
    return reservation.until > reservation.since


def _windows(balance: Balance) -> Iterator[Window]:
    """The present period of a cap and some that follow."""
    within = balance.within
    for _ in range(PERIODS):
        if within is None:
            return
        yield within
        if within.end is None:
            return
        within = _window(balance, within.end)


def _window(balance: Balance, when: int) -> Window | None:
    return balance.within if balance.cap.pool is None else window(balance.cap.pool, when)


def _pool_end(balance: Balance) -> int:
    """When its pool ends."""
    pool = balance.cap.pool
    return FAR if pool is None or pool.end_date is None else int(pool.end_date.timestamp())


def _latest(first: int, last: int, fits: Callable[[int], bool]) -> int:
    """The last moment from `first` to `last` that fits; `first` if none does."""
    return first + (longest(last - 1 - first, lambda more: fits(first + more)) or 0)


def _bounded(end: Runway, balance: Balance, lasting: Sequence[Reservation], last: int) -> Runway:
    """The runway, or the end of the pool if that is earlier; without an end if that is too far."""
    if lasting and last < FAR and balance.within is not None:
        closes = last - max(reservation.stopping for reservation in lasting)
        if end.at is None or end.at > closes:
            return Runway(closes, f"{balance.cap.words} ends then")
    return end if end.at is not None and end.at < FAR - 1 else NEVER


def spent_since(balance: Balance, at: int) -> Runway:
    """The runway of a cap whose amount was spent at a moment in the past."""
    return Runway(at, f"{_whole(balance)} is spent")


def _whole(balance: Balance) -> str:
    return f"the {dollars(balance.cap.amount)} of {balance.cap.words}"
