"""A thousand workspaces that come and go leave nothing in memory, on disk or in the database."""

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from sqlalchemy import create_engine, text

from tests.house.living import Home
from tests.proofs import record
from tests.waiting import eventually

SHELL = "Plain Shell"
WARM, MANY, AT_ONCE = 50, 1000, 4
MIB = 2**20


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_launches_and_terminates_leave_nothing(home):
    with home.living(PRISM_TERMINATED_RETENTION="1") as daemon:
        come_and_go(home, range(WARM))
        warm = taken(home, daemon)
        come_and_go(home, range(WARM, WARM + MANY))
        after = taken(home, daemon)
    assert after["descriptors"] <= warm["descriptors"] + 8, (warm, after)
    assert after["threads"] <= warm["threads"] + 8, (warm, after)
    assert after["memory"] <= warm["memory"] + 40, (warm, after)
    assert (after["folders"], after["rows"], after["processes"]) == (0, 0, 0)
    record(
        "A thousand launches and terminates",
        f"On this machine, {AT_ONCE} at a time, after {WARM} to warm up. Before and after: "
        f"{warm['descriptors']} and {after['descriptors']} descriptors, {warm['threads']} and "
        f"{after['threads']} threads, {warm['memory']} and {after['memory']} MiB; no folder, "
        "process or row of a workspace is left.",
    )


def come_and_go(home, numbers):
    def live(number):
        client = home.client
        client.workspaces.launch(SHELL, f"w{number}", wait=120)
        client.workspaces.terminate(f"w{number}", wait=120)

    with ThreadPoolExecutor(AT_ONCE) as people:
        list(people.map(live, numbers))
    eventually(lambda: not home.client.workspaces.list(), 120)


def taken(home, daemon):
    """What a calm daemon holds."""
    eventually(lambda: not folders(home), 60)
    process = psutil.Process(daemon.pid)
    engine = create_engine(f"sqlite:///{home.folder / 'state.db'}")
    with engine.connect() as sql:
        rows = sql.execute(text("SELECT count(*) FROM workspaces")).scalar()
    engine.dispose()
    return {
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "memory": process.memory_info().rss // MIB,
        "folders": len(folders(home)),
        "processes": len(home.processes()),
        "rows": rows,
    }


def folders(home):
    return [it for it in (home.folder / "workspaces").iterdir() if it.name != "generation.json"]
