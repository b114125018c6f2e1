"""Faults of daemons, databases and AWS in random order; no answered write is lost."""

import contextlib
from collections import Counter

import pytest

from tests.faults.checker import NO, UNANSWERED, YES, Checker
from tests.faults.older import restore_older_backup
from tests.faults.schedule import Schedule
from tests.faults.site import SITES, LocalSite, PostgresDatabase, SqliteFile
from tests.proofs import record

ODD_NAMES = ("home", "a?x=1", "a%41 #b", "ä'\"$(x)")
LONG, SEEDS = 30, 6
# The faults of a short schedule, so that they do not depend on chance.
FIRST = {
    ("local", "postgres"): ("stopped", "away", "restarted", "neighbour"),
    ("local", "sqlite"): ("torn", "locked", "full", "killed"),
    ("aws", "sqlite"): ("cloud", "torn", "locked", "full"),
}
# `tests/project/aws/test_crash.py` tests faults of AWS.
SHORT = [*FIRST][:2] + [pytest.param(*which, marks=pytest.mark.slow) for which in [*FIRST][2:]]
BOTH = pytest.mark.parametrize("provider", ["local", "aws"])
EITHER = pytest.mark.parametrize("database", ["sqlite", "postgres"])


@pytest.fixture
def run_schedule(tmp_path, request, number=0):
    """Runs a schedule; returns its counts."""
    number = 0

    def run(provider, database, seed, steps, first=(), *, older=True):
        nonlocal number
        number += 1
        folder = tmp_path / f"{number}"
        folder.mkdir()
        with contextlib.ExitStack() as ending:
            database_ = database_of(request, database, folder)
            ending.callback(database_.close)
            site = SITES[provider](folder, database_, ODD_NAMES[seed % len(ODD_NAMES)])
            ending.callback(site.close)
            site.start()
            site.prepare()
            neighbour = None
            if database == "postgres" and provider == "local":
                neighbour = LocalSite(folder, database_, "neighbour")
                ending.callback(neighbour.close)
                neighbour.start()
            return run_checked(site, seed, steps, first, neighbour, older=older)

    return run


def database_of(request, kind, folder):
    if kind == "sqlite":
        return SqliteFile(folder)
    copied = request.getfixturevalue("copy_database")
    return PostgresDatabase(copied("template1", to=f"faults_{folder.name}"))


def run_checked(site, seed, steps, first, neighbour, *, older):
    checker = Checker(site)
    schedule = Schedule(site, checker, seed, neighbour)
    schedule.run(steps, first)
    if site.kind == "AWS":
        site.calm()
    checker.wait_until_settled()
    site.end()
    site.start()
    checker.wait_until_settled()
    if older:
        restore_older_backup(site, checker, schedule, neighbour)
    counts = Counter(checker.counts) + Counter(schedule.done) + Counter(older=older)
    return counts + Counter(machines=len(site.machines()), events=len(checker.events))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("provider", "database"), SHORT)
def test_answered_writes_survive_a_short_schedule_of_faults(run_schedule, provider, database):
    first = FIRST[provider, database]
    counts = run_schedule(provider, database, 1, len(first), first, older=False)
    assert counts[YES]


@pytest.mark.slow
@BOTH
@EITHER
@pytest.mark.timeout(7200)
def test_answered_writes_survive_long_random_schedules_of_faults(run_schedule, provider, database):
    counts = Counter[str]()
    for seed in range(SEEDS):
        counts += run_schedule(provider, database, seed, LONG)
    kinds = (
        {"local": "this computer", "aws": "AWS"},
        {"sqlite": "SQLite", "postgres": "PostgreSQL"},
    )
    of = ("killed", "ended", "stopped", "torn", "locked", "full", "emptied", "away", "restarted")
    went_wrong = ", ".join(
        f"{counts[kind]} {kind}" for kind in (*of, "neighbour", "cloud") if counts[kind]
    )
    record(
        f"Faults in random order: {kinds[0][provider]}, {kinds[1][database]}",
        f"{SEEDS} seeds of {LONG} steps ({went_wrong}): {counts[YES]} requests acknowledged, "
        f"{counts[NO]} refused, {counts[UNANSWERED]} unanswered at first; {counts['machines']} "
        f"machines, {counts['events']:,} events, {counts['checks']} checks",
    )
