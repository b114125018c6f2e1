"""When the loop rests; its work on rows is tested with the packages that use it."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Engine, MetaData, String, Table, event, or_, select, true
from sqlalchemy.exc import IntegrityError, OperationalError

from prism.idle.store import watches
from prism.kit import journal
from prism.kit.clock import StoppedClock
from prism.kit.database.database_faults import DatabaseBusy, DatabaseLost
from prism.kit.db import Database
from prism.kit.events import Bus, Event
from prism.kit.reconcile import (
    LEASE,
    NEVER_DUE,
    RETRY,
    LeaseLost,
    Loop,
    ReconcileResult,
    _Unrecorded,
    give_back,
    in_locations,
)
from prism.kit.tables import leased, metadata
from prism.storage.store import snapshots, volumes
from prism.workspaces.store import workspaces
from tests.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
rows = Table("things", MetaData(), Column("id", String, primary_key=True), *leased("things"))


class BlockingWork:
    """Reconciles rows; each call blocks until `let_go` is set."""

    rows = rows

    def __init__(self):
        self.let_go, self.done = threading.Event(), []

    def reachable(self):
        return true()

    def mark_due(self):
        return timedelta(hours=1)

    def look(self, claims):
        return None

    def reconcile(self, claim, view):
        self.let_go.wait(120)
        self.done.append(claim.id)
        return ReconcileResult(NEVER_DUE - NOW, lambda tx: None)


@pytest.fixture
def db(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'state.db'}", StoppedClock(NOW), Bus())
    with db.write() as tx:
        rows.create(tx.sql)
    yield db
    db.close()


@pytest.fixture
def statements():
    """The statements that databases execute."""
    executed = []

    def record_statement(*args):
        executed.append(args[2])

    event.listen(Engine, "before_cursor_execute", record_statement)
    yield executed
    event.remove(Engine, "before_cursor_execute", record_statement)


@pytest.fixture
def run_loop(db):
    """A loop with one thread, over the given number of due rows."""
    work = BlockingWork()
    loop = Loop(work, db, StoppedClock(NOW), threads=1)
    thread = threading.Thread(target=loop.run, kwargs={"every": 20, "gather": 0.01})

    def begin(many):
        with db.write() as tx:
            for n in range(many):
                tx.sql.execute(rows.insert().values(id=f"r{n}", due_at=NOW, attempts=0))
        thread.start()
        return work, loop

    yield begin
    work.let_go.set()
    loop.stop()
    thread.join()


def test_loop_executes_no_statement_while_all_threads_are_busy(run_loop, statements):
    work, _ = run_loop(3)
    eventually(lambda: any("UPDATE" in statement for statement in statements))
    eventually(lambda: no_statement_within(statements, 0.3))
    work.let_go.set()
    eventually(lambda: sorted(work.done) == ["r0", "r1", "r2"])


@pytest.mark.parametrize("table", [workspaces, watches, volumes, snapshots], ids=str)
def test_due_rows_are_found_by_index(db, table, monkeypatch):
    metadata.create_all(db.writer)
    work = BlockingWork()
    monkeypatch.setattr(work, "rows", table)
    monkeypatch.setattr(work, "reachable", lambda: in_locations(table, ["here"]))
    loop, executed = Loop(work, db, StoppedClock(NOW)), []

    def record_statement(_connection, _cursor, statement, values, *_):
        executed.append((statement, values))

    event.listen(db._readers, "before_cursor_execute", record_statement)
    loop._claim(3)
    with db.read() as sql:
        sql.execute(loop._due, {"b_now": NOW, "b_most": 3})
        plans = [
            [row.detail for row in sql.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", values)]
            for words, values in list(executed)
            if words.startswith("SELECT")
        ]
    assert len(plans) == 2
    steps = [step for plan in plans for step in plan if table.name in step]
    assert len(steps) == 4
    assert all(step.startswith("SEARCH") and "USING INDEX" in step for step in steps), steps
    assert not any("_place" in step for step in steps), "an index by place would read most rows"
    loop.stop()


def test_frequent_wakes_share_rounds(run_loop, monkeypatch):
    _, loop = run_loop(0)
    rounds: list[float] = []
    nothing_due_for = loop._nothing_due_for

    def counted():
        rounds.append(nothing_due_for())
        return rounds[-1]

    monkeypatch.setattr(loop, "_nothing_due_for", counted)
    over, woken = threading.Event(), 0
    while not over.wait(0.0005) and woken < 400:
        loop.wake()
        woken += 1
    eventually(lambda: rounds)
    assert len(rounds) < woken


def test_loop_rests_again_after_a_wake(db, run_loop, statements, monkeypatch):
    monkeypatch.setattr(db, "written", lambda _: None)  # so that each round reads the database
    _, loop = run_loop(0)
    eventually(lambda: no_statement_within(statements, 0.1))
    before = len(statements)
    loop.wake()
    eventually(lambda: len(statements) > before)
    eventually(lambda: no_statement_within(statements, 0.1))


def test_stopped_loop_leaves_no_thread(db):
    class Brief(BlockingWork):
        """Its threads have a name of their own."""

    def threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("Brief")]

    add_due_row(db)
    work = Brief()
    work.let_go.set()
    loop = Loop(work, db, StoppedClock(NOW))
    assert loop.once() == 1
    assert threads()
    loop.stop()
    assert not threads()


def test_sqlite_is_read_again_only_after_a_write(db, statements):
    clock, work = StoppedClock(NOW), BlockingWork()
    work.let_go.set()
    loop = Loop(work, db, clock)
    due = NOW + timedelta(hours=1)
    with db.write() as tx:
        tx.sql.execute(rows.insert().values(id="later", due_at=due, attempts=0))
    assert loop.once() == 0
    before = len(statements)
    assert [loop.once() for _ in range(3)] == [0, 0, 0]
    assert len(statements) == before
    clock.advance(hours=1)  # time passes without a write
    assert (loop.once(), work.done) == (1, ["later"])
    other = Database(db.url, clock, Bus())
    with other.write() as tx:
        tx.sql.execute(rows.insert().values(id="other", due_at=NOW, attempts=0))
    other.close()
    assert (loop.once(), work.done) == (1, ["later", "other"])
    loop.stop()


def test_row_of_a_commit_that_raised_an_error_is_still_reconciled(db):
    """The error does not tell whether the commit was written."""
    work = BlockingWork()
    work.let_go.set()
    loop = Loop(work, db, StoppedClock(NOW))
    assert loop.once() == 0

    def written_and_lost(connection):
        connection.connection.dbapi_connection.commit()
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(db.writer, "commit", written_and_lost)
    with pytest.raises(sqlite3.OperationalError), db.write() as tx:
        tx.sql.execute(rows.insert().values(id="one", due_at=NOW, attempts=0))
    event.remove(db.writer, "commit", written_and_lost)
    assert (loop.once(), work.done) == (1, ["one"])
    loop.stop()


def test_shared_database_is_read_in_each_round(db, statements, monkeypatch):
    monkeypatch.setattr(
        db, "shared", True
    )  # as PostgreSQL is; its other writers are not seen here
    loop = Loop(BlockingWork(), db, StoppedClock(NOW))
    loop.once()
    before = len(statements)
    loop.once()
    assert len(statements) > before
    loop.stop()


def no_statement_within(statements, seconds):
    """Whether no statement is executed for so long."""
    before = len(statements)
    threading.Event().wait(seconds)
    return len(statements) == before


def test_loop_survives_errors_between_rounds(db, monkeypatch):
    slow = BlockingWork()
    slow.let_go.set()
    loop = Loop(slow, db, StoppedClock(NOW))
    calls: list[None] = []

    def without_memory():
        calls.append(None)
        if len(calls) < 4:
            raise MemoryError
        return 0.0

    monkeypatch.setattr(loop, "_nothing_due_for", without_memory)
    thread = threading.Thread(target=loop.run, kwargs={"every": 0.01})
    thread.start()
    try:
        eventually(lambda: len(calls) > 2)
        with db.write() as tx:
            tx.sql.execute(rows.insert().values(id="one", due_at=NOW))
        eventually(lambda: slow.done == ["one"])
    finally:
        loop.stop()
        thread.join()


class Failing(BlockingWork):
    """The database fails during the work on a row."""

    def __init__(self, fail):
        super().__init__()
        self.let_go.set()
        self.fail = fail

    def reconcile(self, claim, view):
        outcome = super().reconcile(claim, view)
        self.fail()
        return outcome


def add_due_row(db):
    with db.write() as tx:
        tx.sql.execute(rows.insert().values(id="r", due_at=NOW, attempts=0))


def test_unreleased_lease_is_released_when_the_database_answers_again(tmp_path, db):
    db = Database(db.url, StoppedClock(NOW), Bus(), patience=0.1)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    add_due_row(db)
    work = Failing(lambda: other.execute("BEGIN IMMEDIATE"))
    loop = Loop(work, db, StoppedClock(NOW), threads=1)
    loop.once()
    assert work.done == ["r"]
    with pytest.raises(DatabaseBusy):
        loop.once()
    other.execute("ROLLBACK")
    work.fail = lambda: None
    loop.once()
    assert work.done == ["r", "r"], "before the lease expires"
    with db.read() as sql:
        assert sql.execute(rows.select()).one().lease is None
    loop.stop()
    other.close()
    db.close()


def test_database_errors_do_not_lengthen_the_retry_delay(db):
    def fail():
        raise DatabaseLost(details="no such table: events")

    add_due_row(db)
    clock, work = StoppedClock(NOW), Failing(fail)
    loop = Loop(work, db, clock, threads=1)
    for _ in range(12):
        loop.once()
        clock.advance(seconds=5)
    assert len(work.done) == 12, "each time five seconds later"
    work.fail = lambda: None
    loop.once()
    with db.read() as sql:
        assert sql.execute(rows.select()).one().attempts == 0
    loop.stop()


def test_leases_are_inherited_once_the_database_can_be_written(tmp_path, db):
    db = Database(db.url, StoppedClock(NOW), Bus(), patience=0.1)
    with db.write() as tx:
        held = {"lease": "dead", "lease_until": NOW + timedelta(hours=1), "due_at": NEVER_DUE}
        tx.sql.execute(rows.insert().values(id="r", attempts=0, **held))
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    work = Failing(lambda: None)
    loop = Loop(work, db, StoppedClock(NOW), threads=1)
    thread = threading.Thread(target=loop.run, kwargs={"every": 0.1, "inherit": True})
    thread.start()
    eventually(
        lambda: any(isinstance(problem, DatabaseBusy) for _, problem in db._problems.values())
    )
    other.execute("ROLLBACK")
    eventually(lambda: work.done == ["r"])
    loop.stop()
    thread.join()
    other.close()
    db.close()


class Recording(BlockingWork):
    """Records an event for each row, except for the broken ones."""

    def __init__(self, broken=()):
        super().__init__()
        self.broken = broken
        self.let_go.set()

    def reconcile(self, claim, view):
        self.done.append(claim.id)

        def record(tx):
            tx.happened(RowReconciled(actor="test", subject=claim.id))
            if claim.id in self.broken:
                raise ValueError(claim.id)

        return ReconcileResult(NEVER_DUE - NOW, record)


class RowReconciled(Event, frozen=True, kw_only=True):
    """A row was reconciled."""

    event = "row_reconciled"


def recorded_together(db, work, threads):
    """Lets so many threads finish while another transaction writes; returns the commits."""
    with db.write() as tx:
        journal.events.create(tx.sql)
        fresh = {"due_at": NOW, "attempts": 0}
        tx.sql.execute(rows.insert(), [{"id": f"row{n}", **fresh} for n in range(threads)])
    loop = Loop(work, db, StoppedClock(NOW), threads)
    commits: list[object] = []
    claims = loop._claim(threads)
    event.listen(db.writer, "commit", commits.append)
    with db.write():
        busy = [loop._submit(loop._reconcile, claim, None) for claim in claims]
        eventually(lambda: len(work.done) == threads)
        eventually(lambda: len(loop._unrecorded) == threads - 1)  # the first waits for its turn
    for future in busy:
        future.result(30)
    loop.stop()
    return len(commits)


def written(db):
    """The rows whose lease was released, and the rows that have an event."""
    with db.read() as sql:
        back = sql.execute(select(rows.c.id).where(rows.c.lease.is_(None))).scalars().all()
        subjects = sql.execute(select(journal.events.c.subject)).scalars().all()
    return set(back), set(subjects)


def test_results_of_several_threads_are_written_in_one_transaction(db):
    assert recorded_together(db, Recording(), 8) == 3, (
        "one of the test, one of the first thread, one of the others"
    )
    every = {f"row{n}" for n in range(8)}
    assert written(db) == (every, every)


def test_row_whose_result_cannot_be_written_does_not_delay_the_others(db):
    broken = {"row2", "row5"}
    recorded_together(db, Recording(broken), 8)
    every = {f"row{n}" for n in range(8)}
    assert written(db) == (every, every - broken)
    with db.read() as sql:
        tries = {id: n for id, n in sql.execute(select(rows.c.id, rows.c.attempts))}
    assert {id for id, attempts in tries.items() if attempts} == broken


def test_row_with_a_lost_lease_is_not_written_and_does_not_delay_the_others(db, monkeypatch):
    work = Recording()
    reconcile = work.reconcile

    def steal(claim, view):
        if claim.id == "row3":
            object.__setattr__(claim, "lease", "another daemon's")
        return reconcile(claim, view)

    monkeypatch.setattr(work, "reconcile", steal)
    recorded_together(db, work, 8)
    every = {f"row{n}" for n in range(8)} - {"row3"}
    assert written(db) == (every, every)


@pytest.fixture
def daemons(url):
    """Two databases of two daemons, which are the same, and their clock."""
    clock = StoppedClock(NOW)
    databases = [Database(url, clock, Bus()) for _ in range(2)]
    with databases[0].write() as tx:
        rows.create(tx.sql)
    yield *databases, clock
    for db in databases:
        db.close()


def due_rows(db, many):
    with db.write() as tx:
        fresh = {"due_at": NOW, "attempts": 0}
        tx.sql.execute(rows.insert(), [{"id": f"row{n:02}", **fresh} for n in range(many)])


def recorded_subjects(db):
    """The subject of each recorded event."""
    with db.read() as sql:
        return sorted(sql.execute(select(journal.events.c.subject)).scalars())


def leased_rows(db):
    with db.read() as sql:
        held = or_(rows.c.lease.is_not(None), rows.c.lease_until.is_not(None))
        return sql.execute(select(rows.c.id).where(held)).scalars().all()


@pytest.mark.postgres
@pytest.mark.parametrize("taken", [1, 12])
def test_row_that_another_daemon_took_over_is_written_only_by_that_daemon(daemons, taken):
    """Another daemon holds so many of the twelve expired leases when the results are written."""
    first, second, clock = daemons
    due_rows(first, 12)
    work = Recording()
    late, other = Loop(work, first, clock), Loop(Recording(), second, clock, threads=taken)
    claims = late._claim(12)
    assert other.once() == 0, "they are leased"
    clock.advance(seconds=LEASE.total_seconds())
    assert other.once() == taken
    assert (len(recorded_subjects(first)), len(leased_rows(first))) == (taken, 12 - taken)
    results = [_Unrecorded(claim, work.reconcile(claim, None)) for claim in claims]
    late._write_down(results)
    assert [type(mine.error) for mine in results].count(LeaseLost) == taken
    assert recorded_subjects(first) == [f"row{n:02}" for n in range(12)], "each once"
    assert leased_rows(first) == []
    for loop in (late, other):
        loop.stop()


@pytest.mark.postgres
def test_two_busy_daemons_reconcile_each_row_once(daemons):
    first, second, clock = daemons
    due_rows(first, 60)
    works = [Recording(), Recording()]
    loops = [
        Loop(work, db, clock, threads=4) for work, db in zip(works, (first, second), strict=True)
    ]

    def work_off(loop):
        while loop.once():
            pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work_off, loops))
    assert (
        sorted(works[0].done + works[1].done)
        == [f"row{n:02}" for n in range(60)]
        == recorded_subjects(first)
    )
    assert leased_rows(first) == []
    for loop in loops:
        loop.stop()


@pytest.mark.postgres
def test_row_whose_result_the_database_refuses_is_rolled_back_alone(daemons, monkeypatch):
    """On PostgreSQL a failed statement ends its transaction, except in a savepoint."""
    first, _, clock = daemons
    due_rows(first, 12)
    work = Recording()
    learn = work.reconcile

    def twice(claim, view):
        result = learn(claim, view)

        def record(tx):
            result.record(tx)
            other = "row05" if claim.id == "row03" else f"{claim.id} more"
            tx.sql.execute(rows.insert().values(id=other, due_at=NEVER_DUE, attempts=0))

        return ReconcileResult(result.look_again, record)

    monkeypatch.setattr(work, "reconcile", twice)
    loop = Loop(work, first, clock)
    results = [_Unrecorded(claim, work.reconcile(claim, None)) for claim in loop._claim(12)]
    loop._write_down(results)
    [error] = [mine.error for mine in results if mine.error is not None]
    assert isinstance(error, IntegrityError)
    good = [f"row{n:02}" for n in range(12) if n != 3]
    assert (recorded_subjects(first), leased_rows(first)) == (good, ["row03"])
    with first.read() as sql:
        assert len(sql.execute(select(rows.c.id)).all()) == 12 + 11
    loop.stop()


@pytest.mark.postgres
def test_claim_with_a_lost_lease_cannot_write(daemons):
    first, second, clock = daemons
    due_rows(first, 1)
    late, other = Loop(Recording(), first, clock), Loop(Recording(), second, clock)
    [claim] = late._claim(1)
    clock.advance(seconds=LEASE.total_seconds())
    assert len(other._claim(1)) == 1
    with pytest.raises(LeaseLost), first.write() as tx:
        claim.update(tx, attempts=7)
    late.stop()
    other.stop()


@pytest.mark.postgres
def test_request_during_a_lease_makes_the_row_due_at_its_release(daemons):
    first, second, clock = daemons
    due_rows(first, 3)
    loop, other = Loop(Recording(), first, clock), Loop(Recording(), second, clock)
    claims = loop._claim(2)
    for claim, wished in zip(claims, (NOW, NOW + timedelta(minutes=5)), strict=True):
        with second.write() as tx:
            tx.sql.execute(rows.update().where(rows.c.id == claim.id).values(due_at=wished))
    assert other.once() == 1, "only the third row; the others are leased"
    assert other._nothing_due_for() == LEASE.total_seconds(), "leased rows are not due before"
    with first.write() as tx:
        give_back(tx, {claim: NOW + timedelta(hours=1) for claim in claims}, attempts=0)
    assert other.once() == 1
    clock.advance(seconds=299)
    assert other.once() == 0
    clock.advance(seconds=1)
    assert other.once() == 1
    loop.stop()
    other.stop()


@pytest.mark.postgres
def test_row_that_is_due_longest_is_reconciled_first(daemons):
    first, _, clock = daemons
    late = {"a": 1, "b": 3, "c": 2}
    with first.write() as tx:
        for id, minutes in late.items():
            due = {"due_at": NOW - timedelta(minutes=minutes), "attempts": 0}
            tx.sql.execute(rows.insert().values(id=id, **due))
    work = Recording()
    loop = Loop(work, first, clock, threads=1)
    assert [loop.once() for _ in late] == [1, 1, 1]
    assert work.done == ["b", "c", "a"]
    loop.stop()


def test_write_during_the_search_for_due_rows_causes_another_search(db):
    work = Recording()
    with db.write() as tx:
        journal.events.create(tx.sql)
    loop, writes = Loop(work, db, StoppedClock(NOW)), list[None]()

    def write_then(_connection, _cursor, statement, *_):
        if statement.startswith("SELECT") and not writes:
            writes.append(None)
            add_due_row(db)

    event.listen(db._readers, "after_cursor_execute", write_then)
    loop.once()
    assert writes
    assert (loop.once(), work.done) == (1, ["r"])
    loop.stop()


def test_claims_are_released_if_the_look_fails(db, monkeypatch):
    def fail(claims):
        raise DatabaseLost(details="away")

    clock, work = StoppedClock(NOW), Recording()
    due_rows(db, 3)
    with db.write() as tx:
        journal.events.create(tx.sql)
    monkeypatch.setattr(work, "look", fail)
    loop = Loop(work, db, clock)
    assert loop.once() == 3
    assert (leased_rows(db), work.done) == ([], [])
    monkeypatch.undo()
    clock.advance(seconds=RETRY.total_seconds())
    assert loop.once() == 3
    assert recorded_subjects(db) == ["row00", "row01", "row02"]
    loop.stop()


def test_loop_claims_only_as_many_rows_as_it_has_threads(db):
    """A claim that waits for a thread could lose its lease."""
    due_rows(db, 5)
    work = BlockingWork()
    loop = Loop(work, db, StoppedClock(NOW), threads=2)
    busy = [*loop._start(), *loop._start()]
    assert (len(busy), len(leased_rows(db))) == (2, 2)
    work.let_go.set()
    for future in busy:
        future.result(30)
    eventually(lambda: not loop._busy)  # finished work is removed
    loop.stop()


@pytest.fixture
def running(db):
    """Runs a loop that listens to its table in a thread of its own."""
    with ExitStack() as stack:

        def run(loop, **options):
            stack.enter_context(db.listening(loop.rows, loop.wake))
            thread = threading.Thread(target=loop.run, kwargs=options)
            thread.start()
            stack.callback(thread.join)
            stack.callback(loop.stop)

        yield run


def test_calm_loop_rests_until_its_table_is_written(db, running, monkeypatch):
    slow = BlockingWork()
    slow.let_go.set()
    loop = Loop(slow, db, StoppedClock(NOW))
    rounds: list[None] = []
    other_table = Table("others", MetaData(), Column("id", String, primary_key=True))
    with db.write() as tx:
        other_table.create(tx.sql)
    seek = loop._nothing_due_for

    def counted_seek():
        rounds.append(None)
        return seek()

    monkeypatch.setattr(loop, "_nothing_due_for", counted_seek)
    running(loop, every=0.01, gather=0, calm=120)
    eventually(lambda: rounds)
    with db.write() as tx:
        tx.sql.execute(other_table.insert().values(id="nobody's"))
    assert not loop._woken.is_set(), "a write to another table does not wake the loop"
    assert len(rounds) == 1
    with db.write() as tx:  # without an event
        tx.sql.execute(rows.insert().values(id="one", due_at=NOW))
    eventually(lambda: slow.done == ["one"])


def test_calm_loop_marks_due_rows_when_it_is_time(db, running, monkeypatch):
    slow = BlockingWork()
    calls: list[None] = []

    def mark_due():
        calls.append(None)
        return timedelta(milliseconds=1)

    monkeypatch.setattr(slow, "mark_due", mark_due)
    running(Loop(slow, db, StoppedClock(NOW)), calm=120)
    eventually(lambda: len(calls) > 2)


def test_calm_loop_retries_soon_after_an_error(db, running, monkeypatch):
    loop = Loop(BlockingWork(), db, StoppedClock(NOW))
    calls: list[None] = []

    def away():
        calls.append(None)
        raise DatabaseBusy(details="for a moment")

    monkeypatch.setattr(loop, "_nothing_due_for", away)
    running(loop, every=0.01, calm=120)
    eventually(lambda: len(calls) > 2)


@pytest.mark.parametrize("when", ["begin", "commit"])
def test_loop_waits_before_it_retries_a_failed_claim(db, running, when):
    add_due_row(db)
    tries: list[None] = []

    def fail(_connection):
        tries.append(None)
        raise OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))

    event.listen(db.writer, when, fail)
    running(Loop(BlockingWork(), db, StoppedClock(NOW)), every=120, gather=0, calm=120)
    eventually(lambda: tries)
    assert no_statement_within(tries, 0.3), f"{len(tries)} tries"


def test_failed_survey_does_not_delay_rows(db, running, monkeypatch):
    slow = BlockingWork()
    slow.let_go.set()

    def mark_due():
        raise ZeroDivisionError

    monkeypatch.setattr(slow, "mark_due", mark_due)
    add_due_row(db)
    running(Loop(slow, db, StoppedClock(NOW)), every=120, calm=120)
    eventually(lambda: slow.done == ["r"], seconds=60)


def test_listeners_added_at_once_to_a_table_are_both_woken(tmp_path, monkeypatch):
    woken: list[int] = []
    with ExitStack() as stack:
        callbacks = [lambda: woken.append(2)]

        class Interrupted(Bus):
            def __init__(self):
                super().__init__()
                if callbacks:
                    stack.enter_context(database.listening(rows, callbacks.pop()))

        monkeypatch.setattr("prism.kit.db.Bus", Interrupted)
        database = Database(f"sqlite:///{tmp_path / 'other.db'}", StoppedClock(NOW), Bus())
        stack.callback(database.close)
        with database.write() as tx:
            rows.create(tx.sql)
        stack.enter_context(database.listening(rows, lambda: woken.append(1)))
        add_due_row(database)
    assert sorted(woken) == [1, 2]
