"""Random schedules with random faults and deaths; a failure is a seed, which replays."""

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
    """What each seed came to, by how many daemons there were; told when all have been tried."""
    tried = {"one daemon": {}, "two daemons on one PostgreSQL": {}}
    yield tried
    for whose, seeds in tried.items():
        if len(seeds) == SEEDS:
            made = sum(len(found["there"]["machines"]) for found, _ in seeds.values())
            record(
                f"Random schedules on AWS: {whose}",
                f"{SEEDS} seeds of {STEPS} verbs with lost, late, doubled, dropped, throttled and "
                f"stale answers; {sum(deaths for _, deaths in seeds.values())} deaths, {made} "
                f"machines made, none of them twice, none without a workspace that knows it.",
            )


def schedule(stage, seed, daemons=1, database=""):
    """What there is after a schedule has come to rest, and how often it died on its way."""
    job = stage.job() | {"seed": seed, "steps": STEPS, "deaths": DEATHS, "database": database}
    progress = stage.folder / f"progress-{job['environ']['AWS_ACCESS_KEY_ID']}"
    progress.write_text("0")
    homes = [f"{job['home']}-{n}" for n in range(daemons)]
    job |= {"homes": homes, "progress": str(progress)}
    part = 0
    while stage.ask(do="by chance", part=part, **job)["killed"]:
        part += 1
    return stage.ask(do="rest", **job), part


def of_seed(seed):
    return pytest.param(seed, marks=() if seed == 0 else pytest.mark.slow)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [of_seed(seed) for seed in range(SEEDS)])
def test_one_daemon(stage, came_of, seed):
    found, deaths = schedule(stage, seed)
    assert not [*machines_wrong(found), *storage_wrong(found)]
    came_of["one daemon"][seed] = found, deaths


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_daemons_on_one_postgresql(stage, came_of, postgres, seed):
    engine = create_engine(postgres)
    with engine.begin() as sql:
        sql.execute(text("DROP SCHEMA public CASCADE"))
        sql.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    found, deaths = schedule(stage, seed, daemons=2, database=postgres)
    assert not [*machines_wrong(found), *storage_wrong(found)]
    came_of["two daemons on one PostgreSQL"][seed] = found, deaths
