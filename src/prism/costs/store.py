"""The ledger's tables, and all of its SQL. Segments are only ever added, and closed once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import structs
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Index,
    Integer,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from prism.costs.model import (
    HOUR,
    MONTH_HOURS,
    Booking,
    CostKind,
    CostPeriod,
    Segment,
    UnpricedRow,
)
from prism.costs.months import month_time, parameters
from prism.costs.plan import Charge
from prism.kit.database.versions import change_part, once, topic
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.kit.tables import metadata, partial_index, select_struct, structs_of

EVER = 2**62  # seconds since 1970: later than all segments
Moment = tuple[ColumnElement[int], ColumnElement[int]]  # as a clock counts, and in month time
# Topics: segments, until when running ones count, and stored sums of times that are over.
LEDGER, COUNTED, PAST = "ledger", "counted", "past"

segments = Table(
    "segments",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("no", Integer, nullable=False),
    Column("resource", String, nullable=False),
    Column("name", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("profile", String, nullable=False),
    Column("template", String),
    Column("project", String),
    Column("allocation", String),
    Column("pool", String),
    Column("kind", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("amount", BigInteger),
    Column("hours", Integer, nullable=False),
    Column("source", String, nullable=False),
    Column("as_of", Date),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("counted", BigInteger),  # until when an open one counts; null: until now
    Column("reconstructed", Boolean, nullable=False),
    # the rest of the least charge for a run
    Column("is_minimum", Boolean, nullable=False, server_default=false()),
    # `began` and `ended` in month time, of storage; null: seconds count as they are
    Column("month_began", BigInteger),
    Column("month_ended", BigInteger),
    Index("segments_of", "resource", "ended"),
    Index("segments_ended", "ended"),
    Index("segments_of_owner", "owner", "ended"),
    info=topic(LEDGER),
)
OPEN = segments.c.ended.is_(None)
for scope in ("project", "allocation", "pool"):
    partial_index(f"segments_open_{scope}", segments.c[scope], where=OPEN)
partial_index("segments_open", segments.c.resource, where=OPEN)

accounts = Table(
    "accounts",
    metadata,
    Column("resource", String, primary_key=True),
    Column("project", String, primary_key=True, index=True),  # empty for no project
    Column("no", Integer, nullable=False, index=True),  # the resource's bit in `days.who`
    Column("name", String, nullable=False),
    Column("paid", BigInteger, nullable=False),  # by closed segments
    Column("unknown", Boolean, nullable=False),  # the price of some segment is unknown
    Column("since", BigInteger, nullable=False),
    info=topic(LEDGER),
)
totals = Table(  # of closed segments
    "totals",
    metadata,
    Column("scope", String, primary_key=True),  # project, allocation or pool
    Column("kind", String, primary_key=True),
    Column("micros", BigInteger, nullable=False),
    info=topic(LEDGER),
)
marks = Table(  # the cost of a scope by a past moment
    "marks",
    metadata,
    Column("scope", String, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("micros", BigInteger, nullable=False),
    info=topic(PAST),
)
SELECT = select_struct(segments, Segment)
NUMBERS = ("no", "project", "kind", "amount", "hours", "began")
UNTIL = func.coalesce(segments.c.ended, segments.c.counted)  # null: it counts until now
BY_MONTH = segments.c.month_began.is_not(None)
STRETCHES = select(*(segments.c[field] for field in NUMBERS), UNTIL, BY_MONTH)
PAYING = segments.c.kind != CostKind.ASLEEP


def open_of(sql: Connection, resource: str) -> list[Segment]:
    """The open segments of a resource."""
    parameters = {"of": resource}
    return once(
        sql, (LEDGER, COUNTED), resource, lambda: structs_of(sql, Segment, OPEN_OF, parameters)
    )


def open_without_months(sql: Connection, count: int) -> list[Segment]:
    """Some open segments of storage that still count a month as 720 hours."""
    stores = and_(segments.c.hours == MONTH_HOURS, segments.c.counted.is_(None))
    return structs_of(sql, Segment, SELECT.where(OPEN, stores, ~BY_MONTH).limit(count))


def open_now(sql: Connection, project: str | None = None) -> list[Segment]:
    """All open segments, or those of one project."""
    condition = true() if project is None else segments.c.project == project
    return structs_of(sql, Segment, SELECT.where(OPEN, condition).order_by(segments.c.id))


def open_of_payers(sql: Connection, project: str, pools: Sequence[str]) -> list[Segment]:
    """The open segments of a project, and those that these pools pay for."""
    s = segments.c
    paid = or_(s.project == project, s.pool.in_(pools))
    return structs_of(sql, Segment, SELECT.where(OPEN, paid).order_by(s.id))


def last_end(sql: Connection, resource: str) -> int:
    """When the last closed segment of a resource ended; 0 if it has none.

    The charge for the rest of a minimum does not count: the next run may begin before its end.
    """
    parameters = {"of": resource}
    return once(sql, (LEDGER,), resource, lambda: sql.execute(LAST_END, parameters).scalar()) or 0


def begin(
    tx: Tx,
    of: Booking,
    kind: CostKind,
    charge: Charge,
    at: int,
    *,
    counted: int | None,
    reconstructed: bool,
    is_minimum: bool = False,
) -> None:
    """Open a segment that counts until `counted`; null means until now."""
    no = _account(tx, of, at, unknown=kind is not CostKind.ASLEEP and charge.rate.amount is None)
    row = msgspec.structs.asdict(of) | msgspec.structs.asdict(charge.rate)
    row |= {"no": no, "kind": kind, "detail": charge.detail, "began": at}
    row |= {"counted": counted, "reconstructed": reconstructed, "is_minimum": is_minimum}
    is_storage = charge.rate.hours == MONTH_HOURS and counted is None
    row["month_began"] = month_time(at) if is_storage else None
    tx.sql.execute(BEGIN, row)
    change_part(tx.sql, of.project or "")


def end(tx: Tx, segment: Segment, at: int, paid: int, *, reconstructed: bool) -> None:
    """Close a segment, and add its cost to every sum that it belongs to."""
    closed: dict[str, Any] = {"reconstructed": True} if reconstructed else {}
    closed |= {"month_ended": month_time(at)} if segment.by_month else {}
    if not tx.sql.execute(CLOSE, closed | {"this": segment.id, "ended": at}).rowcount:
        raise AssertionError(f"segment {segment.id} was closed before")
    change_part(tx.sql, segment.project or "")
    _add(tx, segment, paid)
    if segment.kind is not CostKind.ASLEEP:
        account = {"of": segment.resource, "payer": segment.project or ""}
        tx.sql.execute(PAY, {**account, "more": paid})


def confirm(tx: Tx, resources: Sequence[str], at: int) -> int | None:
    """Let open segments count until `at`; the earliest time until which one had counted before."""
    s, oldest = segments.c, None
    for part in batched(resources):
        condition = and_(OPEN, s.resource.in_(part), s.counted < at)
        least = tx.sql.execute(select(func.min(s.counted)).where(condition)).scalar()
        if least is None:
            continue
        oldest = least if oldest is None else min(oldest, least)
        counts = update(segments).where(condition).values(counted=at)
        tx.sql.execute(counts.execution_options(**topic(COUNTED)))
    return oldest


def run_since(sql: Connection, segment: Segment) -> int:
    """When a run began, by its last segment; changes of price or payer divide a run."""
    s = segments.c
    condition = and_(s.resource == segment.resource, s.kind == segment.kind, s.id < segment.id)
    query = select(s.began, s.ended, s.is_minimum).where(condition).order_by(s.id.desc())
    began = segment.began
    for before, until, is_minimum in sql.execute(query):
        if until != began or is_minimum:
            break
        began = before
    return began


def count_of(sql: Connection, segment: Segment) -> int:
    """How many segments of this kind its resource has had."""
    s = segments.c
    condition = and_(s.resource == segment.resource, s.kind == segment.kind)
    return sql.execute(select(func.count()).where(condition)).scalar_one()


def waive(tx: Tx, segment: Segment, source: str) -> Segment:
    """Make an open segment free; returns it as it is now."""
    condition = and_(segments.c.id == segment.id, OPEN)
    tx.sql.execute(update(segments).where(condition).values(amount=0, source=source))
    change_part(tx.sql, segment.project or "")
    return structs.replace(segment, amount=Micros(0), source=source)


def counted_until(sql: Connection, resource: str) -> int | None:
    """Until when the ledger counts compute of a resource; null if none is paid now."""
    least = select(func.min(segments.c.counted)).where(segments.c.resource == resource, OPEN)
    return sql.execute(least).scalar()


def spent(sql: Connection, resources: Select[Any], now: int) -> dict[str, Micros | None]:
    """The cost of each of these resources so far; None if a price is not known."""
    sums, unknown = dict[str, int](), set[str]()
    closed, running = _spending(resources)
    for resource, paid, is_unknown in sql.execute(closed).all():
        sums[resource] = sums.get(resource, 0) + paid
        unknown |= {resource} if is_unknown else set()
    for resource, paid in sql.execute(running, parameters(now=now)).all():
        sums[resource] = sums.get(resource, 0) + int(paid or 0)
    return {
        resource: None if resource in unknown else Micros(paid) for resource, paid in sums.items()
    }


@lru_cache(maxsize=2)
def _spending(resources: Select[Any]) -> tuple[Select[Any], Select[Any]]:
    """Statements of each resync, built once: the settled costs, and the costs of open segments."""
    a, s = accounts.c, segments.c
    closed = select(a.resource, a.paid, a.unknown).where(a.resource.in_(resources))
    running = select(s.resource, func.sum(cost_by(AT_NOW))).where(OPEN, PAYING)
    return closed, running.where(s.resource.in_(resources)).group_by(s.resource)


class SumsNow(NamedTuple):
    """What each payer has spent by one moment, by its id: on open and on closed segments.

    And what it had spent when its last period began, if that is stored.
    """

    open_ones: Mapping[str, int]
    closed: Mapping[str, int]
    marks: Mapping[tuple[str, int], int]


def total(
    sql: Connection, column: str, scope: str, now: int, *, known: SumsNow | None = None
) -> Micros:
    """All that a project, an allocation or a pool has spent: read, or as known."""
    if known is not None:
        return Micros(known.closed.get(scope, 0) + known.open_ones.get(scope, 0))
    binds = parameters(now=now) | {"of": scope}
    return once(
        sql,
        (LEDGER, COUNTED),
        (column, scope, now),
        lambda: Micros(int(sql.execute(SPENT[column], binds).scalar_one())),
    )


def total_by(
    sql: Connection, column: str, scope: str, at: int, now: int, *, known: SumsNow | None = None
) -> Micros:
    """What a payer had spent by `at`, a moment in the past."""
    of, mark = {"of": scope, "then": at}, None if known is None else known.marks.get((scope, at))
    if known is None:
        mark = once(sql, (PAST,), (scope, at), lambda: sql.execute(MARK, of).scalar())
    if mark is not None:
        return Micros(mark)
    since = sql.execute(SINCE[column], parameters(then=at, now=now) | of).scalar() or 0
    return Micros(total(sql, column, scope, now, known=known) - int(since))


def by_kind(sql: Connection, project: str, now: int) -> dict[CostKind, int]:
    """What a project has spent on each kind; and what was saved."""
    closed = sql.execute(CLOSED, {"of": project})
    sums = {CostKind(kind): int(micros) for kind, micros in closed}
    for kind, micros in sql.execute(OPEN_BY_KIND, parameters(now=now) | {"of": project}):
        sums[CostKind(kind)] = sums.get(CostKind(kind), 0) + int(micros or 0)
    return sums


def closed_totals(sql: Connection) -> dict[str, int]:
    """What closed segments have cost each project, allocation and pool."""
    return {scope: int(micros) for scope, micros in sql.execute(CLOSED_SUMS).all()}


def newest_marks(sql: Connection) -> dict[tuple[str, int], int]:
    """What each payer had spent when its last period began, if that is stored."""
    return {(scope, at): int(micros) for scope, at, micros in sql.execute(NEWEST_MARKS).all()}


def unpriced_rows(sql: Connection) -> list[UnpricedRow]:
    """All segments without a known price."""
    s = segments.c
    query = select(s.project, s.allocation, s.pool, s.name, s.kind, s.began, s.ended)
    return [UnpricedRow(*row) for row in _without_price(sql, query)]


def marked(sql: Connection, moments: Collection[int]) -> set[tuple[str, int]]:
    """Those of these payers and moments for which the sum is stored."""
    query = select(marks.c.scope, marks.c.at).where(marks.c.at.in_(moments))
    return {(scope, at) for scope, at in sql.execute(query)}


def mark(tx: Tx, scope: str, at: int, micros: int) -> None:
    """Store what a payer had spent by a moment in the past."""
    if tx.sql.execute(MARK, {"of": scope, "then": at}).scalar() is None:
        tx.sql.execute(marks.insert().values(scope=scope, at=at, micros=micros))


def top(sql: Connection, project: str, now: int) -> list[tuple[str, str, int]]:
    """The cost of each resource of a project, with its name, the most expensive first."""
    a, sums = accounts.c, dict[str, int]()
    names: dict[str, str] = {}
    for resource, name, paid in sql.execute(
        select(a.resource, a.name, a.paid).where(a.project == project)
    ):
        sums[resource], names[resource] = int(paid), name
    query = select(segments.c.resource, func.sum(cost_by(now))).where(OPEN, PAYING)
    selected = query.where(segments.c.project == project).group_by(segments.c.resource)
    for resource, paid in sql.execute(selected):
        sums[resource] += int(paid or 0)
    ordered = sorted(sums.items(), key=lambda it: (-it[1], names[it[0]]))
    return [(resource, names[resource], paid) for resource, paid in ordered]


def spent_of_pool(
    sql: Connection, pool: str, start: int, now: int, but: Sequence[str]
) -> dict[str, int]:
    """What each project has spent of a pool since `start`, without these allocations."""
    s = segments.c
    condition = and_(s.pool == pool, s.allocation.not_in(but), touching(start, now), PAYING)
    query = select(s.project, func.sum(cost_by(now) - cost_by(start))).where(condition)
    return {
        project: int(paid)
        for project, paid in sql.execute(query.group_by(s.project))
        if project and paid
    }


def saved_unknown(sql: Connection, project: str) -> bool:
    """Whether a workspace of a project was asleep at an unknown price."""
    s = segments.c
    resources = select(accounts.c.resource).where(accounts.c.project == project)
    slept = and_(s.resource.in_(resources), s.kind == CostKind.ASLEEP, s.amount.is_(None))
    return (
        sql.execute(select(s.id).where(slept, s.project == project).limit(1)).first() is not None
    )


def asleep_since(sql: Connection, resource: str, since: int) -> list[Segment]:
    """What a resource has saved in sleeps that lasted beyond a moment."""
    s = segments.c
    condition = and_(s.resource == resource, s.kind == CostKind.ASLEEP)
    return structs_of(
        sql, Segment, SELECT.where(condition, or_(OPEN, s.ended > since)).order_by(s.id)
    )


def last_allocation(sql: Connection, pool: str, project: str) -> str | None:
    """The allocation of a pool to a project that paid last, if any ever did."""
    s = segments.c
    query = select(s.allocation).where(s.pool == pool, s.project == project)
    return sql.execute(query.order_by(s.id.desc()).limit(1)).scalar()


def began(sql: Connection, project: str | None = None) -> int | None:
    """When the first segment began: of a project, or of all."""
    condition = true() if project is None else accounts.c.project == project
    return sql.execute(select(func.min(accounts.c.since)).where(condition)).scalar()


def cost_periods(
    sql: Connection, start: int, end: int, project: str | None = None
) -> Iterator[CostPeriod]:
    """The segments between `start` and `end`, with the fields that sums need."""
    condition = true() if project is None else segments.c.project == project
    for row in sql.execute(STRETCHES.where(touching(start, end), condition)).all():
        no, of, kind, *rest = row
        yield CostPeriod(no, of, CostKind(kind), *rest)


def within(
    sql: Connection,
    start: int,
    end: int,
    project: str | None = None,
    *,
    pool: str | None = None,
) -> list[Segment]:
    """The segments of a period, in order of their begin; those of a project, or of a pool."""
    condition = true() if project is None else segments.c.project == project
    paid_by = true() if pool is None else segments.c.pool == pool
    query = SELECT.where(touching(start, end), condition, paid_by)
    return structs_of(sql, Segment, query.order_by(segments.c.began, segments.c.id))


def forget_marks(tx: Tx, at: int) -> None:
    """Delete stored sums of times after `at`, since new costs of that time are booked."""
    tx.sql.execute(FORGET_MARKS, {"then": at})


def cost_by(at: int | Moment) -> ColumnElement[int]:
    """The cost of a segment by `at`, in SQL: integers divide downwards on both databases."""
    s, both = segments.c, (at, month_time(at)) if isinstance(at, int) else at
    began, until = func.coalesce(s.month_began, s.began), func.coalesce(s.month_ended, UNTIL)
    then = case((BY_MONTH, both[1]), else_=both[0])
    seconds = case((began < then, case((then > until, until), else_=then) - began), else_=0)
    return func.coalesce(s.amount * seconds // (s.hours * HOUR), 0)


def touching(
    start: int | ColumnElement[int], end: int | ColumnElement[int]
) -> ColumnElement[bool]:
    """Whether a segment has costs between `start` and `end`."""
    return and_(segments.c.began < end, or_(OPEN, segments.c.ended > start))


# Statements of each launch and each verb, built once: building takes longer than executing.
OF: BindParameter[Any] = bindparam("of")
THEN, NOW, THEN_MONTH, NOW_MONTH = (
    bindparam(name, type_=BigInteger()) for name in ("then", "now", "then_month", "now_month")
)
AT_THEN, AT_NOW = (THEN, THEN_MONTH), (NOW, NOW_MONTH)
SCOPES = {name: segments.c[name] for name in ("project", "allocation", "pool")}
OPEN_OF = SELECT.where(segments.c.resource == OF, OPEN)
LAST_END = select(func.max(segments.c.ended)).where(
    segments.c.resource == OF, ~segments.c.is_minimum
)
CLOSED = select(totals.c.kind, totals.c.micros).where(totals.c.scope == OF)
CLOSED_SUM = select(func.coalesce(func.sum(totals.c.micros), 0)).where(
    totals.c.scope == OF, totals.c.kind != CostKind.ASLEEP
)
SPENT = {
    name: select(CLOSED_SUM.scalar_subquery() + func.coalesce(func.sum(cost_by(AT_NOW)), 0)).where(
        OPEN, PAYING, column == OF
    )
    for name, column in SCOPES.items()
}
OPEN_BY_KIND = (
    select(segments.c.kind, func.sum(cost_by(AT_NOW)))
    .where(OPEN, segments.c.project == OF)
    .group_by(segments.c.kind)
)
MARK = select(marks.c.micros).where(marks.c.scope == OF, marks.c.at == THEN)
BOOKED = cost_by(  # including the time until its end
    (func.coalesce(segments.c.ended, NOW), func.coalesce(segments.c.month_ended, NOW_MONTH))
)
LATER = or_(OPEN, segments.c.ended > THEN)
SINCE = {
    name: select(func.sum(BOOKED - cost_by(AT_THEN))).where(LATER, PAYING, column == OF)
    for name, column in SCOPES.items()
}
ACCOUNTS_OF = select(accounts.c.project, accounts.c.no).where(accounts.c.resource == OF)
LAST_ACCOUNT = select(func.max(accounts.c.no))
ADD_ACCOUNT, BEGIN = insert(accounts), insert(segments)
CLOSE = update(segments).where(segments.c.id == bindparam("this"), OPEN)
THOSE = and_(totals.c.scope.in_(map(bindparam, SCOPES)), totals.c.kind == bindparam("of_kind"))
MORE: BindParameter[Any] = bindparam("more", type_=BigInteger)
ADD_UP = update(totals).where(THOSE).values(micros=totals.c.micros + MORE)
ADDED_UP = select(totals.c.scope).where(THOSE)
PAY = update(accounts).where(accounts.c.resource == OF, accounts.c.project == bindparam("payer"))
PAY = PAY.values(paid=accounts.c.paid + MORE)
FORGET_MARKS = delete(marks).where(marks.c.at > THEN)


CLOSED_SUMS = select(totals.c.scope, func.sum(totals.c.micros)).group_by(totals.c.scope)
CLOSED_SUMS = CLOSED_SUMS.where(totals.c.kind != CostKind.ASLEEP)
LAST_MARKS = (
    select(marks.c.scope, func.max(marks.c.at).label("at")).group_by(marks.c.scope).subquery()
)
NEWEST_MARKS = select(marks.c.scope, marks.c.at, marks.c.micros).join(
    LAST_MARKS, and_(marks.c.scope == LAST_MARKS.c.scope, marks.c.at == LAST_MARKS.c.at)
)


def batched(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Parts that fit into the parameters of a statement."""
    return (ids[at : at + 500] for at in range(0, len(ids), 500))


def _without_price(sql: Connection, query: Select[Any]) -> Sequence[Any]:
    """The rows of a query of segments without a known price; most ledgers have none."""
    known = select(accounts.c.resource).where(accounts.c.unknown)
    if sql.execute(known.limit(1)).first() is None:
        return []
    s = segments.c
    return sql.execute(query.where(s.resource.in_(known), s.amount.is_(None), PAYING)).all()


def _account(tx: Tx, of: Booking, at: int, *, unknown: bool) -> int:
    """The number of a resource; adds a row for it and this project if there is none."""
    a = accounts.c
    rows = tx.sql.execute(ACCOUNTS_OF, {"of": of.resource}).all()
    project = of.project or ""
    no = rows[0].no if rows else (tx.sql.execute(LAST_ACCOUNT).scalar() or 0) + 1
    if project not in {row.project for row in rows}:
        fresh = {"paid": 0, "unknown": unknown, "since": at}
        key = {"resource": of.resource, "project": project, "no": no, "name": of.name}
        tx.sql.execute(ADD_ACCOUNT, {**key, **fresh})
    elif unknown:
        key_of = and_(a.resource == of.resource, a.project == project)
        tx.sql.execute(update(accounts).where(key_of).values(unknown=True))
    return int(no)


def _add(tx: Tx, segment: Segment, paid: int) -> None:
    scopes = {name: getattr(segment, name) for name in SCOPES}
    key = {"of_kind": segment.kind, **scopes}
    payers = {scope for scope in scopes.values() if scope}
    if payers and tx.sql.execute(ADD_UP, {**key, "more": paid}).rowcount < len(payers):
        for scope in payers - {*tx.sql.execute(ADDED_UP, key).scalars()}:
            first = {"scope": scope, "kind": segment.kind, "micros": paid}
            tx.sql.execute(totals.insert(), first)
