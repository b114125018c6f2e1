"""The weekly page says what the ledger's own export says about the same week."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from prism.notices.plan import WeekLine, weekly
from tests.money import ClockedDaemon

NAMES = ("anna", "bert", "carl")
VERBS = ("start", "stop", "hibernate", "resume")
PERSON = "ada"


@pytest.fixture
def clocked_daemon(make_daemon, clock, cloud, disks):
    cloud.busy = disks.busy = timedelta(0)
    return ClockedDaemon(make_daemon(local_prices="aws"), clock)


def pages(clocked_daemon):
    clocked_daemon.daemon.notice_parts.collector.collect()
    listed = clocked_daemon.get("notices?limit=1000")["notices"]
    return {row["title"][5:13]: row for row in listed if row["kind"] == "weekly"}


def exported(clocked_daemon, monday):
    """The lines of a week, from the exact amounts of the export."""
    days = [f"{monday + timedelta(days=number):%Y-%m-%d}" for number in (0, 6)]
    path = f"costs/export?start_date={days[0]}&end_date={days[1]}"
    lines: dict[str, dict[str, int]] = {}
    for line in clocked_daemon.get(path):
        if line["kind"] in {"compute", "asleep"}:
            sums = lines.setdefault(
                line["name"], dict.fromkeys(("ran", "slept", "paid", "saved"), 0)
            )
            sums["ran" if line["kind"] == "compute" else "slept"] += line["seconds"]
            sums["paid"] += line["micros"] or 0
            sums["saved"] += line["saved_micros"] or 0
    return [WeekLine(name=name, **sums) for name, sums in lines.items()]


def live(clocked_daemon, rng, days):
    """Days in which the workspaces are put to sleep and woken at any time."""
    end = clocked_daemon.clock.now() + timedelta(days=days)
    while clocked_daemon.clock.now() < end:
        for name in NAMES:
            if rng.random() < 0.5:
                clocked_daemon.post(f"instances/{name}/{rng.choice(VERBS)}")
        clocked_daemon.settle(minutes=rng.randrange(20, 400), seconds=rng.randrange(60))
        clocked_daemon.daemon.notice_parts.collector.collect()


@pytest.mark.parametrize("seed", range(3))
def test_page_of_a_week_is_what_the_export_says(clocked_daemon, seed):
    rng = random.Random(seed)
    clocked_daemon.daemon.notice_parts.collector.collect()
    for name in NAMES:
        clocked_daemon.running(name, ttl_hours=8000)
    live(clocked_daemon, rng, 18)
    by_week = pages(clocked_daemon)
    assert by_week.keys() == {"2026-W01", "2026-W02", "2026-W03"}
    for week, page in by_week.items():
        monday = datetime.strptime(f"{week}-1", "%G-W%V-%u").replace(tzinfo=UTC)
        lines = exported(clocked_daemon, monday)
        assert sum(line.ran for line in lines) and sum(line.slept for line in lines)
        expected = weekly(PERSON, week, lines)
        assert page["title"] == expected.title
        assert {*page["text"].splitlines()} == {*expected.text.splitlines()}


def test_page_waits_for_the_survey_that_sees_the_end_of_the_week(clocked_daemon, clock):
    """A laptop that slept on Sunday night: what ran until then is known by the next survey."""
    collector = clocked_daemon.daemon.notice_parts.collector
    collector.collect()
    clocked_daemon.running("anna", ttl_hours=8000)
    clocked_daemon.settle(minutes=60 * 92)  # Sunday evening
    clock.advance(hours=5)
    assert pages(clocked_daemon) == {}
    clocked_daemon.settle(minutes=1)
    [page] = pages(clocked_daemon).values()
    monday = datetime(2025, 12, 29, tzinfo=UTC)
    assert page["title"] == weekly(PERSON, "2026-W01", exported(clocked_daemon, monday)).title


def test_page_comes_without_the_survey_after_half_a_day(clocked_daemon, clock):
    clocked_daemon.daemon.notice_parts.collector.collect()
    clocked_daemon.running("anna", ttl_hours=8000)
    clocked_daemon.settle(minutes=60 * 92)
    clock.advance(hours=17)
    assert [*pages(clocked_daemon)] == ["2026-W01"]
