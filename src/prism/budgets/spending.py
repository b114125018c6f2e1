"""Answers questions about the money of projects: budget, analysis, forecast, report."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import Balance, ProjectMoney, dollars, no_launches, project_cap
from prism.budgets.books import BookReader, Books
from prism.budgets.model import (
    CostAnalysis,
    MonthlyReport,
    OverAllocated,
    ProjectBudget,
    ProjectForecast,
)
from prism.budgets.plan import ALWAYS, midnight, month_after, month_before
from prism.budgets.report import report
from prism.budgets.runway import earliest, of_project
from prism.budgets.view import alerts, breakdown, course, outcome, projected, top_spenders
from prism.costs import store as ledger
from prism.costs.advice import advice, enough
from prism.costs.model import BURN, DAY, MONTH_HOURS, CostKind, Segment, UsageObserver
from prism.costs.plan import (
    as_date,
    burn_begin,
    day_of,
    known_monthly,
    moment,
    unix_time,
    unless_unknown,
    unpriced_within,
)
from prism.costs.view import lines, names
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.money import Micros, amount
from prism.projects import store as projects
from prism.projects.model import Project, ProjectUse, Spending

TOP = 10
SLEEP = {"hibernation", "stop"}


class SpendingNow(Struct, frozen=True):
    """A project's money at one moment; `shown` is what budget and forecast have in common.

    `ever` is `paid`, or null if no price is known. `projections` is what each cap will have spent
    by the end of its period; `has_unpriced` says that something costs money at an unknown price.
    `segments` is what its payers pay for now, and `runs_out` when its workspaces will sleep.
    """

    money: ProjectMoney
    paid: Micros
    ever: Micros | None
    spent: Micros | None
    unpriced: tuple[tuple[str, CostKind], ...]
    projections: Mapping[str, int]
    has_unpriced: bool
    segments: Sequence[Segment]
    runs_out: int | None
    shown: dict[str, Any]


class ProjectSpending:
    """Implements `SpendingReader` and `ProjectDependent`; reads ledger and caps together."""

    def __init__(
        self, db: Database, clock: Clock, reader: BookReader, observer: UsageObserver
    ) -> None:
        self._db, self._clock, self._reader, self._observer = db, clock, reader, observer

    def spending(self, sql: Connection, rows: Sequence[Project]) -> Mapping[str, Spending]:
        """Each project's money, by its id."""
        books = self._reader.open_whole(sql)
        return {
            row.id: books.once(("spending", row.id), partial(_spending, books, row))
            for row in rows
        }

    def check_cap_change(self, tx: Tx, before: Project, after: Project) -> None:
        """Check a change of a project's own cap; refused if less is left than is reserved."""
        store.make_due(tx, "project", after.id, self._clock.now())
        lower = after.cap is not None and (before.cap is None or after.cap < before.cap)
        if after.cap is None or not lower:
            return
        own = self._reader.open(tx.sql).balance(project_cap(after, after.cap))
        if own.committed > after.cap:
            raise OverAllocated(
                f"The budget of {after.name!r} cannot be less than what is spent and reserved",
                details=f"settled {dollars(own.settled)}, reserved {dollars(own.reserved)}",
                remediation="First stop workspaces that you do not need: `prism workspace list`",
            )

    def use_of_project(self, tx: Tx, project: Project) -> ProjectUse | None:
        """Implements `ProjectDependent`: a project stays while it has allocations."""
        if not (parts := store.allocations_of(tx.sql, project=project.id)):
            return None
        hint = f"Remove the allocation first: `prism allocation delete {parts[0].id}`"
        return ProjectUse(f"{len(parts)} budgets allocate money to it", hint)

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """Does nothing: names are looked up when they are shown."""

    def budget(self, name: str) -> ProjectBudget:
        """A project's money in detail."""
        with self._db.read() as sql:
            books, project = self._reader.open(sql), projects.named(sql, name)
            current = _read(books, project)
            kinds = ledger.by_kind(sql, project.id, books.now)
            spenders = ledger.top(sql, project.id, books.now)
            balances = [b for b in current.money.own_caps if b.within is not None]
            has_costs = ledger.began(sql, project.id) is not None
            slept_unpriced = CostKind.ASLEEP in kinds and ledger.saved_unknown(sql, project.id)
            saved = unless_unknown(
                Micros(kinds.get(CostKind.ASLEEP, 0)), is_unpriced=slept_unpriced
            )
        money, paid = current.money, current.paid
        remaining = None
        if money.allocated is not None and current.spent is not None:
            remaining = Micros(money.allocated - current.spent)
        return ProjectBudget(
            **current.shown,
            total_allocated=None if money.allocated is None else amount(money.allocated),
            current_spend=None if current.ever is None else amount(current.ever),
            remaining=None if remaining is None else amount(remaining),
            overrun=amount(Micros(money.overrun)),
            cost_breakdown=breakdown(kinds, {kind for _, kind in current.unpriced}),
            hibernation_savings=None if saved is None else amount(saved),
            top_spending_instances=tuple(top_spenders(spenders, paid)[:TOP]),
            budget_alerts=alerts(
                balances,
                current.projections if has_costs else {},
                unpriced=current.has_unpriced,
            ),
        )

    def analysis(self, name: str) -> CostAnalysis:
        """What a project spends its money on, and how it could spend less."""
        with self._db.read() as sql:
            books, project = self._reader.open(sql), projects.named(sql, name)
            now, burn = books.now, _pace(books, project)
            monthly = known_monthly(ledger.open_now(sql, project.id))
            observed = self._observer.observed(sql, project.id)
            ran = [
                segment
                for segment in ledger.within(sql, now - BURN * DAY, now, project.id)
                if segment.kind is CostKind.COMPUTE
            ]
        paid: dict[str, int] = {}
        for line in lines(ran, {}, now - BURN * DAY, now):
            paid[line.name] = paid.get(line.name, 0) + (line.micros or 0)
        advised = advice(observed, paid)
        sleep = sum(advice.potential_savings for advice in advised if advice.type in SLEEP)
        return CostAnalysis(
            current_monthly_burn=None if burn is None else amount(burn),
            projected_monthly_burn=None if monthly is None else amount(monthly),
            hibernation_potential_savings=round(sleep, 2) if enough(observed) else None,
            optimization_recommendations=tuple(advised),
        )

    def forecast(self, name: str) -> ProjectForecast:
        """When a project's money runs out if nothing changes."""
        with self._db.read() as sql:
            project = projects.named(sql, name)
            current = _read(books := self._reader.open(sql), project)
            segments = [segment for segment in ledger.open_now(sql, project.id) if segment.is_paid]
            expiries = _expiries(books, current.segments)
        monthly = known_monthly(segments)
        return ProjectForecast(
            **current.shown,
            project=project.name,
            hourly=None if monthly is None else round(monthly / MONTH_HOURS / 1e6, 4),
            daily=None if monthly is None else amount(Micros(monthly * 24 // MONTH_HOURS)),
            monthly=None if monthly is None else amount(monthly),
            runs_out=current.shown["runs_out_on"],
            courses=tuple(
                course(balance, current.segments, expiries, books.now, current.runs_out)
                for balance in current.money.balances
            ),
        )

    def report(self, name: str, month: date | None) -> MonthlyReport:
        """What a project cost in the month that begins on that day, by default the present one.

        Days are those of the pools that paid, if these share a time zone; else those of UTC. The
        report begins when the report of the month before ended, so months add up even if their
        time zones differ.
        """
        with self._db.read() as sql:
            project = projects.named_ever(sql, name)
            pools = store.names_of_pools(sql)
            first = self._month(sql, project.id) if month is None else month
            end = month_after(first)
            time_zone = self._time_zone(sql, project.id, first)
            start, stop = self._month_begin(sql, project.id, first), midnight(end, time_zone)
            segments = ledger.within(sql, start, stop, project.id)
        until = min(stop, unix_time(self._clock.now()))
        report_lines = lines(segments, {project.id: project.name}, start, until)
        return report(project.name, report_lines, pools, first, end, time_zone=time_zone)

    def _month(self, sql: Connection, project: str) -> date:
        """The present month in the time zone of the project's money."""
        now = unix_time(self._clock.now())
        month = as_date(day_of(now)).replace(day=1)
        after = month_after(month)
        if now >= self._month_begin(sql, project, after):
            return after
        return month if now >= self._month_begin(sql, project, month) else month_before(month)

    def _month_begin(self, sql: Connection, project: str, month: date) -> int:
        """When a project's month begins: when the month before ends."""
        return midnight(month, self._time_zone(sql, project, month_before(month)))

    def _time_zone(self, sql: Connection, project: str, month: date) -> str:
        """The time zone of a report of that month."""
        start, stop = midnight(month, "UTC") - DAY, midnight(month_after(month), "UTC") + DAY
        paid = {
            segment.pool for segment in ledger.within(sql, start, stop, project) if segment.is_paid
        }
        zones = {zone for id, zone in store.zones_of_pools(sql).items() if id in paid}
        return zones.pop() if len(zones) == 1 else "UTC"


def _read(books: Books, project: Project) -> SpendingNow:
    """Read the data that budget and forecast have in common."""
    money, paid = books.money(project), books.ever(project)
    unpriced = tuple(unpriced_within(books.unpriced(), 0, ledger.EVER, project.id))
    uses = books.uses(money.balances)
    runway_of = books.ends(uses, {})
    ends = [(use.balance, runway_of[use.balance.cap.id]) for use in uses]
    asleep = books.threshold(project, uses, {})
    first = earliest([asleep, of_project(uses, runway_of, project.id)])
    ever = unless_unknown(paid, is_unpriced=bool(unpriced))
    segments = ledger.open_of_payers(
        books.sql, project.id, [part.pool.cap.id for part in money.parts]
    )
    return SpendingNow(
        money=money,
        paid=paid,
        ever=ever,
        spent=(used := ever if money.allocated is None else money.spent),
        unpriced=unpriced,
        projections=(projections := _projections(books, money.balances, segments)),
        has_unpriced=_has_unpriced(segments, project.id),
        segments=segments,
        runs_out=first.at,
        shown={
            "spent": None if used is None else amount(used),
            "reserved": amount(Micros(_reserved(books, project, money))),
            "left": None if money.left is None else amount(Micros(money.left)),
            "no_launches": no_launches(project, money),
            "runs_out_on": None if first.at is None else moment(first.at),
            "because": first.because,
            "caps": tuple(outcome(b, end, projections[b.cap.id]) for b, end in ends),
            "unpriced": names(unpriced),
            "as_of": moment(books.now),
            "not_limited": not_limited(project.id, money, segments),
        },
    )


def _reserved(books: Books, project: Project, money: ProjectMoney) -> int:
    """What is reserved of the project's money; if nothing limits it, of all its workspaces."""
    if money.own is not None or money.parts:
        return money.reserved
    return sum(books.reserved(project_cap(project, Micros(0)), ALWAYS))


def _projections(
    books: Books, balances: Sequence[Balance], segments: Sequence[Segment]
) -> dict[str, int]:
    """What each cap will have spent by the end of its period, by id."""
    expiries = _expiries(books, segments)
    return {b.cap.id: projected(b, segments, expiries, books.now) for b in balances}


def _expiries(books: Books, segments: Sequence[Segment]) -> Mapping[str, int]:
    """When what runs now expires, by id; what never does is absent."""
    runs = [row.resource for row in segments if row.kind is CostKind.COMPUTE]
    return store.expiries(books.sql, runs)


def _has_unpriced(segments: Sequence[Segment], project: str) -> bool:
    """Whether something costs a project money now at an unknown price."""
    return any(row.is_paid and row.amount is None and row.project == project for row in segments)


def not_limited(project: str, money: ProjectMoney, segments: Sequence[Segment]) -> tuple[str, ...]:
    """The names of what costs a project money and counts against none of its caps.

    Such costs began before the project had an allocation, or their allocation was deleted.
    """
    if money.own is not None or not money.parts:
        return ()
    paid = [
        segment
        for segment in segments
        if segment.project == project and segment.is_paid and segment.amount
    ]
    return names((segment.name, segment.kind) for segment in paid if segment.allocation is None)


def _spending(books: Books, project: Project) -> Spending:
    """A project's money as lists show it."""
    money, spent = books.money(project), books.ever(project)
    ever = unless_unknown(spent, is_unpriced=project.id in books.unpriced_until())
    allocated = money.allocated
    return Spending(
        allocated=allocated,
        spent=ever,
        monthly=_pace(books, project),
        used=ever if allocated is None else money.spent,
        reserved=Micros(_reserved(books, project, money)),
        left=money.left,
    )


def _pace(books: Books, project: Project) -> Micros | None:
    """What a project spends in 30 days at its recent pace; null if it is unknown."""
    is_unpriced = books.unpriced_until().get(project.id, 0) > burn_begin(books.now)
    return unless_unknown(books.burn(project.id), is_unpriced=is_unpriced)
