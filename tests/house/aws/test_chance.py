"""Random schedules with random faults and deaths.

A failure is a seed, which replays; only where two daemons work at the same moment do their steps
fall as they fall.
"""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text

from tests.house.aws.stage import Stage, machines_wrong, storage_wrong
from tests.proofs import record

SEEDS, STEPS, DEATHS = 20, 20, 4


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("chance"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def came_of():
    """Judges what each seed came to, and tells of them when all have been tried."""
    tried = defaultdict(dict)

    def judge(whose, seed, found, deaths):
        assert not [*machines_wrong(found), *storage_wrong(found)]
        tried[whose][seed] = len(found["there"]["machines"]), deaths

    yield judge
    for whose, seeds in tried.items():
        if len(seeds) == SEEDS:
            machines, deaths = (sum(counts) for counts in zip(*seeds.values(), strict=True))
            record(
                f"Random schedules on AWS: {whose}",
                f"{SEEDS} seeds of {STEPS} verbs with lost, late, doubled, dropped, throttled and "
                f"stale answers; {deaths} deaths, {machines} machines made, none of them twice, "
                f"none without a workspace that knows it.",
            )


@pytest.fixture
def shared(postgres):
    """A database of nobody's."""
    engine = create_engine(postgres)
    with engine.begin() as sql:
        sql.execute(text("DROP SCHEMA public CASCADE"))
        sql.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return postgres


def job_of(stage, seed, daemons=1, database=""):
    job = stage.job() | {"seed": seed, "steps": STEPS, "deaths": DEATHS, "database": database}
    return job | {"homes": [f"{job['home']}-{n}" for n in range(daemons)]}


def lived(stage, job, who=0):
    """Go through a schedule, over all deaths; how many those were."""
    progress = stage.folder / f"progress-{job['environ']['AWS_ACCESS_KEY_ID']}-{who}"
    progress.write_text("0")
    part = 0
    while stage.ask(who, do="by chance", part=part, progress=str(progress), **job)["killed"]:
        part += 1
    return part


def of_seed(seed):
    return pytest.param(seed, marks=() if seed == 0 else pytest.mark.slow)


@pytest.mark.xdist_group("chance")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [of_seed(seed) for seed in range(SEEDS)])
def test_one_daemon(stage, came_of, seed):
    job = job_of(stage, seed)
    deaths = lived(stage, job)
    came_of("one daemon", seed, stage.ask(do="rest", **job), deaths)


@pytest.mark.slow
@pytest.mark.xdist_group("chance of two")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_daemons_in_turn(stage, came_of, shared, seed):
    job = job_of(stage, seed, 2, shared)
    deaths = lived(stage, job)
    came_of("two daemons on one PostgreSQL", seed, stage.ask(do="rest", **job), deaths)


@pytest.mark.slow
@pytest.mark.xdist_group("chance of two")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_daemons_at_once(stage, came_of, shared, seed):
    stage.two()
    job = job_of(stage, seed, 2, shared)
    stage.ask(do="rest", **job)  # there are tables now

    def one(who):
        half = {"steps": STEPS // 2, "deaths": DEATHS // 2, "homes": [job["homes"][who]]}
        return lived(stage, job | half | {"seed": f"{seed}/{who}"}, who)

    with ThreadPoolExecutor(2) as both:
        deaths = sum(both.map(one, range(2)))
    whose = "two daemons on one PostgreSQL at once, each with deaths of its own"
    came_of(whose, seed, stage.ask(do="rest", **job), deaths)
