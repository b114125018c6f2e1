"""Months of storage: each calendar month in UTC costs the same, however many days it has.

AWS bills a GB-month by the hours of the month: 672 to 744. So storage is counted in seconds of
month time, of which each calendar month has as many as 30 days (decision 058).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from prism.costs.model import DAY, HOUR, MONTH_HOURS

MONTH = MONTH_HOURS * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CYCLE, CYCLE_MONTHS = 146_097, 4800  # days and months of 400 years, after which dates repeat


@lru_cache(maxsize=4096)  # a search for a date asks for the same beginnings again and again
def month_time(at: int) -> int:
    """Seconds of month time since 1970; like `at`, it never decreases."""
    before, start, seconds = _month(at // DAY)
    return before + (at - start) * MONTH // seconds


def earliest(at: int) -> int:
    """The first moment with the same month time, which stands still for a second now and then."""
    while month_time(at - 1) == month_time(at):
        at -= 1
    return at


def elapsed(began: int, ended: int, *, by_month: bool) -> int:
    """The seconds that are charged of a time: of month time, or as a clock counts them."""
    return month_time(ended) - month_time(began) if by_month else ended - began


def parameters(**moments: int) -> dict[str, int]:
    """The parameters for moments of an SQL statement, each also in month time."""
    return moments | {f"{name}_month": month_time(at) for name, at in moments.items()}


@lru_cache(maxsize=4096)
def _month(day: int) -> tuple[int, int, int]:
    """The month of a day: its beginning in both times, and its length in seconds."""
    cycles, rest = divmod(day, CYCLE)
    first = (EPOCH + timedelta(days=rest)).replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    number = cycles * CYCLE_MONTHS + (first.year - EPOCH.year) * 12 + first.month - 1
    start = (cycles * CYCLE + (first - EPOCH).days) * DAY
    return number * MONTH, start, (after - first).days * DAY
