"""Answers questions about the ledger."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from threading import Lock

from msgspec.structs import replace
from sqlalchemy import Connection, select

from prism.costs import groups, rollups, store
from prism.costs.focus import focus_rows
from prism.costs.ledger import sums_of_days
from prism.costs.model import (
    DAY,
    HOUR,
    CostExportLine,
    CostGroup,
    CostHistory,
    CostKind,
    CurrentCosts,
    DayCost,
    GroupBy,
    HibernationSavings,
)
from prism.costs.plan import (
    as_day,
    day_of,
    moment,
    month_of,
    unix_time,
    unless_unknown,
    unpriced_within,
)
from prism.costs.view import current, history, line, lines
from prism.errors import ValidationFailed
from prism.kit.clock import Clock
from prism.kit.database.versions import TopicVersions, VersionedValue
from prism.kit.db import Database
from prism.kit.money import Micros, amount
from prism.profiles import store as profiles
from prism.projects import store as projects
from prism.workspaces.store import workspaces

LONGEST = 3660  # days of the longest period
LISTED = select(workspaces.c.id)
Unpriced = list[tuple[str, CostKind]]
MAX_SCOPES = 16  # projects whose past days are cached, each at most a megabyte


class CostService:
    """Answers what things cost now, what they have cost, and what hibernation has saved."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        pool_names: Callable[[Connection], Mapping[str, str]],
        open_costs: rollups.OpenCostReader | None = None,
    ) -> None:
        """`pool_names` reads the name of each pool by id, also of deleted ones."""
        self._pool_names = pool_names
        self._db, self._clock, self._lock = db, clock, Lock()
        self._days: dict[str, tuple[str, Mapping[int, DayCost]]] = {}
        self._open_costs = open_costs or rollups.OpenCostReader()
        self._read = VersionedValue[Unpriced](store.LEDGER)

    def current(self) -> CurrentCosts:
        """What costs money now."""
        now = unix_time(self._clock.now())
        begin, end = map(unix_time, month_of(moment(now)))
        with self._db.read() as sql:
            versions = self._db.versions(sql)
            ledger = self._open_costs.read(sql, versions, now)
            unpriced = self._unpriced(sql, versions) if ledger.has_unpriced else []
        saved, measured = ledger.saved(), now - max(begin, ledger.began() or now)
        pace = None if measured < HOUR else amount(Micros(saved * (end - begin) // measured))
        savings = HibernationSavings(amount(Micros(saved)), pace)
        return current(ledger.monthly(), ledger.drivers(), unpriced, savings)

    def _unpriced(self, sql: Connection, versions: TopicVersions | None) -> Unpriced:
        """What costs money now at an unknown price."""

        def read() -> Unpriced:
            return unpriced_within(store.unpriced_rows(sql), store.EVER - 1, store.EVER)

        return read() if versions is None else self._read.get(versions, read)

    def history(
        self,
        start: date | None,
        end: date | None,
        granularity: str,
        project: str | None = None,
        group_by: GroupBy | None = None,
    ) -> CostHistory:
        """The cost of a period, bar by bar; by default of the last 30 days."""
        first, last = _checked_period(start, end, self._clock.now().date())
        edges = groups.bars(first, last, granularity) if group_by else ()
        with self._db.read() as sql:
            scope = projects.named_ever(sql, project).id if project else None
            rows = store.unpriced_rows(sql)
            unpriced = unpriced_within(rows, first * DAY, (last + 1) * DAY, scope)
            days = self.days(sql, first, last, scope)
            group_costs = self._groups(sql, group_by, edges, scope) if group_by else ()
        whole = history(days, first, last, granularity, unpriced)
        return replace(whole, group_by=group_by, groups=group_costs)

    def _groups(
        self, sql: Connection, by: GroupBy, edges: Sequence[int], scope: str | None
    ) -> tuple[CostGroup, ...]:
        now = unix_time(self._clock.now())
        counts = groups.workspaces(sql, by, edges[0], min(edges[-1], now), scope)
        names: Mapping[str, str] = {}
        if by in {"project", "budget"}:
            names = projects.names(sql) if by == "project" else self._pool_names(sql)
        return groups.groups(groups.sums(sql, by, edges, now, scope), edges, counts, names)

    def export(
        self, start: date | None, end: date | None, project: str | None
    ) -> list[CostExportLine]:
        """The part of each segment in a period."""
        now = self._clock.now()
        first, last = _checked_period(start, end, now.date())
        with self._db.read() as sql:
            scope = projects.named_ever(sql, project).id if project else None
            names = projects.names(sql)
            segments = store.within(sql, first * DAY, (last + 1) * DAY, scope)
        until = min((last + 1) * DAY, unix_time(now))
        return lines(segments, names, first * DAY, until)

    def focus(
        self, start: date | None, end: date | None, project: str | None
    ) -> list[dict[str, object]]:
        """What each segment cost in each month of a period, as rows of FOCUS."""
        now = self._clock.now()
        first, last = _checked_period(start, end, now.date())
        with self._db.read() as sql:
            scope = projects.named_ever(sql, project).id if project else None
            names, pools = projects.names(sql), self._pool_names(sql)
            providers = {row.name: str(row.provider) for row in profiles.every(sql)}
            segments = store.within(sql, first * DAY, (last + 1) * DAY, scope)
        until = min((last + 1) * DAY, unix_time(now))
        named = {"projects": names, "pools": pools, "providers": providers}
        return list(focus_rows(segments, first * DAY, until, **named))

    def days(
        self, sql: Connection, first: int, last: int, project: str | None = None
    ) -> Mapping[int, DayCost]:
        """The cost of each day: the sums of those that are over, and today so far."""
        now = unix_time(self._clock.now())
        today, summed = day_of(now), self._summed_days(sql, project or "")
        live, end = max(first, rollups.first_unrolled(sql, today)), min(last, today) + 1
        by_day = {day: summed[day] for day in range(first, min(live, end)) if day in summed}
        if live == today and live < end:
            by_day[today] = rollups.day_so_far(sql, today, now, project)
        elif live < end:
            fresh = sums_of_days(sql, live, end, now, project)
            by_day |= {day.day: day for scope, day in fresh if scope == (project or "")}
        return by_day

    def _summed_days(self, sql: Connection, scope: str) -> Mapping[int, DayCost]:
        """The days of a scope that are summed up; later ones may be outdated."""
        if (versions := self._db.versions(sql)) is None:
            return rollups.days_of(sql, scope)
        version = versions.get(store.PAST, "")
        with self._lock:
            cached = self._days.pop(scope, None)
            if cached is not None and cached[0] == version:
                self._days[scope] = cached  # the least recently used is removed first
                return cached[1]
        days = rollups.days_of(sql, scope)
        with self._lock:
            self._days[scope] = (version, days)
            while len(self._days) > MAX_SCOPES:
                del self._days[next(iter(self._days))]
        return days

    def saved_since(self, workspace: str, since: datetime) -> Micros | None:
        """What the present sleep has saved by now, at its prices; None if no price is known."""
        now = unix_time(self._clock.now())
        with self._db.read() as sql:
            segments = store.asleep_since(sql, workspace, unix_time(since))
        known = [line(segment, {}, segment.began, now).saved_micros for segment in segments]
        total = Micros(sum(micros or 0 for micros in known))
        return unless_unknown(total, is_unpriced=None in known)

    def spends(self, sql: Connection) -> dict[str, Micros | None]:
        """The cost of each listed workspace so far: a settlement."""
        return store.spent(sql, LISTED, unix_time(self._clock.now()))


def _checked_period(start: date | None, end: date | None, today: date) -> tuple[int, int]:
    """The first and the last day of a period; by default thirty days that end today."""
    end = end or max(today, start or today)
    start = start or date.fromordinal(max(1, end.toordinal() - 29))
    if start > end:
        raise ValidationFailed.of(("start_date", f"{start} is after the end, {end}"))
    first, last = as_day(start), as_day(end)
    if last - first >= LONGEST:
        raise ValidationFailed.of(("start_date", f"a period has at most {LONGEST} days"))
    return first, last
