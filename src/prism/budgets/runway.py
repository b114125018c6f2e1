"""When money runs out: what holds allow, not only what is spent. Pure; time is an argument.

What runs goes to sleep when its hold cannot be carried on. Holds grow with time: every second
that passes, each running workspace needs another second of compute, and each disk another
second of the 30 days that are set aside for it. So what is `left` lasts until they have eaten
it, and what runs lasts as much longer as it is paid for already.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from prism.budgets.books import Standing, dollars
from prism.budgets.model import Reservation
from prism.budgets.plan import held_compute
from prism.costs.model import HOUR, MONTH_HOURS, Kind, Segment
from prism.costs.plan import monthly_cost

MONTH = MONTH_HOURS * HOUR
FAR = 253370764800  # the year 9999: as good as never


class Runway(Struct, frozen=True):
    """Until when a cap pays, and why no longer; null for as far as can be seen.

    `at` is in seconds since 1970.
    """

    at: int | None
    because: str | None = None


NEVER = Runway(None)


def runway(at: Standing, rows: Sequence[Reservation], ends: Mapping[str, int], now: int) -> Runway:
    """When what runs on a cap is put to sleep, if all that runs and sleeps stays as it is.

    Where nothing runs, when its disks will have spent it. `ends` says which workspaces expire,
    and when: those ask for no more money.
    """
    if at.within is None:
        return NEVER
    end = FAR if at.within.end is None else at.within.end
    lasting = [it for it in rows if _runs(it) and ends.get(it.id, FAR) > it.until]
    found = _until_asleep(at, rows, lasting, end) if lasting else _until_spent(at, rows, now)
    if found.at is None or (found.at >= end and not _closes(at, lasting)):
        return NEVER
    if _closes(at, lasting) and found.at > end - _stopping(lasting):
        return Runway(max(now, end - _stopping(lasting)), f"{at.cap.words} ends then")
    return Runway(max(now, found.at), found.because) if found.at < FAR else NEVER


def asleep_at(percent: float, left: int, total: int, held: Sequence[Segment], now: int) -> Runway:
    """When a share of a budget is spent at which all is put to sleep; never, if nothing runs."""
    monthly = monthly_cost(held)
    if not monthly or not any(it.kind is Kind.COMPUTE for it in held):
        return NEVER
    more = left - total + int(total * percent / 100)
    return Runway(
        now + max(0, more) * MONTH // monthly, f"all workspaces sleep at {percent:g} % of it"
    )


def _until_asleep(
    at: Standing, rows: Sequence[Reservation], lasting: Sequence[Reservation], end: int
) -> Runway:
    growth = sum((it.compute or 0) * MONTH_HOURS for it in lasting)
    growth += sum(it.disk or 0 for it in rows if _disk_grows(it, at, end))
    until = min(it.until for it in lasting)
    gone = until + at.left * MONTH // growth if growth else FAR
    return Runway(gone, _set_aside(at))


def _until_spent(at: Standing, rows: Sequence[Reservation], now: int) -> Runway:
    monthly = sum(it.disk or 0 for it in rows if it.kept)
    running = sum(held_compute(it, now) for it in rows)
    left = at.cap.amount - at.settled - running
    if left <= 0:
        return Runway(now, f"{_whole(at)} is spent")
    gone = now + left * MONTH // monthly if monthly else FAR
    return Runway(gone, f"disks will have spent {_whole(at)}")


def _disk_grows(it: Reservation, at: Standing, end: int) -> bool:
    if not it.kept and not _runs(it):
        return False
    return at.cap.is_own or it.part_until < end


def _runs(it: Reservation) -> bool:
    return it.until > it.since


def _closes(at: Standing, lasting: Sequence[Reservation]) -> bool:
    """Whether its pool ends with this period, and something has to sleep by then."""
    pool = at.cap.pool
    if not lasting or pool is None or pool.end_date is None or at.within is None:
        return False
    return at.within.end == int(pool.end_date.timestamp())


def _stopping(lasting: Sequence[Reservation]) -> int:
    return max((it.stopping for it in lasting), default=0)


def _set_aside(at: Standing) -> str:
    """What of a cap no compute can have, in words."""
    if not at.disks:
        return f"{_whole(at)} is used up"
    return f"{dollars(at.disks)} of {_whole(at)} is reserved for disks"


def _whole(at: Standing) -> str:
    return f"the {dollars(at.cap.amount)} of {at.cap.words}"


def earliest(found: Sequence[Runway]) -> Runway:
    """The first of several; never, where none ends."""
    ending = [it for it in found if it.at is not None]
    return min(ending, key=lambda it: it.at or 0) if ending else NEVER
