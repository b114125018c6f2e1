"""A sequential model of requests for money, in whole numbers.

It uses only what the API shows: the state of a workspace, and until when its money is
reserved. It has its own ledger.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.months import month_cost, month_seconds

HOUR, MONTH, DAY = 3600, 720 * 3600, 86400
UP = {"launching", "running", "starting", "resuming"}


@dataclass
class ModelWorkspace:
    """One workspace: its costs, when it ran, and what is reserved."""

    rate: int
    disk: int
    runs: list[list[Any]] = field(default_factory=list)  # [begin, end or None]
    kept: list[list[Any]] = field(default_factory=list)
    since: int = 0
    until: int = 0
    disk_since: int = 0
    disk_until: int = 0
    stopping: int = 600
    ended: bool = False

    def settled(self, now: int) -> int:
        """What it has cost until `now`."""
        ran: int = sum(self.rate * ((end or now) - begin) // HOUR for begin, end in self.runs)
        return ran + sum(month_cost(self.disk, begin, end or now) for begin, end in self.kept)

    def held(self, now: int) -> int:
        """What is reserved for it beyond that."""
        total = 0
        if self.until > self.since:
            running = bool(self.runs) and self.runs[-1][1] is None
            total += _rest(self.rate, HOUR, self.since, self.until + self.stopping, now, running)
        if self.disk_until > self.disk_since:
            is_kept = bool(self.kept) and self.kept[-1][1] is None
            total += _disk_rest(self.disk, self.disk_since, self.disk_until, now, is_kept)
        return total


def _disk_rest(amount: int, since: int, until: int, now: int, counted: bool) -> int:
    since, until, now = map(month_seconds, (since, until, now))
    return _rest(amount, MONTH, since, until, now, counted)


def _rest(amount: int, per: int, since: int, until: int, now: int, counted: bool) -> int:
    at = max(now, since) if counted else since
    if at >= until:
        return 0
    return -(-amount * (until - since) // per) - amount * (at - since) // per


class Oracle:
    """All workspaces of one cap; predicts whether the next request fits."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.things: dict[str, ModelWorkspace] = {}

    def left(self, now: int, but: str | None = None) -> int:
        """What is neither spent nor reserved, without the reservation of `but`."""
        return self.cap - sum(
            thing.settled(now) + (0 if name == but else thing.held(now))
            for name, thing in self.things.items()
        )

    def fits(self, name: str, thing: ModelWorkspace, now: int, expires: int | None) -> bool:
        """Whether this may run from now on."""
        until = now + HOUR if expires is None else expires
        running = bool(thing.runs) and thing.runs[-1][1] is None
        is_kept = bool(thing.kept) and thing.kept[-1][1] is None
        since = thing.runs[-1][0] if running else now
        disk_since = thing.kept[-1][0] if is_kept else now
        need = _rest(thing.rate, HOUR, since, until + thing.stopping, now, running)
        need += _disk_rest(thing.disk, disk_since, now + 30 * DAY, now, is_kept)
        return need <= self.left(now, but=name)
