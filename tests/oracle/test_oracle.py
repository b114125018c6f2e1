"""Amounts in the API equal those of an independent account.

The account is computed from the accepted requests and the real states of the machines, after
docs/money.md. Schedules are random: launches, suspended computers, daemon restarts, price
changes, and requests about money before a survey.
"""

import ast
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prism.daemon.app import App, build
from prism.kit.clock import StoppedClock
from prism.providers.local.offer import LocalOffer
from prism.settings import Settings
from tests.conftest import HOME, LOCATION, memory_folder
from tests.doubles.volumes import MemoryVolumes
from tests.money import ClockedDaemon
from tests.optional import not_none
from tests.oracle.changes import Changes
from tests.oracle.schedule import Schedule
from tests.oracle.world import Recording
from tests.proofs import record

SHORT, LONG = 6, 40  # steps of a schedule
MANY = range(10, 70)  # on each database
MORE = range(2, 32)


def quick(sqlite: int, postgres: int) -> pytest.MarkDecorator:
    """That many schedules on each database."""
    counts = {"SQLite": sqlite, "PostgreSQL": postgres}
    these = [(name, seed) for name, count in counts.items() for seed in range(count)]
    return pytest.mark.parametrize(("database", "seed"), these, indirect=["database"])


RATES = {"XS": 20_800, "S": 41_600, "M": 83_200, "L": 166_400}


class RestartableLab(ClockedDaemon):
    """A daemon with a stopped clock that can be replaced by another one."""

    def __init__(self, make: Callable[[], App], clock: StoppedClock) -> None:
        self._make = make
        super().__init__(make(), clock)

    def again(self) -> None:
        super().__init__(self._make(), self.clock)


class Prices:
    """The present price of an hour; `factor` is the price change of AWS."""

    factor = 1.0

    def __getitem__(self, size):
        return int(RATES[size] * self.factor)


@pytest.fixture
def prices(monkeypatch):
    now, real_price = Prices(), LocalOffer.price

    def price(terms, *of, **more):
        hourly, source = real_price(terms, *of, **more)
        return int(not_none(hourly) * now.factor), source

    monkeypatch.setattr(LocalOffer, "price", price)
    return now


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request):
    return request.param


@pytest.fixture
def run_schedule(request, database, sqlite_file_with_tables, prices):
    """Runs one schedule with its own database and cloud; returns its counts."""
    folder = memory_folder("oracle")
    request.addfinalizer(lambda: shutil.rmtree(folder))

    def fresh(seed):
        if database == "SQLite":
            return f"sqlite:///{shutil.copy(sqlite_file_with_tables, folder / f'{seed}.db')}"
        filled = request.getfixturevalue("database_with_tables")
        return request.getfixturevalue("copy_database")(filled, to="oracle")

    def run(seed, steps, kind=Schedule):
        clock, url, daemons = StoppedClock(datetime(2026, 1, 1, tzinfo=UTC)), fresh(seed), []
        cloud, disks = Recording(clock), MemoryVolumes(clock)
        cloud.busy = disks.busy = timedelta(0)
        prices.factor = 1.0

        def daemon():
            options = Settings(home=str(HOME), database_url=url, user="ada", local_prices="aws")
            app = build(options, {LOCATION: cloud}, clock, volumes={LOCATION: disks})
            app.profiles.first_start({})
            daemons.append(app)
            return app

        lab = RestartableLab(daemon, clock)
        try:
            schedule = kind(lab, cloud, prices, seed)
            schedule.run(steps)
        finally:
            for app in daemons:
                app.close()
        return schedule.counts

    return run


def test_account_imports_no_code_of_costs_and_budgets():
    """Nor do the modules of the schedule and the cloud."""
    names = {"prism.workspaces.model", "tests.doubles.memory", "tests.oracle.ledger"}
    names |= {"tests.months"}
    for module in ("ledger", "schedule", "world", "../months"):
        tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
        froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        plain = {
            a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
        }
        ours = {
            text
            for text in froms | plain
            if text and text.split(".")[0] in ("prism", "tests", "aws_double")
        }
        assert ours <= names


@quick(sqlite=2, postgres=1)
def test_api_amounts_equal_the_account_in_a_short_schedule(run_schedule, seed):
    assert run_schedule(seed, SHORT)["values"] > 100


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_api_amounts_equal_the_account_in_long_schedules(run_schedule, database):
    counts = Counter[str]()
    for seed in MANY:
        counts += Counter(run_schedule(seed, LONG))
    assert counts["granted"]
    assert counts["refused"]
    record(
        f"Money in the API against an independent calculation: {database}",
        f"{len(MANY)} random schedules, {counts['steps']:,} steps, {counts['values']:,} values; "
        f"{counts['granted']:,} launches granted, {counts['refused']:,} refused",
    )


@quick(sqlite=1, postgres=0)
def test_api_amounts_are_equal_on_all_pages_in_a_short_schedule(run_schedule, seed):
    """With several pools, whose money is allocated, taken back and ended."""
    assert run_schedule(seed, SHORT, Changes)["values"] > 300


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_api_amounts_are_equal_on_all_pages_in_long_schedules(run_schedule, database):
    counts = Counter[str]()
    for seed in MORE:
        counts += Counter(run_schedule(seed, SHORT * 3, Changes))
    assert counts["granted"]
    assert counts["refused"]
    record(
        f"Money on each page against every other page: {database}",
        f"{len(MORE)} random schedules, {counts['steps']:,} steps, {counts['values']:,} pairs of "
        f"numbers; {counts['granted']:,} launches granted, {counts['refused']:,} refused",
    )
