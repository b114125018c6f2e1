"""The state of a workspace and the next step: one table, pure functions without a clock."""

import shlex
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from prism.errors import InvalidState, ValidationFailed
from prism.lifecycle import COMES_UP, UNDER_WAY, VERBS
from prism.workspaces.model import (
    STOP_HANGS,
    ExtendRequest,
    LifecycleVerb,
    Observed,
    Workspace,
    WorkspaceFailure,
    WorkspaceNotFound,
    WorkspaceState,
)

LATEST_EXPIRY = datetime(2999, 12, 31, tzinfo=UTC)
NOTHING_LATER = f"nothing may expire after {LATEST_EXPIRY:%Y}"
DEFAULT_EXTENSION = timedelta(hours=4)  # also for a resume after the expiry
SLEEP_TIME = timedelta(minutes=10)  # to save the memory; money is reserved for it
SURVEY_GAP = timedelta(seconds=60)  # between surveys; times within a longer gap are estimated
STOP_RETRY = timedelta(minutes=15)  # after a refused stop
WENT_DOWN = {Observed.OFF, Observed.ASLEEP, Observed.STOPPING, Observed.BROKEN, Observed.GONE}
BRINGS_UP = {LifecycleVerb.LAUNCH, LifecycleVerb.START, LifecycleVerb.RESUME}


class WorkspaceAction(StrEnum):
    """The next action of the reconciler on a machine."""

    LAUNCH = "launch"
    START = "start"
    STOP = "stop"
    HIBERNATE = "hibernate"
    TERMINATE = "terminate"
    WAIT = "wait"
    REST = "rest"
    FORGET = "forget"


class PlannedAction(Struct, frozen=True):
    """The state to show, and the next action."""

    state: WorkspaceState
    act: WorkspaceAction


# Rows: the requested verb. Columns: the observed state. `kept` is every request that was
# fulfilled: from then on Prism only observes. A machine that somebody stops in AWS's console
# stays stopped, so it is not billed. A machine that vanished is never replaced.
TABLE = """
          none              unsure            starting              on                     stopping              off                   asleep                broken                gone
launch    launching:launch  launching:launch  launching:wait        running:rest           stopping:wait         stopped:rest          hibernated:rest       failed:rest           failed:rest
start     starting:launch   starting:launch   starting:wait         running:rest           starting:wait         starting:start        starting:start        failed:rest           failed:rest
resume    failed:rest       resuming:wait     resuming:wait         running:rest           resuming:wait         resuming:start        resuming:start        failed:rest           failed:rest
stop      stopped:rest      stopping:wait     stopping:stop         stopping:stop          stopping:wait         stopped:rest          hibernated:rest       failed:rest           failed:rest
hibernate failed:rest       hibernating:wait  hibernating:wait      hibernating:hibernate  hibernating:wait      stopped:rest          hibernated:rest       failed:rest           failed:rest
terminate terminated:rest   terminating:wait  terminating:terminate terminating:terminate  terminating:terminate terminating:terminate terminating:terminate terminating:terminate terminated:rest
kept      stopped:rest      stopped:wait      starting:wait         running:rest           stopping:wait         stopped:rest          hibernated:rest       failed:rest           failed:rest
"""  # noqa: E501


def _parse_table(table: str) -> dict[tuple[str, Observed], PlannedAction]:
    head, *lines = table.strip().splitlines()
    steps = {}
    for row, *cells in (line.split() for line in lines):
        for observed, cell in zip(head.split(), cells, strict=True):
            state, _, act = cell.partition(":")
            steps[row, Observed(observed)] = PlannedAction(
                WorkspaceState(state), WorkspaceAction(act)
            )
    return steps


STEPS = _parse_table(TABLE)
# The states in which a verb is possible, and those in which it is under way or done.
STORED = {verb: VERBS[verb] for verb in LifecycleVerb if verb in VERBS}
POSSIBLE = {verb: {*map(WorkspaceState, declared.possible)} for verb, declared in STORED.items()}
DONE = {verb: {*map(WorkspaceState, declared.done)} for verb, declared in STORED.items()}
RESTARTS_AS_START = {*map(WorkspaceState, VERBS["restart"].possible - VERBS["restart"].bulk)}
IN_BETWEEN = {*map(WorkspaceState, UNDER_WAY)}
COMES_UP_STATES = {*map(WorkspaceState, COMES_UP)}
ACTIVE = {WorkspaceState.RUNNING, *COMES_UP_STATES}
# How to get a workspace running; repeating a verb that is under way waits for its end.
LIST_HINT = "Use `prism workspace list` to see available workspaces"
SHOW_HINT = "Look at it with `prism workspace show {name}`"
RUN_HINTS = {
    WorkspaceState.LAUNCHING: (
        "Wait until it runs; see how far it is: `prism workspace show {name}`"
    ),
    WorkspaceState.STARTING: "Wait until it runs: `prism start {name}`",
    WorkspaceState.RESUMING: "Wait until it runs: `prism resume {name}`",
    WorkspaceState.STOPPING: "Start it again once it has stopped: `prism start {name}`",
    WorkspaceState.STOPPED: "Start it: `prism start {name}`",
    WorkspaceState.HIBERNATING: "Resume it once it is hibernated: `prism resume {name}`",
    WorkspaceState.HIBERNATED: "Resume it: `prism resume {name}`",
    WorkspaceState.FAILED: (
        "See why with `prism workspace show {name}`; try again: `prism start {name}`"
    ),
    WorkspaceState.TERMINATING: LIST_HINT,
    WorkspaceState.TERMINATED: LIST_HINT,
}


def plan(workspace: Workspace, observed: Observed) -> PlannedAction:
    """The next step, from the last request and the observed state."""
    if not workspace.is_done:
        asked_again = workspace.verb is LifecycleVerb.STOP and not workspace.is_attempted
        if asked_again and hangs(workspace, observed):
            return PlannedAction(WorkspaceState.STOPPING, WorkspaceAction.STOP)
        return STEPS[workspace.verb, observed]
    if workspace.verb is LifecycleVerb.TERMINATE:
        return PlannedAction(WorkspaceState.TERMINATED, WorkspaceAction.FORGET)
    return STEPS["kept", observed]


def hangs(workspace: Workspace, observed: Observed) -> bool:
    """Whether the machine hangs while it stops; the next request to stop then forces it."""
    failure = workspace.failure
    return observed is Observed.STOPPING and failure is not None and failure.code == STOP_HANGS


def state_of(workspace: Workspace) -> WorkspaceState:
    """The state on the wire, from what was last observed."""
    return plan(workspace, without_old_failure(workspace, workspace.observed)).state


def without_old_failure(workspace: Workspace, observed: Observed) -> Observed:
    """`observed`, or the state without a failure that is older than the last request."""
    again = workspace.verb is LifecycleVerb.START and not workspace.is_attempted
    if observed is Observed.BROKEN and again:
        return Observed.OFF if workspace.machine_id else Observed.NONE
    if (
        observed is Observed.BROKEN
        and workspace.verb is LifecycleVerb.TERMINATE
        and not workspace.machine_id
    ):
        return Observed.NONE  # refused before a machine existed
    return observed


def perceive(
    workspace: Workspace, surveyed: Observed | None, now: datetime, patience: timedelta
) -> Observed:
    """The observed state after a survey: a machine that is not listed may still exist.

    `patience` is how long a new machine may be missing from surveys.
    """
    if surveyed is not None:
        return without_old_failure(workspace, surveyed)
    if workspace.observed is Observed.GONE:
        return Observed.GONE
    promised = workspace.machine_id is not None
    if workspace.provider_called_at and now < workspace.provider_called_at + patience:
        return workspace.observed if promised else Observed.UNSURE
    if promised:
        return Observed.GONE
    return without_old_failure(
        workspace, Observed.BROKEN if workspace.observed is Observed.BROKEN else Observed.NONE
    )


def expiring(workspace: Workspace, state: WorkspaceState, now: datetime) -> LifecycleVerb | None:
    """The verb with which an expired workspace goes to sleep; None if it has not expired."""
    at = sleep_at(workspace)
    if at is None or now < at or state is not WorkspaceState.RUNNING:
        return None
    return sleep_verb(workspace)


def sleep_verb(workspace: Workspace) -> LifecycleVerb:
    """The verb for going to sleep: stop, if hibernation is impossible or was refused."""
    refused = workspace.verb is LifecycleVerb.HIBERNATE and _was_refused(workspace)
    return LifecycleVerb.HIBERNATE if workspace.hibernation and not refused else LifecycleVerb.STOP


def sleep_at(workspace: Workspace) -> datetime | None:
    """When Prism puts a workspace to sleep: at its deadline, or later after a refusal."""
    at = deadline(workspace)
    if at is None or workspace.requested_at < at or not _was_refused(workspace):
        return at
    return may_sleep_at(workspace)


def may_sleep_at(workspace: Workspace) -> datetime:
    """When Prism may put a workspace to sleep again: at once, except after a refused stop."""
    stop_refused = workspace.verb is LifecycleVerb.STOP and _was_refused(workspace)
    return workspace.requested_at + (STOP_RETRY if stop_refused else timedelta(0))


def _was_refused(workspace: Workspace) -> bool:
    """Whether the provider has refused the last request."""
    return workspace.is_done and workspace.is_attempted and workspace.failure is not None


def deadline(workspace: Workspace) -> datetime | None:
    """When the machine goes to sleep by itself: at its expiry, or when its reservation ends."""
    known = (workspace.expires_at, workspace.reserved_until)
    return min((at for at in known if at is not None), default=None)


def asleep_since(
    workspace: Workspace, dozed: datetime, looked: datetime, now: datetime
) -> datetime:
    """Since when a machine has been asleep.

    `dozed` is when it began to fall asleep, `looked` the last survey that saw it awake. The time
    between is unknown: Prism assumes all that was paid for, to `SLEEP_TIME` after the deadline.
    """
    began = min(dozed, deadline(workspace) or dozed)
    return min(now, max(dozed, looked + SURVEY_GAP, began + SLEEP_TIME))


def starts_again(workspace: Workspace, now: datetime) -> bool:
    """Whether Prism starts a workspace again that was interrupted while it ran or came up.

    It does so if that is set, and if its launch was interrupted, which is not done yet.
    """
    is_launch = workspace.verb is LifecycleVerb.LAUNCH and workspace.ready_at is None
    nobody_else = workspace.is_done and workspace.verb in BRINGS_UP
    expired = workspace.expires_at is not None and workspace.expires_at <= now
    is_wanted = (workspace.restart or is_launch) and nobody_else and not expired
    return is_wanted and workspace.observed is Observed.OFF


def ran_unseen(before: Workspace, after: Workspace, started: datetime | None) -> bool:
    """Whether a machine ran for the last request and went down again between two surveys."""
    if started is None or before.is_done or before.verb not in BRINGS_UP:
        return False
    ran = before.observed is Observed.ON or before.charged
    requested_at = before.requested_at.replace(microsecond=0)  # as some providers report
    return not ran and after.observed in WENT_DOWN and started >= requested_at


def expiry_after(workspace: Workspace, verb: LifecycleVerb, now: datetime) -> datetime | None:
    """The expiry after `verb`: if you wake an expired workspace, it gets some more hours."""
    at, starts = workspace.expires_at, verb in {LifecycleVerb.START, LifecycleVerb.RESUME}
    return now + DEFAULT_EXTENSION if starts and at is not None and at <= now else at


def requested_expiry(
    request: ExtendRequest, expires_at: datetime | None, now: datetime
) -> datetime | None:
    """The expiry that was requested; hours are added to the old one, even if that has passed.

    Raises `ValidationFailed` for a time in the past, or beyond `LATEST_EXPIRY`.
    """
    hours, at = request.hours, request.expires_at
    if at is not UNSET:
        if hours is not UNSET:
            raise ValidationFailed.of(("hours", "is given beside expires_at: give one of them"))
        if at <= now:
            raise ValidationFailed.of(("expires_at", "has passed; to end it now, stop it"))
        if at > LATEST_EXPIRY:
            raise ValidationFailed.of(("expires_at", NOTHING_LATER))
        return at.astimezone(UTC)
    if hours is None:
        return None
    added = DEFAULT_EXTENSION if hours is UNSET or hours <= 0 else timedelta(hours=hours)
    new = (expires_at or now) + added
    if new > LATEST_EXPIRY:
        raise ValidationFailed.of(("hours", NOTHING_LATER))
    return new


def with_request(
    workspace: Workspace,
    verb: LifecycleVerb,
    at: datetime,
    by: str,
    *,
    reason: str | None = None,
    expires_at: datetime | UnsetType | None = UNSET,
) -> Workspace:
    """The workspace after a request for `verb`, which cancels an unfinished restart."""
    return replace(
        workspace,
        verb=verb,
        generation=workspace.generation + 1,
        requested_at=at,
        requested_by=by,
        request_reason=reason,
        expires_at=workspace.expires_at if expires_at is UNSET else expires_at,
        restarting=False,
    )


def verb_to_request(
    workspace: Workspace, verb: LifecycleVerb, *, seen: bool = True
) -> LifecycleVerb | None:
    """The verb to store, or None if nothing has to be done; raises `InvalidState`.

    If its machine was not `seen` since the daemon's start, its state may be wrong. Then the verb
    is stored even if the state says that it is done.
    """
    state = state_of(workspace)
    if (
        verb is LifecycleVerb.STOP
        and state is not WorkspaceState.TERMINATING
        and hangs(workspace, workspace.observed)
    ):
        return verb
    if state in DONE[verb]:
        return None if seen or state in IN_BETWEEN else verb
    lost = workspace.observed is Observed.GONE and verb is not LifecycleVerb.TERMINATE
    if lost or state not in POSSIBLE[verb]:
        why = f"{verb} is not possible while {state}; possible: {_allowed_verbs(workspace)}"
        raise _invalid_state(workspace, why, SHOW_HINT)
    return (
        LifecycleVerb.RESUME
        if verb is LifecycleVerb.START and state is WorkspaceState.HIBERNATED
        else verb
    )


def may_read_template_again(workspace: Workspace) -> None:
    """Raise `InvalidState` unless it is down and was never ready: its disk has no work."""
    state, name = state_of(workspace), workspace.name
    if workspace.ready_at is not None:
        why = "it has been ready before, and a new setup could destroy what is on its disk"
        remedy = f"Start it as it is: `prism start {name}`; or launch another from the template: "
        remedy += f"`prism launch {shlex.quote(workspace.template)} NEW-NAME`"
    elif state not in RESTARTS_AS_START or workspace.observed is Observed.GONE:
        why = f"it is {state}; only one that is failed or stopped can be set up anew"
        remedy = f"Look at it with `prism workspace show {name}`"
    else:
        return
    raise InvalidState(
        f"Workspace {name!r} cannot use its template again",
        details=why,
        remediation=remedy,
        data={"state": state, "allowed": possible(workspace)},
    )


def may_resize(workspace: Workspace) -> None:
    """Raise `InvalidState` unless it is stopped: its machine must be off, but its disk kept."""
    if (
        state := state_of(workspace)
    ) is WorkspaceState.STOPPED and workspace.machine_id is not None:
        return
    why = f"resize is not possible while {state}; a machine changes its type while stopped"
    raise _invalid_state(workspace, why, "Stop it first: `prism workspace stop {name}`")


def may_roll_back(workspace: Workspace) -> None:
    """Raise `InvalidState` unless its disk exists and no program needs its memory."""
    state, name = state_of(workspace), workspace.name
    if workspace.rollback_to is not None:
        why = "a rollback of it is under way"
        raise _invalid_state(workspace, why, SHOW_HINT)
    fit = state in {WorkspaceState.RUNNING, *RESTARTS_AS_START}
    if fit and workspace.machine_id is not None and workspace.observed is not Observed.GONE:
        return
    hints = {WorkspaceState.HIBERNATED: f"Resume it first: `prism resume {name}`"}
    why = f"rollback is not possible while {state}; possible while running, stopped or failed"
    raise _invalid_state(workspace, why, hints.get(state, SHOW_HINT))


def require_living(workspace: Workspace, nothing_left_to: str) -> None:
    """Raise `InvalidState` if it is being destroyed; `nothing_left_to` ends the message."""
    if state_of(workspace) in {WorkspaceState.TERMINATING, WorkspaceState.TERMINATED}:
        raise _invalid_state(workspace, f"there is nothing left to {nothing_left_to}", LIST_HINT)


def restart_begins_with(workspace: Workspace) -> LifecycleVerb:
    """The first verb of a restart: `stop`, or `start` if it is down; or `InvalidState`."""
    state, gone = state_of(workspace), workspace.observed is Observed.GONE
    if state is WorkspaceState.RUNNING:
        return LifecycleVerb.STOP
    if state in RESTARTS_AS_START and not gone:
        return LifecycleVerb.START
    why = f"restart is not possible while {state}; possible: {_allowed_verbs(workspace)}"
    raise _invalid_state(workspace, why, SHOW_HINT)


def restart_stopped(workspace: Workspace) -> bool | None:
    """Whether a restart continues with its start; False if the restart ends, None if not yet.

    A restart ends if the provider refused to stop the machine, or if the machine is lost.
    """
    if not (workspace.restarting and workspace.is_done):
        return None
    down = state_of(workspace) in {*RESTARTS_AS_START, WorkspaceState.HIBERNATED}
    return down and workspace.observed is not Observed.GONE


def possible(workspace: Workspace) -> list[LifecycleVerb]:
    """The verbs that would change something now; only `terminate` if the machine is gone."""
    state, gone = state_of(workspace), workspace.observed is Observed.GONE
    verbs = [verb for verb, states in POSSIBLE.items() if state in states]
    return [verb for verb in verbs if verb is LifecycleVerb.TERMINATE or not gone]


def not_running(workspace: Workspace) -> InvalidState:
    """The problem if you connect to a workspace that does not run."""
    state = state_of(workspace)
    gone = state is WorkspaceState.FAILED and workspace.observed is Observed.GONE
    hint = SHOW_HINT if gone else RUN_HINTS.get(state, SHOW_HINT)
    why = f"you can connect only while it is running; possible: {_allowed_verbs(workspace)}"
    return _invalid_state(workspace, why, hint, because=workspace.failure)


def elsewhere(workspace: Workspace) -> WorkspaceNotFound:
    """The problem if this daemon does not serve the location of a workspace."""
    return WorkspaceNotFound(
        f"Workspace {workspace.name!r} is not on this machine",
        details=f"it runs at {workspace.location}; use the daemon there",
        remediation=f"Look at it with `prism workspace show {workspace.name}`",
    )


def _invalid_state(
    workspace: Workspace, why: str, hint: str, because: WorkspaceFailure | None = None
) -> InvalidState:
    state = state_of(workspace)
    reason = f": {because.message.partition('. ')[0]}" if because else ""
    return InvalidState(
        f"Workspace {workspace.name!r} is {state}{reason}",
        details=why,
        remediation=hint.format(name=workspace.name),
        data={"state": state, "allowed": possible(workspace)},
    )


def _allowed_verbs(workspace: Workspace) -> str:
    verbs = ", ".join(possible(workspace)) or "nothing"
    return f"{verbs} (its machine is gone)" if workspace.observed is Observed.GONE else verbs
