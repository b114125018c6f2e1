"""Reads what a forecast needs: caps that share a pool, and expiries of workspaces."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from prism.budgets import store
from prism.budgets.balances import Balances, ReservedStored, allocation_cap, parts, project_cap
from prism.budgets.model import Cap
from prism.budgets.runway import NEVER, CapUse, Runway, runways, spent_since, threshold
from prism.projects import store as projects
from prism.projects.model import Project


class Forecasts:
    """The forecasts of a plan and of a budget, from one computation at one moment."""

    def __init__(self, balances: Balances, sql: Connection) -> None:
        self._balances, self._sql, self._totals = balances, sql, balances.totals(sql)

    def ends(self, uses: Sequence[CapUse], known: Mapping[str, int]) -> dict[str, Runway]:
        """When each of these caps runs out, by id; `known` adds expiries by workspace."""
        every = [*uses, *self._sharing(uses)]
        runway_of = runways(every, self._expiries(every, known), self._balances.now)
        for use in uses:
            if (at := self._balances.ran_out_at(self._totals, use.balance)) is not None:
                runway_of[use.balance.cap.id] = spent_since(use.balance, at)
        return {use.balance.cap.id: runway_of[use.balance.cap.id] for use in uses}

    def threshold(
        self, project: Project, uses: Sequence[CapUse], known: Mapping[str, int]
    ) -> Runway:
        """When a project's spending puts its workspaces to sleep; never without a limit."""
        if project.auto_hibernate_threshold is None:
            return NEVER
        read = {use.balance.cap.id: use for use in uses}
        caps = (
            [project_cap(project, project.cap)]
            if project.cap is not None
            else parts(self._sql, project)
        )
        counted = [read.get(cap.id) or self._use(cap) for cap in caps]
        now = [use for use in counted if use.balance.within is not None]
        ends = self._expiries(now, known)
        return threshold(now, project.auto_hibernate_threshold, ends, self._balances.now)

    def _sharing(self, uses: Sequence[CapUse]) -> list[CapUse]:
        """The caps of other projects that share these pools, and may run out earlier."""
        known, sharing = {use.balance.cap.id for use in uses}, list[CapUse]()
        for use in uses:
            if (pool := use.balance.cap.pool) is None or use.balance.cap.column != "pool":
                continue
            for id in sorted({row.allocation for row in use.rows if row.allocation} - known):
                part = store.find_allocation(self._sql, id)
                owner = None if part is None else projects.find(self._sql, part.project)
                if part is None or owner is None:
                    continue
                caps = [allocation_cap(part, owner, pool)]
                if owner.cap is not None:
                    caps.append(project_cap(owner, owner.cap))
                sharing += [self._use(cap) for cap in caps if cap.id not in known]
                known |= {cap.id for cap in caps}
        return sharing

    def _use(self, cap: Cap) -> CapUse:
        rows = store.reservations_of(self._sql, cap.column, cap.id)
        reserved = ReservedStored(self._sql, self._totals.now)
        return CapUse(self._balances.balance_from(self._totals, cap, reserved), rows)

    def _expiries(self, uses: Sequence[CapUse], known: Mapping[str, int]) -> dict[str, int]:
        ids = sorted({reservation.id for use in uses for reservation in use.rows} - known.keys())
        return store.expiries(self._sql, ids) | dict(known)
