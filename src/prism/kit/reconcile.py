"""The loop that claims due rows and calls a reconciler for each.

A reconciler defines which rows it handles, how it surveys the provider, and what it does
about one row. This module does the rest: it claims due rows, surveys once for all of them,
works in threads, records the results, and backs off after errors.

Between rounds the reconciler surveys the provider (`mark_due`), and makes the rows due that
differ from what it sees. So watching costs one survey, however many rows there are.

A leased row is due `NEVER_DUE`. A request that changes it meanwhile writes a nearer `due_at`, and
giving the lease back keeps the nearer of the two, so no request is lost. A result is recorded
only in the transaction that gives back a lease that is still ours. Results that several threads
have at about the same time are recorded in one transaction. If a row cannot be written, all of
them are written once more, each row in a savepoint of its own.
If a daemon dies, its leases run out and the rows are due again.

An error of the database does not count as an attempt at a row. A lease that cannot be given back
because the database is away is given back as soon as it answers again.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from math import inf
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    func,
    select,
    true,
    union_all,
    update,
)

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.kit.database.database_faults import DatabaseUnavailable
from prism.kit.database.versions import topic
from prism.kit.db import Database, Tx
from prism.kit.tables import LEASED

log = logging.getLogger(__name__)
View = TypeVar("View")

LEASE = timedelta(seconds=60)  # longer than any provider's own time limit
RETRY, RETRY_MOST = timedelta(seconds=5), timedelta(minutes=5)
NEVER_DUE = datetime(9999, 1, 1, tzinfo=UTC)


def _leasing(rows: Table) -> Update:
    """An update of the columns of leases, which does not invalidate caches of the rows."""
    return update(rows).execution_options(**topic(None))


@cache
def _leased(rows: Table, *, leases: bool) -> Update:
    """An update of the row `b_id`, if `b_lease` is its lease."""
    condition = and_(rows.c.id == bindparam("b_id"), rows.c.lease == bindparam("b_lease"))
    return (_leasing if leases else update)(rows).where(condition)


@cache
def _release(rows: Table) -> Update:
    until = bindparam("b_due_at", type_=rows.c.due_at.type)
    nearer = case((rows.c.due_at < until, rows.c.due_at), else_=until)
    free = {"lease": None, "lease_until": None}
    return _leased(rows, leases=True).values(
        due_at=nearer, attempts=bindparam("b_attempts"), **free
    )


def in_locations(rows: Table, locations: Collection[str]) -> ColumnElement[bool]:
    """The rows of these locations, as an expression that no index serves.

    Most rows are of one location, so the index of `due_at` finds due rows faster.
    """
    return func.coalesce(rows.c.location, "").in_(locations)


@contextmanager
def errors_logged(task: str) -> Iterator[None]:
    """Log errors instead of raising them, so that a loop goes on; `task` is what failed."""
    try:
        yield
    except Unavailable as away:  # nothing is lost, everything stays due
        log.warning("could not %s: %s (%s)", task, away, away.details)
    except Exception:
        log.exception("could not %s", task)


class LeaseLost(Exception):
    """Another daemon has the lease of this row now; our result is discarded."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One leased row."""

    rows: Table
    id: str
    lease: str

    def update(self, tx: Tx, **values: Any) -> None:
        """Write to the row, if the lease is still ours; else raise `LeaseLost`."""
        write = _leased(self.rows, leases=values.keys() <= LEASED)
        if tx.sql.execute(write, {**values, "b_id": self.id, "b_lease": self.lease}).rowcount == 0:
            raise LeaseLost


def give_back(tx: Tx, due_at: Mapping[Claim, datetime], attempts: int) -> None:
    """Give back leases of one table; raises `LeaseLost` if not all of them are ours.

    The rows are due at `due_at` or sooner.
    """
    bound = [
        {"b_id": claim.id, "b_lease": claim.lease, "b_due_at": at, "b_attempts": attempts}
        for claim, at in due_at.items()
    ]
    [rows] = {claim.rows for claim in due_at}
    if tx.sql.execute(_release(rows), bound).rowcount != len(bound):
        raise LeaseLost


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """How to record the result, and when to look again."""

    look_again: timedelta
    record: Callable[[Tx], None]


class _Unrecorded:
    """The result for one row, until it is recorded or recording it has failed."""

    __slots__ = ("claim", "error", "is_written", "result")

    def __init__(self, claim: Claim, result: ReconcileResult) -> None:
        self.claim, self.result = claim, result
        self.error: BaseException | None = None
        self.is_written = False


class Reconciler(Protocol[View]):
    """Makes the provider's resources match one kind of row."""

    rows: Table

    def reachable(self) -> ColumnElement[bool]:
        """Which rows this daemon can handle."""

    def mark_due(self) -> timedelta:
        """Make the rows due that differ from the provider; when to survey it again."""

    def look(self, claims: Sequence[Claim]) -> View:
        """Survey everything at once, so that a round costs one survey for any number of rows."""

    def reconcile(self, claim: Claim, view: View) -> ReconcileResult:
        """Do at most one thing about one row."""


class DatabaseReconciler:
    """The base of a reconciler of rows that exist in the database only: nothing is surveyed."""

    def reachable(self) -> ColumnElement[bool]:
        """Every daemon can handle every row."""
        return true()

    def mark_due(self) -> timedelta:
        """Nothing else changes the rows."""
        return timedelta(hours=1)

    def look(self, claims: Sequence[Claim]) -> None:
        """Does nothing: there is nothing to observe."""


class Loop(Generic[View]):
    """Runs one reconciler."""

    def __init__(
        self,
        work: Reconciler[View],
        db: Database,
        clock: Clock,
        threads: int = 16,
        recorded: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`recorded` is called with the id of a row after each result that was recorded."""
        self._work, self._db, self._clock, self._threads = work, db, clock, threads
        self._recorded = recorded
        self._pool = ThreadPoolExecutor(threads, type(work).__name__)
        self._busy: set[Future[None]] = set()
        self._unreturned: set[Claim] = set()  # leases that could not be returned
        self._unrecorded: list[_Unrecorded] = []
        self._gathering, self._recording = threading.Lock(), threading.Lock()
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._runs, self._mark_due_at = False, 0.0
        self._rest = 0.0  # seconds until a row may be due
        self._next: datetime | None = None  # when the next row is due
        self._counted_writes: int | None = None  # the writes of the table when `_next` was read
        self._failed: dict[str, tuple[datetime, str]] = {}
        self._turned_at: float | None = None  # when it last looked for due rows

    @property
    def name(self) -> str:
        """What it reconciles, such as `workspace`."""
        return type(self._work).__name__.removesuffix("Reconciler").lower()

    @property
    def age(self) -> float | None:
        """The seconds since it last looked for due rows; None before the first time.

        Without work it looks every few seconds, so a greater age means that it hangs or has ended.
        """
        return None if self._turned_at is None else time.monotonic() - self._turned_at

    @property
    def failing_rows(self) -> int:
        """How many rows failed at the last attempt."""
        return sum(self.failing(id) is not None for id in tuple(self._failed))

    def overdue(self) -> float:
        """How many seconds the oldest row has been due without work; asks the database."""
        with self._db.read() as sql:
            due, lost = sql.execute(self._next_times).one()
        times = [at for at in (due, lost) if at is not None]
        return max([0.0, *((self._clock.now() - at).total_seconds() for at in times)])

    def failing(self, id: str) -> str | None:
        """Why the last attempt at a row failed, until one succeeds."""
        at, why = self._failed.get(id, (None, None))
        if at is not None and self._clock.now() - at > 2 * RETRY_MOST:  # not ours any more
            self._failed.pop(id, None)
            return None
        return why

    @property
    def rows(self) -> Table:
        """The table whose rows it handles."""
        return self._work.rows

    def wake(self) -> None:
        """Look for due rows now instead of at the next tick."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the running work and start no more."""
        self._stopped.set()
        self._woken.set()
        if not self._runs:  # else `run` does, once it gives no more work to its threads
            self._pool.shutdown()

    def run(
        self,
        every: float = 1.0,
        gather: float = 0.1,
        *,
        calm: float | None = None,
        inherit: bool = False,
    ) -> None:
        """Work until stopped. A slow row occupies one thread, never the loop.

        It looks for due rows every `every` seconds. With `calm`, it does so only after an error;
        else it looks when a row is due, when it is woken, and every `calm` seconds, because
        somebody may set the clock or let the computer sleep.

        The first due row is handled at once; those that follow within `gather` seconds share
        one survey, so a burst of requests is no burst of calls to a provider. A loop that was
        woken without a due row waits as long. With `inherit`, it first takes over every lease.
        """
        self._runs, self._mark_due_at = True, time.monotonic()
        while True:
            woken, self._rest = self._woken.is_set(), every
            self._woken.clear()
            self._turned_at = time.monotonic()
            if self._stopped.is_set():
                return self._pool.shutdown()
            started, failed = False, True
            with errors_logged("claim"):
                if inherit:
                    self.inherit()
                    inherit = False
                self._mark_if_due(every)
                started, failed = bool(self._start()), False
            if failed:  # its own failed commit woke it
                self._stopped.wait(every)
                continue
            if started or woken:
                self._stopped.wait(gather)
            if not started and not self._woken.is_set():
                self._woken.wait(min(calm or every, self._rest, self._until_next_mark()))

    def _until_next_mark(self) -> float:
        return max(0.0, self._mark_due_at - time.monotonic())

    def _mark_if_due(self, retry: float) -> None:
        """Survey if it is time; after an error again in `retry` seconds."""
        if not self._until_next_mark():
            self._mark_due_at = time.monotonic() + retry
            with errors_logged("survey"):
                self._mark_due_at = time.monotonic() + self.mark_due().total_seconds()

    def once(self) -> int:
        """Reconcile what is due and wait for the end; return the number of rows."""
        started = self._start()
        wait(started)
        return len([future.result() for future in started])

    def mark_due(self) -> timedelta:
        """Let the reconciler mark due rows; returns when to do so again."""
        return self._work.mark_due()

    def inherit(self) -> None:
        """Take over every lease at once; only for a daemon that alone uses the database."""
        rows, freed = self._work.rows, {"lease_until": self._clock.now() - LEASE}
        with self._db.write() as tx:
            condition = and_(rows.c.lease.is_not(None), self._work.reachable())
            tx.sql.execute(_leasing(rows).where(condition).values(**freed))

    def _start(self) -> list[Future[None]]:
        self._return_leases()
        busy = sum(not future.done() for future in tuple(self._busy))
        if not (claims := self._claim(self._threads - busy)):
            return []
        try:
            view = self._work.look(claims)
        except Exception as error:
            return [self._submit(self._back_off, claim, error) for claim in claims]
        return [self._submit(self._reconcile, claim, view) for claim in claims]

    def _submit(self, task: Callable[..., None], *args: Any) -> Future[None]:
        future = self._pool.submit(task, *args)
        self._busy.add(future)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[None]) -> None:
        self._busy.discard(future)
        self._woken.set()
        if error := future.exception():
            known = isinstance(error, Unavailable)
            log.error(
                "could not give back; the lease will run out: %s",
                error,
                exc_info=None if known else error,
            )

    def _claim(self, most: int) -> list[Claim]:
        if most < 1:  # the first thread that ends wakes the loop
            return []
        self._rest = self._nothing_due_for()
        if self._rest > 0:
            return []  # an idle loop writes nothing
        rows, lease, now = self._work.rows, secrets.token_hex(8), self._clock.now()
        bound = {"b_now": now, "b_most": most, "b_lease": lease, "b_until": now + LEASE}
        with self._db.write() as tx:
            # There is one writer at a time, so what is due here cannot be taken meanwhile.
            return [Claim(rows, id, lease) for id in tx.sql.execute(self._lease, bound).scalars()]

    def _nothing_due_for(self) -> float:
        """Seconds until a row is due, or infinity; computed again after each write."""
        written = self._db.written(self._work.rows)
        if written is None or written != self._counted_writes:
            with self._db.read() as sql:
                times = [at for at in sql.execute(self._next_times).one() if at is not None]
            self._next, self._counted_writes = min(times, default=None), written
        if self._next is None:
            return inf
        return max(0.0, (self._next - self._clock.now()).total_seconds())

    @cached_property
    def _next_times(self) -> Select[datetime | None, datetime | None]:
        """When a row is due next, and when a lease runs out next, each from its own index.

        Cached, since building the statement takes longer than running it.
        """
        rows, reachable = self._work.rows.c, self._work.reachable()
        due = select(func.min(rows.due_at)).where(reachable, rows.lease.is_(None))
        lost = select(func.min(rows.lease_until)).where(reachable, rows.lease_until.is_not(None))
        return select(due.scalar_subquery(), lost.scalar_subquery())

    def _reconcile(self, claim: Claim, view: View) -> None:
        try:
            self._record(_Unrecorded(claim, self._work.reconcile(claim, view)))
            self._failed.pop(claim.id, None)
            self._recorded(claim.id)
        except LeaseLost:
            self._failed.pop(claim.id, None)
            self._recorded(claim.id)  # by the daemon that has the lease now
            log.info("%s: lost the lease", claim.id)
        except Exception as error:
            self._back_off(claim, error)

    def _record(self, unrecorded: _Unrecorded) -> None:
        """Record a result together with the results that other threads have meanwhile.

        While one thread commits, the others wait, and the next one writes for all of them. So a
        burst costs a transaction for each round of threads, not for each row.
        """
        with self._gathering:
            self._unrecorded.append(unrecorded)
        with self._recording:
            if not unrecorded.is_written:
                with self._gathering:
                    batch, self._unrecorded = self._unrecorded, []
                self._write_down(batch)
        if unrecorded.error is not None:
            raise unrecorded.error

    def _write_down(self, batch: Sequence[_Unrecorded]) -> None:
        """Record results in one transaction; a row that cannot be written leaves the others."""
        try:
            try:
                self._write_all(batch)
            except DatabaseUnavailable:
                raise
            except Exception:
                if len(batch) == 1:
                    raise
                with self._db.write():
                    for unrecorded in batch:
                        self._write_apart(unrecorded)
        except Exception as error:  # nothing of it is written
            for unrecorded in batch:
                unrecorded.error = unrecorded.error or error
        except BaseException as error:
            for unrecorded in batch:
                unrecorded.error = error
            raise
        finally:
            for unrecorded in batch:
                unrecorded.is_written = True

    def _write_all(self, batch: Sequence[_Unrecorded]) -> None:
        with self._db.write() as tx:
            now = self._clock.now()
            due_at = {unrecorded.claim: now + unrecorded.result.look_again for unrecorded in batch}
            give_back(tx, due_at, attempts=0)
            for unrecorded in batch:
                unrecorded.result.record(tx)

    def _write_apart(self, unrecorded: _Unrecorded) -> None:
        try:
            self._write_all([unrecorded])  # within a transaction: in a savepoint
        except DatabaseUnavailable:
            raise
        except Exception as error:
            unrecorded.error = error

    def _back_off(self, claim: Claim, error: Exception) -> None:
        if isinstance(error, Unavailable):
            log.warning("%s: %s", claim.id, error)
            self._failed[claim.id] = self._clock.now(), error.message
        else:
            log.error("%s", claim.id, exc_info=error)
        try:
            self._try_again(claim, counts=not isinstance(error, DatabaseUnavailable))
        except DatabaseUnavailable:
            self._unreturned.add(claim)

    def _try_again(self, claim: Claim, *, counts: bool) -> None:
        """Give the lease back; each failed attempt delays the next one more."""
        rows = claim.rows.c
        with self._db.write() as tx, suppress(LeaseLost):
            tries = tx.sql.execute(select(rows.attempts).where(rows.id == claim.id)).scalar() or 0
            pause = min(RETRY * 2 ** min(tries, 10), RETRY_MOST) if counts else RETRY
            give_back(tx, {claim: self._clock.now() + pause}, attempts=tries + counts)

    def _return_leases(self) -> None:
        """Return leases that could not be returned while the database was away."""
        if not (unreturned := tuple(self._unreturned)):
            return
        due = {"due_at": self._clock.now(), "lease": None, "lease_until": None}
        with self._db.write() as tx:
            for claim in unreturned:
                with suppress(LeaseLost):
                    claim.update(tx, **due)
        self._unreturned.difference_update(unreturned)

    @cached_property
    def _lease(self) -> Update:
        """Lease due rows; cached, since building the statement takes longer than running it."""
        rows, leased = self._work.rows, {"lease": bindparam("b_lease"), "due_at": NEVER_DUE}
        until = bindparam("b_until", type_=rows.c.lease_until.type)
        lease = _leasing(rows).where(rows.c.id.in_(self._due)).values(**leased, lease_until=until)
        return lease.returning(rows.c.id)

    @cached_property
    def _due(self) -> CompoundSelect[tuple[str]]:
        """The ids of rows whose lease has run out, then of those that are due for longest.

        Two queries, each with its index: a single one would read every row that is not due.
        """
        rows, most = self._work.rows.c, bindparam("b_most", type_=Integer)
        now = bindparam("b_now", type_=rows.due_at.type)
        ids = select(rows.id).where(self._work.reachable()).limit(most)
        lost = ids.where(rows.lease_until <= now).subquery()
        due = ids.where(rows.due_at <= now, rows.lease.is_(None)).order_by(rows.due_at).subquery()
        return union_all(select(lost.c.id), select(due.c.id)).limit(most)
