"""Whether a reservation fits every cap, and the refusal if it does not.

Launches, volumes, plans and renewals all ask here, so they cannot disagree.
"""

from collections.abc import Sequence
from math import ceil, floor
from shlex import quote
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from prism.access.plan import request_hint
from prism.budgets.balances import Balance, dollars, sleep_reason
from prism.budgets.books import Books
from prism.budgets.model import BudgetExceeded, Cap, Reservation, Window
from prism.budgets.plan import (
    ALWAYS,
    SHORTEST,
    Demand,
    begin_words,
    disk_period,
    extend_by,
    extension,
    horizon,
    is_beyond,
    last_day,
    lasting_disk,
    longest,
    reservation_for,
    reserved,
    reserved_compute,
    windows,
)
from prism.costs.model import DAY, HOUR
from prism.costs.plan import unix_time
from prism.projects import store as projects

PLACES = (2, 4, 6)  # decimals of a dollar, of which the fewest that show the excess are printed


class CapLoad(Struct, frozen=True):
    """The balance of a cap in a period before a reservation, and what the reservation takes."""

    before: Balance
    need: int
    need_disk: int

    @property
    def excess(self) -> int:
        """How much is missing; negative if it fits."""
        return self.before.committed + self.need - self.before.cap.amount

    @property
    def after(self) -> Balance:
        """The balance of the cap with the reservation."""
        balance = self.before
        more = {"reserved": balance.reserved + self.need, "disks": balance.disks + self.need_disk}
        return replace(balance, **more)


class CapComparison:
    """Compares reservations with caps; reads the balances of the caps once."""

    def __init__(
        self, books: Books, caps: Sequence[Cap], reservation_id: str, *, adds_disk: bool = False
    ) -> None:
        """The existing reservation `reservation_id` is left out, so that it does not count twice.

        With `adds_disk` the caps do not pay for its disk yet: they must be able to pay for it
        later, too.
        """
        self._books, self.now = books.without(reservation_id), books.now
        self._caps = caps
        periods = [(cap, disk_period(cap, self.now)) for cap in caps] if adds_disk else []
        self._of_disk = [(cap, within) for cap, within in periods if within is not None]
        self._before: dict[tuple[str, Window], Balance] = {}
        self._periods: dict[str, tuple[int, list[Window | None]]] = {}

    def loads_of(self, reservation: Reservation) -> list[CapLoad]:
        """The load of each cap in each affected period; raises if a pool has no money then."""
        loads = self.loads_until_end(reservation)
        if reservation.disk:
            loads += [self._load(reservation, cap, within) for cap, within in self._of_disk]
        return loads

    def loads_until_end(self, reservation: Reservation) -> list[CapLoad]:
        """The same, without the later periods in which only the disk costs money."""
        loads = []
        for cap in self._caps:
            for within in self._windows(cap, reservation.until + reservation.stopping):
                if within is None:
                    raise no_money_then(cap, self.now)
                loads.append(self._load(reservation, cap, within))
        return loads

    def _windows(self, cap: Cap, end: int) -> list[Window | None]:
        """The periods of a cap from now until `end`; a search for an end reads them once."""
        until, periods = self._periods.get(cap.id, (-1, []))
        if until < end:
            periods = windows(cap, self.now, end)
            self._periods[cap.id] = end, periods
        begins = [self.now, *(period.end for period in periods if period is not None)]
        return [
            period
            for begin, period in zip(begins, periods, strict=False)
            if begin == self.now or (begin is not None and begin < end)
        ]

    def _load(self, reservation: Reservation, cap: Cap, within: Window) -> CapLoad:
        disk = lasting_disk(reservation, cap, self.now, within)
        need = reserved_compute(reservation, self.now, within) + disk
        if (before := self._before.get((cap.id, within))) is None:
            before = self._before[cap.id, within] = self._books.balance_in(cap, within)
        return CapLoad(before, need, disk)

    def fit(self, reservation: Reservation) -> bool:
        """Whether every cap can pay for the reservation."""
        try:
            return all(load.excess <= 0 for load in self.loads_of(reservation))
        except BudgetExceeded:
            return False


class Admitted(Struct, frozen=True):
    """The reservation that a demand needs, all caps, and the balance of each with it."""

    reservation: Reservation
    caps: Sequence[Cap]
    balances: Sequence[Balance]


def admit(books: Books, demand: Demand, *, beyond: int | None = None) -> Admitted:
    """Admit a demand, or refuse it.

    For an extension, `beyond` is the old expiry, from which the refusal counts hours.
    """
    caps = books.caps_of(demand)
    reservation = reservation_for(demand, caps, books.now)
    if caps and demand.unpriced:
        hint = "see `prism template list`" if demand.compute != 0 else "leave the project out"
        raise BudgetExceeded(
            f"The price of {demand.unpriced} is not known",
            details=f"the {caps[0].words} has a cap, which needs a price",
            remediation=f"Choose another type, or {hint}",
        )
    for cap in caps:
        if books.present(cap) is None:
            raise no_money_then(cap, books.now)
    if demand.obeys_thresholds:
        _require_launches_allowed(books, caps, reservation)
    about_to_end = reservation.until < books.now + SHORTEST
    if demand.runs and about_to_end and horizon(caps, books.now)[1] is not None:
        raise BudgetExceeded(
            f"The {caps[-1].words} is about to end",
            details="there is no time left in it to run anything",
            remediation="Use `prism budget list` to see available budgets",
        )
    comparison = CapComparison(books, caps, demand.id, adds_disk=demand.adds_disk)
    if comparison.fit(reservation):
        loads = comparison.loads_until_end(reservation)
        return Admitted(reservation, caps, [load.after for load in loads])
    if beyond is None and demand.wakes:
        limit = _missing(comparison, reservation)
    else:
        limit = _possible(comparison, reservation, beyond)
    owner = projects.find(books.sql, demand.project)
    raise exceeded(comparison, reservation, owner.name if owner else "", limit)


def affordable(
    books: Books, caps: Sequence[Cap], reservation: Reservation, fresh: Reservation
) -> tuple[Reservation, int | None]:
    """`fresh`, or as much of that renewal as fits, and by how many seconds it extends.

    Compute and disk are extended equally; null if even the reservation itself does not fit.
    """
    comparison, most = CapComparison(books, caps, reservation.id), extension(reservation, fresh)
    if not caps or comparison.fit(fresh):
        return fresh, most
    more = longest(most, lambda more: comparison.fit(extend_by(reservation, fresh, more)))
    return extend_by(reservation, fresh, more or 0), more


def _require_launches_allowed(books: Books, caps: Sequence[Cap], reservation: Reservation) -> None:
    """Raise if a threshold prevents launches, or would put the workspace to sleep at once."""
    for cap in caps:
        if not cap.admits(books.spent(cap)):
            raise _launch_refused(books.balance(cap), reservation, books.now)
    owner = projects.named(books.sql, reservation.project)
    if owner.cap is not None and owner.auto_hibernate_threshold is None:
        return
    if (whole := books.threshold_balance(owner)) is None:
        return
    if owner.cap is None and whole.no_launches:
        raise _launch_refused(whole, reservation, books.now)
    if why := sleep_reason(owner, whole):
        raise BudgetExceeded(
            f"All workspaces of {owner.name!r} sleep: {why}",
            details="what starts now would be put to sleep at once",
            remediation=f"Raise the threshold with {_change_command(whole.cap)}",
            data=refusal_data(whole, reserved(reservation, books.now)),
        )


def _launch_refused(balance: Balance, reservation: Reservation, now: int) -> BudgetExceeded:
    data = refusal_data(balance, reserved(reservation, now, balance.within or ALWAYS))
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


def _change_command(cap: Cap) -> str:
    """The command that changes a cap."""
    return {
        "project": f"`prism project update {cap.id}`",
        "allocation": f"`prism allocation update {cap.id}`",
        "pool": f"`prism budget update {cap.id}`",
        "person": "`prism limit set`",
        "token": "`prism limit set`",
    }[cap.column]


def exceeded(
    comparison: CapComparison, reservation: Reservation, owner: str, limit: tuple[CapLoad, str]
) -> BudgetExceeded:
    """The refusal; `limit` is the load that limits most, and says what would fit."""
    tightest, possible = limit
    balance = tightest.before
    places = _places_needed(balance, tightest.need)
    amounts = {"cap": balance.cap.amount, "settled": balance.settled, "reserved": balance.reserved}
    sums = ", ".join(f"{name} {dollars(micros, places)}" for name, micros in amounts.items())
    return BudgetExceeded(
        f"The {balance.cap.words} has not enough money left for {reservation.name!r}",
        details=(
            f"{sums}, needed {dollars(tightest.need, places)}"
            f"{in_period(balance, comparison.now)}; {possible}"
        ),
        remediation=_ways_out(balance.cap, owner, tightest.excess),
        data=refusal_data(balance, tightest.need),
    )


def _ways_out(cap: Cap, project: str, missing: int) -> str:
    """What helps against a cap that lacks so many micro-dollars."""
    more = max(1, ceil(missing / 1e6))
    if cap.holder is None:
        hint = request_hint("money", more, "--project", project)
        return f"See `prism budget forecast {quote(project)}`{hint}"
    hint = request_hint("money", more, subject=cap.holder.subject)
    return f"See `prism limit mine`; the operator or an owner of the project can raise it{hint}"


def _possible(
    comparison: CapComparison, reservation: Reservation, beyond: int | None
) -> tuple[CapLoad, str]:
    """The load that limits first, and a text that says for how long its money lasts."""
    if not reservation.compute:  # the reservation is for a disk only
        return _possible_disk(comparison, reservation)
    start = max(comparison.now, reservation.since)
    most = max(reservation.until - start, 0)
    span = longest(most, lambda more: comparison.fit(replace(reservation, until=start + more)))
    if span is None:
        return _most_exceeded(comparison, reservation, start, reservation.until, "disk")
    tightest, _ = _most_exceeded(comparison, reservation, start + span + 1, reservation.until, "")
    more = span if beyond is None else start + span - beyond
    if more < HOUR // 10:
        return tightest, "what is left does not pay for six minutes of it"
    return tightest, f"what is left pays for {floor(more / (HOUR / 10)) / 10:.1f} h of it"


def _missing(comparison: CapComparison, reservation: Reservation) -> tuple[CapLoad, str]:
    """The load that exceeds its cap most, and a text that says by how much."""
    tightest = max(comparison.loads_of(reservation), key=lambda load: load.excess)
    places = _places_needed(tightest.before, tightest.need)
    return tightest, f"{dollars(tightest.excess, places)} more than is left"


def _possible_disk(comparison: CapComparison, reservation: Reservation) -> tuple[CapLoad, str]:
    start, end = reservation.disk_since, max(reservation.disk_until, reservation.part_until)

    def until(more: int) -> Reservation:
        ends = {"disk_until": reservation.disk_until, "part_until": reservation.part_until}
        return replace(reservation, **{k: min(at, start + more) for k, at in ends.items()})

    span = longest(end - start, lambda more: comparison.fit(until(more))) or 0
    tightest = max(comparison.loads_of(until(span + 1)), key=lambda load: load.excess)
    full = next(
        load for load in comparison.loads_of(reservation) if load.before == tightest.before
    )
    if not full.before.left:
        return full, "nothing is left"
    if full.before.within == disk_period(full.before.cap, comparison.now):
        return full, f"what is left pays for {100 * full.before.left // full.need} % of it"
    return full, f"what is left pays for {floor(10 * span / DAY) / 10:.1f} of its 30 days"


def _most_exceeded(
    comparison: CapComparison, reservation: Reservation, at: int, until: int, lacks: str
) -> tuple[CapLoad, str]:
    """The cap that running until `at` exceeds most, and its load until `until`."""
    loads = comparison.loads_of(replace(reservation, until=at))
    tightest = max(loads, key=lambda load: load.excess)
    full = [
        load
        for load in comparison.loads_of(replace(reservation, until=until))
        if load.before == tightest.before
    ]
    left = tightest.before.left
    words = f"the {dollars(left)} left do not pay its {lacks}" if left else "nothing is left"
    return (full or [tightest])[0], words


def _places_needed(balance: Balance, need: int) -> int:
    """How many decimal places of a dollar are needed to show that the amount does not fit."""
    for places in PLACES:
        unit = 10 ** (6 - places)
        spent, reserved, more, cap = (
            round(micros / unit)
            for micros in (balance.settled, balance.reserved, need, balance.cap.amount)
        )
        if spent + reserved + more > cap:
            return places
    return PLACES[-1]


def in_period(balance: Balance, now: int) -> str:
    """A text with the period, if it is not the current one."""
    within = balance.within
    if within is None:
        return ""
    if within.start > now:
        return f", all in the period that begins on {begin_words(within, balance.cap.pool)}"
    if is_beyond(balance.cap, within):
        return ", with 30 days of each disk, which costs money also after the end"
    return ""


def refusal_data(balance: Balance, needed: int) -> dict[str, Any]:
    """The numbers of a refusal for programs, in USD."""
    sums = {"cap": balance.cap.amount, "settled": balance.settled, "reserved": balance.reserved}
    return {name: micros / 1e6 for name, micros in {**sums, "needed": needed}.items()}


def no_money_then(cap: Cap, now: int) -> BudgetExceeded:
    """The problem if a pool has not begun, or has ended."""
    pool = cap.pool
    assert pool is not None, "only a pool has periods"
    begun = unix_time(pool.start_date) <= now
    begin = begin_words(Window(unix_time(pool.start_date), None), pool)
    when = f"its last day was {last_day(pool)} ({pool.time_zone})"
    return BudgetExceeded(
        f"The {cap.words} {'has ended' if begun else 'has not begun'}",
        details=when if begun else f"it begins on {begin}",
        remediation="Use `prism budget list` to see available budgets",
        data={"cap": 0.0, "settled": 0.0, "reserved": 0.0, "needed": 0.0},
    )
