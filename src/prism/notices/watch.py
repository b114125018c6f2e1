"""Looks for what is about to happen: expiries, limits and budgets that are nearly spent, weeks.

None of it is an event. The key of each notice says what it is about (the expiry, the period and
the threshold), so that it is told once.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.budgets import store as budgets
from prism.budgets.balances import dollars
from prism.budgets.books import BookReader, every_cap
from prism.budgets.model import Cap, ProjectForecast
from prism.costs.plan import cost
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.money import Micros
from prism.limits.model import LimitUse
from prism.limits.service import LimitService
from prism.notices import store
from prism.notices.model import EndingMember, NoticeKind, Preferences
from prism.notices.plan import (
    END_DAYS,
    Audience,
    Draft,
    WeekLine,
    command_of,
    days_told,
    ends_soon,
    expires_soon,
    is_expiry_told,
    own_end_soon,
    reached,
    text_of,
    thresholds_of,
    week_of,
    weekly,
)
from prism.notices.writer import NoticeWriter
from prism.projects import store as projects

EXPIRIES_EVERY, MONEY_EVERY = timedelta(minutes=1), timedelta(minutes=5)
RUN_OUTS_EVERY = timedelta(hours=1)  # a forecast of each project
LONGEST_NOTICE = timedelta(hours=168)  # before an expiry, that a person can choose
RUNS_OUT_WITHIN, RUNS_OUT_AGAIN = timedelta(days=7), timedelta(days=7)
MAX_WAIT_FOR_SURVEY = timedelta(hours=12)  # after the end of a week
WEEKS_TOLD = "weekly"  # the name of the progress
Told = tuple[str, Draft]


class NoticeWatch:
    """Writes notices about what it sees, and looks at what takes longer less often."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        writer: NoticeWriter,
        *,
        books: BookReader,
        limits: LimitService,
        forecast: Callable[[str], ProjectForecast],
    ) -> None:
        self._db, self._clock, self._writer = db, clock, writer
        self._books, self._limits, self._forecast = books, limits, forecast
        self._next_expiries: datetime | None = None
        self._next_money: datetime | None = None
        self._next_run_outs: datetime | None = None

    def look(self) -> None:
        """Write what is new, if it is time to look."""
        now = self._clock.now()
        if self._next_expiries is None or now >= self._next_expiries:
            self._write([*self._expiries(now), *self._ends(now)])
            self._weeks(now)
            self._next_expiries = now + EXPIRIES_EVERY
        if self._next_money is None or now >= self._next_money:
            self._write([*self._budgets(), *self._own_limits(now)])
            self._next_money = now + MONEY_EVERY
        if self._next_run_outs is None or now >= self._next_run_outs:
            self._write([*self._run_outs(now)])
            self._next_run_outs = now + RUN_OUTS_EVERY

    def _write(self, drafts: Sequence[Told]) -> None:
        """Write notices that nobody has yet; each is for one person."""
        if not drafts:
            return
        with self._db.read() as sql:
            prefixes = {draft.key.partition(":")[0] for _, draft in drafts}
            known = set().union(*(store.known_keys(sql, f"{word}:") for word in prefixes))
        new = [(person, draft) for person, draft in drafts if (person, draft.key) not in known]
        if new:
            with self._db.write() as tx:
                for person, draft in new:
                    self._writer.tell(tx, [replace(draft, to=Audience(person=person))])

    # ------------------------------------------------------------- expiries

    def _expiries(self, now: datetime) -> Iterator[Told]:
        with self._db.read() as sql:
            chosen = store.all_preferences(sql)
            rows = store.expiring(sql, now, now + LONGEST_NOTICE)
            for row in rows:
                draft = expires_soon(row.id, row.name, row.project, row.expires_at, now)
                for person in self._writer.people(sql, Audience(person=row.owner)):
                    hours = chosen.get(person, Preferences()).expiry_hours
                    is_told = is_expiry_told(row.launched_at, row.expires_at, hours, now)
                    if is_told and self._writer.belongs(sql, row.owner, row.project):
                        yield person, draft

    def _ends(self, now: datetime) -> Iterator[Told]:
        """Memberships that end soon: to each member, and in one notice to the owners."""
        groups: dict[tuple[str, datetime], list[EndingMember]] = {}
        with self._db.read() as sql:
            for ending in store.ending_members(sql, now, now + timedelta(days=max(END_DAYS))):
                groups.setdefault((ending.project, ending.until), []).append(ending)
            for (project, until), group in groups.items():
                if (days := days_told(until, now)) is None:
                    continue
                owners = self._writer.owners(sql, project)
                for ending in group:
                    if self._writer.team:
                        yield ending.email, own_end_soon(ending, days, now)
                for owner in owners:
                    if [each.email for each in group] != [owner]:
                        yield owner, ends_soon(group, days, now)

    # ---------------------------------------------------------------- money

    def _budgets(self) -> Iterator[Told]:
        """Which thresholds of budgets are reached; of several, the highest."""
        with self._db.read() as sql:
            books, chosen = self._books.open_whole(sql), store.all_preferences(sql)
            for cap in every_cap(sql):
                within, spent = books.counted(cap), books.spent(cap)
                project = _project_of(sql, cap)
                for person in self._writer.owners(sql, project):
                    own = chosen.get(person, Preferences())
                    if (part := reached(spent, cap.amount, thresholds_of(own))) is None:
                        continue
                    start = 0 if within is None else within.start
                    key = f"budget:{cap.id}:{start}:{cap.amount}:{part}"
                    yield person, _budget_draft(key, cap, project, spent, part)

    def _own_limits(self, now: datetime) -> Iterator[Told]:
        for person, uses in self._limits.in_dollars().items():
            with self._db.read() as sql:
                own = store.preferences_of(sql, person)
            for use in uses:
                if (draft := _limit_draft(use, own, now)) is not None:
                    yield person, draft

    def _run_outs(self, now: datetime) -> Iterator[Told]:
        """Projects whose money runs out soon; told again after a week."""
        with self._db.read() as sql:
            every = projects.every(sql)
            known = store.known_keys(sql, "runs_out:")
            owners = {project.id: self._writer.owners(sql, project.id) for project in every}
        recent = {key.rpartition(":")[0] for _, key in known if _is_recent(key, now)}
        for project in every:
            if f"runs_out:{project.id}" in recent or not owners[project.id]:
                continue
            forecast = self._forecast(project.id)
            end = forecast.runs_out
            if end is None or not now < end <= now + RUNS_OUT_WITHIN:
                continue
            draft = Draft(
                key=f"runs_out:{project.id}:{now:%Y-%m-%d}",
                kind=NoticeKind.RUNS_OUT,
                to=Audience(),
                project=project.id,
                title=f"The money of {text_of(project.name)} runs out on {end:%Y-%m-%d}",
                text=f"At {end:%Y-%m-%d %H:%M} UTC: {text_of(forecast.because, 500)}.",
                command=command_of("prism", "budget", "forecast", project.name),
            )
            for person in owners[project.id]:
                yield person, draft

    # ---------------------------------------------------------------- weeks

    def _weeks(self, now: datetime) -> None:
        """Tell everybody about the last week, once it is over."""
        week = week_of(now)
        with self._db.read() as sql:
            last_week = store.progress_of(sql, WEEKS_TOLD)
        if last_week == week:
            return
        drafts = [] if last_week is None else self._last_week(now)
        if drafts is None:
            return
        with self._db.write() as tx:
            if store.progress_of(tx.sql, WEEKS_TOLD) == last_week:
                self._writer.tell(tx, drafts)
                store.set_progress(tx, WEEKS_TOLD, week)

    def _last_week(self, now: datetime) -> list[Draft] | None:
        """The pages about the last week; null while a survey is awaited that sees its end."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        monday = midnight - timedelta(days=midnight.weekday())
        start, end = int((monday - timedelta(days=7)).timestamp()), int(monday.timestamp())
        week = week_of(monday - timedelta(days=1))
        with self._db.read() as sql:
            rows = store.segments_between(sql, start, end)
            pairs = {(row.owner, row.project) for row in rows}
            owners = {pair for pair in pairs if self._writer.belongs(sql, *pair)}
        is_behind = any(row.ended is None and (row.counted or end) < end for row in rows)
        if is_behind and now < monday + MAX_WAIT_FOR_SURVEY:
            return None
        owned: dict[str, dict[str, list[Any]]] = {}
        for row in rows:
            if (row.owner, row.project) in owners:
                owned.setdefault(row.owner, {}).setdefault(row.name, []).append(row)
        return [
            weekly(person, week, [_week_line(name, of, start, end) for name, of in names.items()])
            for person, names in sorted(owned.items())
        ]


def _week_line(name: str, rows: Sequence[Any], start: int, end: int) -> WeekLine:
    seconds, money = {"compute": 0, "asleep": 0}, dict[str, int | None](compute=0, asleep=0)
    for row in rows:
        until = row.counted if row.ended is None and row.counted is not None else row.ended
        spent = max(0, min(end, until or end) - max(start, row.began))
        seconds[row.kind] += spent
        before = money[row.kind]
        if row.amount is None or before is None:
            money[row.kind] = None if spent else before
        else:
            money[row.kind] = before + cost(Micros(row.amount), row.hours, spent)
    return WeekLine(name, seconds["compute"], seconds["asleep"], money["compute"], money["asleep"])


def _is_recent(key: str, now: datetime) -> bool:
    day = datetime.fromisoformat(key.rpartition(":")[2]).replace(tzinfo=now.tzinfo)
    return now - day < RUNS_OUT_AGAIN


def _project_of(sql: Connection, cap: Cap) -> str | None:
    """The project whose owners are told; None for a pool, which is the operator's."""
    if cap.column == "project":
        return cap.id
    part = budgets.find_allocation(sql, cap.id) if cap.column == "allocation" else None
    return None if part is None else part.project


def _budget_draft(key: str, cap: Cap, project: str | None, spent: int, part: int) -> Draft:
    name = text_of(cap.name)
    kind = {"project": "the budget", "allocation": "the allocation", "pool": "the pool"}
    show = ("budget", "show") if project is None else ("project", "budget")
    return Draft(
        key=key,
        kind=NoticeKind.BUDGET,
        to=Audience(owners_of=project),
        project=project,
        title=f"{part} % of {kind.get(cap.column, 'a limit')} of {name} is spent",
        text=f"{dollars(spent)} of {dollars(cap.amount)}.",
        command=command_of("prism", *show, cap.name),
    )


def _limit_draft(use: LimitUse, own: Preferences, now: datetime) -> Draft | None:
    limit = use.limit
    if limit.monthly is None or use.spent is None:
        return None
    part = reached(round(use.spent * 1e6), round(limit.monthly * 1e6), thresholds_of(own))
    if part is None:
        return None
    where = f" in {text_of(limit.project_name)}" if limit.project_name else ""
    amount = f"{limit.monthly:.2f}"
    return Draft(
        key=f"limit:{limit.id}:{limit.project or ''}:{now:%Y-%m}:{amount}:{part}",
        kind=NoticeKind.LIMIT,
        to=Audience(),
        project=limit.project,
        title=f"{part} % of your limit{where} of this month is spent",
        text=f"${use.spent:,.2f} of ${limit.monthly:,.2f}.",
        command="prism limit mine",
    )
