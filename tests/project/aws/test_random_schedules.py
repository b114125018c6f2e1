"""Random schedules with random faults and kills.

A seed replays a failure, except where two daemons work at the same time, because the order of
their steps differs.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.project.aws.double_with_daemons import DoubleWithDaemons, machines_wrong, storage_wrong
from tests.proofs import record

SEEDS, STEPS, DEATHS = 20, 20, 4


@pytest.fixture(scope="module")
def double_with_daemons(tmp_path_factory):
    double = DoubleWithDaemons(tmp_path_factory.mktemp("chance"))
    try:
        yield double
    finally:
        double.close()


@pytest.fixture
def check_seed(tmp_path_factory):
    """Checks the outcome of a seed; the last seed of all processes records the result."""
    run = tmp_path_factory.getbasetemp()
    run = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run

    def check(title, seed, outcome, deaths):
        assert not [*machines_wrong(outcome), *storage_wrong(outcome)]
        place = run / title.replace(" ", "-")
        place.mkdir(exist_ok=True)
        (place / f"{seed}").write_text(f"{len(outcome['there']['machines'])} {deaths}")
        counts = [[int(word) for word in path.read_text().split()] for path in place.iterdir()]
        if len(counts) == SEEDS:
            machines, deaths = (sum(numbers) for numbers in zip(*counts, strict=True))
            record(
                f"Random schedules on AWS: {title}",
                f"{SEEDS} seeds of {STEPS} verbs, a daemon killed {deaths} times, "
                f"{machines} machines",
            )

    return check


@pytest.fixture
def shared_database(copy_database):
    """An empty database."""
    return copy_database("template1")


def job_of(double, seed, daemons=1, database=""):
    job = double.job() | {"seed": seed, "steps": STEPS, "deaths": DEATHS, "database": database}
    return job | {"homes": [f"{job['home']}-{n}" for n in range(daemons)]}


def run_schedule(double, job, daemon=0):
    """Runs a schedule to its end; returns the number of kills."""
    progress = double.folder / f"progress-{job['environ']['AWS_ACCESS_KEY_ID']}-{daemon}"
    progress.write_text("0")
    part = 0
    while double.ask(daemon, do="by chance", part=part, progress=str(progress), **job)["killed"]:
        part += 1
    return part


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_schedule_of_one_daemon_ends_consistent(double_with_daemons, check_seed, seed):
    job = job_of(double_with_daemons, seed)
    deaths = run_schedule(double_with_daemons, job)
    check_seed("one daemon", seed, double_with_daemons.ask(do="rest", **job), deaths)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_schedule_of_two_daemons_in_turn_ends_consistent(
    double_with_daemons, check_seed, shared_database, seed
):
    job = job_of(double_with_daemons, seed, 2, shared_database)
    deaths = run_schedule(double_with_daemons, job)
    check_seed(
        "two daemons on one PostgreSQL in turn",
        seed,
        double_with_daemons.ask(do="rest", **job),
        deaths,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_schedule_of_two_daemons_at_once_ends_consistent(
    double_with_daemons, check_seed, shared_database, seed
):
    double_with_daemons.two()
    job = job_of(double_with_daemons, seed, 2, shared_database)
    double_with_daemons.ask(do="rest", **job)  # creates the tables

    def run(daemon):
        half = {"steps": STEPS // 2, "deaths": DEATHS // 2, "homes": [job["homes"][daemon]]}
        return run_schedule(double_with_daemons, job | half | {"seed": f"{seed}/{daemon}"}, daemon)

    with ThreadPoolExecutor(2) as both:
        deaths = sum(both.map(run, range(2)))
    check_seed(
        "two daemons on one PostgreSQL at once",
        seed,
        double_with_daemons.ask(do="rest", **job),
        deaths,
    )
