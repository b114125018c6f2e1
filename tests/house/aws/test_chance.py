"""Random schedules with random faults and deaths; a failure is a seed, which replays."""

import pytest
from sqlalchemy import create_engine, text

from tests.house.aws.stage import Stage, machines_wrong, storage_wrong

SEEDS, STEPS, DEATHS = 20, 20, 4


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("chance"))
    try:
        yield made
    finally:
        made.close()


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
def test_one_daemon(stage, seed):
    found, _ = schedule(stage, seed)
    assert not [*machines_wrong(found), *storage_wrong(found)]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_daemons_on_one_postgresql(stage, postgres, seed):
    engine = create_engine(postgres)
    with engine.begin() as sql:
        sql.execute(text("DROP SCHEMA public CASCADE"))
        sql.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    found, _ = schedule(stage, seed, daemons=2, database=postgres)
    assert not [*machines_wrong(found), *storage_wrong(found)]
