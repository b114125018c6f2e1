"""Faults and races of the reconciler, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from prism.errors import Denied, InvalidState
from prism.kit.reconcile import LEASE, NEVER_DUE
from prism.workspaces import reconciler
from prism.workspaces.model import (
    ExtendRequest,
    LaunchRequest,
    LifecycleVerb,
    Observed,
    WorkspaceFailure,
    WorkspaceState,
)
from prism.workspaces.plan import DEFAULT_EXTENSION, state_of
from prism.workspaces.ports import NextAttempt, ProviderRefused
from prism.workspaces.store import workspaces
from tests.conftest import LOCATION, ML
from tests.doubles.memory import MemoryComputer
from tests.rows import every_workspace


@pytest.fixture
def workspace_state(daemon):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    return lambda: state_of(daemon.workspaces.named("mine"))


def settle(daemon, clock, seconds=10.0):
    for _ in range(4):
        clock.advance(seconds=seconds / 4)
        daemon.settle()


def launches(cloud):
    return [call for call in cloud.calls if call.startswith("launch")]


def row(daemon, *columns):
    with daemon.db.read() as sql:
        return sql.execute(select(*(workspaces.c[name] for name in columns))).one()


def recorded_events(daemon):
    facts = daemon.db.events_after(0)
    return [(f.event, f.actor, f.data.get("state")) for f in facts if "workspace" in f.data]


def run_before(monkeypatch, cloud, call, do):
    """Runs `do` when `call` reaches the provider."""
    original = getattr(cloud, call)

    def wrapped(*args):
        do()
        return original(*args)

    monkeypatch.setattr(cloud, call, wrapped)


def test_workspace_goes_through_the_states_of_its_verbs(daemon, clock, workspace_state):
    seen = [workspace_state()]
    for verb in (
        LifecycleVerb.STOP,
        LifecycleVerb.START,
        LifecycleVerb.HIBERNATE,
        LifecycleVerb.START,
        LifecycleVerb.TERMINATE,
    ):
        settle(daemon, clock)
        seen.append(workspace_state())
        daemon.workspaces.ask("mine", verb)
        seen.append(workspace_state())
    settle(daemon, clock)
    seen.append(workspace_state())
    assert " ".join(seen) == (
        "launching running stopping stopped starting running hibernating hibernated"
        " resuming running terminating terminated"
    )


def test_each_state_change_is_recorded_once(daemon, clock, workspace_state):
    settle(daemon, clock)
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    settle(daemon, clock)
    assert recorded_events(daemon) == [
        ("instance_asked", "ada", "launching"),
        ("instance_state_changed", "prism", "running"),
        ("instance_asked", "ada", "stopping"),
        ("instance_state_changed", "prism", "stopped"),
    ]


def test_terminated_workspace_is_deleted_after_its_retention(make_daemon, clock):
    daemon = make_daemon(terminated_retention=300)
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.workspaces.ask("mine", LifecycleVerb.TERMINATE)
    settle(daemon, clock)
    assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.TERMINATED
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    settle(daemon, clock, 240)
    assert sorted(state_of(w) for w in every_workspace(daemon.db)) == ["running", "terminated"]
    settle(daemon, clock, 120)
    assert [state_of(w) for w in every_workspace(daemon.db)] == [WorkspaceState.RUNNING]


@pytest.mark.parametrize("verb", [LifecycleVerb.STOP, LifecycleVerb.TERMINATE])
def test_request_during_a_launch_is_not_lost(
    daemon, cloud, clock, workspace_state, monkeypatch, verb
):
    run_before(monkeypatch, cloud, "launch", lambda: daemon.workspaces.ask("mine", verb))
    daemon.loop.once()
    assert row(daemon, "due_at")[0] < NEVER_DUE, (
        "the request made the row due, and the release of the lease kept it due"
    )
    settle(daemon, clock)
    assert workspace_state() is (
        WorkspaceState.STOPPED if verb is LifecycleVerb.STOP else WorkspaceState.TERMINATED
    )
    assert len(launches(cloud)) == 1


@pytest.mark.parametrize(
    ("verb", "under_way", "done"),
    [
        (LifecycleVerb.STOP, WorkspaceState.STOPPING, WorkspaceState.STOPPED),
        (LifecycleVerb.TERMINATE, WorkspaceState.TERMINATING, WorkspaceState.TERMINATED),
    ],
)
def test_stop_during_a_launch_is_in_progress_until_the_machine_is_known(
    daemon, cloud, clock, workspace_state, monkeypatch, verb, under_way, done
):
    states = []

    def ask():
        states.append(state_of(daemon.workspaces.ask("mine", verb)[1]))
        states.append(workspace_state())

    run_before(monkeypatch, cloud, "launch", ask)
    daemon.loop.once()
    assert [*states, workspace_state()] == [under_way] * 3
    settle(daemon, clock)
    assert workspace_state() is done


def test_state_shows_the_newest_request_during_an_older_action(
    daemon, cloud, clock, workspace_state, monkeypatch
):
    settle(daemon, clock)
    states = []

    def ask():
        daemon.workspaces.ask("mine", LifecycleVerb.TERMINATE)
        states.append(workspace_state())

    run_before(monkeypatch, cloud, "stop", ask)
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    daemon.loop.once()
    assert states == [WorkspaceState.TERMINATING]
    assert workspace_state() is WorkspaceState.TERMINATING, (
        "a late result must not show an older state"
    )


@pytest.mark.postgres
def test_result_with_a_lost_lease_is_not_recorded(
    daemon, cloud, clock, workspace_state, monkeypatch
):
    def steal():
        with daemon.db.write() as tx:
            tx.sql.execute(update(workspaces).values(lease="another daemon's"))

    run_before(monkeypatch, cloud, "launch", steal)
    daemon.loop.once()
    assert row(daemon, "lease", "observed") == ("another daemon's", "unsure")


@pytest.mark.postgres
def test_lease_of_a_dead_daemon_expires_and_another_daemon_continues(
    make_daemon, cloud, clock, workspace_state
):
    dead, alive = make_daemon(), make_daemon()
    assert len(dead.loop._claim(8)) == 1
    assert alive.loop.once() == 0, "the row is leased by the dead daemon"
    clock.advance(seconds=LEASE.total_seconds() + 1)
    assert alive.loop.once() == 1
    assert len(launches(cloud)) == 1


def test_single_daemon_inherits_leases_at_once(make_daemon, workspace_state):
    make_daemon().loop._claim(8)
    alive = make_daemon()
    alive.loop.inherit()
    assert alive.loop.once() == 1


@pytest.mark.postgres
def test_daemon_ignores_workspaces_of_another_location(make_daemon, cloud, workspace_state):
    elsewhere = make_daemon(computes={"local:elsewhere:/home": cloud})
    assert elsewhere.loop.once() == 0
    elsewhere.loop.inherit()
    elsewhere.settle()
    assert launches(cloud) == []


@pytest.mark.postgres
def test_two_daemons_launch_each_machine_once(make_daemon, cloud, clock):
    first, two = make_daemon(), make_daemon()
    for n in range(30):
        first.workspaces.launch(LaunchRequest(name=f"w{n}", template=ML))
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda daemon: [daemon.loop.once() for _ in range(8)], (first, two)))
    assert sorted(launches(cloud)) == sorted(f"launch w{n}" for n in range(30))
    assert {state_of(w) for w in every_workspace(first.db)} == {WorkspaceState.RUNNING}


def test_outage_is_retried_with_growing_delays(daemon, cloud, clock, workspace_state):
    cloud.faults.down = True
    settle(daemon, clock, 300)
    assert workspace_state() is WorkspaceState.LAUNCHING
    assert row(daemon, "attempts") == (4,)
    assert daemon.reconciler.last_surveys[LOCATION].problem == "The cloud does not answer"
    cloud.faults.down = False
    settle(daemon, clock, 600)
    assert workspace_state() is WorkspaceState.RUNNING
    assert row(daemon, "attempts") == (0,)
    assert daemon.reconciler.last_surveys[LOCATION].problem is None


def test_lost_answer_to_a_launch_makes_no_second_machine(daemon, cloud, clock, workspace_state):
    cloud.faults.lose_replies = 1
    settle(daemon, clock, 60)
    assert workspace_state() is WorkspaceState.RUNNING
    assert len(cloud.survey()) == 1


def test_machine_that_is_not_listed_yet_is_not_failed(daemon, cloud, clock, workspace_state):
    cloud.faults.hidden_for, cloud.faults.slow = timedelta(seconds=20), timedelta(seconds=5)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.LAUNCHING
    settle(daemon, clock, 60)
    assert workspace_state() is WorkspaceState.RUNNING
    assert len(launches(cloud)) == 1


def test_stop_waits_until_it_is_known_whether_a_machine_exists(
    daemon, cloud, clock, workspace_state
):
    cloud.faults.lose_replies, cloud.faults.hidden_for = 1, timedelta(seconds=30)
    daemon.loop.once()
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    settle(daemon, clock, 8)
    assert workspace_state() is WorkspaceState.STOPPING, (
        "not stopped, because a machine may still appear"
    )
    settle(daemon, clock, cloud.patience.total_seconds())
    assert workspace_state() is WorkspaceState.STOPPED
    assert [machine.observed for machine in cloud.survey()] == [Observed.OFF]


def test_refused_launch_is_failed_with_the_reason_and_can_be_started_again(
    daemon, cloud, clock, workspace_state
):
    cloud.faults.full = True
    settle(daemon, clock, 3600)
    assert workspace_state() is WorkspaceState.FAILED
    failure = daemon.workspaces.named("mine").failure
    assert failure == WorkspaceFailure(
        "CAPACITY_UNAVAILABLE", "Insufficient capacity in every zone"
    )
    assert len(launches(cloud)) == 1
    cloud.faults.full = False
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    assert workspace_state() is WorkspaceState.STARTING
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.RUNNING
    assert daemon.workspaces.named("mine").failure is None
    assert len(launches(cloud)) == 2


def test_launch_attempt_is_stored_before_it_is_made(
    daemon, cloud, clock, workspace_state, monkeypatch
):
    attempts, launch = [], cloud.launch

    def full(order):
        attempts.append((order.attempt, row(daemon, "attempt").attempt))
        if order.attempt < 2:
            raise NextAttempt
        if len(attempts) == 3:
            raise ProviderRefused("no room in a, b, c")
        return launch(order)

    monkeypatch.setattr(cloud, "launch", full)
    daemon.settle()
    assert workspace_state() is WorkspaceState.FAILED
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.RUNNING
    assert attempts == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_refused_launch_can_be_terminated(daemon, cloud, clock, workspace_state):
    cloud.faults.full = True
    settle(daemon, clock)
    daemon.workspaces.ask("mine", LifecycleVerb.TERMINATE)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.TERMINATED


def test_broken_machine_is_failed_and_each_start_tries_once(daemon, cloud, clock, workspace_state):
    why = WorkspaceFailure("PACKAGE_NOT_FOUND", "there is no package 'nopandas'")
    cloud.faults.broken = why
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.FAILED
    assert daemon.workspaces.named("mine").failure == why
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.FAILED, "it failed again, and is not retried"
    starts = [call for call in cloud.calls if call.startswith("start")]
    assert len(starts) == 1, "one try for each request"
    cloud.faults.broken = None
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.RUNNING
    assert daemon.workspaces.named("mine").failure is None


def test_machine_stopped_outside_prism_stays_stopped(daemon, cloud, clock, workspace_state):
    settle(daemon, clock)
    cloud.stop(daemon.workspaces.named("mine").machine_id)
    settle(daemon, clock, 1200)
    assert workspace_state() is WorkspaceState.STOPPED


def test_machine_that_died_shows_the_failure_and_can_be_started(
    daemon, cloud, clock, workspace_state
):
    settle(daemon, clock)
    why = WorkspaceFailure("MACHINE_DIED", "out of memory")
    cloud.set_state(daemon.workspaces.named("mine").machine_id, Observed.OFF, why)
    settle(daemon, clock)
    assert (workspace_state(), daemon.workspaces.named("mine").failure) == (
        WorkspaceState.STOPPED,
        why,
    )
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.RUNNING


def test_vanished_machine_is_failed_and_can_only_be_terminated(
    daemon, cloud, clock, workspace_state
):
    settle(daemon, clock)
    cloud.vanish(daemon.workspaces.named("mine").machine_id)
    settle(daemon, clock, 600)
    assert workspace_state() is WorkspaceState.FAILED
    assert daemon.workspaces.named("mine").failure.code == "MACHINE_VANISHED"
    with pytest.raises(InvalidState, match="is failed"):
        daemon.workspaces.ask("mine", LifecycleVerb.START)
    daemon.workspaces.ask("mine", LifecycleVerb.TERMINATE)
    settle(daemon, clock)
    assert workspace_state() is WorkspaceState.TERMINATED
    assert len(launches(cloud)) == 1


def test_workspace_hibernates_at_its_expiry(daemon, cloud, clock):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML, ttl_hours=2))
    settle(daemon, clock)
    workspace = daemon.workspaces.named("mine")
    assert cloud.expiry(workspace.machine_id) == workspace.expires_at, (
        "the machine has the expiry itself"
    )
    clock.advance(hours=1, minutes=59)
    daemon.settle()
    assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.RUNNING
    clock.advance(minutes=1)
    settle(daemon, clock)
    assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.HIBERNATED
    assert "terminate" not in " ".join(cloud.calls)


def test_loop_enforces_an_expiry_that_the_machine_ignores(daemon, cloud, clock):
    daemon.workspaces.launch(
        LaunchRequest(name="mine", template=ML, ttl_hours=2, hibernation=False)
    )
    settle(daemon, clock)
    id = daemon.workspaces.named("mine").machine_id
    cloud.expire(id, None, "stop")  # a machine without a clock
    clock.advance(hours=2)
    settle(daemon, clock)
    assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.STOPPED
    [request] = [f for f in daemon.db.events_after(0) if f.data.get("reason")]
    assert (request.actor, request.data["verb"]) == ("prism", "stop")
    assert request.data["reason"].startswith("expired at ")


def test_extension_is_sent_to_the_machine_and_a_late_resume_adds_hours(daemon, cloud, clock):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML, ttl_hours=1))
    settle(daemon, clock)
    daemon.workspaces.extend("mine", ExtendRequest(hours=8))
    settle(daemon, clock)
    workspace = daemon.workspaces.named("mine")
    assert workspace.expires_at - workspace.launched_at == timedelta(hours=9)
    assert cloud.expiry(workspace.machine_id) == workspace.expires_at
    clock.advance(hours=10)
    settle(daemon, clock)
    daemon.workspaces.ask("mine", LifecycleVerb.RESUME)
    settle(daemon, clock)
    workspace = daemon.workspaces.named("mine")
    assert state_of(workspace) is WorkspaceState.RUNNING
    assert timedelta(hours=3) < workspace.expires_at - clock.now() <= DEFAULT_EXTENSION


def test_round_makes_one_survey_for_all_due_workspaces(daemon, cloud, clock):
    cloud.faults.slow = timedelta(seconds=40)
    for n in range(16):
        daemon.workspaces.launch(LaunchRequest(name=f"w{n}", template=ML))
    assert daemon.loop.once() == 16
    assert "survey" not in cloud.calls, "the first launch needs no survey"
    clock.advance(seconds=1)
    assert daemon.loop.once() == 16
    assert cloud.calls.count("survey") == 1


class TestMachinesLookedAtSingly:
    """The provider can look at one machine without a survey."""

    @pytest.fixture
    def cloud(self, clock):
        return MemoryComputer(clock)

    @pytest.fixture
    def other_workspaces(self, daemon):
        for n in range(3):
            daemon.workspaces.launch(LaunchRequest(name=f"w{n}", template=ML))
        daemon.settle()

    def test_verbs_need_no_survey(self, daemon, cloud, clock, workspace_state, other_workspaces):
        for verb in (LifecycleVerb.STOP, LifecycleVerb.START, LifecycleVerb.HIBERNATE):
            settle(daemon, clock)
            cloud.calls.clear()
            daemon.workspaces.ask("mine", verb)
            for _ in range(3):
                daemon.loop.once()
                clock.advance(seconds=1)
            assert "survey" not in cloud.calls
            assert any(call.startswith("look_at") for call in cloud.calls)
        assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.HIBERNATED

    def test_machine_that_no_survey_lists_is_vanished(
        self, daemon, cloud, clock, workspace_state, other_workspaces
    ):
        cloud.vanish(daemon.workspaces.named("mine").machine_id)
        settle(daemon, clock, seconds=400)
        assert daemon.workspaces.named("mine").failure.code == "MACHINE_VANISHED"

    def test_look_that_returns_another_machine_is_ignored(
        self, daemon, cloud, clock, workspace_state, other_workspaces, monkeypatch
    ):
        other = daemon.workspaces.named("w0").machine_id
        look = cloud.look_at
        monkeypatch.setattr(cloud, "look_at", lambda id: look(other))
        cloud.set_state(other, Observed.OFF)
        daemon.workspaces.ask("mine", LifecycleVerb.HIBERNATE)
        settle(daemon, clock)
        assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.HIBERNATED

    def test_unavailable_look_is_retried(
        self, daemon, cloud, clock, workspace_state, other_workspaces
    ):
        cloud.faults.down = True
        daemon.workspaces.ask("mine", LifecycleVerb.STOP)
        settle(daemon, clock)
        assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.STOPPING
        cloud.faults.down = False
        clock.advance(minutes=1)
        settle(daemon, clock)
        assert state_of(daemon.workspaces.named("mine")) is WorkspaceState.STOPPED


def test_row_of_an_older_database_finds_its_machine_while_paused(daemon, cloud, clock):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    cloud.calls.clear()
    before = {
        "observed": Observed.NONE,
        "observed_generation": 0,
        "attempted_generation": 0,
        "provider_called_at": None,
    }
    with daemon.db.write() as tx:  # as it was before the launch reached the provider
        older = update(workspaces).values(**before, machine_id=None, due_at=clock.now())
        tx.sql.execute(older)
    daemon.reconciler._is_paused = lambda _: True
    assert daemon.loop.once() == 1
    assert daemon.workspaces.named("mine").observed is Observed.ON
    assert not launches(cloud)


def test_unchanged_workspaces_cost_one_survey_and_no_write(daemon, cloud, clock):
    for n in range(16):
        daemon.workspaces.launch(LaunchRequest(name=f"w{n}", template=ML))
    settle(daemon, clock)
    cloud.calls.clear()
    newest = daemon.db.newest_event()
    clock.advance(minutes=10)
    daemon.settle()
    assert cloud.calls == ["survey"]
    assert daemon.db.newest_event() == newest


def test_unchanged_survey_does_not_read_the_rows(
    daemon, cloud, clock, workspace_state, monkeypatch
):
    settle(daemon, clock)
    rows = []
    has_costs = reconciler._has_running_costs

    def counted(row):
        rows.append(row)
        return has_costs(row)

    monkeypatch.setattr(reconciler, "_has_running_costs", counted)
    for _ in range(3):
        clock.advance(minutes=1)
        daemon.settle()
    assert rows == []
    daemon.workspaces.launch(LaunchRequest(name="another", template=ML))
    settle(daemon, clock)
    assert {row.name for row in rows} == {"mine", "another"}
    [mine, _] = cloud.survey()
    cloud.stop(mine.id)
    settle(daemon, clock)
    assert workspace_state() == "stopped"


def test_machine_with_news_is_recorded_without_a_survey(daemon, cloud, clock, workspace_state):
    """As when its supervisor was killed: only `look_at` would tell, which a due row asks for."""
    settle(daemon, clock)
    cloud.calls.clear()
    newest, [machine] = daemon.db.newest_event(), cloud.survey()
    daemon.reconciler.has_news([machine])
    assert row(daemon, "due_at")[0] == NEVER_DUE, "nothing differs"
    cloud.stop(machine.id)
    [machine] = cloud.survey()
    daemon.reconciler.has_news([machine])
    assert row(daemon, "due_at")[0] == clock.now()
    clock.advance(seconds=10)  # what it reconciles with is never older than the news
    daemon.loop.once()
    assert workspace_state() == "stopped"
    assert daemon.db.newest_event() > newest


def test_estimated_ready_time_is_the_median_of_measured_times(daemon, cloud, clock):
    cloud.faults.slow = timedelta(seconds=40)
    daemon.workspaces.launch(LaunchRequest(name="first", template=ML))
    first = daemon.workspaces.named("first")
    guess = daemon.workspaces.ready_at(first, LifecycleVerb.LAUNCH)
    assert guess - clock.now() == timedelta(minutes=1), "nothing was measured yet"
    for _ in range(60):
        clock.advance(seconds=1)
        daemon.settle()
    measured = daemon.workspaces.ready_at(first, LifecycleVerb.LAUNCH) - clock.now()
    assert timedelta(seconds=38) <= measured <= timedelta(seconds=43)


def test_denied_survey_is_reported_as_the_problem_of_its_location(daemon, cloud, monkeypatch):
    def denied():
        raise Denied("The AWS credentials lack the permission ec2:DescribeInstances")

    monkeypatch.setattr(cloud, "survey", denied)
    daemon.settle()
    assert daemon.reconciler.last_surveys[LOCATION].problem.endswith("ec2:DescribeInstances")
