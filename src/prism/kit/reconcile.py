"""The loop that claims due rows and calls a reconciler for each.

A reconciler says which rows it looks after, how to look at the world, and what to do
about one row. This module does the rest: claims what is due, looks once for all of it,
works in threads, writes down what was learned, backs off when the work fails.

Between rounds it lets the reconciler patrol: look at the world unasked and make the rows
due that no longer tell the truth. So watching costs one look, however many rows there are.

A leased row is due `NEVER`. Whoever changes their mind meanwhile writes a nearer
`due_at`, and giving the lease back keeps the nearer of the two, so no wish is lost.
What was learned is written only together with giving back a lease that is still ours. What
several threads have learned at about the same time is written in one transaction. If a row cannot
be written, all of it is written once more, each row in a savepoint of its own.
A lease that runs out was held by a daemon that died; the row is due again.

A database that fails is no failure of a row: the row keeps its number of attempts. A lease that
cannot be given back because the database is away is given back as soon as it answers again.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
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
    union_all,
    update,
)

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.kit.database_faults import DatabaseUnavailable
from prism.kit.db import Database, Tx
from prism.kit.tables import LEASED
from prism.kit.versions import changes

log = logging.getLogger(__name__)
View = TypeVar("View")

LEASE = timedelta(seconds=60)  # longer than any provider's own time limit
RETRY, RETRY_MOST = timedelta(seconds=5), timedelta(minutes=5)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def _leasing(rows: Table) -> Update:
    """An update of these columns alone, which ends nothing that is kept of the rows."""
    return update(rows).execution_options(**changes(None))


@cache
def _held(rows: Table, *, leases: bool) -> Update:
    """An update of the row `b_id`, if `b_lease` is its lease."""
    mine = and_(rows.c.id == bindparam("b_id"), rows.c.lease == bindparam("b_lease"))
    return (_leasing if leases else update)(rows).where(mine)


@cache
def _release(rows: Table) -> Update:
    until = bindparam("b_due_at", type_=rows.c.due_at.type)
    nearer = case((rows.c.due_at < until, rows.c.due_at), else_=until)
    free = {"lease": None, "lease_until": None}
    return _held(rows, leases=True).values(due_at=nearer, attempts=bindparam("b_attempts"), **free)


def served(rows: Table, places: Collection[str]) -> ColumnElement[bool]:
    """The rows of these places, in words for which no index is found.

    Most rows are of one place: what is due is found by when it is due, not by reading all of it.
    """
    return func.coalesce(rows.c.place, "").in_(places)


class Lost(Exception):
    """Another daemon holds this row now; what we learned no longer counts."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One leased row."""

    rows: Table
    id: str
    lease: str

    def update(self, tx: Tx, **values: Any) -> None:
        """Write to the row, if the lease is still ours; else raise `Lost`."""
        self._write(tx, _held(self.rows, leases=values.keys() <= LEASED), values)

    def give_back(self, tx: Tx, due_at: datetime, attempts: int) -> None:
        """Let go of the row, due at `due_at` or sooner; raises `Lost` if it is not ours."""
        give_back(tx, {self: due_at}, attempts)

    def _write(self, tx: Tx, write: Update, values: dict[str, Any]) -> None:
        bound = {**values, "b_id": self.id, "b_lease": self.lease}
        if tx.sql.execute(write, bound).rowcount == 0:
            raise Lost


def give_back(tx: Tx, due_at: Mapping[Claim, datetime], attempts: int) -> None:
    """Let go of rows of one table; raises `Lost` if not all of them are ours."""
    bound = [
        {"b_id": claim.id, "b_lease": claim.lease, "b_due_at": at, "b_attempts": attempts}
        for claim, at in due_at.items()
    ]
    [rows] = {claim.rows for claim in due_at}
    if tx.sql.execute(_release(rows), bound).rowcount != len(bound):
        raise Lost


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """How to write down what was learned, and when to look again."""

    look_again: timedelta
    record: Callable[[Tx], None]


class _Unrecorded:
    """What was learned of one row, until it is written down or could not be."""

    __slots__ = ("claim", "error", "is_written", "result")

    def __init__(self, claim: Claim, result: ReconcileResult) -> None:
        self.claim, self.result = claim, result
        self.error: BaseException | None = None
        self.is_written = False


class Reconciler(Protocol[View]):
    """Brings the world in line with one kind of row."""

    rows: Table

    def reachable(self) -> ColumnElement[bool]:
        """Which rows this daemon can do something about."""

    def patrol(self) -> timedelta:
        """Make the rows due that the world has left behind; when to patrol again."""

    def look(self, claims: Sequence[Claim]) -> View:
        """See everything at once, so that a round costs one look however many rows are due."""

    def reconcile(self, claim: Claim, view: View) -> ReconcileResult:
        """Do at most one thing about one row."""


class Loop(Generic[View]):
    """Runs one reconciler."""

    def __init__(
        self, work: Reconciler[View], db: Database, clock: Clock, threads: int = 16
    ) -> None:
        self._work, self._db, self._clock, self._threads = work, db, clock, threads
        self._pool = ThreadPoolExecutor(threads, type(work).__name__)
        self._busy: set[Future[None]] = set()
        self._unreturned: set[Claim] = set()  # leases that the database did not take back
        self._unrecorded: list[_Unrecorded] = []
        self._gathering, self._recording = threading.Lock(), threading.Lock()
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._runs = False
        self._rest = 0.0  # seconds for which nothing is due, as far as it was asked
        self._next: datetime | None = None  # when a row is due
        self._counted_writes: int | None = None  # writes of the table by then
        self._failed: dict[str, tuple[datetime, str]] = {}

    def failing(self, id: str) -> str | None:
        """Why the last attempt at a row failed, until one succeeds."""
        at, why = self._failed.get(id, (None, None))
        if at is not None and self._clock.now() - at > 2 * RETRY_MOST:  # not ours any more
            self._failed.pop(id, None)
            return None
        return why

    def wake(self) -> None:
        """Look now instead of at the next tick."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is in hand and start nothing more."""
        self._stopped.set()
        self._woken.set()
        if not self._runs:  # else `run` does, once it gives no more work to its threads
            self._pool.shutdown()

    def run(self, every: float = 1.0, gather: float = 0.1, *, inherit: bool = False) -> None:
        """Work until stopped. A slow row keeps one thread busy, never the loop.

        With `inherit`, every lease is taken over before anything else, as soon as the database
        can be written.

        The first wish is granted at once; those that follow within `gather` seconds share
        one look, so a burst of requests is no burst of calls to a provider. Who is woken for
        nothing rests as long: most commits are another loop's.
        """
        self._runs = True
        patrol_at = time.monotonic()
        while True:
            woken, self._rest = self._woken.is_set(), every
            self._woken.clear()
            if self._stopped.is_set():
                return self._pool.shutdown()
            try:
                if inherit:
                    self.inherit()
                    inherit = False
                if time.monotonic() >= patrol_at:
                    patrol_at = time.monotonic() + every
                    patrol_at = time.monotonic() + self.patrol().total_seconds()
                started = self._start()
            except Unavailable as away:  # nothing is lost, everything stays due
                log.warning("could not claim: %s (%s)", away, away.details)
                started = []
            except Exception:
                log.exception("could not claim")
                started = []
            if started or woken:
                self._stopped.wait(gather)
            if not started and not self._woken.is_set():
                self._woken.wait(min(every, self._rest))

    def once(self) -> int:
        """Reconcile what is due and wait for it; return how many rows that was."""
        started = self._start()
        wait(started)
        return len([future.result() for future in started])

    def patrol(self) -> timedelta:
        """Let the reconciler look at the world unasked; when to do so again."""
        return self._work.patrol()

    def inherit(self) -> None:
        """Take every lease over at once; only for a daemon that knows it is the only one."""
        rows, freed = self._work.rows, {"lease_until": self._clock.now() - LEASE}
        with self._db.write() as tx:
            ours = and_(rows.c.lease.is_not(None), self._work.reachable())
            tx.sql.execute(_leasing(rows).where(ours).values(**freed))

    def _start(self) -> list[Future[None]]:
        self._return_leases()
        if not (claims := self._claim(self._threads - self._busy_count())):
            return []
        try:
            view = self._work.look(claims)
        except Exception as error:
            return [self._submit(self._back_off, claim, error) for claim in claims]
        return [self._submit(self._reconcile, claim, view) for claim in claims]

    def _busy_count(self) -> int:
        return sum(not future.done() for future in tuple(self._busy))

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
            return [Claim(rows, id, lease) for id in tx.sql.execute(self._take, bound).scalars()]

    def _nothing_due_for(self) -> float:
        """Seconds, without an end where no row will ever be due; asked anew after each write."""
        written = self._db.written(self._work.rows)
        if written is None or written != self._counted_writes:
            with self._db.read() as sql:
                times = [at for at in sql.execute(self._next_times).one() if at is not None]
            self._next, self._counted_writes = min(times, default=None), written
        return inf if self._next is None else max(0.0, self._seconds_until(self._next))

    def _seconds_until(self, moment: datetime) -> float:
        return (moment - self._clock.now()).total_seconds()

    @cached_property
    def _next_times(self) -> Select[datetime | None, datetime | None]:
        """When a row is due next, and when a lease runs out next; each of an index of its own.

        It is asked each second, and to build it takes longer than to ask it.
        """
        rows, mine = self._work.rows.c, self._work.reachable()
        due = select(func.min(rows.due_at)).where(mine, rows.lease.is_(None))
        lost = select(func.min(rows.lease_until)).where(mine, rows.lease_until.is_not(None))
        return select(due.scalar_subquery(), lost.scalar_subquery())

    def _reconcile(self, claim: Claim, view: View) -> None:
        try:
            self._record(_Unrecorded(claim, self._work.reconcile(claim, view)))
            self._failed.pop(claim.id, None)
        except Lost:
            self._failed.pop(claim.id, None)
            log.info("%s: lost the lease", claim.id)
        except Exception as error:
            self._back_off(claim, error)

    def _record(self, mine: _Unrecorded) -> None:
        """Write it down together with what the other threads have learned meanwhile.

        While one hand commits, the others wait, and the next one writes for all of them: so a
        burst costs a transaction for each round of threads, not for each row.
        """
        with self._gathering:
            self._unrecorded.append(mine)
        with self._recording:
            if not mine.is_written:
                with self._gathering:
                    batch, self._unrecorded = self._unrecorded, []
                self._write_down(batch)
        if mine.error is not None:
            raise mine.error

    def _write_down(self, batch: Sequence[_Unrecorded]) -> None:
        """One transaction; a row that cannot be written leaves the others as they are."""
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
            due_at = {mine.claim: now + mine.result.look_again for mine in batch}
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
        """Give the row back; the more attempts have failed, the later is the next one."""
        rows = claim.rows.c
        with self._db.write() as tx, suppress(Lost):
            tries = tx.sql.execute(select(rows.attempts).where(rows.id == claim.id)).scalar() or 0
            pause = min(RETRY * 2 ** min(tries, 10), RETRY_MOST) if counts else RETRY
            claim.give_back(tx, self._clock.now() + pause, attempts=tries + counts)

    def _return_leases(self) -> None:
        """Make due what the database did not take back, now that it may be there again."""
        if not (unreturned := tuple(self._unreturned)):
            return
        due = {"due_at": self._clock.now(), "lease": None, "lease_until": None}
        with self._db.write() as tx:
            for claim in unreturned:
                with suppress(Lost):
                    claim.update(tx, **due)
        self._unreturned.difference_update(unreturned)

    @cached_property
    def _take(self) -> Update:
        """Lease what is due; to build a statement takes longer than to run it."""
        rows, held = self._work.rows, {"lease": bindparam("b_lease"), "due_at": NEVER}
        until = bindparam("b_until", type_=rows.c.lease_until.type)
        taken = _leasing(rows).where(rows.c.id.in_(self._due)).values(**held, lease_until=until)
        return taken.returning(rows.c.id)

    @cached_property
    def _due(self) -> CompoundSelect[tuple[str]]:
        """The ids of rows whose lease has run out, then of those that are due for longest.

        Two questions, each for an index: as one, it would read every row that is not due.
        """
        rows, most = self._work.rows.c, bindparam("b_most", type_=Integer)
        now = bindparam("b_now", type_=rows.due_at.type)
        mine = select(rows.id).where(self._work.reachable()).limit(most)
        lost = mine.where(rows.lease_until <= now).subquery()
        due = mine.where(rows.due_at <= now, rows.lease.is_(None)).order_by(rows.due_at).subquery()
        return union_all(select(lost.c.id), select(due.c.id)).limit(most)
