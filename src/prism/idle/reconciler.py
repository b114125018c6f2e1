"""Sends idle rules to machines, until each has the current rule."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement

from prism.idle import store
from prism.idle.model import rule_of, sent_rule_text
from prism.idle.service import find
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.reconcile import NEVER_DUE, Claim, ReconcileResult, in_locations
from prism.workspaces import store as workspaces
from prism.workspaces.ports import Compute

UNUSED_INTERVAL = timedelta(minutes=5)


class IdleReconciler:
    """Sends each machine the idle rule of its workspace."""

    rows = store.watches

    def __init__(self, db: Database, clock: Clock, computes: Mapping[str, Compute]) -> None:
        self._db, self._clock, self._computes = db, clock, computes

    def reachable(self) -> ColumnElement[bool]:
        """The rows whose location a provider of this daemon serves."""
        return in_locations(self.rows, self._computes)

    def mark_due(self) -> timedelta:
        """Does nothing: rules do not change by themselves."""
        return UNUSED_INTERVAL

    def look(self, claims: Sequence[Claim]) -> None:
        """Does nothing: a rule may be sent twice."""

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Send one machine its rule."""
        with self._db.read() as sql:
            watched = store.watched(sql, claim.id)
            rows = workspaces.by_ids(sql, [claim.id])
            profile = find(sql, watched.profile) if watched and watched.profile else None
        rest = NEVER_DUE - self._clock.now()
        if watched is None or watched.machine is None or not rows:
            return ReconcileResult(rest, lambda _: None)
        rule = rule_of(watched, profile, rows[0].hibernation) if profile else None
        text = sent_rule_text(watched.machine, rule)
        if text == watched.told:
            return ReconcileResult(rest, lambda _: None)
        self._computes[watched.location].watch(watched.machine, rule)
        return ReconcileResult(rest, lambda tx: store.save_sent_rule(tx, claim.id, text))
