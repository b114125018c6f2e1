"""Fulfils requests for workspaces: observe, plan, act, record."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import ColumnElement

from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.reconcile import NEVER_DUE, Claim, ReconcileResult, in_locations
from prism.profiles.providers import provider_of
from prism.workspaces import store
from prism.workspaces.attachment_hosts import termination_step, zone_of
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.events import (
    SYSTEM,
    WorkspaceFailureChanged,
    WorkspaceForgotten,
    WorkspaceNoted,
    WorkspaceProgressed,
    WorkspaceStateChanged,
    about,
)
from prism.workspaces.hooks import IdleRules, RunningTime
from prism.workspaces.idleness import IdleRule
from prism.workspaces.machine_spec import machine_spec
from prism.workspaces.metadata_sync import describe
from prism.workspaces.model import (
    LifecycleVerb,
    Observed,
    Workspace,
    WorkspaceFailure,
    WorkspaceState,
)
from prism.workspaces.plan import (
    BRINGS_UP,
    IN_BETWEEN,
    WorkspaceAction,
    deadline,
    expiring,
    hangs,
    perceive,
    plan,
    ran_unseen,
    restart_stopped,
    sleep_at,
    starts_again,
    state_of,
)
from prism.workspaces.ports import (
    Compute,
    FindsById,
    Machine,
    MachineObserver,
    NextAttempt,
    ProviderRefused,
    SingleMachineSurvey,
)
from prism.workspaces.rollback import RollbackService
from prism.workspaces.rollback_step import RollbackEnd, rollback_step
from prism.workspaces.service import WorkspaceService
from prism.workspaces.surveys.first_surveys import FirstSurveys
from prism.workspaces.surveys.machine_notes import MachineNotes
from prism.workspaces.surveys.observations import (
    StateStart,
    changed_type,
    differs,
    machine_columns,
    observed_since,
    refusal_columns,
)
from prism.workspaces.surveys.survey_cache import Machines, Survey, SurveyCache

AT_ONCE = timedelta(0)
REFUSED_TYPE = "refused_type"  # not a column: the type that was refused
OTHER_TYPE = "other_type"  # not a column: its machine's type, changed outside of Prism
KNOWN_RULE = "known_rule"  # not a column: a `KnownRule`
CONFIRMED_A_SECOND = 200  # machines, on average, to limit the writes of a large fleet
CONFIRM_WITHIN = timedelta(seconds=45)  # less than `ledger.RECENT_SURVEY`
DESCRIBE_RETRY = timedelta(seconds=30)  # after metadata could not be written to a machine
BEFORE_ROLLBACK_ENDS = {WorkspaceAction.REST, WorkspaceAction.START}
ENDS_RUN = {WorkspaceAction.STOP, WorkspaceAction.HIBERNATE, WorkspaceAction.TERMINATE}


class KnownRule(NamedTuple):
    """The idle rule that a machine was made with; None if no idle profile watches it."""

    machine: str
    rule: IdleRule | None


class ClaimedRows(NamedTuple):
    """The rows of several workspaces by id, and the surveys to compare them with."""

    rows: Mapping[str, Workspace]
    surveys: SurveyCache


class MatchingSurvey(NamedTuple):
    """A survey that agreed with all rows, and its machines with running costs, by location."""

    rows: Sequence[Workspace]
    machines: Mapping[str, Machines]
    costing: Mapping[str, Sequence[str]]


class WorkspaceReconciler:
    """Brings every workspace to the state that was requested."""

    rows = store.workspaces

    def __init__(
        self,
        db: Database,
        clock: Clock,
        computes: Mapping[str, Compute],
        retention: timedelta,
        *,
        observers: Sequence[MachineObserver],
        notes: MachineNotes,
        rules: IdleRules,
        mispriced: Callable[[], object],
        running: Sequence[RunningTime],
        is_paused: Callable[[datetime], bool],
        requests: WorkspaceService,
        changes: WorkspaceChanges,
        living: Callable[[Collection[str]], Sequence[Workspace]],
        first_surveys: FirstSurveys,
        rollbacks: RollbackService,
    ) -> None:
        self._db, self._clock, self._computes = db, clock, computes
        self._retention, self._changes, self._observers = retention, changes, observers
        self._notes, self._rules = notes, rules
        self._mispriced, self._running = mispriced, running
        self._is_paused = is_paused  # whether requests of that time must wait for `prism recover`
        self._requests = requests  # to write columns of requests
        self._living, self._first_surveys = living, first_surveys
        self._rollbacks = rollbacks
        self._matching: dict[str, tuple[Workspace, Machine | None]] = {}
        self._last_agreement: MatchingSurvey | None = None
        self._survey_cache = SurveyCache(computes, clock)
        self._surveyed: dict[str, datetime] = {}  # the time of the survey before, by location
        self._confirmed: dict[str, datetime] = {}  # the time of that survey, by location
        self.last_surveys: Mapping[str, Survey] = {}
        """The surveys of the last `mark_due`, by location."""

    def reachable(self) -> ColumnElement[bool]:
        """The rows of the locations whose provider this daemon serves."""
        return in_locations(self.rows, self._computes)

    def mark_due(self) -> timedelta:
        """Survey each location; workspaces that differ from the survey become due."""
        surveys = self._survey_cache.anew()
        self._surveyed |= {
            location: last.at
            for location, last in self.last_surveys.items()
            if last.problem is None
        }
        self.last_surveys = surveys
        machines = {
            location: survey.machines()
            for location, survey in surveys.items()
            if survey.problem is None
        }
        observed = {location: machines.get(location, {}).values() for location in surveys}
        for observer in (self._notes, *self._observers):
            observer.saw(observed)
        changed, costing = self._compared(machines)
        running = {
            location: ids
            for location, ids in costing.items()
            if self._is_confirmation_due(location, len(ids))
        }
        if changed or running:
            with self._db.write() as tx:
                if changed:
                    store.make_due(tx, changed, self._clock.now())
                for location, ids in running.items():
                    for listener in self._running:
                        listener.confirmed(tx, ids, surveys[location].at)
            self._confirmed |= {location: surveys[location].at for location in running}
        for location, survey in surveys.items():
            if survey.problem is None:
                self._first_surveys.surveyed(location, changed)
            else:
                self._first_surveys.failed(location)
        return min(compute.calm for compute in self._computes.values())

    def has_news(self, machines: Sequence[Machine]) -> None:
        """Make the workspaces due that differ from these machines, which were just looked at."""
        by_key = {machine.key: machine for machine in machines}
        with self._db.read() as sql:
            rows = store.by_ids(sql, [*by_key])
        if changed := [row.id for row in rows if differs(row, by_key[row.id])]:
            with self._db.write() as tx:
                store.make_due(tx, changed, self._clock.now())

    def _is_confirmation_due(self, location: str, count: int) -> bool:
        """Whether the last confirmation is old enough, for this many machines."""
        before, at = self._confirmed.get(location), self.last_surveys[location].at
        pause = min(timedelta(seconds=count / CONFIRMED_A_SECOND), CONFIRM_WITHIN)
        return before is None or not before <= at < before + pause

    def _compared(
        self, machines: Mapping[str, Machines]
    ) -> tuple[Sequence[str], Mapping[str, Sequence[str]]]:
        """The workspaces that differ from the survey, and those that still cost money.

        The latter are by location, so that their costs can be booked up to this survey.
        Most workspaces are as in the survey before, and are not compared field by field again.
        """
        rows = self._living(machines.keys())
        if (last := self._last_agreement) and last.rows == rows and last.machines == machines:
            return (), last.costing
        matching: dict[str, tuple[Workspace, Machine | None]] = {}
        changed: list[str] = []
        costing: dict[str, list[str]] = {}
        before = self._matching.get
        for workspace in rows:
            id = workspace.id
            pair = (workspace, machines[workspace.location].get(id))
            if before(id) == pair or not differs(*pair):
                matching[id] = pair
            else:
                changed.append(id)
            if _has_running_costs(workspace) and _runs_on(*pair):
                costing.setdefault(workspace.location, []).append(id)
        self._matching = matching
        self._last_agreement = None if changed else MatchingSurvey(rows, machines, costing)
        return changed, costing

    def look(self, claims: Sequence[Claim]) -> ClaimedRows:
        """The claimed rows, with surveys that are made when needed."""
        with self._db.read() as sql:
            rows = store.by_ids(sql, [claim.id for claim in claims])
        return ClaimedRows({workspace.id: workspace for workspace in rows}, self._survey_cache)

    def _machine(self, workspace: Workspace, view: SurveyCache) -> Machine | None:
        machine = _machine_of(self._computes[workspace.location], workspace, view)
        if machine is not None:  # before the change of the row, which is shown with the notes
            self._notes.looked_at(workspace.location, machine)
        return machine

    def reconcile(self, claim: Claim, view: ClaimedRows) -> ReconcileResult:
        """Do the next step for one workspace."""
        before = view.rows[claim.id]
        compute, now = self._computes[before.location], self._clock.now()
        paused = self._is_paused(before.requested_at)
        in_survey = paused or not _is_new(before)
        machine = self._machine(before, view.surveys) if in_survey else None
        observed = perceive(before, machine.observed if machine else None, now, compute.patience)
        since = observed_since(before, machine, observed, self._surveyed.get(before.location), now)
        # It started and stopped between two surveys: do not start it again.
        has_run = ran_unseen(before, replace(before, observed=observed), since.started)
        act = plan(_done(before) if has_run else before, observed).act
        if act is WorkspaceAction.FORGET:
            return self._forget(before, now)
        if paused:
            act = WorkspaceAction.REST if act is WorkspaceAction.REST else WorkspaceAction.WAIT

        columns = _columns(before, observed, machine, now)
        if act is WorkspaceAction.TERMINATE:
            act, why = self._termination_step(before, observed)
            columns |= {"failure": why} if why else {}
        end, act = (None, act) if paused else self._roll_back(before, compute, observed, act)
        try:
            columns |= {} if paused else self._act(claim, before, act, machine)
        except ProviderRefused as error:
            columns |= refusal_columns(before, act, error)
        if end is None or end.failure is None:
            columns |= _files_awaited(before, columns["observed"])
        spec = machine_spec(before, before.attempt, None)
        metadata = {} if paused else describe(compute, before, machine, act, spec)
        if has_run:
            ready_at = before.ready_at or since.started
            columns |= {"observed_generation": before.generation, "ready_at": ready_at}
        outcome = self._result(before, columns | (metadata or {}), since, end)
        return (
            outcome
            if metadata is not None
            else ReconcileResult(min(outcome.look_again, DESCRIBE_RETRY), outcome.record)
        )

    def _termination_step(
        self, workspace: Workspace, observed: Observed
    ) -> tuple[WorkspaceAction, WorkspaceFailure | None]:
        with self._db.read() as sql:
            return termination_step(sql, workspace, observed)

    def _roll_back(
        self, workspace: Workspace, compute: Compute, observed: Observed, act: WorkspaceAction
    ) -> tuple[RollbackEnd | None, WorkspaceAction]:
        """Go on with a rollback, if there is one; it starts once it has its files."""
        if workspace.rollback_to is None or act not in BEFORE_ROLLBACK_ENDS:
            return None, act
        end = rollback_step(self._db, compute, workspace, observed, act)
        return end, WorkspaceAction.WAIT if act is WorkspaceAction.START else act

    def _act(
        self, claim: Claim, workspace: Workspace, act: WorkspaceAction, machine: Machine | None
    ) -> dict[str, Any]:
        compute, now = self._computes[workspace.location], self._clock.now()
        if act is WorkspaceAction.LAUNCH:
            launched, rule = self._launch(claim, workspace, compute)
            self._survey_cache.acted(workspace.id)
            columns = machine_columns(workspace, launched.observed, launched, now)
            if launched.has_rule:
                columns[KNOWN_RULE] = KnownRule(launched.id, rule)
            self._note_limitation(workspace, launched)
            columns |= {"applied_expiry": deadline(workspace)}
            columns |= {"observed_type": workspace.instance_type}
            return {**columns, "attempted_generation": workspace.generation}
        id = machine.id if machine else workspace.machine_id
        # Even if Prism has no right to write the expiry, it can still end the run.
        noted = {} if id is None or act in ENDS_RUN else self._send_expiry(compute, workspace, id)
        if id is not None and machine is not None:
            noted |= self._resize(compute, workspace, machine)
        if act in {WorkspaceAction.WAIT, WorkspaceAction.REST}:
            return noted
        assert id is not None, "the table acts only on machines that were seen"
        try:
            reread = workspace.template_reread and workspace.ready_at is None
            if reread and act is WorkspaceAction.START:
                compute.change_template(id, machine_spec(workspace, workspace.attempt, None))
            getattr(compute, act.value)(id)
        finally:
            self._survey_cache.acted(workspace.id)
        observed = machine.observed if machine else workspace.observed
        if act is WorkspaceAction.STOP and hangs(workspace, observed):
            return {**noted, "attempted_generation": workspace.generation}
        return (
            {**noted, "attempted_generation": workspace.generation, "failure": None}
            if act is WorkspaceAction.START
            else noted
        )

    def _note_limitation(self, workspace: Workspace, machine: Machine) -> None:
        if machine.idle is not None and machine.idle.lacks is not None:
            note = WorkspaceNoted(actor=SYSTEM, **about(workspace), note=machine.idle.lacks)
            with self._db.write() as tx:
                tx.happened(note)

    def _launch(
        self, claim: Claim, workspace: Workspace, compute: Compute
    ) -> tuple[Machine, IdleRule | None]:
        """Launch a machine where there is capacity; the machine, and its idle rule."""
        attempt = workspace.attempt
        while True:
            with self._db.write() as tx:  # before the call, after which a machine may exist
                claim.update(
                    tx,
                    provider_called_at=self._clock.now(),
                    attempt=attempt,
                    observed=Observed.UNSURE,
                )
                rule = self._rules.rule(tx.sql, workspace)
                zone = zone_of(tx.sql, workspace)
            try:
                spec = replace(machine_spec(workspace, attempt, rule), zone=zone)
                return compute.launch(spec), rule
            except NextAttempt:
                attempt += 1
            except ProviderRefused as error:
                if error.code == ProviderRefused.code:  # no capacity: the next one tries elsewhere
                    with self._db.write() as tx:
                        claim.update(tx, attempt=attempt + 1)
                raise

    def _send_expiry(self, compute: Compute, workspace: Workspace, id: str) -> dict[str, Any]:
        at = deadline(workspace)
        if (
            at == workspace.applied_expiry
            or workspace.verb is LifecycleVerb.TERMINATE
            or workspace.observed is Observed.GONE
        ):
            return {}
        compute.expire(id, at, "hibernate" if workspace.hibernation else "stop")
        return {"applied_expiry": at}

    def _resize(self, compute: Compute, workspace: Workspace, machine: Machine) -> dict[str, Any]:
        """Change the machine's type, once the machine is off."""
        same = workspace.observed_type in {None, workspace.instance_type}
        is_off = machine.observed is Observed.OFF
        if same or not is_off or workspace.verb is LifecycleVerb.TERMINATE:
            return {}
        try:
            compute.resize(machine.id, workspace.instance_type)
        except ProviderRefused as error:  # it keeps its type, and can start again
            self._mispriced()
            why = f"It stays {workspace.observed_type}: {error.message_with_remediation}"
            failure = WorkspaceFailure(error.code, why)
            return {
                REFUSED_TYPE: workspace.instance_type,
                "failure": failure,
                "attempted_generation": workspace.generation,
            }
        return {"observed_type": workspace.instance_type}

    def _result(
        self,
        before: Workspace,
        columns: dict[str, Any],
        since: StateStart,
        rollback: RollbackEnd | None,
    ) -> ReconcileResult:
        refused, known = columns.pop(REFUSED_TYPE, None), columns.pop(KNOWN_RULE, None)
        new_type = columns.pop(OTHER_TYPE, None)
        after = replace(before, **columns)
        step = plan(after, after.observed)
        if step.act is WorkspaceAction.REST and not after.is_done:
            columns |= {"observed_generation": before.generation}
        if step.state is WorkspaceState.TERMINATED:
            columns |= {"ended_at": self._clock.now()}

        def record(tx: Tx) -> None:
            if known is not None and self._rules is not None:
                self._rules.knows(tx, before.id, known.machine, known.rule)
            if new_type is not None:
                self._requests.other_type(tx, before.id, new_type)
            self._record(tx, before, columns, since, refused)
            if rollback is not None:
                self._rollbacks.ended(tx, before.id, rollback.failure)

        return ReconcileResult(self._pause(after, step.act), record)

    def _pause(self, after: Workspace, act: WorkspaceAction) -> timedelta:
        now, busy = self._clock.now(), self._computes[after.location].busy
        state = state_of(after)
        if state is WorkspaceState.TERMINATED:
            return self._retention
        if after.rollback_to is not None:
            return busy
        if act is WorkspaceAction.TERMINATE and after.is_attempted:  # and was refused
            return self._computes[after.location].calm
        if act is not WorkspaceAction.REST or state in IN_BETWEEN:
            return busy
        if (at := sleep_at(after)) and state is WorkspaceState.RUNNING:
            return max(AT_ONCE, at - now)
        return NEVER_DUE - now  # a request or a survey makes it due

    def _record(
        self,
        tx: Tx,
        read: Workspace,
        columns: dict[str, Any],
        since: StateStart,
        refused: str | None,
    ) -> None:
        before = store.by_id(tx.sql, read.id)  # read again: there may be a new request
        if before.verb is LifecycleVerb.TERMINATE and before.generation != read.generation:
            columns = columns | {"failure": None}  # it does not delay the termination
        if refused is not None:
            before = self._requests.resize_refused(tx, before, refused)
        now, after = self._clock.now(), replace(before, **columns)
        state = state_of(after)
        if state is WorkspaceState.RUNNING and after.ready_at is None:
            after = replace(after, ready_at=now)
        if after != before:
            self._changes.apply(
                tx,
                before,
                after,
                lambda _: _event_of(before, after),
                since=(since.at, since.sure),
                observed=True,
                meanwhile=_unseen_run(before, after, since),
            )
        is_new = after.observed_generation > before.observed_generation
        if is_new and state is WorkspaceState.RUNNING and after.verb in BRINGS_UP:
            store.record_bring_up(tx, after, provider_of(after.location), now)
        if self._is_paused(after.requested_at):
            return
        if after.is_done and (verb := expiring(after, state, now)):
            self._requests.expired(tx, after, verb, _stop_reason(after))
        if after.restarting:
            self._go_on_with_restart(tx, store.by_id(tx.sql, after.id))
        if since.interrupted and starts_again(after, now):
            self._requests.start_again(after.id, _first_sentence(after.failure))

    def _go_on_with_restart(self, tx: Tx, after: Workspace) -> None:
        """Request the start in the transaction that records the stop."""
        stopped = restart_stopped(after)
        if stopped is None:
            return
        if failure := self._requests.finish_restart(after.id, stopped=stopped):
            current = store.by_id(tx.sql, after.id)
            failed = replace(current, failure=failure, attempted_generation=current.generation)
            event = _event_of(current, failed)
            self._changes.apply(tx, current, failed, lambda _: event, observed=True)

    def _forget(self, workspace: Workspace, now: datetime) -> ReconcileResult:
        left = (workspace.ended_at or now) + self._retention - now
        if left > AT_ONCE:
            return ReconcileResult(left, lambda _: None)

        def forget(tx: Tx) -> None:
            store.forget(tx, workspace.id)
            tx.happened(WorkspaceForgotten(actor=SYSTEM, **about(workspace)))

        return ReconcileResult(NEVER_DUE - now, forget)


def _columns(
    workspace: Workspace, observed: Observed, machine: Machine | None, now: datetime
) -> dict[str, Any]:
    new_type = changed_type(workspace, machine)
    kind = {OTHER_TYPE: new_type} if new_type else {}
    return machine_columns(workspace, observed, machine, now) | kind


def _files_awaited(workspace: Workspace, observed: Observed) -> dict[str, Any]:
    """Columns that show a machine that waits for the files of its snapshot as starting."""
    is_launch = workspace.verb is LifecycleVerb.LAUNCH and workspace.rollback_to is not None
    is_launch = is_launch and observed is Observed.OFF
    return {"observed": Observed.STARTING, "stage": "snapshot"} if is_launch else {}


def _is_new(workspace: Workspace) -> bool:
    """Whether no launch was requested from the provider yet, so that no survey is needed."""
    return (
        workspace.observed is Observed.NONE
        and workspace.provider_called_at is None
        and workspace.machine_id is None
    )


def _machine_of(compute: Compute, workspace: Workspace, view: SurveyCache) -> Machine | None:
    if workspace.machine_id is not None and isinstance(compute, SingleMachineSurvey):
        machine = compute.look_at(workspace.machine_id)
        # If it is gone, a survey may show another machine of the same key, which lives.
        if machine and machine.key == workspace.id and machine.observed is not Observed.GONE:
            return machine
    surveyed = view.at(workspace.location, workspace.id, workspace.requested_at).get(workspace.id)
    return surveyed or _by_id(compute, workspace)


def _by_id(compute: Compute, workspace: Workspace) -> Machine | None:
    """The machine by its id, since a machine that a survey does not show may still exist."""
    existed = workspace.machine_id is not None and workspace.observed is not Observed.GONE
    if not (existed or workspace.observed is Observed.UNSURE) or not isinstance(
        compute, FindsById
    ):
        return None
    return compute.find(workspace.machine_id, machine_spec(workspace, workspace.attempt, None))


def _unseen_run(
    before: Workspace, after: Workspace, since: StateStart
) -> tuple[Workspace, datetime] | None:
    """The run between two surveys that no survey saw, if there was one."""
    if since.started is None or not ran_unseen(before, after, since.started):
        return None
    return replace(after, observed=Observed.ON, failure=None), since.started


def _first_sentence(failure: WorkspaceFailure | None) -> str:
    return failure.message.partition(". ")[0] if failure else "it was interrupted"


def _stop_reason(workspace: Workspace) -> str:
    """Why Prism puts a workspace to sleep now."""
    if workspace.expires_at is not None and workspace.expires_at == deadline(workspace):
        return f"expired at {workspace.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    return f"its money was reserved until {workspace.reserved_until:%Y-%m-%dT%H:%M:%SZ}"


def _has_running_costs(workspace: Workspace) -> bool:
    """Whether a workspace has costs that end when its machine stops."""
    return bool(workspace.hourly_rate) and (workspace.observed is Observed.ON or workspace.charged)


def _done(workspace: Workspace) -> Workspace:
    """The workspace after its last request was fulfilled."""
    return replace(workspace, observed_generation=workspace.generation)


def _runs_on(workspace: Workspace, machine: Machine | None) -> bool:
    """Whether the machine costs what the row says, even if it differs in other fields."""
    return machine is not None and (
        machine.observed is workspace.observed and machine.charged == workspace.charged
    )


def _event_of(
    before: Workspace, after: Workspace
) -> WorkspaceStateChanged | WorkspaceFailureChanged | WorkspaceProgressed:
    previous, state = state_of(before), state_of(after)
    common = {"actor": SYSTEM, **about(after)}
    if previous is state and after.failure is not None and after.failure != before.failure:
        return WorkspaceFailureChanged(**common, state=state, failure=after.failure)
    if previous is state:
        steps: dict[str, Any] = {"stage": after.stage, "progress": after.progress}
        return WorkspaceProgressed(**common, state=state, **steps, failure=after.failure)
    return WorkspaceStateChanged(
        **common, previous_state=previous, state=state, failure=after.failure
    )
