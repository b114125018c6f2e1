"""The built-in idle profiles, and answers about idleness: pure functions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from prism.idle.model import (
    MEASUREMENT_UNITS,
    SHOWN_FIGURES,
    STEP_SECONDS,
    Activity,
    ActivityFigure,
    ActivityPoint,
    ActivityStep,
    FigureSum,
    IdleAction,
    IdleProfile,
    IdleStatus,
    MeasuredFigure,
    TriggeredAction,
    WatchedWorkspace,
    limits_of,
    rule_of,
)
from prism.kit.money import Micros, amount
from prism.workspaces.idleness import Idleness
from prism.workspaces.model import IdleSummary, Workspace, WorkspaceState
from prism.workspaces.plan import state_of

HOUR_SECONDS = 3600
VERDICTS: tuple[Literal["active", "idle", "unknown"], ...] = ("active", "idle", "unknown")
BUILT_IN = (
    IdleProfile(
        name="batch",
        description="Long-running research jobs",
        idle_threshold_minutes=60,
        action="hibernate",
        cpu_threshold=5.0,
        memory_threshold=10.0,
        network_threshold=1024,
        gpu_threshold=5.0,
    ),
    IdleProfile(
        name="gpu",
        description="GPU workstations",
        idle_threshold_minutes=15,
        action="stop",
        cpu_threshold=10.0,
        gpu_threshold=10.0,
    ),
    IdleProfile(
        name="standard",
        description="Notebooks and everyday work",
        idle_threshold_minutes=30,
        action="hibernate",
        cpu_threshold=5.0,
        network_threshold=512,
        disk_threshold=1024,
        gpu_threshold=5.0,
    ),
)
NOTHING_REPORTED = ("nothing is going on",)  # by `prism.agent.idle.verdict`, if nobody did a thing
SERVICES_START = timedelta(minutes=5)


def unknown_minutes(idleness: Idleness) -> int | None:
    """For how many minutes the verdict has been unknown; None if it is known."""
    if idleness.state != "unknown" or idleness.since is None or idleness.until is None:
        return None
    return max(0, int((idleness.until - idleness.since).total_seconds() // 60))


def idle(workspace: Workspace, idleness: Idleness | None, now: datetime) -> IdleSummary:
    """The idleness of a workspace for lists; null if unknown."""
    note = idleness.lacks if idleness else None
    running = state_of(workspace) is WorkspaceState.RUNNING
    if idleness is None or idleness.state is None or not running or workspace.idle_profile is None:
        return IdleSummary(workspace.idle_profile, note=note)
    return IdleSummary(
        workspace.idle_profile,
        idle_minutes=_minutes(idleness, now),
        verdict=idleness.state,
        because=idleness.because,
        note=note,
        never_used=_is_unused(workspace, idleness),
    )


def _is_unused(workspace: Workspace, idleness: Idleness) -> bool:
    """Whether nobody has done anything in a workspace since it was ready.

    Its machine reports what somebody did last, until something else happens. If it has been idle
    since it was ready, and reports nothing, nobody ran a cell, saved a file or typed into a
    terminal. Services are busy for a while when they start, which is no use by a person.
    """
    since, ready_at = idleness.since, workspace.ready_at
    if since is None or ready_at is None or idleness.state != "idle":
        return False
    return idleness.because == NOTHING_REPORTED and since - ready_at <= SERVICES_START


def status(
    workspace: Workspace,
    watched: WatchedWorkspace,
    profile: IdleProfile | None,
    idleness: Idleness | None,
    *,
    last: TriggeredAction | None,
    now: datetime,
) -> IdleStatus:
    """Why a workspace is awake or asleep."""
    rule = None if profile is None else rule_of(watched, profile, workspace.hibernation)
    if state_of(workspace) is not WorkspaceState.RUNNING or profile is None or idleness is None:
        idleness = Idleness()
    awake = watched.awake_until if watched.awake_until and watched.awake_until > now else None
    acts_at = _whole(sleep_time(watched, profile, idleness, now)) if profile else None
    return IdleStatus(
        instance_name=workspace.name,
        state=state_of(workspace),
        profile=watched.profile,
        enabled=watched.enabled and rule is not None,
        idle_threshold_minutes=rule.minutes if rule else None,
        action=rule.action if rule else None,
        verdict=idleness.state,
        since=_whole(idleness.since),
        idle_minutes=_minutes(idleness, now),
        because=idleness.because,
        measured=_measurements(profile, idleness),
        judged_at=_whole(idleness.until),
        keep_awake_until=_whole(awake),
        acts_at=acts_at,
        last=past_action(last, now) if last else None,
    )


def sleep_time(
    watched: WatchedWorkspace, profile: IdleProfile, idleness: Idleness, now: datetime
) -> datetime | None:
    """When an idle machine goes to sleep if it stays idle; None if it does not."""
    if not watched.enabled or idleness.state != "idle" or idleness.since is None:
        return None
    minutes = watched.custom_minutes or profile.idle_threshold_minutes
    due, awake = idleness.since + timedelta(minutes=minutes), watched.awake_until
    return max(due, awake) if awake and awake > now else due


def expiry_notes(workspace: Workspace, until: datetime | None, now: datetime) -> tuple[str, ...]:
    """What puts a workspace to sleep earlier than the time until which it is kept awake."""
    at = workspace.expires_at
    if until is None or at is None or not now < at < until:
        return ()
    hours = -((at - until) // timedelta(hours=1))
    command = f"`prism extend {workspace.name} {hours}`"
    return (f"it expires before that, at {at:%Y-%m-%d %H:%M} UTC: {command}",)


def past_action(triggered: TriggeredAction, now: datetime) -> IdleAction:
    """An action with its savings: the compute cost until the workspace was woken."""
    slept = max((triggered.woken_at or now) - triggered.trigger_time, timedelta(0))
    saved = (
        None
        if triggered.rate is None
        else Micros(triggered.rate * int(slept.total_seconds()) // HOUR_SECONDS)
    )
    return IdleAction(
        instance_name=triggered.instance_name,
        action=triggered.action,
        trigger_time=triggered.trigger_time,
        idle_duration=duration(triggered.seconds),
        profile=triggered.profile,
        estimated_savings=None if saved is None else amount(saved),
        note=triggered.note,
        workspace=triggered.workspace,
    )


def activity(
    workspace: Workspace,
    profile: IdleProfile | None,
    steps: Sequence[ActivityStep],
    acted: Sequence[TriggeredAction],
    now: datetime,
) -> Activity:
    """The activity of the last 24 hours, for a chart."""
    limits = limits_of(profile) if profile else {}
    limits.pop("memory", None)  # judged by its growth; the chart shows how much it holds
    since = now - timedelta(hours=24)
    return Activity(
        instance_name=workspace.name,
        state=state_of(workspace),
        profile=workspace.idle_profile,
        since=since.replace(microsecond=0),
        until=now.replace(microsecond=0),
        step_seconds=STEP_SECONDS,
        figures=tuple(
            ActivityFigure(name=name, unit=MEASUREMENT_UNITS[name], limit=limits.get(name))
            for name in SHOWN_FIGURES
        ),
        points=tuple(_point(step) for step in steps),
        acted=tuple(
            past_action(triggered, now) for triggered in acted if triggered.trigger_time >= since
        ),
    )


def _point(activity_step: ActivityStep) -> ActivityPoint:
    verdict = max(VERDICTS, key=lambda one: activity_step.seconds.get(one, 0))
    return ActivityPoint(
        at=datetime.fromtimestamp(activity_step.number * STEP_SECONDS, UTC),
        verdict=verdict,
        because=activity_step.reasons.get(verdict, ()),
        active_seconds=activity_step.seconds.get("active", 0),
        idle_seconds=activity_step.seconds.get("idle", 0),
        unknown_seconds=activity_step.seconds.get("unknown", 0),
        figures={name: _mean(activity_step.figures.get(name)) for name in SHOWN_FIGURES},
    )


def _mean(used: FigureSum | None) -> float | None:
    return round(used.sum / used.seconds, 2) if used and used.seconds else None


def duration(seconds: int) -> str:
    """A length of time for people."""
    minutes = seconds // 60
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _minutes(idleness: Idleness, now: datetime) -> int | None:
    if idleness.state == "active":
        return 0
    if idleness.state != "idle" or idleness.since is None:
        return None
    return max(0, int((now - idleness.since).total_seconds() // 60))


def _measurements(profile: IdleProfile | None, idleness: Idleness) -> tuple[MeasuredFigure, ...]:
    if profile is None or idleness.state is None:
        return ()
    return tuple(
        MeasuredFigure(
            what=name, value=idleness.figures.get(name), limit=limit, unit=MEASUREMENT_UNITS[name]
        )
        for name, limit in limits_of(profile).items()
    )


def _whole(at: datetime | None) -> datetime | None:
    return at and at.replace(microsecond=0)
