"""Turns an observed machine into columns of its workspace's row. Pure functions."""

from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from prism.profiles.providers import traits_of
from prism.workspaces.model import STOP_HANGS, Failure, LifecycleVerb, Observed, Workspace
from prism.workspaces.plan import STEPS, SURVEY_GAP, WorkspaceAction, asleep_since, ran_unseen
from prism.workspaces.ports import Machine, ProviderRefused

RUNS = {Observed.STARTING, Observed.ON}
DOWN = {Observed.OFF, Observed.ASLEEP, Observed.STOPPING}
VANISHED = Failure("MACHINE_VANISHED", "Its machine was destroyed outside of Prism")


def differs(workspace: Workspace, machine: Machine | None) -> bool:
    """Whether the observed machine differs from the row."""
    if machine is None:
        return workspace.machine_id is not None and workspace.seen is not Observed.GONE
    return any(
        getattr(workspace, field) != value
        for field, value in _observed_facts(workspace, machine.seen, machine).items()
    )


def machine_columns(
    workspace: Workspace, seen: Observed, machine: Machine | None, now: datetime
) -> dict[str, Any]:
    """The columns for an observed machine; `machine` is None if there is none."""
    slept = (workspace.hibernated_at or now) if seen is Observed.ASLEEP else None
    if machine is not None:
        return {
            **_observed_facts(workspace, seen, machine),
            **_attempt_spent(workspace, machine),
            "hibernated_at": slept,
        }
    why = _vanished_failure(workspace, seen) or workspace.failure
    paid = workspace.charged and seen is workspace.seen
    return {"seen": seen, "charged": paid, "hibernated_at": slept, "failure": why}


class Since(NamedTuple):
    """When the observed state began, whether that was observed, and a run before it."""

    at: datetime
    sure: bool
    started: datetime | None = None  # when its last run began, if no survey can have seen it
    interrupted: bool = False  # whether something that nobody requested ended its run


def observed_since(
    workspace: Workspace,
    machine: Machine | None,
    seen: Observed,
    surveyed: datetime | None,
    now: datetime,
) -> Since:
    """When the observed state began; `surveyed` is the time of the survey before, if any.

    The provider's own time counts. A machine that went down by itself did so at its expiry,
    even if Prism observes that much later because a laptop slept.
    """
    looked = max(workspace.wished_at, surveyed or workspace.wished_at)
    sure = now - looked <= SURVEY_GAP  # a longer gap is estimated
    known = machine.since if machine is not None else None
    started = machine.started if machine is not None and not sure else None
    at, expiry = now, workspace.told_expiry
    if machine is not None and machine.dozed is not None:
        at = asleep_since(workspace, machine.dozed, looked, now)
    elif (
        expiry is not None
        and looked <= expiry <= now
        and _went_down(workspace, seen, started)
        and (known is None or (known > expiry and traits_of(workspace.place).sleeps_with_host))
    ):  # the whole computer slept, so the machine used no CPU
        at, sure = expiry, False
    elif known is not None:
        at, sure = min(known, now), True
    return Since(at, sure, started, machine is not None and machine.interrupted)


def _went_down(workspace: Workspace, seen: Observed, started: datetime | None) -> bool:
    """Whether it ran as requested and is off now, although nobody requested that."""
    ran = workspace.seen is Observed.ON and workspace.granted == workspace.wish
    return seen in DOWN and (ran or ran_unseen(workspace, replace(workspace, seen=seen), started))


def refusal_columns(
    workspace: Workspace, act: WorkspaceAction, refusal: ProviderRefused
) -> dict[str, Any]:
    """The columns after a refusal: Prism gives the request up, unless it is a termination.

    A termination is repeated until it succeeds, because a forgotten machine would cost money for
    ever.
    """
    tried = {"failure": Failure(refusal.code, refusal.message), "tried": workspace.wish}
    if workspace.verb is LifecycleVerb.TERMINATE:  # even if a stop for its backup is refused
        return tried
    lost = {"seen": Observed.BROKEN, "asked_at": None} if act is WorkspaceAction.LAUNCH else {}
    return {"granted": workspace.wish, **tried, **lost}


def changed_type(workspace: Workspace, machine: Machine | None) -> str | None:
    """The machine's type, if it is neither the type at its launch nor the requested one.

    A type changes only while the machine is off. It is read only while the machine runs, because
    after a change a list of EC2 can still show the old type.
    """
    if machine is None or machine.seen not in RUNS or machine.type is None:
        return None
    known = {workspace.told_type or workspace.instance_type, workspace.instance_type}
    return None if machine.type in known else machine.type


def _observed_facts(workspace: Workspace, seen: Observed, machine: Machine) -> dict[str, Any]:
    ips = {"public_ip": machine.public_ip, "private_ip": machine.private_ip}
    done = (
        100
        if seen is Observed.ON
        else workspace.progress
        if machine.progress is None
        else machine.progress
    )
    why = machine.failure or _vanished_failure(workspace, seen) or _still_refused(workspace, seen)
    status = {"stage": machine.stage, "progress": done, "failure": why, "charged": machine.charged}
    kind = {"told_type": new} if (new := changed_type(workspace, machine)) else {}
    return {"seen": seen, "machine_id": machine.id, **ips, **status, **kind}


def _attempt_spent(workspace: Workspace, machine: Machine) -> dict[str, Any]:
    """Count the attempt as made if the machine hangs, so that a new request forces a stop."""
    new = machine.failure is not None and machine.failure.code == STOP_HANGS
    known = workspace.failure is not None and workspace.failure.code == STOP_HANGS
    return {"tried": workspace.wish} if new and not known else {}


def _vanished_failure(workspace: Workspace, seen: Observed) -> Failure | None:
    """The failure if the machine is gone without a request for that."""
    return (
        VANISHED
        if seen is Observed.GONE and workspace.verb is not LifecycleVerb.TERMINATE
        else None
    )


def _still_refused(workspace: Workspace, seen: Observed) -> Failure | None:
    """The failure of the last request, until another state is observed or requested."""
    wanting = {
        WorkspaceAction.START,
        WorkspaceAction.STOP,
        WorkspaceAction.HIBERNATE,
        WorkspaceAction.TERMINATE,
    }
    lacking = (
        STEPS[workspace.verb, seen].act in wanting or seen is Observed.OFF
    )  # off, so its type can have changed
    return (
        workspace.failure
        if lacking and workspace.tried == workspace.wish and workspace.seen is seen
        else None
    )
