"""Two years of history are upgraded to the micro-dollar, and there is a way back."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import MetaData, create_engine, insert, text
from sqlalchemy.pool import NullPool

from prism.budgets.books import BookReader, every_cap
from prism.budgets.store import amounts_of
from prism.catalog.plan import PriceBook
from prism.costs import store
from prism.costs.ledger import Ledger
from prism.costs.service import CostService
from prism.daemon import backups
from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.kit.clock import StoppedClock
from prism.kit.database.migrate import upgrade
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.settings import Settings
from tests.months import month_cost

pytestmark = pytest.mark.postgres
OLD = "0016"  # before running segments counted until a survey, and before months of storage
NOW = datetime(2026, 12, 10, 9, 30, tzinfo=UTC)
DAYS, WORKSPACES, HOUR, DAY, MONTH = 730, 12, 3600, 86400, 720 * 3600
FIRST = int((NOW - timedelta(days=DAYS)).timestamp()) // DAY * DAY
PRICES, DISKS = (20_800, 41_600, 333_333), (1_600_000, 640_001)
MONEY = ("segments", "accounts", "totals", "days", "marks", "pools", "allocations", "reservations")


def cost(row, until):
    """What a segment of the old database has cost by a moment, by whole months of 720 hours."""
    end = min(until, row["ended"] or until)
    return row["amount"] * max(0, end - row["began"]) // (row["hours"] * HOUR)


def history():
    """Two years of segments: working days, nights asleep or stopped, and disks all the time."""
    dice, now = random.Random(35), int(NOW.timestamp())
    for no in range(1, WORKSPACES + 1):
        project = f"proj_{no % 3}"
        budget = (f"alloc_{no % 3}", f"pool_{no % 2}") if no % 3 else (None, None)
        paid_by = {"project": project, "allocation": budget[0], "pool": budget[1]}
        of = {"no": no, "resource": f"ws_{no}", "name": f"w{no}", "owner": "ada", **paid_by}
        of |= {"profile": "local", "template": "t", "detail": "d", "source": "simulated"}
        of |= {"reconstructed": False}
        amount, at = dice.choice(PRICES), FIRST + dice.randrange(DAY)
        disk = {"kind": "root", "amount": dice.choice(DISKS), "hours": 720}
        yield {**of, **disk, "began": at, "ended": None}
        while at < now - 2 * DAY:
            ends = at + dice.randrange(60, 14 * HOUR)
            compute = {"amount": amount, "hours": 1}
            yield {**of, **compute, "kind": "compute", "began": at, "ended": ends}
            at = ends + dice.randrange(HOUR, 2 * DAY)
            if dice.random() < 0.3:
                yield {**of, **compute, "kind": "asleep", "began": ends, "ended": at}
        if at < now and no % 4:
            running = {"kind": "compute", "amount": amount, "hours": 1}
            yield {**of, **running, "began": at, "ended": None}


class OldLedger:
    """The rows of an older Prism, and what they add up to, counted one by one."""

    def __init__(self):
        self.rows = list(history())
        self.now = int(NOW.timestamp())

    def spent(self, column, of, since=0, until=None):
        until = self.now if until is None else until
        return sum(
            cost(row, until) - cost(row, since)
            for row in self.rows
            if row[column] == of and row["kind"] != "asleep"
        )

    def days(self, project):
        """What a project has spent on each day until now, from the first."""
        days = [0] * (self.now // DAY - FIRST // DAY + 1)
        for row in self.rows:
            if row["project"] == project and row["kind"] != "asleep":
                for day in range(row["began"] // DAY, (row["ended"] or self.now) // DAY + 1):
                    begin, end = day * DAY, min(day * DAY + DAY, self.now)
                    days[day - FIRST // DAY] += cost(row, end) - cost(row, begin)
        return days

    def sums(self):
        """The stored sums: of each resource, and of each payer by kind, on closed segments."""
        closed = [row for row in self.rows if row["ended"]]
        accounts = dict[tuple[str, str], dict[str, Any]]()
        totals = dict[tuple[str, str], int]()
        for row in self.rows:
            key = row["resource"], row["project"]
            names = {name: row[name] for name in ("resource", "project", "no", "name")}
            known = accounts.setdefault(key, {**names, "paid": 0, "unknown": False})
            known["since"] = min(known.get("since", row["began"]), row["began"])
        for row in closed:
            if row["kind"] != "asleep":
                accounts[row["resource"], row["project"]]["paid"] += cost(row, self.now)
            for scope in filter(None, (row["project"], row["allocation"], row["pool"])):
                key = scope, row["kind"]
                totals[key] = totals.get(key, 0) + cost(row, self.now)
        rows = [{"scope": s, "kind": k, "micros": paid} for (s, k), paid in totals.items()]
        return {"accounts": [*accounts.values()], "totals": rows}


def fill(url, old):
    """Write the history into a database of the old schema."""
    engine, tables = create_engine(url, poolclass=NullPool), MetaData()
    with engine.begin() as sql:
        tables.reflect(sql)
        at = NOW - timedelta(days=DAYS)
        project = {"created_by": "pi", "created_at": at}
        rows = [{"id": f"proj_{n}", "name": f"p{n}", **project} for n in range(3)]
        put(sql, tables.tables["projects"], rows)
        pool = {"total": 10**10, "period": "monthly", "time_zone": "Europe/Berlin"}
        pool |= {"start_date": at, "created_at": at, "updated_at": at}
        rows = [{"id": f"pool_{n}", "name": f"grant{n}", **pool} for n in range(2)]
        put(sql, tables.tables["pools"], rows)
        part = {"pool": "pool_0", "amount": 10**9, "allocated_at": at}
        rows = [{"id": f"alloc_{n}", "project": f"proj_{n}", **part} for n in range(1, 3)]
        put(sql, tables.tables["allocations"], rows)
        put(sql, tables.tables["segments"], old.rows)
        for name, sums in old.sums().items():
            put(sql, tables.tables[name], sums)
    engine.dispose()


def put(sql, table, rows):
    """Insert rows; what they do not name is empty or 0."""
    rest = {
        column.name: "" if column.type.python_type is str else 0
        for column in table.columns
        if not (column.nullable or column.primary_key or column.server_default is not None)
    }
    sql.execute(insert(table), [rest | row for row in rows])


def content(url):
    """Every row of the tables of money, and the revision."""
    engine, rows = create_engine(url, poolclass=NullPool), {}
    with engine.connect() as sql:
        for table in MONEY:
            rows[table] = sorted(map(str, sql.execute(text(f"SELECT * FROM {table}"))))
        revision = sql.execute(text("SELECT version_num FROM alembic_version"))
        rows["revision"] = [revision.scalar_one()]
    engine.dispose()
    return rows


@pytest.fixture(scope="module")
def old():
    return OldLedger()


@pytest.fixture
def old_settings(empty_database_url, tmp_path, old):
    """The settings of a home whose database an older Prism has written."""
    folder = tmp_path / "steps"
    shutil.copytree(MIGRATIONS_FOLDER, folder, ignore=shutil.ignore_patterns("[0-9]*", "*.pyc"))
    for step in (MIGRATIONS_FOLDER / "versions").glob("[0-9]*.py"):
        if step.stem[:4] <= OLD:
            shutil.copy(step, folder / "versions")
    upgrade(empty_database_url, folder)
    fill(empty_database_url, old)
    home = tmp_path / "home"
    home.mkdir()
    return Settings(home=str(home), database_url=empty_database_url)


class NewPrism:
    """The services of the present Prism on that database, after its first settlement."""

    def __init__(self, url):
        upgrade(url, MIGRATIONS_FOLDER)
        self.clock = StoppedClock(NOW)
        self.db = Database(url, self.clock, Bus())
        with self.db.write() as tx:  # the upgrade took what runs as seen at its own moment
            seen = text("UPDATE segments SET counted = :at WHERE counted IS NOT NULL")
            assert tx.sql.execute(seen, {"at": int(NOW.timestamp())}).rowcount > 0
        self.reader = BookReader(self.db, self.clock)
        self.costs = CostService(self.db, self.clock, lambda _: {})
        self.settle()

    def settle(self):
        Ledger(self.db, self.clock, PriceBook()).roll()

    def payers(self):
        """What each project, allocation and pool has ever spent."""
        now = int(self.clock.now().timestamp())
        with self.db.read() as sql:
            columns = {"project": "proj", "allocation": "alloc", "pool": "pool"}
            return {
                (column, f"{prefix}_{number}"): store.total(sql, column, f"{prefix}_{number}", now)
                for column, prefix in columns.items()
                for number in range(3)
            }

    def settled(self):
        """What each cap has spent in its present period."""
        with self.db.read() as sql:
            books = self.reader.open(sql)
            return {cap.id: books.balance(cap).settled for cap in every_cap(sql)}


@pytest.fixture
def upgraded(old_settings):
    prism = NewPrism(old_settings.database)
    yield prism
    prism.db.close()


def test_sums_of_two_years_are_equal_after_the_upgrade(upgraded, old):
    assert len(old.rows) > 5_000
    sums = upgraded.payers()
    assert sums == {key: old.spent(*key) for key in sums}
    assert sums["project", "proj_1"] > 0
    berlin = datetime(2026, 12, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    since = int(berlin.timestamp())
    settled = upgraded.settled()
    assert settled == {
        id: old.spent("pool" if id.startswith("pool") else "allocation", id, since)
        for id in settled
    }
    assert len(settled) == 4


def test_amounts_of_before_the_upgrade_count_for_all_of_the_past(upgraded):
    """So statements of earlier periods have the amount that the pool had at the upgrade."""
    with upgraded.db.read() as sql:
        caps = [cap for cap in every_cap(sql) if cap.pool is not None]
        rows = [row for cap in caps for row in amounts_of(sql, cap.id)]
    assert caps
    assert {row.since for row in rows} == {0}
    assert {row.scope: row.amount for row in rows} == {cap.id: cap.amount for cap in caps}


def test_each_day_of_two_years_is_equal_after_the_upgrade(upgraded, old):
    first = datetime.fromtimestamp(FIRST, UTC).date()
    for number in range(3):
        bars = upgraded.costs.history(first, NOW.date(), "daily", f"p{number}").daily_costs
        assert [bar.micros for bar in bars] == old.days(f"proj_{number}")
    lines = upgraded.costs.export(first, NOW.date(), None)
    every = sum(old.spent("project", f"proj_{number}") for number in range(3))
    assert sum(line.micros or 0 for line in lines) == every


def test_disks_cost_calendar_months_from_the_upgrade_on(upgraded, old):
    """What was booked before stays as it was."""
    before = upgraded.payers()
    upgraded.clock.advance(days=40)
    upgraded.settle()
    later, after = int(upgraded.clock.now().timestamp()), upgraded.payers()
    for (column, of), paid in before.items():
        disks = [row for row in old.rows if row["kind"] == "root" and row[column] == of]
        more = sum(month_cost(row["amount"], old.now, later) for row in disks)
        assert after[column, of] == paid + more, "compute counts until the last survey only"


def test_backup_before_the_upgrade_is_the_way_back(old_settings, old, tmp_path):
    url, file = old_settings.database, tmp_path / "before.tar"
    before = content(url)
    assert before["revision"] == [OLD]
    backups.create(old_settings, file)
    first = NewPrism(url)
    sums = first.payers()
    first.db.close()
    assert content(url) != before
    backups.restore(old_settings, file)
    assert content(url) == before, "the older Prism finds what it has written"
    again = NewPrism(url)
    assert again.payers() == sums, "and it can be upgraded again"
    again.db.close()
