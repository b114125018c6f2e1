"""The tables of decisions, completely."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from msgspec.structs import replace

from prism.errors import InvalidState
from prism.kit.money import Micros
from prism.templates.model import Template
from prism.workspaces.model import (
    STOP_HANGS,
    LifecycleVerb,
    Observed,
    Workspace,
    WorkspaceFailure,
    WorkspaceState,
)
from prism.workspaces.plan import (
    DEFAULT_EXTENSION,
    DONE,
    IN_BETWEEN,
    POSSIBLE,
    WorkspaceAction,
    expiring,
    expiry_after,
    not_running,
    perceive,
    plan,
    restart_stopped,
    state_of,
    verb_to_request,
    without_old_failure,
)
from tests.optional import not_none

AT = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = timedelta(minutes=2)
NEW = Workspace(
    id="ws_1",
    name="mine",
    owner="ada",
    profile="local",
    location="local:here",
    template="t",
    resolved_template=Template(name="t"),
    instance_type="t3.small",
    region="local",
    hourly_rate=Micros(20_800),
    price_source="a price list",
    hibernation=True,
    root_gb=20,
    launched_at=AT,
    requested_at=AT,
)
GOAL = {
    LifecycleVerb.LAUNCH: Observed.ON,
    LifecycleVerb.START: Observed.ON,
    LifecycleVerb.RESUME: Observed.ON,
    LifecycleVerb.STOP: Observed.OFF,
    LifecycleVerb.HIBERNATE: Observed.ASLEEP,
    LifecycleVerb.TERMINATE: Observed.GONE,
}
PAIRS = list(product(LifecycleVerb, Observed))
# The result of each action at a provider without faults.
MAKES = {
    WorkspaceAction.LAUNCH: Observed.ON,
    WorkspaceAction.START: Observed.ON,
    WorkspaceAction.STOP: Observed.OFF,
    WorkspaceAction.HIBERNATE: Observed.ASLEEP,
    WorkspaceAction.TERMINATE: Observed.GONE,
}


def requested(verb, seen=Observed.NONE, granted=False, **more):
    return replace(
        NEW,
        verb=verb,
        generation=2,
        observed=seen,
        observed_generation=2 if granted else 1,
        **more,
    )


@pytest.mark.parametrize(("verb", "seen"), PAIRS)
def test_every_plan_ends_in_rest_after_at_most_one_action(verb, seen):
    acts = []
    while (step := plan(requested(verb), seen)).act is not WorkspaceAction.REST:
        acts.append(step.act)
        seen = MAKES.get(step.act) or {
            Observed.STARTING: Observed.ON,
            Observed.STOPPING: Observed.OFF,
        }.get(seen, Observed.NONE)
        assert len(acts) < 4, acts
    assert len([act for act in acts if act is not WorkspaceAction.WAIT]) <= 1


@pytest.mark.parametrize("verb", LifecycleVerb)
def test_reached_goal_needs_no_action(verb):
    assert plan(requested(verb), GOAL[verb]).act is WorkspaceAction.REST


@pytest.mark.parametrize(
    ("verb", "seen"), [(v, s) for v, s in PAIRS if v is not LifecycleVerb.TERMINATE]
)
def test_granted_wish_causes_no_further_action(verb, seen):
    assert plan(requested(verb, granted=True), seen).act in {
        WorkspaceAction.REST,
        WorkspaceAction.WAIT,
    }


@pytest.mark.parametrize(("verb", "seen"), PAIRS)
def test_state_is_transitional_exactly_while_there_is_an_action(verb, seen):
    step = plan(requested(verb), seen)
    assert (step.state in IN_BETWEEN) is (step.act is not WorkspaceAction.REST)


@pytest.mark.parametrize("verb", set(LifecycleVerb) - {LifecycleVerb.TERMINATE})
def test_vanished_machine_is_failed_and_not_replaced(verb):
    assert plan(requested(verb), Observed.GONE).act is WorkspaceAction.REST
    assert plan(requested(verb), Observed.GONE).state is WorkspaceState.FAILED


@pytest.mark.parametrize("seen", set(Observed) - {Observed.NONE, Observed.UNSURE, Observed.GONE})
def test_terminate_acts_from_every_observed_state(seen):
    assert plan(requested(LifecycleVerb.TERMINATE), seen).act is WorkspaceAction.TERMINATE


def test_stop_hibernate_and_terminate_act_only_for_their_verb():
    for verb, seen, granted in product(LifecycleVerb, Observed, [True, False]):
        act = plan(requested(verb, granted=granted), seen).act
        assert act is not WorkspaceAction.TERMINATE or verb is LifecycleVerb.TERMINATE
        assert act is not WorkspaceAction.STOP or verb is LifecycleVerb.STOP
        assert act is not WorkspaceAction.HIBERNATE or verb is LifecycleVerb.HIBERNATE


@pytest.mark.parametrize(
    ("verb", "seen"), [(v, s) for v, s in PAIRS if v is not LifecycleVerb.LAUNCH]
)
def test_verb_is_admitted_only_from_its_declared_states(verb, seen):
    workspace = requested(
        LifecycleVerb.LAUNCH, seen, granted=True, machine_id="i-1", attempted_generation=2
    )
    state = state_of(workspace)
    if state in DONE[verb]:
        assert verb_to_request(workspace, verb) is None
    elif state in POSSIBLE[verb] and (
        seen is not Observed.GONE or verb is LifecycleVerb.TERMINATE
    ):
        resumes = verb is LifecycleVerb.START and state is WorkspaceState.HIBERNATED
        assert verb_to_request(workspace, verb) is (LifecycleVerb.RESUME if resumes else verb)
    else:
        with pytest.raises(InvalidState) as refused:
            verb_to_request(workspace, verb)
        assert not_none(refused.value.data)["state"] == state


def admitted(workspace, verb):
    try:
        return verb_to_request(workspace, verb) is not None
    except InvalidState:
        return False


@pytest.mark.parametrize(
    ("wish", "seen", "granted"), [*product(LifecycleVerb, Observed, [True, False])]
)
def test_not_running_error_lists_the_admitted_verbs_and_suggests_one(wish, seen, granted):
    workspace = requested(wish, seen, granted, machine_id="i-1", attempted_generation=2)
    problem, state = not_running(workspace), state_of(workspace)
    verbs = [
        verb for verb in set(LifecycleVerb) - {LifecycleVerb.LAUNCH} if admitted(workspace, verb)
    ]
    details = not_none(problem.data)
    assert details["state"] == state
    assert sorted(details["allowed"]) == sorted(verbs)
    suggested = {verb for verb in LifecycleVerb if f"`prism {verb} mine`" in problem.remediation}
    if state in {WorkspaceState.STOPPED, WorkspaceState.HIBERNATED} or (
        LifecycleVerb.START in verbs
    ):
        assert suggested <= set(verbs), "the suggested verb is admitted"
        assert suggested
    elif state in {WorkspaceState.STARTING, WorkspaceState.RESUMING}:
        assert [verb_to_request(workspace, verb) for verb in suggested] == [None], (
            "the suggested verb waits for the present change"
        )
    elif state in {WorkspaceState.STOPPING, WorkspaceState.HIBERNATING}:
        assert "once" in problem.remediation
    else:
        assert not suggested, "no verb makes it run"
    assert state is WorkspaceState.FAILED or LifecycleVerb.TERMINATE not in suggested


@pytest.mark.parametrize("machine_id", [None, "i-1"])
def test_start_after_a_failure_ignores_the_old_failure(machine_id):
    failed = requested(
        LifecycleVerb.LAUNCH,
        Observed.BROKEN,
        granted=True,
        machine_id=machine_id,
        attempted_generation=2,
    )
    assert state_of(failed) is WorkspaceState.FAILED
    assert verb_to_request(failed, LifecycleVerb.START) is LifecycleVerb.START
    again = replace(failed, verb=LifecycleVerb.START, generation=3)
    assert state_of(again) is WorkspaceState.STARTING
    act = plan(again, without_old_failure(again, Observed.BROKEN)).act
    assert act is (WorkspaceAction.START if machine_id else WorkspaceAction.LAUNCH)
    tried = replace(again, attempted_generation=3)
    assert plan(tried, without_old_failure(tried, Observed.BROKEN)).state is WorkspaceState.FAILED


def test_refused_launch_is_terminated_without_a_machine():
    refused = requested(LifecycleVerb.TERMINATE, Observed.BROKEN, attempted_generation=1)
    assert plan(refused, perceive(refused, None, AT, PATIENCE)).state is WorkspaceState.TERMINATED


@pytest.mark.parametrize(
    ("machine_id", "elapsed", "surveyed", "means"),
    [
        (None, None, None, Observed.NONE),
        (None, timedelta(0), None, Observed.UNSURE),
        (None, PATIENCE, None, Observed.NONE),
        ("i-1", timedelta(0), None, Observed.STARTING),
        ("i-1", PATIENCE, None, Observed.GONE),
        ("i-1", PATIENCE, Observed.ON, Observed.ON),
        (None, timedelta(0), Observed.OFF, Observed.OFF),
    ],
)
def test_missing_machine_counts_as_gone_only_after_a_time(machine_id, elapsed, surveyed, means):
    asked_at = AT if elapsed is not None else None
    workspace = replace(
        NEW, machine_id=machine_id, provider_called_at=asked_at, observed=Observed.STARTING
    )
    assert perceive(workspace, surveyed, AT + (elapsed or timedelta(0)), PATIENCE) is means


@pytest.mark.parametrize(
    ("late", "state", "hibernation", "verb"),
    [
        (-1, WorkspaceState.RUNNING, True, None),
        (0, WorkspaceState.RUNNING, True, LifecycleVerb.HIBERNATE),
        (0, WorkspaceState.RUNNING, False, LifecycleVerb.STOP),
        (9, WorkspaceState.LAUNCHING, True, None),
        (9, WorkspaceState.STOPPED, True, None),
    ],
)
def test_expired_workspace_hibernates_or_stops(late, state, hibernation, verb):
    workspace = replace(NEW, expires_at=AT, hibernation=hibernation)
    assert expiring(workspace, state, AT + timedelta(seconds=late)) is verb
    assert expiring(replace(workspace, expires_at=None), state, AT) is None


def test_refused_hibernation_becomes_a_stop_and_a_refused_stop_is_retried_later():
    refused = replace(
        requested(
            LifecycleVerb.HIBERNATE,
            Observed.ON,
            granted=True,
            attempted_generation=2,
            expires_at=AT,
        ),
        failure=WorkspaceFailure("REFUSED", "The provider refused."),
    )
    assert expiring(refused, WorkspaceState.RUNNING, AT) is LifecycleVerb.STOP
    unstopped = replace(refused, verb=LifecycleVerb.STOP)
    later = [timedelta(0), timedelta(minutes=15, seconds=-1), timedelta(minutes=15)]
    verbs = [expiring(unstopped, WorkspaceState.RUNNING, AT + passed) for passed in later]
    assert verbs == [None, None, LifecycleVerb.HIBERNATE]


def test_start_after_the_expiry_extends_it():
    workspace, later = replace(NEW, expires_at=AT), AT + timedelta(days=1)
    for verb in LifecycleVerb:
        resumes = verb in {LifecycleVerb.START, LifecycleVerb.RESUME}
        assert expiry_after(workspace, verb, later) == (
            later + DEFAULT_EXTENSION if resumes else AT
        )
        assert expiry_after(workspace, verb, AT - timedelta(seconds=1)) == AT


# ------------------------------------------------------------------ a stop that hangs
HANGS = WorkspaceFailure(STOP_HANGS, "it hangs")


def hanging(verb, **more):
    return requested(verb, Observed.STOPPING, failure=HANGS, attempted_generation=2, **more)


@pytest.mark.parametrize("verb", [LifecycleVerb.STOP, LifecycleVerb.HIBERNATE])
@pytest.mark.parametrize("granted", [False, True])
def test_hanging_stop_is_forced_once_by_a_second_request(verb, granted):
    before = hanging(verb, granted=granted)
    assert plan(before, Observed.STOPPING).act in {WorkspaceAction.WAIT, WorkspaceAction.REST}
    assert verb_to_request(before, LifecycleVerb.STOP) is LifecycleVerb.STOP
    after = replace(before, verb=LifecycleVerb.STOP, generation=3)
    assert plan(after, Observed.STOPPING).act is WorkspaceAction.STOP
    assert state_of(after) is WorkspaceState.STOPPING
    assert (
        plan(replace(after, attempted_generation=3), Observed.STOPPING).act is WorkspaceAction.WAIT
    ), "one stop for each request"
    assert plan(after, Observed.OFF).act is WorkspaceAction.REST


def test_stop_in_progress_is_not_repeated_by_a_second_request():
    assert (
        verb_to_request(requested(LifecycleVerb.STOP, Observed.STOPPING), LifecycleVerb.STOP)
        is None
    )


def test_hanging_stop_can_be_terminated():
    assert (
        verb_to_request(hanging(LifecycleVerb.STOP), LifecycleVerb.TERMINATE)
        is LifecycleVerb.TERMINATE
    )
    ending = replace(hanging(LifecycleVerb.STOP), verb=LifecycleVerb.TERMINATE, generation=3)
    assert plan(ending, Observed.STOPPING).act is WorkspaceAction.TERMINATE
    with pytest.raises(InvalidState):
        verb_to_request(ending, LifecycleVerb.STOP)


def test_restart_may_have_stopped_only_after_its_stop_was_granted():
    stopped = replace(
        NEW, observed=Observed.OFF, generation=3, observed_generation=3, restarting=True
    )
    assert restart_stopped(stopped) is True
    assert restart_stopped(replace(stopped, restarting=False)) is None
    assert restart_stopped(replace(stopped, observed_generation=2)) is None
    assert restart_stopped(replace(stopped, observed=Observed.GONE)) is False
