"""Parsing of durations and dates."""

import time
from datetime import datetime

import pytest

from prism.cli.output.time_format import (
    day_in,
    days,
    hours,
    last_day,
    last_moment,
    minutes,
    to_utc,
)
from prism.cli.parser import UsageError


@pytest.mark.parametrize(
    ("kind", "text", "meant"),
    [
        (hours, "8", 8),
        (hours, "1d12h", 36),
        (hours, "90s", 0.025),
        (minutes, "120s", 2),
        (minutes, "30", 30),
        (minutes, "90m", 90),
        (minutes, "8h", 480),
        (minutes, "2d", 2880),
        (minutes, "10080m", 10080),
        (days, "90", 90),
        (days, "90d", 90),
        (days, "48h", 2),
    ],
)
def test_durations_are_parsed_with_and_without_units(kind, text, meant):
    assert kind(text) == meant


@pytest.mark.parametrize(
    ("kind", "text"), [(minutes, "soon"), (minutes, "0.01h"), (days, "36h"), (days, "-1")]
)
def test_invalid_duration_is_rejected(kind, text):
    with pytest.raises(ValueError, match=r".*"):
        kind(text)


@pytest.mark.parametrize(
    ("text", "zone", "at"),
    [
        ("2028-12-31", "UTC", "2029-01-01T00:00:00Z"),
        ("2028-12-31", "Europe/Berlin", "2028-12-31T23:00:00Z"),
        ("2027-03-28", "Europe/Berlin", "2027-03-28T22:00:00Z"),  # a day of 23 hours
        ("2028-12-31T18:00", "UTC", "2028-12-31T18:00:00Z"),
    ],
)
def test_end_date_includes_the_whole_day_of_its_time_zone(text, zone, at):
    assert to_utc(text, zone, whole_day=True) == at
    assert day_in(at, zone, end=True).startswith(text.partition("T")[0])
    assert to_utc(text, zone) < at or "T" in text


@pytest.fixture
def berlin(monkeypatch):
    """This computer is in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("day", "at"),
    [
        ("2027-03-27", "2027-03-27T23:00:00Z"),
        ("2027-03-28", "2027-03-28T22:00:00Z"),  # a day of 23 hours
        ("2027-10-31", "2027-10-31T23:00:00Z"),  # a day of 25 hours
    ],
)
def test_last_day_ends_at_midnight_here_also_when_the_clock_changes(berlin, day, at):
    assert last_moment(day) == at
    assert last_day(at) == day


def test_time_that_is_no_midnight_here_is_shown_as_a_time(berlin):
    assert last_day(last_moment("2027-03-28T18:00")) == "2027-03-28 18:00 CEST"


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        ("Africa/Cairo", "2027-04-29", "2027-04-29T22:00:00Z"),
        ("America/Santiago", "2027-09-04", "2027-09-05T04:00:00Z"),
        ("Asia/Beirut", "2027-03-27", "2027-03-27T22:00:00Z"),
    ],
)
def test_last_day_before_a_day_without_a_midnight_is_shown_as_that_day(monkeypatch, zone, day, at):
    assert to_utc(day, zone, whole_day=True) == at
    assert day_in(at, zone, end=True) == day
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        assert (last_moment(day), last_day(at)) == (at, day)
    time.tzset()


@pytest.mark.parametrize("day", ["0001-01-01", "0999-12-31", "9999-12-31"])
def test_day_far_away_is_sent_as_an_instant_or_refused_as_no_date(day):
    try:
        assert datetime.fromisoformat(last_moment(day)).year in {1, 999, 1000}
    except UsageError as error:
        assert "is not a date or time" in str(error)
