"""Random schedules with random faults and deaths.

A failure is a seed, which replays; only where two daemons work at the same moment do their steps
fall as they fall.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.project.aws.stage import DoubleWithDaemons, machines_wrong, storage_wrong
from tests.proofs import record

SEEDS, STEPS, DEATHS = 20, 20, 4


@pytest.fixture(scope="module")
def double_with_daemons(tmp_path_factory):
    stage = DoubleWithDaemons(tmp_path_factory.mktemp("chance"))
    try:
        yield stage
    finally:
        stage.close()


@pytest.fixture
def judge_seed(tmp_path_factory):
    """Judges what a seed came to; the last of all, in whichever process, tells of them."""
    run = tmp_path_factory.getbasetemp()
    run = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run

    def judge(whose, seed, outcome, deaths):
        assert not [*machines_wrong(outcome), *storage_wrong(outcome)]
        place = run / whose.replace(" ", "-")
        place.mkdir(exist_ok=True)
        (place / f"{seed}").write_text(f"{len(outcome['there']['machines'])} {deaths}")
        counts = [[int(word) for word in path.read_text().split()] for path in place.iterdir()]
        if len(counts) == SEEDS:
            machines, deaths = (sum(numbers) for numbers in zip(*counts, strict=True))
            record(
                f"Random schedules on AWS: {whose}",
                f"{SEEDS} seeds of {STEPS} verbs, a daemon killed {deaths} times, "
                f"{machines} machines",
            )

    return judge


@pytest.fixture
def shared_database(copy_database):
    """A database of nobody's."""
    return copy_database("template1")


def job_of(stage, seed, daemons=1, database=""):
    job = stage.job() | {"seed": seed, "steps": STEPS, "deaths": DEATHS, "database": database}
    return job | {"homes": [f"{job['home']}-{n}" for n in range(daemons)]}


def lived(stage, job, daemon=0):
    """Go through a schedule, over all deaths; how many those were."""
    progress = stage.folder / f"progress-{job['environ']['AWS_ACCESS_KEY_ID']}-{daemon}"
    progress.write_text("0")
    part = 0
    while stage.ask(daemon, do="by chance", part=part, progress=str(progress), **job)["killed"]:
        part += 1
    return part


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_one_daemon(double_with_daemons, judge_seed, seed):
    job = job_of(double_with_daemons, seed)
    deaths = lived(double_with_daemons, job)
    judge_seed("one daemon", seed, double_with_daemons.ask(do="rest", **job), deaths)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_daemons_in_turn(double_with_daemons, judge_seed, shared_database, seed):
    job = job_of(double_with_daemons, seed, 2, shared_database)
    deaths = lived(double_with_daemons, job)
    judge_seed(
        "two daemons on one PostgreSQL in turn",
        seed,
        double_with_daemons.ask(do="rest", **job),
        deaths,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_daemons_at_once(double_with_daemons, judge_seed, shared_database, seed):
    double_with_daemons.two()
    job = job_of(double_with_daemons, seed, 2, shared_database)
    double_with_daemons.ask(do="rest", **job)  # there are tables now

    def one(daemon):
        half = {"steps": STEPS // 2, "deaths": DEATHS // 2, "homes": [job["homes"][daemon]]}
        return lived(double_with_daemons, job | half | {"seed": f"{seed}/{daemon}"}, daemon)

    with ThreadPoolExecutor(2) as both:
        deaths = sum(both.map(one, range(2)))
    judge_seed(
        "two daemons on one PostgreSQL at once",
        seed,
        double_with_daemons.ask(do="rest", **job),
        deaths,
    )
