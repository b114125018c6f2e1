"""The tables of pools, allocations and reservations, and all SQL about them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    Select,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from prism.budgets.model import (
    Allocation,
    AllocationNotFound,
    Cap,
    CapAmount,
    Pool,
    Reservation,
    Window,
)
from prism.budgets.plan import ProjectReserved
from prism.costs.model import HOUR, MONTH_HOURS
from prism.costs.months import month_time, parameters
from prism.costs.store import COUNTED, EVER, batched
from prism.kit.database.versions import change_part, once, topic
from prism.kit.db import Tx
from prism.kit.tables import Utc, leased, metadata, select_struct, structs_of
from prism.workspaces.model import BudgetNotFound
from prism.workspaces.store import workspaces

BUDGETS, RESERVED = "budgets", "reservations"  # topics
TOPICS = (RESERVED, COUNTED)
OF_DISKS = ("disk_since", "disk_until", "part_until")  # stored in month time too
EDGES = ("opens", "closes", "disks_until")  # of a period
PERIOD = (*EDGES, *(f"{name}_month" for name in EDGES))

pools = Table(
    "pools",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("period", String, nullable=False),
    Column("time_zone", String, nullable=False),
    Column("start_date", Utc, nullable=False),
    Column("end_date", Utc),
    Column("alert_threshold", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    info=topic(BUDGETS),
)
ended_pools = Table(  # names of deleted pools, to which the ledger still refers
    "ended_pools",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("ended_at", Utc, nullable=False),
    Column("time_zone", String, nullable=False, server_default="UTC"),
)
allocations = Table(
    "allocations",
    metadata,
    Column("id", String, primary_key=True),
    Column("pool", String, ForeignKey("pools.id"), nullable=False),
    Column("project", String, ForeignKey("projects.id"), nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("alert_threshold", Float, nullable=False),
    Column("allocated_by", String, nullable=False),
    Column("allocated_at", Utc, nullable=False),
    UniqueConstraint("pool", "project"),
    info=topic(BUDGETS),
)
cap_amounts = Table(  # which amount a pool or an allocation had from when on
    "cap_amounts",
    metadata,
    Column("scope", String, primary_key=True),  # pool or allocation
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("pool", String, nullable=False, index=True),
    Column("project", String),  # null for the pool itself
    Column("amount", BigInteger, nullable=False),
)
reallocations = Table(
    "reallocations",
    metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("reallocated_by", String, nullable=False),
    Column("reallocated_at", Utc, nullable=False),
)
reservations = Table(
    "reservations",
    metadata,
    Column("id", String, primary_key=True),  # the workspace's id
    Column("name", String, nullable=False),
    Column("project", String, nullable=False, index=True),
    Column("allocation", String, index=True),
    Column("pool", String, index=True),
    Column("compute", BigInteger),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("stopping", BigInteger, nullable=False),
    Column("running", Boolean, nullable=False),
    Column("disk", BigInteger),
    Column("disk_since", BigInteger, nullable=False),
    Column("disk_until", BigInteger, nullable=False),
    Column("part_until", BigInteger, nullable=False, server_default="0"),
    Column("kept", Boolean, nullable=False),
    Column("counted", BigInteger, nullable=False, server_default="0"),
    *(
        Column(f"{name}_month", BigInteger, nullable=False, server_default="0")
        for name in OF_DISKS
    ),
    *leased("reservations"),
    info=topic(RESERVED),
)
# Statements of each launch and each verb, built once: building takes longer than executing.
RESERVATIONS = select(*(reservations.c[field] for field in Reservation.__struct_fields__))
RESERVATIONS_OF = {
    name: RESERVATIONS.where(reservations.c[name] == bindparam("of"))
    for name in ("project", "allocation", "pool")
}


def _moment(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger())


NOW, NOW_MONTH = map(_moment, ("now", "now_month"))


def _span(
    begin: ColumnElement[int],
    end: ColumnElement[int],
    counted: ColumnElement[int],
    within: tuple[ColumnElement[int], ColumnElement[int]],
) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """From when until when something is reserved in a period, of which a part is counted."""
    opens, closes = within
    start = case((counted > begin, counted), else_=begin)
    return case((start > opens, start), else_=opens), case((end < closes, end), else_=closes)


def _rest(
    amount: ColumnElement[int],
    hours: int,
    begin: ColumnElement[int],
    span: tuple[ColumnElement[int], ColumnElement[int]],
) -> ColumnElement[int]:
    """The sum of `plan._rest` as SQL; the amount is divided first, so that 64 bits suffice."""
    whole, (start, end) = hours * HOUR, span
    units, rest = amount // whole, amount % whole
    reserved = units * (end - start) + (rest * (end - begin) + whole - 1) // whole
    reserved -= rest * (start - begin) // whole
    return func.coalesce(func.sum(case((end > start, reserved), else_=0)), 0)


def _reserved_sums(payer: Column[str]) -> Select[int, int]:
    """The sums of `plan.reserved_compute` and `plan.lasting_disk` as SQL, for a payer."""
    r = reservations.c
    of = and_(payer == bindparam("of"), r.id != bindparam("besides"))
    opens, closes, disks_until, opens_month, closes_month, disks_until_month = map(_moment, PERIOD)
    counted = case((and_(r.counted > 0, r.counted < NOW), r.counted), else_=NOW)
    lasts = and_(r.part_until > r.disk_since, r.part_until < disks_until)
    lasting = case((lasts, disks_until_month), else_=r.part_until_month)
    disk_end = r.disk_until_month if payer is r.project else lasting
    ran_until = case((r.running, counted), else_=r.since)
    kept_until = case((r.kept, NOW_MONTH), else_=r.disk_since_month)
    runs = _span(r.since, r.until + r.stopping, ran_until, (opens, closes))
    keeps = _span(r.disk_since_month, disk_end, kept_until, (opens_month, closes_month))
    each = select(
        case((r.until > r.since, r.compute)).label("compute"),
        r.since,
        *(at.label(name) for at, name in zip(runs, ("runs", "ends"), strict=True)),
        r.disk,
        r.disk_since_month,
        *(at.label(name) for at, name in zip(keeps, ("keeps", "keeps_until"), strict=True)),
    ).where(of)
    # With an offset, SQLite computes a column once, and not wherever it is used.
    c = each.offset(0).subquery().c
    return select(
        _rest(c.compute, 1, c.since, (c.runs, c.ends)),
        _rest(c.disk, MONTH_HOURS, c.disk_since_month, (c.keeps, c.keeps_until)),
    )


RESERVED_SUMS = {name: _reserved_sums(reservations.c[name]) for name in RESERVATIONS_OF}
FURTHEST = {
    name: select(func.max(reservations.c.until + reservations.c.stopping)).where(
        reservations.c[name] == bindparam("of")
    )
    for name in RESERVATIONS_OF
}
RESERVATIONS_OF_SOME = RESERVATIONS.where(
    reservations.c.project.in_(bindparam("projects", expanding=True))
)
COUNTED_BOUNDS = select(
    reservations.c.project, func.min(reservations.c.counted), func.max(reservations.c.counted)
).group_by(reservations.c.project)
COUNTED_BOUNDS = COUNTED_BOUNDS.where(reservations.c.running, reservations.c.compute != 0)
RESERVATION = RESERVATIONS.where(reservations.c.id == bindparam("of"))
ADD_RESERVATION = insert(reservations)
CHANGE_RESERVATION = update(reservations).where(reservations.c.id == bindparam("of"))
OF: BindParameter[Any] = bindparam("of")
FIND_POOL = select(*(pools.c[field] for field in Pool.__struct_fields__))
FIND_POOL = FIND_POOL.where(or_(pools.c.id == OF, pools.c.name == OF))
ALLOCATIONS = select(*(allocations.c[field] for field in Allocation.__struct_fields__))
FIND_ALLOCATION = ALLOCATIONS.where(allocations.c.id == OF)
ALLOCATIONS = ALLOCATIONS.order_by(allocations.c.id)
ALLOCATIONS_FROM = ALLOCATIONS.where(allocations.c.pool == OF)
ALLOCATIONS_TO = ALLOCATIONS.where(allocations.c.project == OF)
RELEASE = delete(reservations).where(reservations.c.id == OF)
crossings = Table(  # exceeded thresholds that are recorded
    "crossings",
    metadata,
    Column("scope", String, primary_key=True),
    Column("threshold", String, primary_key=True),
    Column("at", Utc, nullable=False),
)


def every_pool(sql: Connection) -> list[Pool]:
    """All pools, the oldest first."""
    return structs_of(sql, Pool, select_struct(pools, Pool).order_by(pools.c.id))


def pools_by_id(sql: Connection) -> dict[str, Pool]:
    """All pools by id, the oldest first."""
    return {pool.id: pool for pool in every_pool(sql)}


def find_pool(sql: Connection, name: str) -> Pool | None:
    """The pool with that id or name; an id wins."""
    rows = once(
        sql, (BUDGETS,), ("pool", name), lambda: structs_of(sql, Pool, FIND_POOL, {"of": name})
    )
    return max(rows, key=lambda pool: pool.id == name, default=None)


def pool_named(sql: Connection, name: str) -> Pool:
    """The pool with that id or name; raises if there is none."""
    if pool := find_pool(sql, name):
        return pool
    raise BudgetNotFound(
        f"Budget {name!r} not found",
        remediation="Use `prism budget list` to see available budgets",
    )


def put_pool(tx: Tx, pool: Pool, at: int) -> None:
    """Add or replace a pool, whose amount counts from `at` on."""
    _put(tx, pools, {"id": pool.id}, msgspec.structs.asdict(pool))
    _put_amount(tx, at, pool.total, scope=pool.id, pool=pool.id)


def put_allocation(tx: Tx, part: Allocation, at: int) -> None:
    """Add or replace an allocation, whose amount counts from `at` on."""
    _put(tx, allocations, {"id": part.id}, msgspec.structs.asdict(part))
    _put_amount(tx, at, part.amount, scope=part.id, pool=part.pool, project=part.project)


def _put_amount(tx: Tx, at: int, amount: int, **whose: str) -> None:
    key = {"scope": whose["scope"], "since": at}
    _put(tx, cap_amounts, key, {**whose, "since": at, "amount": amount})


def _put(tx: Tx, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    condition = and_(*(table.c[name] == value for name, value in key.items()))
    if not tx.sql.execute(update(table).where(condition).values(**values)).rowcount:
        tx.sql.execute(table.insert().values(**values))


def amounts_of(sql: Connection, pool: str) -> list[CapAmount]:
    """Which amounts a pool and its allocations had, also deleted ones; the oldest first."""
    query = select_struct(cap_amounts, CapAmount).where(cap_amounts.c.pool == pool)
    return structs_of(sql, CapAmount, query.order_by(cap_amounts.c.since, cap_amounts.c.scope))


def remove_pool(tx: Tx, pool: Pool, at: datetime) -> None:
    """Delete a pool, but keep its name: the ledger still refers to it."""
    tx.sql.execute(delete(pools).where(pools.c.id == pool.id))
    known = {"id": pool.id, "name": pool.name, "time_zone": pool.time_zone}
    tx.sql.execute(ended_pools.insert().values(**known, ended_at=at))


def names_of_pools(sql: Connection) -> dict[str, str]:
    """The name of each pool, by id, including deleted pools."""
    return _of_every_pool(sql, "name")


def zones_of_pools(sql: Connection) -> dict[str, str]:
    """The time zone of each pool, by id, including deleted pools."""
    return _of_every_pool(sql, "time_zone")


def _of_every_pool(sql: Connection, column: str) -> dict[str, str]:
    of_ended = select(ended_pools.c.id, ended_pools.c[column])
    query = select(pools.c.id, pools.c[column]).union_all(of_ended)
    return {id: value for id, value in sql.execute(query)}


def allocations_of(
    sql: Connection, *, pool: str | None = None, project: str | None = None
) -> list[Allocation]:
    """The allocations of a pool, or to a project, or all; the oldest first."""
    if pool is None and project is None:
        return structs_of(sql, Allocation, ALLOCATIONS)
    query = ALLOCATIONS_TO if pool is None else ALLOCATIONS_FROM
    binds = {"of": project if pool is None else pool}
    key = ("allocations", pool, project)
    return once(sql, (BUDGETS,), key, lambda: structs_of(sql, Allocation, query, binds))


def find_allocation(sql: Connection, id: str) -> Allocation | None:
    """The allocation with that id."""
    key, binds = ("allocation", id), {"of": id}
    rows = once(sql, (BUDGETS,), key, lambda: structs_of(sql, Allocation, FIND_ALLOCATION, binds))
    return rows[0] if rows else None


def allocation_named(sql: Connection, id: str) -> Allocation:
    """The allocation with that id; raises if there is none."""
    if allocation := find_allocation(sql, id):
        return allocation
    raise AllocationNotFound(
        f"Allocation {id!r} not found",
        remediation="Use `prism budget list` to see available budgets",
    )


def remove_allocation(tx: Tx, part: Allocation, at: int) -> None:
    """Delete an allocation; what was spent from it stays in the ledger."""
    tx.sql.execute(delete(allocations).where(allocations.c.id == part.id))
    _put_amount(tx, at, 0, scope=part.id, pool=part.pool, project=part.project)


def add_reallocation(tx: Tx, **values: Any) -> None:
    """Record that money was moved."""
    tx.sql.execute(reallocations.insert().values(**values))


def allocated(sql: Connection, pool: str) -> int:
    """The allocated money of a pool."""
    total = select(func.coalesce(func.sum(allocations.c.amount), 0))
    return int(sql.execute(total.where(allocations.c.pool == pool)).scalar_one())


def allocated_of_pools(sql: Connection) -> dict[str, int]:
    """The allocated money of each pool; pools without allocations are missing."""
    query = select(allocations.c.pool, func.sum(allocations.c.amount))
    return {pool: int(sum_) for pool, sum_ in sql.execute(query.group_by(allocations.c.pool))}


def reservations_of(sql: Connection, column: str, id: str) -> list[Reservation]:
    """The reservations of a project, an allocation or a pool."""
    query, binds = RESERVATIONS_OF[column], {"of": id}
    return once(sql, TOPICS, (column, id), lambda: structs_of(sql, Reservation, query, binds))


def reserved(
    sql: Connection, cap: Cap, now: int, within: Window, *, besides: str, disks_until: int
) -> tuple[int, int]:
    """The reserved money of a cap in a period, for compute and disks, without one workspace.

    Every disk counts at least to `disks_until`.
    """
    closes = EVER if within.end is None else within.end
    at = parameters(now=now, opens=within.start, closes=closes, disks_until=disks_until)
    binds = {"of": cap.id, "besides": besides}
    compute, disks = sql.execute(RESERVED_SUMS[cap.column], binds | at).one()
    return int(compute), int(disks)


def reserved_by_project(
    sql: Connection, now: int, periods: Mapping[str, Window], projects: Collection[str] | None
) -> dict[str, ProjectReserved]:
    """What is reserved in present periods, for each of these projects or all."""
    rows = dict[str, list[Reservation]]()
    if projects is None:
        read = every_reservation(sql)
    else:
        read = structs_of(sql, Reservation, RESERVATIONS_OF_SOME, {"projects": [*projects]})
    for row in read:
        rows.setdefault(row.project, []).append(row)
    return {project: ProjectReserved(of, now, periods) for project, of in rows.items()}


def counted_bounds(sql: Connection) -> dict[str, tuple[int, int]]:
    """From when until when the running workspaces of each project count."""
    rows = sql.execute(COUNTED_BOUNDS).all()
    return {project: (int(first), int(last)) for project, first, last in rows}


def furthest(sql: Connection, cap: Cap) -> int | None:
    """Until when a cap has reserved money for compute; null if it has not."""
    return sql.execute(FURTHEST[cap.column], {"of": cap.id}).scalar()


def every_reservation(sql: Connection) -> list[Reservation]:
    """All reservations."""
    return structs_of(sql, Reservation, RESERVATIONS)


def find_reservation(sql: Connection, workspace: str) -> Reservation | None:
    """The reservation of a workspace."""
    of = {"of": workspace}
    rows = once(sql, TOPICS, workspace, lambda: structs_of(sql, Reservation, RESERVATION, of))
    return rows[0] if rows else None


def put_reservation(tx: Tx, reservation: Reservation, due_at: datetime | None = None) -> None:
    """Add or replace a reservation, and when to look at it again (unless that stays)."""
    values = msgspec.structs.asdict(reservation) | ({"due_at": due_at} if due_at else {})
    values |= {f"{name}_month": month_time(values[name]) for name in OF_DISKS}
    if (before := find_reservation(tx.sql, reservation.id)) is not None:
        change_part(tx.sql, before.project)
    change_part(tx.sql, reservation.project)
    if before is not None:
        tx.sql.execute(CHANGE_RESERVATION, values | {"of": reservation.id})
    else:
        tx.sql.execute(ADD_RESERVATION, values | {"attempts": 0})


def confirm(tx: Tx, ids: Sequence[str], at: int) -> None:
    """Let the compute of these reservations count until `at`."""
    r = reservations.c
    for part in batched(ids):
        running = and_(r.id.in_(part), r.running, r.counted > 0, r.counted < at)
        counts = update(reservations).where(running).values(counted=at)
        tx.sql.execute(counts.execution_options(**topic(COUNTED)))


def expiries(sql: Connection, ids: Sequence[str]) -> dict[str, int]:
    """When these workspaces expire, in seconds since 1970; those without expiry are missing."""
    w, expiry_of = workspaces.c, dict[str, int]()
    for part in batched(ids):
        query = select(w.id, w.expires_at).where(w.id.in_(part), w.expires_at.is_not(None))
        expiry_of |= {id: int(at.timestamp()) for id, at in sql.execute(query)}
    return expiry_of


def due(tx: Tx, id: str, at: datetime) -> None:
    """Make a reservation due at that time."""
    later = update(reservations).where(reservations.c.id == id).values(due_at=at)
    tx.sql.execute(later.execution_options(**topic(None)))


def release(tx: Tx, workspace: str) -> None:
    """Delete a reservation."""
    if (row := find_reservation(tx.sql, workspace)) is not None:
        change_part(tx.sql, row.project)
    tx.sql.execute(RELEASE, {"of": workspace})


def make_due(tx: Tx, column: str, id: str, at: datetime) -> None:
    """Make every reservation of a cap due, because its limits have changed."""
    later = and_(reservations.c[column] == id, reservations.c.due_at > at)
    sooner = update(reservations).where(later).values(due_at=at)
    tx.sql.execute(sooner.execution_options(**topic(None)))


def crossed(sql: Connection) -> dict[tuple[str, str], datetime]:
    """The thresholds that are recorded as exceeded, and when each was."""
    return {(scope, name): at for scope, name, at in sql.execute(select(crossings))}


def cross(tx: Tx, scope: str, threshold: str, at: datetime) -> None:
    """Record that a threshold is exceeded."""
    tx.sql.execute(crossings.insert().values(scope=scope, threshold=threshold, at=at))


def uncross(tx: Tx, scope: str, threshold: str) -> None:
    """Delete the record that a threshold is exceeded."""
    key = and_(crossings.c.scope == scope, crossings.c.threshold == threshold)
    tx.sql.execute(delete(crossings).where(key))
