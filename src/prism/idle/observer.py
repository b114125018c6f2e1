"""Collects the idleness that machines report, from each survey."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock

from sqlalchemy import Connection

from prism.idle import store
from prism.idle.activity import ActivityRecorder
from prism.idle.events import HibernationTriggered, IdleUnknown, SleepsSoon
from prism.idle.measurements import Measurements
from prism.idle.model import TriggeredAction
from prism.idle.plan import duration, idle, sleep_time, unknown_minutes
from prism.idle.service import every_profile, named
from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.kit.money import rate
from prism.workspaces import store as workspaces
from prism.workspaces.events import SYSTEM, about
from prism.workspaces.idleness import IdleAct, Idleness
from prism.workspaces.model import IdleSummary, Workspace
from prism.workspaces.ports import Machine

WARNING_TIME = timedelta(
    minutes=10
)  # how long before it goes to sleep an event announces it, once
WARN_EVERY = timedelta(seconds=10)
UNKNOWN_MINUTES = 30  # minutes of an unknown verdict until an event says so


class IdleObserver:
    """Implements `MachineObserver`, `IdleMonitor` and `ActivityReader`.

    A machine's own action is recorded once, when it is first reported; workspace and time
    identify it.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        measurements: Measurements,
        activity: ActivityRecorder,
    ) -> None:
        self._db, self._clock, self._measurements = db, clock, measurements
        self._activity = activity
        self._lock = Lock()
        self._by_location: dict[str, Mapping[str, Idleness]] = {}
        self._known: Mapping[str, Idleness] = {}
        self._announced_sleep: dict[str, datetime] = {}  # by workspace, the `since` then
        self._look_again = datetime.min.replace(tzinfo=UTC)
        self._written: dict[str, IdleAct] = {}
        self._announced_unknown: set[str] = set()  # workspaces

    def saw(self, machines: Mapping[str, Iterable[Machine]]) -> None:
        """Store the reports of the machines in these locations, and record their actions.

        Each location has its own loop, so the reports from other locations are kept.
        """
        reported = {
            location: {machine.key: machine.idle for machine in group if machine.idle is not None}
            for location, group in machines.items()
        }
        with self._lock:
            self._by_location |= reported
            self._known = known = {
                key: idleness
                for reports in self._by_location.values()
                for key, idleness in reports.items()
            }
            for key, idleness in known.items():
                if idleness.acted is not None and self._written.get(key) != idleness.acted:
                    self._write(key, idleness.acted)
                    self._written[key] = idleness.acted
            self._announce_unknown(known)
            self._announce_sleep(known)
            self._measurements.saw(known)
            self._activity.saw(known)

    def of(self, workspace: str) -> Idleness | None:
        """The idleness that this workspace's machine reports."""
        return self._known.get(workspace)

    def require_profile(self, sql: Connection, profile: str) -> None:
        """Raise if there is no profile with that name."""
        named(sql, profile)

    def idleness(self, workspace: Workspace) -> IdleSummary:
        """The present idleness of a workspace."""
        return idle(workspace, self.of(workspace.id), self._clock.now())

    def _announce_unknown(self, known: Mapping[str, Idleness]) -> None:
        """Announce once, for each workspace, that its verdict has long been unknown."""
        unknown = {
            key: minutes
            for key, idleness in known.items()
            if (minutes := unknown_minutes(idleness)) is not None and minutes >= UNKNOWN_MINUTES
        }
        # A survey without an answer knows no verdict, and ends none.
        announced = {key for key in self._announced_unknown if key in unknown or key not in known}
        if new := sorted(unknown.keys() - announced):
            with self._db.write() as tx:
                for workspace in workspaces.by_ids(tx.sql, new):
                    if workspace.idle_profile is not None:
                        tx.happened(
                            IdleUnknown(
                                **about(workspace),
                                actor=SYSTEM,
                                minutes=unknown[workspace.id],
                                because=known[workspace.id].because,
                            )
                        )
        self._announced_unknown = announced | unknown.keys()

    def _announce_sleep(self, known: Mapping[str, Idleness]) -> None:
        """Announce once, for each workspace, that it goes to sleep soon, so you can act."""
        now = self._clock.now()
        since = {
            key: idleness.since
            for key, idleness in known.items()
            if idleness.state == "idle" and idleness.since
        }
        self._announced_sleep = {
            key: at
            for key, at in self._announced_sleep.items()
            if since.get(key) == at or key not in known
        }
        fresh = sorted(since.keys() - self._announced_sleep.keys())
        if not fresh or now < self._look_again <= now + WARN_EVERY:  # else the clock was set back
            return
        self._look_again = now + WARN_EVERY
        with self._db.read() as sql:
            profiles = {profile.name: profile for profile in every_profile(sql)}
            watched = [row for row in store.watched_many(sql, fresh) if row.profile in profiles]
        due = {
            row.id: sleep_time(row, profiles[row.profile or ""], known[row.id], now)
            for row in watched
        }
        soon = {id: at for id, at in due.items() if at is not None and at - now < WARNING_TIME}
        if not soon:
            return
        with self._db.write() as tx:
            for workspace in workspaces.by_ids(tx.sql, sorted(soon)):
                tx.happened(
                    SleepsSoon(**about(workspace), actor=SYSTEM, acts_at=whole(soon[workspace.id]))
                )
        self._announced_sleep |= {id: since[id] for id in soon}

    def _write(self, key: str, act: IdleAct) -> None:
        with self._db.write() as tx:
            for workspace in workspaces.by_ids(tx.sql, [key]):
                action = TriggeredAction(
                    workspace=workspace.id,
                    instance_name=workspace.name,
                    action=act.action,
                    trigger_time=whole(act.at),
                    seconds=int(act.seconds),
                    profile=act.profile,
                    rate=workspace.hourly_rate,
                    note=act.note,
                )
                if store.add_past(tx, action):
                    hourly = workspace.hourly_rate
                    tx.happened(
                        HibernationTriggered(
                            **about(workspace),
                            actor=SYSTEM,
                            instance_name=workspace.name,
                            action=act.action,
                            idle_duration=duration(action.seconds),
                            profile=act.profile,
                            estimated_savings=None if hourly is None else round(rate(hourly), 2),
                            note=act.note,
                        )
                    )
