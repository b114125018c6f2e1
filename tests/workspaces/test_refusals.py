"""A refusal of the provider is shown until another state is observed or requested."""

import pytest
from msgspec.structs import replace

from prism.workspaces import reconciler
from prism.workspaces.model import (
    ExtendRequest,
    LaunchRequest,
    LifecycleVerb,
    Observed,
    ResizeRequest,
    WorkspaceFailure,
)
from prism.workspaces.plan import state_of
from prism.workspaces.ports import ProviderRefused
from prism.workspaces.surveys.observations import machine_columns
from tests.conftest import ML

NO = "UnauthorizedOperation"


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(local_prices="aws")


@pytest.fixture
def settle(daemon, clock):
    def settled(times=4):
        for _ in range(times):
            clock.advance(seconds=40)
            daemon.settle()
        return daemon.workspaces.named("mine")

    return settled


@pytest.fixture
def workspace(daemon, settle):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    return settle()


class Refusals:
    """Makes the provider refuse verbs, until `no_more`."""

    def __init__(self, cloud, monkeypatch):
        self._cloud, self._monkeypatch = cloud, monkeypatch
        self._verbs: list[str] = []
        self._calls: list[str] = []

    def __call__(self, verb):
        original = getattr(self._cloud, verb)

        def answer(*args):
            if verb in self._verbs:
                self._calls.append(verb)
                raise ProviderRefused(NO)
            return original(*args)

        self._verbs.append(verb)
        self._monkeypatch.setattr(self._cloud, verb, answer)
        return self._calls

    def no_more(self):
        self._verbs.clear()


@pytest.fixture
def refusals(cloud, monkeypatch):
    return Refusals(cloud, monkeypatch)


@pytest.mark.parametrize(
    ("before", "verb", "at_rest"),
    [
        ([], LifecycleVerb.STOP, "running"),
        ([], LifecycleVerb.HIBERNATE, "running"),
        ([LifecycleVerb.STOP], LifecycleVerb.START, "stopped"),
        ([LifecycleVerb.HIBERNATE], LifecycleVerb.RESUME, "hibernated"),
    ],
)
def test_refusal_is_shown_until_the_next_request(
    daemon, cloud, workspace, settle, refusals, before, verb, at_rest
):
    for first in before:
        daemon.workspaces.ask("mine", first)
        settle()
    attempts = refusals("start" if verb is LifecycleVerb.RESUME else verb.value)
    daemon.workspaces.ask("mine", verb)
    settled = settle()
    assert (state_of(settled), settled.failure.message) == (at_rest, NO)
    assert len(attempts) == 1, "one try for each request"
    refusals.no_more()
    daemon.workspaces.ask("mine", verb)
    assert settle().failure is None


def test_failure_says_what_helps_against_the_refusal(
    daemon, cloud, workspace, settle, monkeypatch
):
    def refuse(*_):
        raise ProviderRefused("It may not.", remediation="Ask Grace")

    monkeypatch.setattr(cloud, "stop", refuse)
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    assert settle().failure.message == "It may not. Ask Grace"
    monkeypatch.setattr(cloud, "launch", refuse)
    daemon.workspaces.launch(LaunchRequest(name="two", template=ML))
    settle()
    assert daemon.workspaces.named("two").failure.message == "It may not. Ask Grace"


def test_refusal_is_cleared_when_the_requested_state_is_observed(
    daemon, cloud, workspace, settle, refusals
):
    refusals("stop")
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    assert settle().failure
    refusals.no_more()
    cloud.stop(workspace.machine_id)  # at its console
    settled = settle()
    assert (state_of(settled), settled.failure) == ("stopped", None)


@pytest.mark.parametrize(
    ("verb", "state"), [(LifecycleVerb.STOP, "stopped"), (LifecycleVerb.HIBERNATE, "hibernated")]
)
def test_refused_expiry_does_not_prevent_stop_or_hibernate(
    daemon, workspace, settle, refusals, verb, state
):
    refusals("expire")
    daemon.workspaces.extend("mine", ExtendRequest(hours=8))
    settle()
    daemon.workspaces.ask("mine", verb)
    assert state_of(settle()) == state


def test_refused_termination_is_retried_with_each_survey(
    daemon, cloud, workspace, settle, refusals
):
    attempts = refusals("terminate")
    daemon.workspaces.ask("mine", LifecycleVerb.TERMINATE)
    settled = settle(1)
    assert (state_of(settled), settled.failure.message) == ("terminating", NO)
    assert state_of(settle(2)) == "terminating"
    assert len(attempts) == 3, "one try for each survey"
    assert daemon.workspaces.named("mine").failure
    refusals.no_more()
    settle(3)
    assert cloud.machine(workspace.machine_id).observed is Observed.GONE


@pytest.mark.parametrize(
    ("observed", "delays"),
    [(Observed.OFF, False), (Observed.BROKEN, False), (Observed.STOPPING, True)],
)
def test_only_a_failure_to_stop_delays_a_termination(cloud, clock, workspace, observed, delays):
    """A machine that died before is destroyed like any other."""
    failure = WorkspaceFailure("MACHINE_FAILED", "why")
    machine = replace(cloud.machine(workspace.machine_id), observed=observed, failure=failure)
    terminating = replace(workspace, verb=LifecycleVerb.TERMINATE)
    columns = machine_columns(terminating, observed, machine, clock.now())
    assert columns["failure"] == (failure if delays else None)
    assert machine_columns(workspace, observed, machine, clock.now())["failure"] == failure


def test_failure_noticed_during_a_request_for_termination_does_not_delay_it(
    daemon, cloud, workspace, settle, monkeypatch
):
    seen: list[tuple[LifecycleVerb, WorkspaceFailure | None]] = []

    def requested_meanwhile(before, *args):
        columns = machine_columns(before, *args)
        if not seen:
            assert columns["failure"]
            daemon.workspaces.ask("mine", LifecycleVerb.TERMINATE)
        seen.append((before.verb, before.failure))
        return columns

    monkeypatch.setattr(reconciler, "machine_columns", requested_meanwhile)
    cloud.set_state(workspace.machine_id, Observed.OFF, WorkspaceFailure("MACHINE_FAILED", "why"))
    assert state_of(settle()) == "terminated"
    assert seen[0] == (LifecycleVerb.LAUNCH, None)
    assert {*seen[1:]} == {(LifecycleVerb.TERMINATE, None)}


def verbs_requested(daemon):
    return [f.data["verb"] for f in daemon.db.events_after(0) if f.event == "instance_asked"]


def test_refused_sleep_at_the_expiry_is_retried_after_a_quarter_of_an_hour(
    daemon, cloud, clock, workspace, settle, refusals
):
    """For example, Amazon EC2 does not stop a spot instance whose request was cancelled."""
    refusals("hibernate")
    attempts = refusals("stop")
    daemon.workspaces.extend("mine", ExtendRequest(hours=1))
    settle()
    cloud.expire(workspace.machine_id, None, "stop")  # a machine that does not go down by itself
    clock.advance(hours=1)
    settled = settle(3)
    assert (state_of(settled), settled.failure.message) == ("running", NO)
    assert attempts == ["hibernate", "stop"], "a refused hibernation becomes a stop"
    settle(10)
    assert attempts == ["hibernate", "stop"]
    assert verbs_requested(daemon) == ["launch", *attempts]
    refusals.no_more()
    clock.advance(minutes=15)
    assert state_of(settle()) == "hibernated"


def test_refused_sleep_for_the_budget_is_retried_after_a_quarter_of_an_hour(
    daemon, clock, workspace, settle, refusals
):
    attempts = refusals("stop")
    refusals("hibernate")
    for _ in range(5):
        daemon.workspaces.force_sleep(workspace.id, "its money is spent")
        settle(1)
    assert attempts == ["hibernate", "stop"]
    refusals.no_more()
    clock.advance(minutes=15)
    daemon.workspaces.force_sleep(workspace.id, "its money is spent")
    assert state_of(settle()) == "hibernated"


def test_refused_resize_keeps_the_old_type_and_price(daemon, cloud, workspace, settle, refusals):
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    stopped = settle()
    attempts = refusals("resize")
    daemon.workspaces.resize("mine", ResizeRequest(size="L"))
    assert daemon.workspaces.named("mine").hourly_rate != stopped.hourly_rate
    settled = settle()
    assert (settled.instance_type, settled.failure.message) == (
        stopped.instance_type,
        f"It stays {stopped.instance_type}: {NO}",
    )
    assert len(attempts) == 1
    daemon.prices.look()  # prices are read again within the hour
    assert daemon.workspaces.named("mine").hourly_rate == stopped.hourly_rate
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    settled = settle()
    assert (state_of(settled), settled.failure) == ("running", None)


def test_refusal_of_a_resize_does_not_undo_a_later_resize(daemon, cloud, workspace, settle):
    """The refusal concerns only the type of its own request."""
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    settle()
    refused: list[str] = []
    resized: list[str] = []

    def resize(id, kind):
        if not refused:
            refused.append(kind)
            daemon.workspaces.resize("mine", ResizeRequest(size="XL"))
            raise ProviderRefused(NO)
        resized.append(kind)

    cloud.resize = resize
    daemon.workspaces.resize("mine", ResizeRequest(size="L"))
    settled = settle()
    assert (refused, resized, settled.instance_type) == (
        ["t3.xlarge"],
        ["t3.2xlarge"],
        "t3.2xlarge",
    )
