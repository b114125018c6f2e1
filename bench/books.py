"""Lists of money, with 10,000 workspaces of 200 projects, while time passes and after changes."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from page import Report
from sqlalchemy import insert

from prism.budgets import store as budgets
from prism.budgets.books import BookReader, every_cap
from prism.budgets.model import Allocation, Pool, Reservation
from prism.budgets.service import BudgetService
from prism.budgets.spending import ProjectSpending
from prism.catalog.plan import PriceBook
from prism.costs import store as ledger
from prism.costs.ledger import Ledger
from prism.costs.model import DAY, HOUR, Booking, CostKind, Rate
from prism.costs.plan import Charge, unix_time
from prism.costs.service import CostService
from prism.kit.clock import StoppedClock
from prism.kit.db import Database, Tx
from prism.kit.events import Bus
from prism.kit.money import Micros
from prism.kit.tables import metadata
from prism.projects import store as projects
from prism.projects.model import Project
from prism.projects.service import ProjectService

WORKSPACES, PROJECTS, POOLS, TIMES = 10_000, 200, 10, 25
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
PRICES = (20_800, 41_600, 83_200, 166_400, 340_000)
SIZES = (8, 20, 50, 100)


class Store:
    """A database with all workspaces, and the services that answer about it."""

    def __init__(self, folder: Path) -> None:
        self.clock = StoppedClock(NOW)
        self.db = Database(f"sqlite:///{folder / 'state.db'}", self.clock, Bus())
        metadata.create_all(self.db.writer)
        self._random = random.Random(1)
        with self.db.write() as tx:
            self._fill(tx)
        self.start()
        self._settle()

    def start(self) -> None:
        """Make the services anew, as in a daemon that has just started."""
        self.reader = BookReader(self.db, self.clock)
        spending = ProjectSpending(self.db, self.clock, self.reader, _NoObserver())
        self.projects = ProjectService(
            self.db,
            self.clock,
            lambda: "bench",
            spending=spending,
            counts=dict,
            dependents=[],
            listeners=[],
            creation="operator",
        )
        self.budgets = BudgetService(
            self.db, self.clock, lambda: "bench", self.reader, release=lambda _tx, _row: False
        )
        self.costs = CostService(self.db, self.clock, budgets.names_of_pools)

    def lists(self) -> Mapping[str, Callable[[], object]]:
        """The requests that are timed."""
        return {
            "GET /projects": self.projects.every,
            "GET /budgets": self.budgets.pools,
            "GET /costs/current": self.costs.current,
        }

    def _settle(self) -> None:
        """Sum up past days and past periods, as the daemon's loop does."""
        Ledger(self.db, self.clock, PriceBook()).roll()
        with self.db.write() as tx:
            open_books = self.reader.open(tx.sql)
            open_books.mark(tx, every_cap(tx.sql))

    def _fill(self, tx: Tx) -> None:
        for number in range(POOLS):
            budgets.put_pool(tx, _pool(number), 0)
        for number in range(PROJECTS):
            cap = Micros(50_000_000_000) if number % 2 else None
            project = Project(
                id=f"proj_{number:04}", name=f"p{number}", cap=cap, created_by="b", created_at=NOW
            )
            projects.add(tx, project)
            budgets.put_allocation(tx, _allocation(number), 0)
        rows = []
        for number in range(WORKSPACES):
            rows.append(msgspec.structs.asdict(self._workspace(tx, number)))
        stored = [row | {"due_at": NOW, "attempts": 0} for row in rows]
        for part in range(0, len(stored), 500):
            tx.sql.execute(insert(budgets.reservations), stored[part : part + 500])

    def _workspace(self, tx: Tx, number: int) -> Reservation:
        now, dice = unix_time(NOW), self._random
        project = number % PROJECTS
        of = Booking(
            resource=f"ws_{number:05}",
            name=f"w{number}",
            owner="ada",
            profile="local",
            template="t",
            project=f"proj_{project:04}",
            allocation=f"alloc_{project:04}",
            pool=f"budget_{project % POOLS:02}",
        )
        launched = now - dice.randrange(DAY, 20 * DAY)
        began = now - dice.randrange(HOUR, 12 * HOUR)
        price = Micros(dice.choice(PRICES))
        month = Micros(dice.choice(SIZES) * 80_000)
        for at in (launched, launched + HOUR * 5):  # two runs that are over
            _run(tx, of, price, at, at + 3 * HOUR)
        disk = Charge("disk", Rate(month, 720, "bench"))
        ledger.begin(tx, of, CostKind.ROOT, disk, launched, counted=None, reconstructed=False)
        runs = bool(number % 4)
        if runs:
            charge = Charge("small", Rate(price, 1, "bench"))
            ledger.begin(tx, of, CostKind.COMPUTE, charge, began, counted=now, reconstructed=False)
        return Reservation(
            id=of.resource,
            name=of.name,
            project=str(of.project),
            allocation=of.allocation,
            pool=of.pool,
            compute=price,
            since=began,
            until=now + HOUR if runs else began,
            stopping=600,
            running=runs,
            disk=month,
            disk_since=launched,
            disk_until=now + 30 * DAY,
            part_until=now + 30 * DAY,
            kept=True,
            counted=now if runs else 0,
        )

    def change(self, number: int) -> None:
        """A workspace stops, as the ledger books it."""
        id, now = f"ws_{number:05}", unix_time(self.clock.now())
        with self.db.write() as tx:
            for segment in ledger.open_of(tx.sql, id):
                if segment.kind is CostKind.COMPUTE:
                    ledger.end(tx, segment, now, 1_000, reconstructed=False)
            row = budgets.find_reservation(tx.sql, id)
            assert row is not None, "each workspace has one"
            budgets.put_reservation(
                tx, msgspec.structs.replace(row, running=False, until=row.since)
            )

    def survey(self) -> None:
        """A survey sees every workspace run."""
        ids, at = [f"ws_{number:05}" for number in range(WORKSPACES)], unix_time(self.clock.now())
        with self.db.write() as tx:
            ledger.confirm(tx, ids, at)
            budgets.confirm(tx, ids, at)


class _NoObserver:
    def observed(self, sql: Any, project: str) -> Sequence[Any]:
        return []


def _pool(number: int) -> Pool:
    return Pool(
        id=f"budget_{number:02}",
        name=f"grant{number}",
        total=Micros(900_000_000_000),
        period="monthly" if number % 2 else "project",
        time_zone="Europe/Berlin",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="b",
        created_at=NOW,
        updated_at=NOW,
    )


def _allocation(number: int) -> Allocation:
    return Allocation(
        id=f"alloc_{number:04}",
        pool=f"budget_{number % POOLS:02}",
        project=f"proj_{number:04}",
        amount=Micros(20_000_000_000),
        alert_threshold=0.8,
        allocated_by="b",
        allocated_at=NOW,
    )


def _run(tx: Tx, of: Booking, price: Micros, begin: int, end: int) -> None:
    charge = Charge("small", Rate(price, 1, "bench"))
    ledger.begin(tx, of, CostKind.COMPUTE, charge, begin, counted=begin, reconstructed=False)
    [segment] = [row for row in ledger.open_of(tx.sql, of.resource) if row.hours == 1]
    paid = price * (end - begin) // HOUR
    ledger.end(tx, segment, end, paid, reconstructed=False)


def _spent(query: Callable[[], object]) -> float:
    """The processor time of a request and its answer in JSON, in milliseconds."""
    began = time.process_time()
    msgspec.json.encode(query())
    return (time.process_time() - began) * 1000


def _timed(
    store: Store, query: Callable[[], object], number: Iterator[int]
) -> dict[str, list[float]]:
    """The processor times of a request in each situation."""
    took: dict[str, list[float]] = {}
    for at in range(TIMES):
        store.clock.advance(seconds=1)
        took.setdefault("a second later", []).append(_spent(query))
        took.setdefault("again in the same second", []).append(_spent(query))
        store.clock.advance(seconds=1)
        store.change(next(number))
        took.setdefault("after a change", []).append(_spent(query))
        if at % 5 == 0:
            store.survey()
            took.setdefault("after a survey of all", []).append(_spent(query))
    return took


def books(report: Report) -> None:
    """The lists in four situations: what one request takes, and by how much that is more."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        number = iter(range(1, WORKSPACES, 4))
        for name in store.lists():
            whole = []
            for _ in range(3):
                store.start()
                whole.append(_spent(store.lists()[name]))
            label = f"`{name}` with {WORKSPACES:,} workspaces of {PROJECTS} projects, first"
            report.say(label, f"CPU {median(whole):.0f} ms")
            for situation, times in _timed(store, store.lists()[name], number).items():
                part = 100 * median(times) / median(whole)
                report.say(f"… {situation}", f"CPU {median(times):.1f} ms, {part:.0f}% of that")
        store.db.close()


if __name__ == "__main__":
    books(Report())
