"""Sums of days that are over, stored; of today, by the database; and of what costs money now."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, partial
from itertools import chain
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
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
)

from prism.costs.model import BURN, DAY, HOUR, OF_A_WORKSPACE, PAID, CostKind, DayCost
from prism.costs.months import parameters
from prism.costs.plan import (
    Driver,
    OpenCosts,
    OpenRow,
    burn_begin,
    day_of,
    moment,
    month_of,
    most_expensive,
    unix_time,
)
from prism.costs.store import (
    AT_NOW,
    AT_THEN,
    COUNTED,
    LEDGER,
    NOW,
    OPEN,
    PAST,
    PAYING,
    THEN,
    accounts,
    began,
    cost_by,
    forget_marks,
    segments,
    touching,
)
from prism.kit.database.versions import TopicVersions, VersionedParts, VersionedValue, topic
from prism.kit.db import Tx
from prism.kit.money import Micros
from prism.kit.tables import metadata

days = Table(  # one row per past day (UTC) and scope; each day has a row with the empty scope
    "days",
    metadata,
    Column("scope", String, primary_key=True),
    Column("day", Integer, primary_key=True, index=True),
    *(Column(kind.value, BigInteger, nullable=False) for kind in CostKind),
    Column("shift", Integer, nullable=False),
    Column("who", LargeBinary, nullable=False),
    info=topic(PAST),
)
Table(  # not used any more; backups of older versions contain it
    "days_edition",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("word", String, nullable=False),
)


SOME: BindParameter[Any] = bindparam("projects", expanding=True)
OF_PROJECTS = {  # apart, because SQLite uses no index for a choice between the two
    "all": true(),
    "some": segments.c.project.in_(SOME),
    "none": segments.c.project.is_(None),
}
UNENDED = {"open": OPEN, "ending": segments.c.ended > NOW}
OPEN_ROWS = {
    (name, which): select(*(segments.c[field] for field in OpenRow._fields)).where(unended, mine)
    for name, unended in UNENDED.items()
    for which, mine in OF_PROJECTS.items()
}
ENDED_SINCE = {
    (kind, which): select(segments.c.project, func.sum(cost_by(AT_NOW) - cost_by(AT_THEN)))
    .where(segments.c.ended > THEN, segments.c.ended <= NOW, mine, paying)
    .group_by(segments.c.project)
    for kind, paying in (("paid", PAYING), ("saved", ~PAYING))
    for which, mine in OF_PROJECTS.items()
}
FIRST = select(
    accounts.c.project,
    func.min(accounts.c.since),
    func.max(case((accounts.c.unknown, 1), else_=0)),
).group_by(accounts.c.project)
BEGAN = {
    "all": FIRST,
    "some": FIRST.where(accounts.c.project.in_(SOME)),
    "none": FIRST.where(accounts.c.project == ""),
}
OPEN_BOUNDS = (
    select(segments.c.project, func.min(segments.c.counted), func.max(segments.c.counted))
    .where(OPEN, segments.c.counted.is_not(None))
    .group_by(segments.c.project)
)
FORGET = delete(days).where(days.c.day >= bindparam("first"))
LAST_DAY = select(func.max(days.c.day)).where(days.c.scope == "")


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


def open_costs(
    sql: Connection, now: int, starts: tuple[int, int], projects: Collection[str] | None
) -> dict[str, OpenCosts]:
    """What open segments cost, for each of these projects or all; "" for no project."""
    which, of = "all", dict[str, Any]()
    if projects is not None:
        which, of = "some", {"projects": [*filter(None, projects)]}
        if "" in projects and of["projects"]:
            costs = open_costs(sql, now, starts, of["projects"])
            return costs | open_costs(sql, now, starts, [""])
        which = "none" if "" in projects else which
    rows, sums = dict[str, list[OpenRow]](), list[dict[str, int]]()
    for name in UNENDED:
        for values in sql.execute(OPEN_ROWS[name, which], {**of, "now": now}).all():
            row = OpenRow(*values)
            rows.setdefault(row.project or "", []).append(row)
    for kind, then in zip(("paid", "saved"), starts, strict=True):
        binds = parameters(now=now, then=then) | of
        ended = sql.execute(ENDED_SINCE[kind, which], binds)
        sums.append({project or "": int(micros or 0) for project, micros in ended.all()})
    paid, saved = sums
    firsts = {project: known for project, *known in sql.execute(BEGAN[which], of).all()}
    return {
        project: OpenCosts(
            rows.get(project, ()),
            now,
            starts,
            since=firsts.get(project, (None, 0))[0],
            ended=(paid.get(project, 0), saved.get(project, 0)),
            has_unpriced=bool(firsts.get(project, (None, 0))[1]),
        )
        for project in {*rows, *paid, *saved, *firsts}
    }


def open_bounds(sql: Connection) -> dict[str, tuple[int, int]]:
    """From when until when the running segments of each project count; "" for no project."""
    rows = sql.execute(OPEN_BOUNDS).all()
    return {project or "": (int(first), int(last)) for project, first, last in rows}


class LedgerNow:
    """What open segments cost at one moment, and what the last 30 days did."""

    def __init__(
        self, now: int, costs: Mapping[str, OpenCosts], spent: Mapping[str, int], saved: int
    ) -> None:
        """`spent` and `saved` are the sums of stored days; `costs` has what came after them."""
        self._now, self._costs, self._spent, self._saved = now, costs, spent, saved
        self.has_unpriced = any(of.has_unpriced for of in costs.values())

    @cached_property
    def of_payers(self) -> dict[str, int]:
        """What each project, allocation and pool has spent on open segments, by its id."""
        sums: dict[str, int] = {}
        for costs in self._costs.values():
            for payers, paid in costs.of_payers(self._now).items():
                for id in payers:
                    if id is not None:
                        sums[id] = sums.get(id, 0) + paid
        return sums

    def began(self) -> int | None:
        """When the first segment began; null if there is none."""
        return min(
            (costs.since for costs in self._costs.values() if costs.since is not None),
            default=None,
        )

    def burn(self, project: str) -> Micros | None:
        """What a project spends in 30 days at the pace of the last 30 days, in UTC, with today.

        Or at the pace since it began, if that is later; null in its first hour.
        """
        costs, now = self._costs.get(project), self._now
        if costs is None or costs.since is None or now - costs.since < HOUR:
            return None
        spent = self._spent.get(project, 0) + costs.paid(now, self.of_payers.get(project, 0))
        return Micros(spent * BURN * DAY // (now - max(costs.since, burn_begin(now))))

    def saved(self) -> int:
        """What hibernation has saved in this month of UTC."""
        return self._saved + sum(costs.saved(self._now) for costs in self._costs.values())

    def monthly(self) -> dict[CostKind, int]:
        """What everything that costs money now costs in 720 hours, by kind."""
        kinds = Counter[CostKind]()
        for costs in self._costs.values():
            kinds.update(costs.rates[0])
        return kinds

    def drivers(self) -> list[Driver]:
        """The resources that cost most now."""
        return most_expensive(
            chain.from_iterable(costs.rates[1] for costs in self._costs.values())
        )


class OpenCostReader:
    """Reads what open segments cost: again only for the projects that have changed."""

    def __init__(self) -> None:
        self._parts = VersionedParts[OpenCosts](LEDGER, COUNTED)
        self._past = VersionedValue[tuple[dict[str, int], int]](PAST)

    def read(
        self,
        sql: Connection,
        versions: TopicVersions | None,
        now: int,
        projects: Collection[str] | None = None,
    ) -> LedgerNow:
        """The ledger at this moment; without versions, of these projects only."""
        month = day_of(unix_time(month_of(moment(now))[0]))
        firsts, unrolled = (burn_begin(now) // DAY, month), first_unrolled(sql, day_of(now))
        lives = max(firsts[0], unrolled), max(firsts[1], unrolled)
        starts = lives[0] * DAY, lives[1] * DAY

        make = partial(open_costs, sql, now, starts)
        past = partial(_past, sql, firsts, lives, projects)
        if versions is None:
            return LedgerNow(now, make(projects), *past())
        costs = self._parts.get(versions, now, make, partial(open_bounds, sql), starts)
        return LedgerNow(now, costs, *self._past.get(versions, past, firsts, lives))


def _past(
    sql: Connection,
    firsts: tuple[int, int],
    ends: tuple[int, int],
    projects: Collection[str] | None,
) -> tuple[dict[str, int], int]:
    """What each project has spent, and all have saved, in stored days: each from its first."""
    d, spent = days.c, sum((days.c[kind.value] for kind in PAID), start=literal(0))
    mine = d.scope != "" if projects is None else d.scope.in_(projects)
    query = select(d.scope, func.sum(spent)).group_by(d.scope)
    query = query.where(d.day >= firsts[0], d.day < ends[0], mine)
    saved = select(func.sum(d[CostKind.ASLEEP.value])).where(d.scope == "")
    saved = saved.where(d.day >= firsts[1], d.day < ends[1])
    sums = {of: int(micros) for of, micros in sql.execute(query)}
    return sums, int(sql.execute(saved).scalar() or 0)


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
    return sql.execute(LAST_DAY).scalar()


def keep_days(tx: Tx, day_costs: Iterable[tuple[str, DayCost]]) -> None:
    """Store the sums of days that are over."""
    rows = [_day_row(scope, day) for scope, day in day_costs]
    for at in range(0, len(rows), 500):
        tx.sql.execute(days.insert(), rows[at : at + 500])


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
