"""Moments and lengths of time, for people."""

from datetime import UTC, datetime


def until(at: str) -> str:
    """`3h 20m` until then, or how long ago it was."""
    seconds = seconds_until(at)
    return length(seconds) if seconds >= 0 else f"{length(-seconds)} ago"


def seconds_until(at: str) -> float:
    """How many seconds are left until then."""
    return (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds()


def days_between(since: str, until: str) -> float:
    """How many days lie between two moments."""
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds() / 86400


def here(at: str) -> str:
    """That moment on the local clock."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def to_the_second(at: str) -> str:
    """That moment on the local clock, as a log shows it."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def length(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"
