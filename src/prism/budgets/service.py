"""Requests for pools and allocations."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from msgspec import UNSET, structs
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.admission import in_period
from prism.budgets.balances import Balance, allocation_cap, dollars, pool_cap
from prism.budgets.books import BookReader, Books
from prism.budgets.events import ALERT, POOL, AllocationChanged, PoolChanged, changes
from prism.budgets.model import (
    Allocation,
    AllocationChange,
    AllocationExists,
    AllocationInUse,
    AllocationShown,
    BudgetExists,
    BudgetInUse,
    NewAllocation,
    NewPool,
    NewReallocation,
    OverAllocated,
    Pool,
    PoolChange,
    PoolShown,
    PoolStatement,
    PoolSummary,
    ReallocateAnswer,
    Reservation,
    Window,
)
from prism.budgets.plan import ALWAYS, begin_words, named_period, zone
from prism.budgets.statement import PoolPeriod, statement
from prism.budgets.view import allocation, pool, status, top_projects
from prism.costs import store as ledger
from prism.costs.plan import unix_time
from prism.costs.view import line, names, percent
from prism.errors import ValidationFailed
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.money import Micros, amount, of_usd
from prism.projects import store as projects


class BudgetService:
    """The requests of one actor for pools and allocations."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        actor: Who,
        reader: BookReader,
        *,
        release: Callable[[Tx, Reservation], bool],
    ) -> None:
        """`release` ends an allocation's payments for storage; False for anything else."""
        self._db, self._clock, self._who, self._release = db, clock, actor, release
        self._reader = reader

    # ---------------------------------------------------------------- pools

    def pools(self) -> list[PoolShown]:
        """Every pool."""
        with self._db.read() as sql:
            books = self._reader.open_whole(sql)
            return [self._pool(books, row) for row in books.pools().values()]

    def pool(self, name: str) -> PoolShown:
        """The pool with that id or name."""
        with self._db.read() as sql:
            return self._pool(self._reader.open(sql), store.pool_named(sql, name))

    def create(self, request: NewPool) -> PoolShown:
        """Make a new pool."""
        now = self._clock.now()
        pool = Pool(
            id=sortable_id("budget", now),
            name=request.name,
            description=request.description,
            total=_micros("total_amount", request.total_amount),
            period=request.period,
            time_zone=request.time_zone,
            start_date=_utc("start_date", request.start_date or now),
            end_date=None if request.end_date is None else _utc("end_date", request.end_date),
            alert_threshold=request.alert_threshold,
            created_by=request.created_by,
            created_at=whole(now),
            updated_at=whole(now),
        )
        _validate(pool)
        with self._db.write() as tx:
            self._require_new_name(tx, pool)
            store.put_pool(tx, pool, unix_time(min(pool.start_date, now)))
            self._record_pool(tx, None, pool, "created")
            return self._pool(self._reader.open(tx.sql), pool)

    def change(self, name: str, request: PoolChange) -> PoolShown:
        """Change the given fields."""
        fields = {k: v for k, v in structs.asdict(request).items() if v is not UNSET}
        if "total_amount" in fields:
            fields["total"] = _micros("total_amount", fields.pop("total_amount"))
        if fields.get("end_date") is not None:
            fields["end_date"] = _utc("end_date", fields["end_date"])
        with self._db.write() as tx:
            before = store.pool_named(tx.sql, name)
            after = replace(before, **fields, updated_at=whole(self._clock.now()))
            _validate(after)
            self._require_new_name(tx, after)
            if after.total < before.total or after.end_date != before.end_date:
                self._require_total_covers(tx.sql, before, after)
            store.put_pool(tx, after, unix_time(self._clock.now()))
            store.make_due(tx, "pool", after.id, self._clock.now())
            self._record_pool(tx, before, after, "changed")
            return self._pool(self._reader.open(tx.sql), after)

    def delete(self, name: str) -> None:
        """Delete a pool without allocations; what was spent stays in the ledger."""
        with self._db.write() as tx:
            pool = store.pool_named(tx.sql, name)
            if parts := store.allocations_of(tx.sql, pool=pool.id):
                raise BudgetInUse(
                    f"Budget {pool.name!r} has allocations",
                    details=f"{len(parts)} projects have money from it",
                    remediation=f"Remove them first: `prism allocation delete {parts[0].id}`",
                )
            store.remove_pool(tx, pool, self._clock.now())
            self._record_pool(tx, pool, None, "deleted")

    def summary(self, name: str) -> PoolSummary:
        """A pool with its allocations and top spenders."""
        with self._db.read() as sql:
            books, pool = self._reader.open(sql), store.pool_named(sql, name)
            allocations = store.allocations_of(sql, pool=pool.id)
            parts = self._allocations(books, pool, allocations)
            spent = {a.id: books.spent(allocation_cap(a, None, pool)) for a in allocations}
            balance, budget = books.priced(pool_cap(pool)), self._pool(books, pool)
            former = self._former_projects(books, balance, spent)
        level = status(balance)
        share = f"{percent(balance.settled, pool.total)} % of {dollars(pool.total)}"
        warnings = [f"Budget {pool.name!r} has spent {share}"] if level != "ok" else []
        warnings += [
            f"{a.project_name} has spent {100 * a.utilization_rate:.1f} % of its allocation"
            for a in parts
            if a.spent_amount and a.utilization_rate and a.utilization_rate >= a.alert_threshold
        ]
        paid = [(a.project_id, a.project_name, spent[a.id], False) for a in parts]
        return PoolSummary(
            budget=budget,
            allocations=tuple(parts),
            status=level,
            alerts=tuple(warnings),
            top_spending_projects=tuple(top_projects([*paid, *former], balance.settled)),
        )

    def statement(self, name: str, days: tuple[date, date] | None) -> PoolStatement:
        """The statement of the first period that has one of these days; the last is not included.

        By default of the present period, or of the last one if the pool has ended.
        """
        with self._db.read() as sql:
            books, pool = self._reader.open(sql), store.pool_named(sql, name)
            cap, within = pool_cap(pool), named_period(pool, days, books.now)
            if within is None:
                begin = begin_words(Window(unix_time(pool.start_date), None), pool)
                why = f"{pool.name!r} has no period then that has begun; its first is on {begin}"
                raise ValidationFailed.of(("period", why))
            counted, has_ended = books.counted(cap), books.present(cap) is None
            was_last = has_ended and counted is not None and counted.start == within.start
            balance = books.balance(cap) if was_last else books.balance_in(cap, within)
            stop = ledger.EVER if was_last or within.end is None else within.end
            segments = ledger.within(sql, within.start, stop, pool=pool.id)
            reserved = {} if was_last else self._reserved_parts(books, pool, within)
            amounts, name_of = store.amounts_of(sql, pool.id), projects.names(sql)
        paid = [
            line(row, {}, within.start, min(stop, max(books.now, row.ended or 0)))
            for row in segments
            if row.is_paid
        ]
        period = PoolPeriod(
            pool=pool,
            within=within,
            balance=balance,
            lines=paid,
            amounts=amounts,
            reserved=reserved,
            now=books.now,
        )
        return statement(period, name_of)

    def _reserved_parts(self, books: Books, pool: Pool, within: Window) -> dict[str, int]:
        """What is reserved of each allocation of a pool in one of its periods."""
        parts = store.allocations_of(books.sql, pool=pool.id)
        caps = [allocation_cap(part, None, pool) for part in parts]
        return {cap.id: sum(books.reserved(cap, within)) for cap in caps}

    def _former_projects(
        self, books: Books, balance: Balance, spent: Mapping[str, int]
    ) -> list[tuple[str, str, int, bool]]:
        """What projects spent of a pool through allocations that were deleted."""
        if balance.settled == sum(spent.values()):
            return []
        within, name_of = books.counted(balance.cap) or ALWAYS, projects.names(books.sql)
        ids = balance.cap.id, within.start, books.now, list(spent)
        sums = ledger.spent_of_pool(books.sql, *ids)
        return [(id, name_of.get(id, id), paid, True) for id, paid in sums.items()]

    # ---------------------------------------------------------- allocations

    def allocations(self, name: str) -> list[AllocationShown]:
        """The allocations of a pool."""
        with self._db.read() as sql:
            pool = store.pool_named(sql, name)
            parts = store.allocations_of(sql, pool=pool.id)
            return self._allocations(self._reader.open(sql), pool, parts)

    def allocate(self, request: NewAllocation) -> AllocationShown:
        """Give a project a part of a pool."""
        now = self._clock.now()
        with self._db.write() as tx:
            source = store.pool_named(tx.sql, request.budget_id)
            owner = projects.named(tx.sql, request.project_id)
            parts = store.allocations_of(tx.sql, pool=source.id)
            if existing := [part.id for part in parts if part.project == owner.id]:
                raise AllocationExists(
                    f"{owner.name!r} has an allocation from {source.name!r} already",
                    remediation=f"Change it with `prism allocation update {existing[0]}`",
                )
            again = ledger.last_allocation(tx.sql, source.id, owner.id)
            allocation = Allocation(
                id=again or sortable_id("alloc", now),
                pool=source.id,
                project=owner.id,
                amount=_micros("allocated_amount", request.allocated_amount),
                alert_threshold=request.alert_threshold,
                allocated_by=request.allocated_by,
                allocated_at=whole(now),
            )
            self._require_room(tx.sql, source, allocation.amount)
            if again is not None:
                self._require_covered(tx.sql, allocation, source)
            store.put_allocation(tx, allocation, unix_time(now))
            store.make_due(tx, "project", owner.id, now)
            self._record_allocation(tx, None, allocation)
            return self._allocations(self._reader.open(tx.sql), source, [allocation])[0]

    def reallot(self, id: str, request: AllocationChange) -> AllocationShown:
        """Change an allocation."""
        with self._db.write() as tx:
            before = store.allocation_named(tx.sql, id)
            after = before
            if request.allocated_amount is not UNSET:
                micros = _micros("allocated_amount", request.allocated_amount)
                after = replace(after, amount=micros)
            if request.alert_threshold is not UNSET:
                after = replace(after, alert_threshold=request.alert_threshold)
            source = store.pool_named(tx.sql, before.pool)
            if after.amount > before.amount:
                self._require_room(tx.sql, source, after.amount - before.amount)
            if after.amount < before.amount:
                self._require_free(tx.sql, before, source, before.amount - after.amount)
            self._put(tx, before, after)
            return self._allocations(self._reader.open(tx.sql), source, [after])[0]

    def remove(self, id: str) -> None:
        """Delete an allocation that pays for nothing; what was spent stays booked."""
        with self._db.write() as tx:
            allocation = store.allocation_named(tx.sql, id)
            reservations = store.reservations_of(tx.sql, "allocation", id)
            if users := [user for user in reservations if not self._release(tx, user)]:
                raise AllocationInUse(
                    "Workspaces are paid for by this allocation",
                    details=", ".join(sorted(user.name for user in users)),
                    remediation="Terminate them first: `prism workspace list`",
                )
            store.remove_allocation(tx, allocation, unix_time(self._clock.now()))
            self._record_allocation(tx, allocation, None)

    def reallocate(self, request: NewReallocation) -> ReallocateAnswer:
        """Move money between two projects of one pool."""
        now = self._clock.now()
        moved = _micros("amount", request.amount)
        with self._db.write() as tx:
            allocation = store.allocation_named(tx.sql, request.source_allocation_id)
            other = store.allocation_named(tx.sql, request.destination_allocation_id)
            if allocation.id == other.id or allocation.pool != other.pool:
                why = "must be another one" if allocation.id == other.id else "is of another pool"
                raise ValidationFailed.of(("destination_allocation_id", why))
            source = store.pool_named(tx.sql, allocation.pool)
            self._require_free(tx.sql, allocation, source, moved)
            less = replace(allocation, amount=Micros(allocation.amount - moved))
            more = replace(other, amount=Micros(other.amount + moved))
            self._put(tx, allocation, less, request.reason)
            self._put(tx, other, more, request.reason)
            record: dict[str, Any] = {
                "id": sortable_id("realloc", now),
                "reason": request.reason,
                "reallocated_by": self._who(),
                "reallocated_at": whole(now),
            }
            ends = {"source": allocation.id, "destination": other.id, "amount": moved}
            store.add_reallocation(tx, **record, **ends)
            books = self._reader.open(tx.sql)
            giver, receiver = self._allocations(books, source, [less, more])
            return ReallocateAnswer(
                **record, source=giver, destination=receiver, amount=amount(moved)
            )

    # -------------------------------------------------------------- how

    def _pool(self, books: Books, row: Pool) -> PoolShown:
        cap = pool_cap(row)
        unpriced = names(books.unpriced_of(cap))
        return pool(row, books.allocated(row.id), books.priced(cap), unpriced)

    def _allocations(
        self, books: Books, source: Pool, rows: Sequence[Allocation]
    ) -> list[AllocationShown]:
        whole, name_of = books.priced(pool_cap(source)), projects.names(books.sql)
        parts = []
        for row in rows:
            cap, name = allocation_cap(row, None, source), name_of.get(row.project, row.project)
            unpriced = names(books.unpriced_of(cap))
            parts.append(allocation(row, name, books.priced(cap), whole, unpriced))
        return parts

    def _require_new_name(self, tx: Tx, pool: Pool) -> None:
        other = store.find_pool(tx.sql, pool.name)
        if other is not None and other.id != pool.id:
            raise BudgetExists(
                f"A budget called {pool.name!r} already exists",
                remediation="Use `prism budget list` to see available budgets",
            )

    def _require_total_covers(self, sql: Connection, before: Pool, pool: Pool) -> None:
        """Raise if a pool would be less than what is allocated, reserved or spent of it."""
        allocated = store.allocated(sql, pool.id)
        books = self._reader.open(sql)
        was, balance = books.spent(pool_cap(before)), books.balance(pool_cap(pool))
        if balance.settled < was:
            balance = replace(balance, settled=was)
        later = books.tightest(pool_cap(pool))
        if later.committed > balance.committed:
            balance = later
        if pool.total < before.total and pool.total < max(allocated, balance.committed):
            raise OverAllocated(
                f"Budget {pool.name!r} cannot be less than what is allocated and spent of it",
                details=(
                    f"allocated {dollars(allocated)}, spent {dollars(balance.settled)}, "
                    f"reserved {dollars(balance.reserved)}{in_period(balance, books.now)}"
                ),
                remediation=f"Allocate less first; see `prism allocation list {pool.id}`",
            )

    def _require_room(self, sql: Connection, source: Pool, more: int) -> None:
        """Raise if a pool has less than `more` left to allocate."""
        allocated = store.allocated(sql, source.id)
        if allocated + more > source.total:
            raise OverAllocated(
                f"Budget {source.name!r} has only {dollars(source.total - allocated)} left to "
                f"allocate; you asked for {dollars(more)} more",
                details=f"of {dollars(source.total)}, {dollars(allocated)} is allocated",
                remediation="Use `prism budget list` to see what is left",
            )

    def _require_covered(self, sql: Connection, allocation: Allocation, source: Pool) -> None:
        """Raise if a project has already spent more of a pool than its new allocation."""
        settled = self._reader.open(sql).spent(allocation_cap(allocation, None, source))
        if settled > allocation.amount:
            raise OverAllocated(
                "An allocation cannot be less than what its project has spent of the budget",
                details=f"it has spent {dollars(settled)} of {source.name!r} in this period",
                remediation=f"Allocate that much, or see `prism budget show {source.id}`",
            )

    def _require_free(self, sql: Connection, allocation: Allocation, pool: Pool, cut: int) -> None:
        """Raise if an allocation has less than `cut` left in any of its periods."""
        books = self._reader.open(sql)
        balance = books.tightest(allocation_cap(allocation, None, pool))
        if cut > balance.left:
            raise OverAllocated(
                f"The allocation has only {dollars(balance.left)} left; you asked for "
                f"{dollars(cut)}",
                details=f"of {dollars(allocation.amount)}, {dollars(balance.settled)} is spent, "
                f"{dollars(balance.reserved)} reserved{in_period(balance, books.now)}",
                remediation="Stop workspaces that you do not need: `prism workspace list`",
            )

    def _put(self, tx: Tx, was: Allocation, allocation: Allocation, reason: str = "") -> None:
        now = self._clock.now()
        store.put_allocation(tx, allocation, unix_time(now))
        store.make_due(tx, "allocation", allocation.id, now)
        self._record_allocation(tx, was, allocation, reason)

    def _record_allocation(
        self, tx: Tx, was: Allocation | None, now: Allocation | None, reason: str = ""
    ) -> None:
        if (allocation := now or was) is None:
            return
        owner = projects.find(tx.sql, allocation.project)
        tx.happened(
            AllocationChanged(
                actor=self._who(),
                subject=owner.name if owner else allocation.project,
                allocation=allocation.id,
                budget=allocation.pool,
                project=allocation.project,
                **changes(was, now, ("amount", ALERT)),
                reason=reason,
            )
        )

    def _record_pool(self, tx: Tx, was: Pool | None, now: Pool | None, action: str) -> None:
        if pool := now or was:
            whose: dict[str, Any] = {"subject": pool.name, "budget": pool.id}
            changed = changes(was, now, (*POOL, ALERT))
            tx.happened(PoolChanged(actor=self._who(), **whose, **changed, what=action))


def _micros(field: str, usd: float) -> Micros:
    if (micros := of_usd(usd)) <= 0:
        raise ValidationFailed.of((field, "less than a micro-dollar"))
    return micros


def _utc(field: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValidationFailed.of((field, "has no time zone; write it like 2026-01-01T00:00:00Z"))
    try:
        return whole(at.astimezone(UTC))
    except OverflowError as error:
        raise ValidationFailed.of((field, "is beyond the calendar of UTC")) from error


def _validate(pool: Pool) -> None:
    if pool.end_date is not None and pool.end_date <= pool.start_date:
        raise ValidationFailed.of(("end_date", "must be after start_date"))
    try:
        zone(pool.time_zone)
    except (KeyError, ValueError, OSError) as error:
        why = f"there is no time zone {pool.time_zone!r}"
        raise ValidationFailed.of(("time_zone", why)) from error
