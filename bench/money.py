"""Charts over five years of a thousand workspaces."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles

import msgspec
from page import Report

from prism.catalog.plan import PriceBook
from prism.costs import rollups
from prism.costs.ledger import Ledger
from prism.costs.model import DAY, CostKind
from prism.costs.plan import day_of, unix_time
from prism.costs.service import CostService
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.tables import metadata

WORKSPACES, DAYS, PROJECTS, TIMES = 1000, 5 * 365, 20, 60
END = datetime(2031, 1, 1, 12, tzinfo=UTC)
INSERT = (
    "INSERT INTO segments (no, resource, name, owner, profile, project, kind, detail, amount, "
    "hours, source, began, ended, reconstructed) "
    "VALUES (?,?,?,'ada','local',?,?,'',?,?,'bench',?,?,0)"
)


def segments(now: int) -> Iterator[tuple[object, ...]]:
    """A working day of each workspace on each day, and its disk all the time."""
    first = day_of(now) - DAYS
    for no in range(1, WORKSPACES + 1):
        name, project = f"w{no}", f"p{no % PROJECTS}"
        begin = first * DAY
        yield no, name, name, project, CostKind.ROOT.value, 1_600_000, 720, begin, None
        for day in range(first, first + DAYS):
            at = day * DAY + 8 * 3600 + no
            yield no, name, name, project, CostKind.COMPUTE.value, 83_200, 1, at, at + 8 * 3600
        at = (first + DAYS) * DAY + 8 * 3600 + no
        yield no, name, name, project, CostKind.COMPUTE.value, 83_200, 1, at, None


def filled(folder: Path) -> tuple[Database, StoppedClock]:
    """A database with all segments."""
    clock = StoppedClock(END)
    db = Database(f"sqlite:///{folder / 'state.db'}", clock, Bus())
    metadata.create_all(db.writer)
    now = unix_time(END)
    with sqlite3.connect(folder / "state.db") as raw:
        raw.executemany(INSERT, segments(now))
        raw.execute(
            "INSERT INTO accounts (resource, project, no, name, paid, unknown, since) "
            "SELECT resource, project, no, name, "
            "sum(coalesce(amount * (ended - began) / (hours * 3600), 0)), 0, min(began) "
            "FROM segments GROUP BY resource"
        )
    raw.close()
    return db, clock


def timed(query: Callable[[], object]) -> tuple[float, float]:
    """The 95th percentiles of its wall time and processor time, in milliseconds."""
    took, spent = [], []
    for _ in range(TIMES):
        began, busy = time.perf_counter(), time.process_time()
        msgspec.json.encode(query())
        spent.append((time.process_time() - busy) * 1000)
        took.append((time.perf_counter() - began) * 1000)
    return quantiles(took, n=20)[-1], quantiles(spent, n=20)[-1]


def charts(report: Report) -> None:
    """Every chart, over all segments."""
    with tempfile.TemporaryDirectory() as folder:
        db, clock = filled(Path(folder))
        costs = CostService(db, clock, lambda sql: {})
        began = time.perf_counter()
        days = Ledger(db, clock, PriceBook()).roll()
        took = time.perf_counter() - began
        with db.read() as sql:
            held = rollups.last_day(sql)
        assert held == day_of(unix_time(END)) - 1
        report.say(
            f"computing the daily costs of {WORKSPACES:,} workspaces for {days:,} days at once",
            f"{took:.1f} s",
        )
        start, end = (END - timedelta(days=DAYS)).date(), END.date()
        for grain in ("daily", "weekly", "monthly"):
            p95, spent = timed(partial(costs.history, start, end, grain))
            label = f"chart over 5 years of {WORKSPACES:,} workspaces, {grain}, p95"
            text = f"{p95:.1f} ms, CPU {spent:.1f}"
            report.say(label, text, "≤ 50 ms", p95 <= 50)
        starting = partial(CostService, db, clock, lambda sql: {})
        p95, spent = timed(lambda: starting().history(start, end, "daily"))
        text = f"{p95:.1f} ms, CPU {spent:.1f}"
        report.say("… by a daemon that has just started, daily, p95", text, "≤ 50 ms", p95 <= 50)
        p95, spent = timed(costs.current)
        text = f"{p95:.1f} ms, CPU {spent:.1f}"
        report.say(f"what {WORKSPACES:,} workspaces cost now, p95", text)
        db.close()
