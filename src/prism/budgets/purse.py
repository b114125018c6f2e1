"""What projects ask of their money, and what one reads of it: budget, analysis, forecast."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.books import Books, Standing, dollars, pace, parts, project_cap
from prism.budgets.model import (
    Analysis,
    CostBreakdown,
    Forecast,
    OverAllocated,
    ProjectBudget,
    Report,
    TopInstance,
)
from prism.budgets.report import report
from prism.budgets.view import alerts, outcome, overrun
from prism.costs import store as ledger
from prism.costs.advice import advice, enough
from prism.costs.model import DAY, MONTH_HOURS, Kind, Observer
from prism.costs.plan import day_of, second
from prism.costs.service import CostService
from prism.costs.view import line, percent
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.money import Micros, amount
from prism.projects import store as projects
from prism.projects.model import Project, Spending

TOP = 10
SLEEP = {"hibernation", "stop"}


class Purse:
    """Implements `projects.model.Purse` and `Holder`; reads ledger and caps together."""

    def __init__(
        self, db: Database, clock: Clock, costs: CostService, observer: Observer | None = None
    ) -> None:
        self._db, self._clock, self._costs, self._observer = db, clock, costs, observer
        self._books = Books(clock)

    def spending(self, sql: Connection, asked: Sequence[Project]) -> Mapping[str, Spending]:
        """Each project's money, by its id."""
        spent = ledger.totals_of_projects(sql, self._books.now)
        burns = self._costs.burns(sql)
        found = {}
        for it in asked:
            paid = Micros(spent.get(it.id, 0))
            allocated, used = it.cap, paid
            if it.cap is None and (given := parts(sql, it)):
                now = [cap for cap in given if self._books.present(cap) is not None]
                allocated = Micros(sum(cap.amount for cap in now))
                used = Micros(sum(self._books.spent(sql, cap) for cap in now))
            found[it.id] = Spending(allocated, paid, burns.get(it.id), used)
        return found

    def recapped(self, tx: Tx, before: Project, after: Project) -> None:
        """A project's own cap changes; refused where less is left than is promised."""
        store.look_again(tx, "project", after.id, self._clock.now())
        lower = after.cap is not None and (before.cap is None or after.cap < before.cap)
        if after.cap is None or not lower:
            return
        at = self._books.standing(tx.sql, project_cap(after, after.cap))
        if at.settled + at.reserved > after.cap:
            raise OverAllocated(
                f"The budget of {after.name!r} cannot be less than what is spent and promised",
                details=f"settled {dollars(at.settled)}, reserved {dollars(at.reserved)}",
                remediation="Stop what is not needed first: `prism workspace list`",
            )

    def holds_project(self, tx: Tx, project: Project) -> str | None:
        """A project stays while money is allocated to it."""
        parts = store.allocations_of(tx.sql, project=project.id)
        return f"{len(parts)} budgets allocate money to it" if parts else None

    def renamed_project(self, tx: Tx, project: Project) -> None:
        """Nothing here shows its name but by looking it up."""

    def budget(self, name: str) -> ProjectBudget:
        """A project's money in detail."""
        now = self._books.now
        with self._db.read() as sql:
            it = projects.named(sql, name)
            money = self.spending(sql, [it])[it.id]
            kinds = ledger.by_kind(sql, "project", it.id, now)
            spenders = ledger.top(sql, it.id, now)[:TOP]
            standings = [at for at in self._standings(sql, it) if at.within is not None]
            burns = self._burns(sql, it, standings, money.monthly)
            reserved = self._reserved(sql, it, standings)
        compute = kinds.get(Kind.COMPUTE, 0) + kinds.get(Kind.ADDRESS, 0)
        return ProjectBudget(
            total_allocated=None if money.allocated is None else amount(money.allocated),
            current_spend=amount(money.spent),
            reserved=amount(Micros(reserved)),
            remaining=None if money.left is None else amount(money.left),
            overrun=max(map(overrun, standings), default=0.0),
            cost_breakdown=CostBreakdown(
                amount(Micros(compute)), amount(Micros(money.spent - compute)), None
            ),
            hibernation_savings=amount(Micros(kinds.get(Kind.ASLEEP, 0))),
            top_spending_instances=tuple(
                TopInstance(who, amount(Micros(paid)), percent(paid, money.spent))
                for who, paid in spenders
                if paid
            ),
            budget_alerts=alerts(standings, burns, now),
        )

    def analysis(self, name: str) -> Analysis:
        """Where a project's money goes, and how less of it would."""
        with self._db.read() as sql:
            it = projects.named(sql, name)
            burn = self._costs.burns(sql).get(it.id)
            monthly = self._costs.monthly(sql, it.id)
            observed = self._observer.observed(sql, it.id) if self._observer else ()
        found = advice(observed)
        sleep = sum(one.potential_savings for one in found if one.type in SLEEP)
        return Analysis(
            current_monthly_burn=None if burn is None else amount(burn),
            projected_monthly_burn=amount(monthly),
            hibernation_potential_savings=round(sleep, 2) if enough(observed) else None,
            optimization_recommendations=tuple(found),
        )

    def forecast(self, name: str) -> Forecast:
        """What happens to a project's money if all goes on as it does now."""
        now = self._books.now
        with self._db.read() as sql:
            it = projects.named(sql, name)
            monthly = self._costs.monthly(sql, it.id)
            held, standings = ledger.open_now(sql, it.id), self._standings(sql, it)
        ends = tuple(outcome(at, pace(held, at.cap), now) for at in standings)
        gone = [end.runs_out for end in ends if end.runs_out is not None]
        return Forecast(
            project=it.name,
            hourly=round(monthly / MONTH_HOURS / 1e6, 4),
            daily=amount(Micros(monthly * 24 // MONTH_HOURS)),
            monthly=amount(monthly),
            caps=ends,
            runs_out=min(gone, default=None),
        )

    def report(self, name: str, first: int, end: int) -> Report:
        """What a project cost from the day `first` until before the day `end`."""
        until = min(end * DAY, self._books.now)
        with self._db.read() as sql:
            it = projects.recall(sql, name)
            found = ledger.within(sql, first * DAY, end * DAY, it.id)
            pools = store.names_of_pools(sql)
        lines = [line(one, {it.id: it.name}, first * DAY, until) for one in found]
        return report(it.name, lines, pools, first, end)

    def today(self) -> int:
        """The day, counted from 1970."""
        return day_of(second(self._clock.now()))

    def _standings(self, sql: Connection, it: Project) -> list[Standing]:
        own = [] if it.cap is None else [project_cap(it, it.cap)]
        return [self._books.standing(sql, cap) for cap in (*own, *parts(sql, it))]

    def _reserved(self, sql: Connection, it: Project, standings: Sequence[Standing]) -> int:
        """What is set aside of what it may spend now: of its own cap, else of its allocations."""
        if it.cap is None and standings:
            return sum(at.reserved for at in standings)
        return self._books.sum_held(store.reservations_of(sql, "project", it.id))

    def _burns(
        self, sql: Connection, it: Project, standings: Sequence[Standing], whole: Micros | None
    ) -> list[int | None]:
        """What each cap paid in 30 days; the project's own one paid for all of it."""
        if (began := ledger.began(sql, it.id)) is None:
            return [None] * len(standings)
        return [
            whole if at.cap.column == "project" else self._books.burn(sql, at.cap, began)
            for at in standings
        ]
