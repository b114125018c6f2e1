"""What machines found out about their idleness: heard in passing, at each look at the world."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from prism.idle import store
from prism.idle.activity import ActivityRecorder
from prism.idle.events import HibernationTriggered, IdleUnknown
from prism.idle.measurements import Measurements
from prism.idle.model import Triggered
from prism.idle.plan import duration, idle, unknown_minutes
from prism.idle.service import named
from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.kit.money import rate
from prism.workspaces import store as workspaces
from prism.workspaces.events import SYSTEM, about
from prism.workspaces.idleness import IdleAct, Idleness
from prism.workspaces.model import Idle, Workspace
from prism.workspaces.ports import Machine

LONG = 30  # minutes that nobody knows whether a machine is idle, until that is said


class Lookout:
    """Implements `workspaces.ports.Observer`, `workspaces.upstairs.Watcher`, `idle.model.Sight`.

    What a machine did while nobody looked is written down when it is first heard of; then,
    and never again: it is known by its workspace and its moment.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        measurements: Measurements | None = None,
        activity: ActivityRecorder | None = None,
    ) -> None:
        self._db, self._clock, self._measurements = db, clock, measurements
        self._activity = activity
        self._known: Mapping[str, Idleness] = {}
        self._written: dict[str, IdleAct] = {}
        self._said_unknown: set[str] = set()  # workspaces of which it was said, this time

    def saw(self, machines: Iterable[Machine]) -> None:
        """Remember what they say; write down what they did."""
        self._known = known = {it.key: it.idle for it in machines if it.idle is not None}
        for key, it in known.items():
            if it.acted is not None and self._written.get(key) != it.acted:
                self._write(key, it.acted)
                self._written[key] = it.acted
        self._say_unknown({key: it for key, it in known.items() if _unknown_long(it)})
        if self._measurements is not None:
            self._measurements.saw(known)
        if self._activity is not None:
            self._activity.saw(known)

    def of(self, workspace: str) -> Idleness | None:
        """What the machine of this workspace knows."""
        return self._known.get(workspace)

    def know(self, sql: Connection, profile: str) -> None:
        """Raise where there is no profile of that name."""
        named(sql, profile)

    def idleness(self, workspace: Workspace) -> Idle:
        """How idle it is now."""
        return idle(workspace, self.of(workspace.id), self._clock.now())

    def _say_unknown(self, now: Mapping[str, Idleness]) -> None:
        """Say once of each that it may stay awake, and cost, for ever."""
        new = sorted(now.keys() - self._said_unknown)
        self._said_unknown = set(now)
        if not new:
            return
        with self._db.write() as tx:
            for it in workspaces.by_ids(tx.sql, new):
                if it.idle_profile is not None:
                    known = now[it.id]
                    minutes = unknown_minutes(known) or 0
                    why = known.because
                    tx.happened(
                        IdleUnknown(**about(it), actor=SYSTEM, minutes=minutes, because=why)
                    )

    def _write(self, key: str, act: IdleAct) -> None:
        with self._db.write() as tx:
            for it in workspaces.by_ids(tx.sql, [key]):
                done = Triggered(
                    workspace=it.id,
                    instance_name=it.name,
                    action=act.action,
                    trigger_time=whole(act.at),
                    seconds=int(act.seconds),
                    profile=act.profile,
                    rate=it.hourly_rate,
                    note=act.note,
                )
                if store.add_past(tx, done):
                    hourly = it.hourly_rate
                    tx.happened(
                        HibernationTriggered(
                            **about(it),
                            actor=SYSTEM,
                            instance_name=it.name,
                            action=act.action,
                            idle_duration=duration(done.seconds),
                            profile=act.profile,
                            estimated_savings=None if hourly is None else round(rate(hourly), 2),
                            note=act.note,
                        )
                    )


def _unknown_long(it: Idleness) -> bool:
    minutes = unknown_minutes(it)
    return minutes is not None and minutes >= LONG
