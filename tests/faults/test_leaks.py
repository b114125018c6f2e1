"""Launched and terminated workspaces leave nothing in memory, on disk or in the database.

A thousand with machines in memory, which takes minutes on a busy computer; a hundred with real
processes, whose launches take most of the time.
"""

import contextlib
import gc
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from sqlalchemy import create_engine, func, select, text

from prism.daemon.memory import limit_arenas
from prism.kit.tables import metadata
from tests.conftest import Http
from tests.project.home import Home
from tests.proofs import record
from tests.waiting import eventually

SHELL = "Plain Shell"
WARM, MANY, AT_ONCE = 20, 100, 4
BEGINS_TO_COUNT = 1000
MIB = 2**20
LEDGER = {"accounts", "segments"}  # costs are kept forever
KEPT_ON_PURPOSE = {"events", "idempotency_keys"} | LEDGER  # the first two are pruned by age


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_hundred_launches_and_terminations_of_real_processes_leak_nothing(home):
    with home.run_daemon(PRISM_TERMINATED_RETENTION="1") as daemon:
        launch_and_terminate(home, range(WARM))
        warm = held_resources(home, daemon)
        launch_and_terminate(home, range(WARM, WARM + MANY))
        after = held_resources(home, daemon)
    assert after["descriptors"] <= warm["descriptors"] + 8, (warm, after)
    assert after["threads"] <= warm["threads"] + 8, (warm, after)
    assert after["memory"] <= warm["memory"] + 40, (warm, after)
    assert (after["folders"], after["rows"], after["processes"]) == (0, 0, 0)
    record(
        "A hundred launches and terminations of real processes",
        f"{MANY} on this computer, {AT_ONCE} at a time, after {WARM} to warm up. Before and "
        f"after: {warm['descriptors']} and {after['descriptors']} descriptors, "
        f"{warm['threads']} and {after['threads']} threads, {warm['memory']} and "
        f"{after['memory']} MiB. No folder, process or row of a workspace is left.",
    )


def launch_and_terminate(home, numbers):
    def live(number):
        client = home.client
        client.workspaces.launch(SHELL, f"w{number}", wait=120)
        client.workspaces.terminate(f"w{number}", wait=120)

    with ThreadPoolExecutor(AT_ONCE) as people:
        list(people.map(live, numbers))
    eventually(lambda: not home.client.workspaces.list(), 120)


def held_resources(home, daemon):
    """The resources that an inactive daemon holds."""
    eventually(lambda: not folders(home), 120)
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
    return [
        path
        for path in (home.folder / "workspaces").iterdir()
        if path.name not in {"generation.json", ".disk"}
    ]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("many", "batch"), [(20, 10), pytest.param(1000, 50, marks=pytest.mark.slow)]
)
def test_launches_and_terminations_in_memory_leak_nothing(make_daemon, cloud, clock, many, batch):
    limit_arenas()  # as a daemon does
    daemon = make_daemon(terminated_retention=1)
    crowd = ManyWorkspaces(daemon, cloud, clock, batch)
    crowd.launch_and_terminate(2)
    warm = crowd.held_resources()
    crowd.launch_and_terminate(many // batch)
    after = crowd.held_resources()
    assert after["rows"] == warm["rows"]
    more = (after["types"] - warm["types"]).most_common(8)
    assert sum(count for _, count in more) < many // 2, more
    assert after["descriptors"] <= warm["descriptors"] + 8, (warm, after)
    assert after["threads"] <= warm["threads"] + 8, (warm, after)
    if many < BEGINS_TO_COUNT:
        return
    # Statements that SQLAlchemy has compiled, and small caches; they end to grow at about 12,000.
    assert after["blocks"] <= warm["blocks"] + 20 * many, (warm, after)
    assert after["memory"] <= warm["memory"] + 24, (warm, after)
    record(
        f"A thousand launches and terminations: {'PostgreSQL' if daemon.db.shared else 'SQLite'}",
        f"{many:,}, {batch} at a time, after {2 * batch} to warm up. Before and after: "
        f"{warm['descriptors']} and {after['descriptors']} descriptors, "
        f"{warm['threads']} and {after['threads']} threads, "
        f"{warm['types'].total():,} and {after['types'].total():,} objects of Prism's classes, "
        f"{warm['blocks']:,} and {after['blocks']:,} blocks of Python's memory, "
        f"{warm['memory']} and {after['memory']} MiB of the test process",
    )


class ManyWorkspaces:
    """Workspaces in one daemon whose machines are in memory."""

    def __init__(self, daemon, cloud, clock, batch):
        self.daemon, self.cloud, self.clock, self.batch = daemon, cloud, clock, batch
        self.http, self.number = Http(daemon.app), 0

    def launch_and_terminate(self, times):
        for _ in range(times):
            self.number += self.batch
            self.live([f"w{self.number - n}" for n in range(self.batch)])

    def live(self, names):
        for name in names:
            assert self.http.launch(name, template=SHELL, size="S").status_code == 201
        self.until(lambda: self.states() == {"running"})
        for name in names:
            self.http.post(name, "terminate", json={"confirm": "DELETE"})
        self.until(lambda: not self.states())

    def states(self):
        return {entry["state"] for entry in self.http("GET", "/api/v1/instances").json()}

    def until(self, holds):
        for _ in range(50):
            self.clock.advance(seconds=5)
            self.daemon.settle()
            if holds():
                return
        raise AssertionError(self.states())

    def held_resources(self):
        """The resources that the daemon holds, without the records of the machines in memory."""
        self.cloud.calls.clear()
        forgotten = ("_specs", "_born", "_changes", "_up", "_expiry", "_rules", "_idle")
        for name in forgotten:
            getattr(self.cloud, name).clear()
        self.clock.advance(minutes=1)
        self.daemon.settle()  # replaces the last survey, which contains the gone machines
        self.daemon.tidy()
        gc.collect()
        process = psutil.Process(os.getpid())
        with self.daemon.db.read() as sql:
            rows = {
                table.name: sql.execute(select(func.count()).select_from(table)).scalar()
                for table in metadata.sorted_tables
                if table.name not in KEPT_ON_PURPOSE
            }
        return {
            "descriptors": descriptors(),
            "threads": threading.active_count(),
            "memory": process.memory_info().rss // MIB,
            "blocks": sys.getallocatedblocks(),
            "types": Counter(name for name in classes() if name.startswith("prism.")),
            "rows": rows,
        }


def classes():
    """The class of every object; the web framework keeps some for each path that was requested."""
    for object_ in gc.get_objects():
        yield f"{type(object_).__module__}.{type(object_).__qualname__}"


def descriptors():
    """The number of open descriptors, without those of SQLite (at most 8)."""
    files = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            files.append(os.readlink(f"/proc/self/fd/{number}"))
    return sum("state.db" not in file for file in files)
