"""Month time, computed apart from `prism.costs.months`, by the calendar of Python."""

from bisect import bisect_left
from calendar import monthrange
from datetime import UTC, datetime
from fractions import Fraction
from math import floor

MONTH = 30 * 86400


def month_seconds(at: int) -> int:
    """The seconds until `at` if each calendar month in UTC had 30 days."""
    when = datetime.fromtimestamp(at, UTC)
    days = monthrange(when.year, when.month)[1]
    so_far = (when.day - 1) * 86400 + when.hour * 3600 + when.minute * 60 + when.second
    months = 12 * (when.year - 1970) + when.month - 1
    return months * MONTH + floor(Fraction(so_far * MONTH, days * 86400))


def month_cost(amount: int, begin: int, end: int) -> int:
    """What a disk that costs `amount` in each month costs between two moments."""
    return amount * (month_seconds(end) - month_seconds(begin)) // MONTH


def month_cost_up(amount: int, begin: int, end: int) -> int:
    """The same, rounded up, as money is reserved."""
    return -month_cost(-amount, begin, end)


def seconds_paid(money: int, hourly: int, monthly: int, disk_from: int) -> int:
    """How long money pays for compute, and for a disk from a moment on."""

    def is_dearer(seconds: int) -> bool:
        disk = month_cost_up(monthly, disk_from, disk_from + seconds)
        return disk - (-hourly * seconds // 3600) > money

    return bisect_left(range(10**8), True, key=is_dearer) - 1


def january(amount: int, first: int, last: int) -> int:
    """What a disk costs between two hours of January 2026, in which clocks of tests start."""
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    return month_cost(amount, begin + first * 3600, begin + last * 3600)


def january_up(amount: int, first: int, last: int) -> int:
    """The same, rounded up, as money is reserved."""
    return -january(-amount, first, last)
