"""Records what workspaces used in each hour, for advice about costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection

from prism.costs.model import HOUR, MeasuredUsage
from prism.idle import store
from prism.idle.model import MEASURED, FigureSum
from prism.idle.recorder import Recorder
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.profiles.providers import traits_of
from prism.workspaces import store as workspaces
from prism.workspaces.idleness import Idleness

RETENTION = timedelta(days=30)


@dataclass(slots=True)
class HourSum:
    """The sums of one workspace in one hour that are not written yet."""

    began: int
    until: int
    seconds: int = 0
    idle: int = 0
    figures: dict[str, FigureSum] = field(default_factory=dict)

    def add(self, idleness: Idleness, since: int, until: int) -> None:
        """Add a measurement for that period."""
        length = until - since
        self.until, self.seconds = until, self.seconds + length
        self.idle += length if idleness.state == "idle" else 0
        for name, figure in MEASURED.items():
            if (value := idleness.figures.get(figure)) is not None:
                before = self.figures.get(name, FigureSum())
                self.figures[name] = before.more(length, value)


class Measurements(Recorder):
    """Sums up and writes measurements; implements `costs.model.UsageObserver`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock)
        self._sums: dict[tuple[str, int], HourSum] = {}

    def write(self) -> None:
        """Write the sums, and delete those that are too old; retried at the next measurement."""
        if not (sums := self._sums):
            return
        oldest = int((self._clock.now() - RETENTION).timestamp()) // HOUR
        with self._db.write() as tx:
            ids = sorted({key for key, _ in sums})
            kinds = {
                workspace.id: workspace.instance_type
                for workspace in workspaces.by_ids(tx.sql, ids)
            }
            for (key, hour), totals in sums.items():
                if key in kinds:
                    spans = (totals.began, totals.until, totals.seconds, totals.idle)
                    store.add_measurement(tx, (key, hour, kinds[key]), spans, totals.figures)
            store.forget_hours(tx, oldest)
        self._sums = {}

    def observed(self, sql: Connection, project: str) -> Sequence[MeasuredUsage]:
        """The measurements of the last 30 days of each workspace that is in the project now."""
        oldest = int((self._clock.now() - RETENTION).timestamp()) // HOUR
        usages = []
        living = (workspace for workspace in workspaces.every(sql) if workspace.ended_at is None)
        current = {workspace.id: workspace for workspace in living if workspace.project == project}
        kinds = {id: workspace.instance_type for id, workspace in current.items()}
        for id, (seconds, idle, used) in store.hours_of(sql, kinds, oldest).items():
            workspace = current[id]
            usages.append(
                MeasuredUsage(
                    workspace=workspace.name,
                    instance_type=workspace.instance_type,
                    region=traits_of(workspace.location).simulated_prices_of or workspace.region,
                    hours=round(seconds / HOUR, 2),
                    idle_hours=round(idle / HOUR, 2),
                    hourly=workspace.hourly_rate,
                    hibernates=workspace.hibernation,
                    **{name: figure.usage() for name, figure in used.items()},
                )
            )
        return sorted(usages, key=lambda one: one.workspace)

    def _add(self, key: str, idleness: Idleness, since: int, until: int) -> None:
        at = (key, (until - 1) // HOUR)
        self._sums.setdefault(at, HourSum(since, since)).add(idleness, since, until)
