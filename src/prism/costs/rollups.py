"""Sums of days: stored for days that are over, computed by the database for today."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    true,
    update,
)

from prism.costs.model import BURN, DAY, HOUR, OF_A_WORKSPACE, PAID, CostKind, DayCost
from prism.costs.plan import burn_begin, day_of
from prism.costs.store import (
    LEDGER,
    began,
    beginnings,
    cost_by,
    forget_marks,
    paid_between,
    saved_between,
    segments,
    touching,
)
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.kit.tables import metadata
from prism.kit.versions import topic

days = Table(  # one row per past day (UTC) and scope; each day has a row with the empty scope
    "days",
    metadata,
    Column("scope", String, primary_key=True),
    Column("day", Integer, primary_key=True, index=True),
    *(Column(kind.value, BigInteger, nullable=False) for kind in CostKind),
    Column("shift", Integer, nullable=False),
    Column("who", LargeBinary, nullable=False),
    info=topic(LEDGER),
)
editions = Table(  # one row: a new random word whenever days are summed up
    "days_edition",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("word", String, nullable=False),
    info=topic(LEDGER),
)


FORGET = delete(days).where(days.c.day >= bindparam("first"))


def forget_after(tx: Tx, at: int) -> None:
    """Delete the sums of days after `at`, because new costs of that time are booked."""
    tx.sql.execute(FORGET, {"first": at // DAY})
    forget_marks(tx, at)


def first_unrolled(sql: Connection, today: int) -> int:
    """The first day that is not summed up; today, if all earlier ones are."""
    if (last := last_day(sql)) is not None:
        return min(last + 1, today)  # the clock may have been set back
    since = began(sql)
    return today if since is None else day_of(since)


def burns(sql: Connection, now: int) -> dict[str, Micros]:
    """What each project spent in the last 30 days of UTC, today included.

    Scaled up if the project is younger; a project in its first hour is left out.
    """
    today, first = day_of(now), burn_begin(now)
    live = max(first // DAY, first_unrolled(sql, today))
    paid = sum((days.c[kind.value] for kind in PAID), start=literal(0))
    past = select(days.c.scope, func.sum(paid)).group_by(days.c.scope)
    past = past.where(days.c.day >= first // DAY, days.c.day < live, days.c.scope != "")
    spent = dict[str, int]()
    for sums in (sql.execute(past).all(), paid_between(sql, live * DAY, now)):
        for project, micros in sums:
            spent[project] = spent.get(project, 0) + int(micros)
    ages = {of: now - max(at, first) for of, at in beginnings(sql) if now - at >= HOUR}
    return {of: Micros(spent.get(of, 0) * BURN * DAY // age) for of, age in ages.items()}


def saved_since(sql: Connection, first: int, now: int) -> int:
    """What hibernation has saved from a day until now."""
    live = max(first, first_unrolled(sql, day_of(now)))
    saved = select(func.sum(days.c[CostKind.ASLEEP.value]))
    past = saved.where(days.c.scope == "", days.c.day >= first, days.c.day < live)
    return int(sql.execute(past).scalar() or 0) + saved_between(sql, live * DAY, now)


def day_so_far(sql: Connection, day: int, now: int, project: str | None = None) -> DayCost:
    """The cost of a day by now: the same as `sums_by_day`, summed by the database."""
    start, s = day * DAY, segments.c
    cost = cost_by(now) - cost_by(start)
    costly = func.aggregate_strings(case((cost > 0, cast(s.no, String))), ",")
    within = and_(touching(start, now), true() if project is None else s.project == project)
    micros, numbers = dict[CostKind, int](), set[str]()
    query = select(s.kind, func.sum(cost), costly).where(within).group_by(s.kind)
    for kind, paid, nos in sql.execute(query):
        micros[CostKind(kind)] = int(paid)
        if nos and kind in OF_A_WORKSPACE:
            numbers.update(nos.split(","))
    bits = bytearray(max(map(int, numbers), default=0) // 8 + 1)
    for no in map(int, numbers):
        bits[no >> 3] |= 1 << (no & 7)
    return DayCost(day, micros, int.from_bytes(bits, "little"))


def last_day(sql: Connection) -> int | None:
    """The last day that is summed up."""
    return sql.execute(select(func.max(days.c.day)).where(days.c.scope == "")).scalar()


def keep_days(tx: Tx, day_costs: Iterable[tuple[str, DayCost]]) -> None:
    """Store the sums of days that are over."""
    rows = [_day_row(scope, day) for scope, day in day_costs]
    for at in range(0, len(rows), 500):
        tx.sql.execute(days.insert(), rows[at : at + 500])
    _new_edition(tx)


def edition(sql: Connection) -> str:
    """A value that changes when days are summed up, and never repeats."""
    return sql.execute(select(editions.c.word)).scalar() or ""


def days_of(sql: Connection, scope: str) -> dict[int, DayCost]:
    """The days that are summed up, in order."""
    query = select(
        *(days.c[kind.value] for kind in CostKind), days.c.day, days.c.shift, days.c.who
    )
    kinds, by_day = tuple(CostKind), {}
    selected = query.where(days.c.scope == scope).order_by(days.c.day)
    for *micros, day, shift, mask in sql.execute(selected).all():
        bits = int.from_bytes(mask, "little") << shift
        spent = {kind: paid for kind, paid in zip(kinds, micros, strict=True) if paid}
        by_day[day] = DayCost(day, spent, bits)
    return by_day


def _day_row(scope: str, day: DayCost) -> dict[str, Any]:
    sums: Mapping[str, int] = {kind.value: day.micros.get(kind, 0) for kind in CostKind}
    shift = (day.who & -day.who).bit_length() - 1 if day.who else 0
    bits = day.who >> shift
    mask = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return {"scope": scope, "day": day.day, **sums, "shift": shift, "who": mask}


def _new_edition(tx: Tx) -> None:
    word = secrets.token_hex(8)  # random, because a counter could repeat after a rollback
    if not tx.sql.execute(update(editions).values(word=word)).rowcount:
        tx.sql.execute(editions.insert().values(id=1, word=word))
