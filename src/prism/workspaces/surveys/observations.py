"""Turns an observed machine into columns of its workspace's row. Pure functions."""

from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from prism.profiles.providers import traits_of
from prism.workspaces.model import STOP_HANGS, LifecycleVerb, Observed, Workspace, WorkspaceFailure
from prism.workspaces.plan import STEPS, SURVEY_GAP, WorkspaceAction, asleep_since, ran_unseen
from prism.workspaces.ports import Machine, ProviderRefused

RUNS = {Observed.STARTING, Observed.ON}
DOWN = {Observed.OFF, Observed.ASLEEP, Observed.STOPPING}
VANISHED = WorkspaceFailure("MACHINE_VANISHED", "Its machine was destroyed outside of Prism")


def differs(workspace: Workspace, machine: Machine | None) -> bool:
    """Whether the observed machine differs from the row."""
    if machine is None:
        return workspace.machine_id is not None and workspace.observed is not Observed.GONE
    return any(
        getattr(workspace, field) != value
        for field, value in _observed_facts(workspace, machine.observed, machine).items()
    )


def machine_columns(
    workspace: Workspace, observed: Observed, machine: Machine | None, now: datetime
) -> dict[str, Any]:
    """The columns for an observed machine; `machine` is None if there is none."""
    slept = (workspace.hibernated_at or now) if observed is Observed.ASLEEP else None
    if machine is not None:
        return {
            **_observed_facts(workspace, observed, machine),
            **_attempt_spent(workspace, machine),
            "hibernated_at": slept,
        }
    why = _vanished_failure(workspace, observed) or workspace.failure
    paid = workspace.charged and observed is workspace.observed
    return {"observed": observed, "charged": paid, "hibernated_at": slept, "failure": why}


class StateStart(NamedTuple):
    """When the observed state began, whether that was observed, and a run before it."""

    at: datetime
    sure: bool
    started: datetime | None = None  # when its last run began, if no survey can have seen it
    interrupted: bool = False  # whether something that nobody requested ended its run


def observed_since(
    workspace: Workspace,
    machine: Machine | None,
    observed: Observed,
    surveyed: datetime | None,
    now: datetime,
) -> StateStart:
    """When the observed state began; `surveyed` is the time of the survey before, if any.

    The provider's own time counts. A machine that went down by itself did so at its expiry,
    even if Prism observes that much later because a laptop slept.
    """
    looked = max(workspace.requested_at, surveyed or workspace.requested_at)
    sure = now - looked <= SURVEY_GAP  # a longer gap is estimated
    known = machine.since if machine is not None else None
    started = machine.started if machine is not None and not sure else None
    at, expiry = now, workspace.applied_expiry
    if machine is not None and machine.dozed is not None:
        at = asleep_since(workspace, machine.dozed, looked, now)
    elif (
        expiry is not None
        and looked <= expiry <= now
        and _went_down(workspace, observed, started)
        and (known is None or (known > expiry and traits_of(workspace.location).sleeps_with_host))
    ):  # the whole computer slept, so the machine used no CPU
        at, sure = expiry, False
    elif known is not None:
        at, sure = min(known, now), True
    return StateStart(at, sure, started, machine is not None and machine.interrupted)


def _went_down(workspace: Workspace, observed: Observed, started: datetime | None) -> bool:
    """Whether it ran as requested and is off now, although nobody requested that."""
    ran = workspace.observed is Observed.ON and workspace.is_done
    return observed in DOWN and (
        ran or ran_unseen(workspace, replace(workspace, observed=observed), started)
    )


def refusal_columns(
    workspace: Workspace, act: WorkspaceAction, refusal: ProviderRefused
) -> dict[str, Any]:
    """The columns after a refusal: Prism gives the request up, unless it is a termination.

    A termination is repeated until it succeeds, because a forgotten machine would cost money for
    ever.
    """
    tried = {
        "failure": WorkspaceFailure(refusal.code, refusal.message_with_remediation),
        "attempted_generation": workspace.generation,
    }
    if workspace.verb is LifecycleVerb.TERMINATE:  # even if a stop for its backup is refused
        return tried
    lost = (
        {"observed": Observed.BROKEN, "provider_called_at": None}
        if act is WorkspaceAction.LAUNCH
        else {}
    )
    return {"observed_generation": workspace.generation, **tried, **lost}


def changed_type(workspace: Workspace, machine: Machine | None) -> str | None:
    """The machine's type, if it is neither the type at its launch nor the requested one.

    A type changes only while the machine is off. It is read only while the machine runs, because
    after a change a list of EC2 can still show the old type.
    """
    if machine is None or machine.observed not in RUNS or machine.type is None:
        return None
    known = {workspace.observed_type or workspace.instance_type, workspace.instance_type}
    return None if machine.type in known else machine.type


def _observed_facts(workspace: Workspace, observed: Observed, machine: Machine) -> dict[str, Any]:
    ips = {"public_ip": machine.public_ip, "private_ip": machine.private_ip}
    done = (
        100
        if observed is Observed.ON
        else workspace.progress
        if machine.progress is None
        else machine.progress
    )
    # Any other failure of a machine that is being destroyed is about its last run.
    counts = workspace.verb is not LifecycleVerb.TERMINATE or observed is Observed.STOPPING
    why = (
        (machine.failure if counts else None)
        or _vanished_failure(workspace, observed)
        or _still_refused(workspace, observed)
    )
    status = {"stage": machine.stage, "progress": done, "failure": why, "charged": machine.charged}
    kind = {"observed_type": new} if (new := changed_type(workspace, machine)) else {}
    return {"observed": observed, "machine_id": machine.id, **ips, **status, **kind}


def _attempt_spent(workspace: Workspace, machine: Machine) -> dict[str, Any]:
    """Count the attempt as made if the machine hangs, so that a new request forces a stop."""
    new = machine.failure is not None and machine.failure.code == STOP_HANGS
    known = workspace.failure is not None and workspace.failure.code == STOP_HANGS
    return {"attempted_generation": workspace.generation} if new and not known else {}


def _vanished_failure(workspace: Workspace, observed: Observed) -> WorkspaceFailure | None:
    """The failure if the machine is gone without a request for that."""
    return (
        VANISHED
        if observed is Observed.GONE and workspace.verb is not LifecycleVerb.TERMINATE
        else None
    )


def _still_refused(workspace: Workspace, observed: Observed) -> WorkspaceFailure | None:
    """The failure of the last request, until another state is observed or requested."""
    wanting = {
        WorkspaceAction.START,
        WorkspaceAction.STOP,
        WorkspaceAction.HIBERNATE,
        WorkspaceAction.TERMINATE,
    }
    lacking = (
        STEPS[workspace.verb, observed].act in wanting or observed is Observed.OFF
    )  # off, so its type can have changed
    return (
        workspace.failure
        if lacking and workspace.is_attempted and workspace.observed is observed
        else None
    )
