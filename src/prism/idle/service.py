"""Requests about idleness: profiles, a workspace's rules, and past actions."""

from datetime import datetime, timedelta

from msgspec import structs
from sqlalchemy import Connection

from prism.errors import AlreadyExists
from prism.idle import store
from prism.idle.activity import ActivityRecorder
from prism.idle.events import (
    IdleConfigured,
    IdleProfileCreated,
    IdleProfileDeleted,
    KeptAwake,
)
from prism.idle.model import (
    Activity,
    ActivityReader,
    ConfigureIdleRequest,
    DeletedIdleProfile,
    EffectiveIdleRules,
    IdleAction,
    IdleProfile,
    IdleProfileInUse,
    IdleStatus,
    KeepAwakeAnswer,
    NewIdleProfile,
    WatchedWorkspace,
    rule_of,
    sent_rule_text,
)
from prism.idle.plan import BUILT_IN, activity, expiry_notes, past_action, status
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER_DUE
from prism.workspaces import store as workspaces
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.events import about
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import IdleProfileNotFound, Workspace, WorkspaceState
from prism.workspaces.plan import require_living, state_of

MOST_ACTED = 300  # times in 24 hours that a machine can go down for being idle


class IdleService:
    """The requests of one user about idleness."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        actor: Who,
        reader: ActivityReader,
        recorder: ActivityRecorder,
        *,
        changes: WorkspaceChanges,
    ) -> None:
        self._db, self._clock, self._actor, self._reader = db, clock, actor, reader
        self._recorder, self._changes = recorder, changes

    def profiles(self) -> list[IdleProfile]:
        """The built-in profiles, then the others."""
        with self._db.read() as sql:
            return every_profile(sql)

    def create(self, new: NewIdleProfile) -> IdleProfile:
        """Create a profile of your own."""
        profile = IdleProfile(**structs.asdict(new))
        with self._db.write() as tx:
            if find(tx.sql, new.name):
                raise AlreadyExists(
                    f"An idle profile called {new.name!r} already exists",
                    details="a profile cannot be changed, because workspaces rely on it",
                    remediation="Look at them with `prism idle profile list`",
                )
            store.add_profile(tx, profile)
            tx.happened(IdleProfileCreated(actor=self._actor(), subject=new.name))
        return profile

    def delete(self, name: str) -> DeletedIdleProfile:
        """Delete a profile that no workspace uses."""
        with self._db.write() as tx:
            if any(idle_profile.name == name for idle_profile in BUILT_IN):
                raise IdleProfileInUse(
                    f"Idle profile {name!r} is built in",
                    details="built-in profiles cannot be deleted",
                    remediation="Look at them with `prism idle profile list`",
                )
            named(tx.sql, name)
            if count := store.watched_by(tx.sql, name):
                raise IdleProfileInUse(
                    f"Idle profile {name!r} is in use",
                    details=f"workspaces that use it: {count}",
                    remediation="Choose another for them: `prism idle configure NAME standard`",
                )
            store.remove_profile(tx, name)
            tx.happened(IdleProfileDeleted(actor=self._actor(), subject=name))
        return DeletedIdleProfile("Idle profile deleted successfully")

    def configure(self, name: str, request: ConfigureIdleRequest) -> EffectiveIdleRules:
        """Choose a workspace's idle profile."""
        with self._db.write() as tx:
            profile, workspace = named(tx.sql, request.profile), workspaces.named(tx.sql, name)
            require_living(workspace, "watch")
            changes = {
                "profile": profile.name,
                "enabled": request.enabled,
                "custom_minutes": request.custom_threshold_minutes,
                "told": None,  # send it again: a call without an answer may have had an effect
            }
            store.change_watch(tx, workspace.id, self._clock.now(), **changes)
            rule = rule_of(_watched(tx.sql, workspace), profile, workspace.hibernation)
            event = IdleConfigured(
                **about(workspace),
                actor=self._actor(),
                profile=profile.name,
                enabled=request.enabled,
                idle_threshold_minutes=rule.minutes,
                action=rule.action,
            )
            after = structs.replace(workspace, idle_profile=profile.name)
            self._changes.apply(tx, workspace, after, lambda _: event)
        stops = "it cannot hibernate, so it is stopped instead: its memory is lost then"
        return EffectiveIdleRules(
            instance_name=workspace.name,
            profile=profile.name,
            enabled=request.enabled,
            idle_threshold_minutes=rule.minutes,
            action=rule.action,
            notes=(stops,) if rule.action != profile.action else (),
        )

    def keep_awake(self, name: str, minutes: int) -> KeepAwakeAnswer:
        """Keep a workspace awake, even if it is idle; 0 minutes end that."""
        with self._db.write() as tx:
            workspace, now = workspaces.named(tx.sql, name), self._clock.now()
            require_living(workspace, "watch")
            until = whole(now + timedelta(minutes=minutes)) if minutes else None
            store.change_watch(tx, workspace.id, now, awake_until=until, told=None)
            tx.happened(KeptAwake(**about(workspace), actor=self._actor(), until=until))
        notes = expiry_notes(workspace, until, now)
        return KeepAwakeAnswer(instance_name=workspace.name, keep_awake_until=until, notes=notes)

    def history(self, limit: int) -> list[IdleAction]:
        """The actions on idle workspaces, the newest first."""
        with self._db.read() as sql:
            actions, now = store.past_actions(sql, limit), self._clock.now()
        return [past_action(triggered, now) for triggered in actions]

    def status(self, name: str) -> IdleStatus:
        """Why a workspace is awake or asleep."""
        with self._db.read() as sql:
            workspace = workspaces.named(sql, name)
            watched = _watched(sql, workspace)
            profile = find(sql, watched.profile) if watched.profile else None
            last = next(iter(store.past_actions(sql, 1, workspace.id)), None)
        known = self._reader.of(workspace.id)
        return status(workspace, watched, profile, known, last=last, now=self._clock.now())

    def activity(self, name: str) -> Activity:
        """The activity of the last 24 hours, with the reasons of the verdicts."""
        with self._db.read() as sql:
            workspace = workspaces.named(sql, name)
            watched = _watched(sql, workspace)
            profile = find(sql, watched.profile) if watched.profile else None
            acted = store.past_actions(sql, MOST_ACTED, workspace.id)
        return activity(
            workspace, profile, self._recorder.steps(workspace.id), acted, self._clock.now()
        )


class IdleTracker:
    """Implements `ChangeListener` and `IdleRules`: stores the idle rule of each workspace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def changed(
        self, tx: Tx, before: Workspace | None, after: Workspace, at: object, *, sure: bool
    ) -> None:
        """Add a new workspace's rule, resend it to a new machine, remove it at the end."""
        now = self._clock.now()
        if before is None:
            watched = WatchedWorkspace(
                id=after.id, location=after.location, profile=after.idle_profile
            )
            due_at = NEVER_DUE if after.machine_id is None else now  # there is no machine yet
            store.add_watch(tx, watched, due_at=due_at)
            return
        if after.ended_at is not None:
            store.end_watch(tx, after.id)
            store.end_savings(tx, after.id, now)
            return
        comes_up = (
            state_of(after) is WorkspaceState.RUNNING
            and state_of(before) is not WorkspaceState.RUNNING
        )
        if comes_up:
            store.end_savings(tx, after.id, now)
        if comes_up or after.machine_id != before.machine_id:
            # A machine that cannot be reached while it is down, or starts, can be reached now.
            self._update_watch(tx, after, now)

    def _update_watch(self, tx: Tx, workspace: Workspace, now: datetime) -> None:
        """Store the machine, and have the rule sent unless the machine has it."""
        watched, machine = _watched(tx.sql, workspace), workspace.machine_id
        rule = _rule(tx.sql, watched, workspace)
        due_at = None if machine and watched.told == sent_rule_text(machine, rule) else now
        if due_at is not None or machine != watched.machine:
            store.change_watch(tx, workspace.id, due_at, machine=machine)

    def knows(self, tx: Tx, workspace: str, machine: str, rule: IdleRule | None) -> None:
        """Store the rule with which a machine was made."""
        store.save_sent_rule(tx, workspace, sent_rule_text(machine, rule))

    def resend_rules(self, tx: Tx) -> None:
        """Have the rule sent to all machines, since the database is older than they are."""
        store.resend_rules(tx, self._clock.now())

    def rule(self, sql: Connection, workspace: Workspace) -> IdleRule | None:
        """The rule for a new machine, in case the daemon stops before it can send one."""
        return _rule(sql, _watched(sql, workspace), workspace)


def every_profile(sql: Connection) -> list[IdleProfile]:
    """The built-in profiles, then the others."""
    return [*BUILT_IN, *store.own_profiles(sql)]


def find(sql: Connection, name: str) -> IdleProfile | None:
    """The profile with that name, built in or not; None if there is none."""
    for idle_profile in BUILT_IN:
        if idle_profile.name == name:
            return idle_profile
    return store.own_profile(sql, name)


def named(sql: Connection, name: str) -> IdleProfile:
    """The profile with that name; raises if there is none."""
    if profile := find(sql, name):
        return profile
    known = ", ".join(profile.name for profile in every_profile(sql))
    raise IdleProfileNotFound(
        f"Idle profile {name!r} not found",
        details=f"known: {known}",
        remediation="Look at them with `prism idle profile list`",
    )


def _watched(sql: Connection, workspace: Workspace) -> WatchedWorkspace:
    known = store.watched(sql, workspace.id)
    id, location, profile = workspace.id, workspace.location, workspace.idle_profile
    return known or WatchedWorkspace(id=id, location=location, profile=profile)


def _rule(sql: Connection, watched: WatchedWorkspace, workspace: Workspace) -> IdleRule | None:
    profile = find(sql, watched.profile) if watched.profile else None
    return rule_of(watched, profile, workspace.hibernation) if profile else None
