"""Formats and parses times and durations."""

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo

from prism.cli.parser import UsageError

WHOLE_DAY = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")


def until(at: str) -> str:
    """`3h 20m` until a time, or how long ago it was."""
    seconds = seconds_until(at)
    return duration(seconds) if seconds >= 0 else f"{duration(-seconds)} ago"


def seconds_until(at: str) -> float:
    """The seconds until a time; negative if it has passed."""
    return (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds()


def days_between(since: str, until: str) -> float:
    """The number of days between two times."""
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds() / 86400


def local_time(at: str) -> str:
    """A time in the local time zone."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def to_the_second(at: str) -> str:
    """A time in the local time zone, with seconds."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"


def hours(text: str) -> float:
    """Hours, for argparse: `8`, `8h`, `2d`, `90m`, `90s`, `1d12h`; else raises `ValueError`."""
    match = re.fullmatch(r"(?:(\d+)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or match is None:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return _plain(number)
    days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
    return _plain(days * 24 + hours + minutes / 60 + seconds / 3600)


hours.__name__ = "time (8, 8h, 2d or 90m)"  # argparse's name for it in errors


def minutes(text: str) -> int:
    """Minutes, for argparse: `30`, `30m`, `8h`, `2d`; raises `ValueError` for others."""
    return int(text) if text.isdecimal() else _whole(hours(text) * 60, text)


minutes.__name__ = "time (30, 30m, 8h or 2d)"


def days(text: str) -> int:
    """Days, for argparse: `90`, `90d` or `48h`; raises `ValueError` for others."""
    return int(text) if text.isdecimal() else _whole(hours(text) / 24, text)


days.__name__ = "time (90 or 90d)"


def _whole(number: float, text: str) -> int:
    """The number as an integer; raises unless it is whole, apart from rounding errors."""
    if abs(number - round(number)) > 1e-6:
        raise ValueError(text)
    return round(number)


def _plain(number: float) -> float:
    """The number as an int if it is whole: an older daemon accepts no other."""
    return int(number) if number == int(number) else number


def names_no_zone(text: str) -> bool:
    """Whether a typed time needs a time zone, as a date does."""
    return _parse(text).tzinfo is None


def to_utc(text: str, zone: str | None, *, whole_day: bool = False) -> str:
    """A typed time as a time in UTC, for the daemon; without `zone` it is one of this computer's.

    A date means its first midnight in `zone`, or with `whole_day` the end of that day.
    """
    at = _parse(text)
    if at.tzinfo is None and zone is not None:
        at = at.replace(tzinfo=_zone(zone))
    try:
        if whole_day and WHOLE_DAY.fullmatch(text):
            at += timedelta(days=1)
        if at.tzinfo is None:
            at = _on_this_computer(at)
        return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError) as error:
        raise _invalid_time(text) from error


def _on_this_computer(at: datetime) -> datetime:
    """A time without a zone in that of this computer; one that clocks skip is moved forward.

    Python 3.11 moves such a time back, unlike PEP 495 and newer versions.
    """
    local = at.astimezone()
    return local + max(timedelta(0), at - local.replace(tzinfo=None))


def day_in(at: str, zone: str, *, end: bool = False) -> str:
    """A time as a date, if a day begins then in that time zone; else with the time of day.

    With `end`, it is the end of the day before.
    """
    local, before = _with_moment_before(at, _zone(zone))
    if local.date() == before.date():
        return local.strftime("%Y-%m-%d %H:%M %Z")
    return f"{before.date() if end else local.date()}"


def last_moment(text: str) -> str:
    """The end of a day on this computer, or a time, for argparse: in UTC, for the daemon."""
    return to_utc(text, None, whole_day=True)


def last_day(at: str) -> str:
    """The day whose end on this computer is that time, else the time."""
    local, before = _with_moment_before(at, None)
    return local_time(at) if local.date() == before.date() else f"{before.date()}"


def _with_moment_before(at: str, zone: tzinfo | None) -> tuple[datetime, datetime]:
    """A time and the second before it, in a time zone or that of this computer.

    Where clocks are changed at midnight, a day can begin at 01:00.
    """
    time = datetime.fromisoformat(at)
    return time.astimezone(zone), (time - timedelta(seconds=1)).astimezone(zone)


def _parse(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid_time(text) from error


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415  cold start: only for a date in another zone

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"{name!r} is not a time zone", "Name one as Europe/Berlin") from error


def _invalid_time(text: str) -> UsageError:
    return UsageError(f"{text!r} is not a date or time", "Write 2027-12-31 or 2027-12-31T18:00Z")
