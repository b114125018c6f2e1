"""No verb shows a false state, wherever the daemon is killed.

At each commit and at each call to the provider, before and after, the test reads the shown
state. A state that names what the machine is (`running`, `stopped`, `hibernated`,
`terminated`) must be true at that moment, and the states must follow the order of the verb,
never backwards. Then the daemon is killed at each of these points, and another daemon
continues with the same database and the same machines.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import event

from prism.errors import Conflict
from prism.workspaces.model import (
    LaunchRequest,
    LifecycleVerb,
    Observed,
    TerminateRequest,
    WorkspaceNotFound,
    WorkspaceState,
)
from prism.workspaces.plan import state_of
from tests.conftest import ML

CALLS = ("launch", "start", "stop", "hibernate", "terminate")
TRUTH = {
    WorkspaceState.RUNNING: {Observed.ON},
    WorkspaceState.STOPPED: {Observed.OFF},
    WorkspaceState.HIBERNATED: {Observed.ASLEEP},
    WorkspaceState.TERMINATED: {Observed.GONE},
}
WAYS = {
    "launch": [WorkspaceState.LAUNCHING, WorkspaceState.RUNNING],
    "stop": [WorkspaceState.RUNNING, WorkspaceState.STOPPING, WorkspaceState.STOPPED],
    "start": [WorkspaceState.STOPPED, WorkspaceState.STARTING, WorkspaceState.RUNNING],
    "hibernate": [WorkspaceState.RUNNING, WorkspaceState.HIBERNATING, WorkspaceState.HIBERNATED],
    "resume": [WorkspaceState.HIBERNATED, WorkspaceState.RESUMING, WorkspaceState.RUNNING],
    "restart": [
        WorkspaceState.RUNNING,
        WorkspaceState.STOPPING,
        WorkspaceState.STARTING,
        WorkspaceState.RUNNING,
    ],
    "terminate": [WorkspaceState.RUNNING, WorkspaceState.TERMINATING, WorkspaceState.TERMINATED],
}
FIRST = {verb: ["launch"] for verb in WAYS} | {
    "launch": [],
    "start": ["launch", "stop"],
    "resume": ["launch", "hibernate"],
}
SLOW = [timedelta(0), timedelta(seconds=3)]


class Killed(BaseException):
    """The daemon ends here, as by `kill -9`."""


class ObservedWorkspace:
    """A daemon, its workspace, and a reader of the state at each point."""

    def __init__(self, make_daemon, cloud, clock, monkeypatch):
        self.make_daemon, self.cloud, self.clock = make_daemon, cloud, clock
        self.watches, self.points, self.die_at, self.shown = False, [], None, []
        self.untrue = []  # collected, because the loop would retry after an AssertionError
        self.reader = ThreadPoolExecutor(1)  # outside of the transaction of the daemon
        for call in CALLS:
            monkeypatch.setattr(cloud, call, self._watched(call, getattr(cloud, call)))
        self.begin()

    def begin(self):
        """Starts the only daemon; it takes over the leases of a dead one at once."""
        self.daemon = daemon = self.make_daemon()
        daemon.loop.inherit()
        event.listen(daemon.db.writer, "commit", lambda _: self.pass_point("commit"))

    def _watched(self, name, original):
        def call(*args):
            self.pass_point(f"before {name}")
            result = original(*args)
            self.pass_point(f"after {name}")
            return result

        return call

    def prepare(self, name, verb):
        """Brings a workspace into the state that the verb starts from."""
        self.watches, self.name = False, name
        for earlier in FIRST[verb]:
            self.ask(earlier)
            self.settle()
        self.watches, self.points, self.shown, self.die_at = True, [], [], None

    def pass_point(self, name):
        """Records the point, reads the state, and dies if the daemon is to be killed here."""
        if not self.watches:
            return
        self.points.append(name)
        self.look()
        if len(self.points) - 1 == self.die_at:
            self.watches = False
            raise Killed(name)

    def look(self):
        """Checks that the shown state is true now."""
        self.reader.submit(self._look).result()

    def _look(self):
        try:
            workspace = self.daemon.workspaces.named(self.name)
        except WorkspaceNotFound:
            return
        self.shown.append(state := state_of(workspace))
        if state in TRUTH:
            machine = self.cloud.machine(workspace.machine_id or workspace.expected_id)
            if machine.observed not in TRUTH[state]:
                self.untrue.append((state, machine.observed, self.points[-1:]))

    def ask(self, verb):
        """Requests a verb; ignores a refusal, because the verb may have been requested before."""
        workspaces = self.daemon.workspaces
        with suppress(Conflict):
            if verb == "launch":
                workspaces.launch(LaunchRequest(name=self.name, template=ML))
            elif verb == "terminate":
                workspaces.terminate(self.name, TerminateRequest(confirm="DELETE"))
            elif verb in {*LifecycleVerb}:
                workspaces.ask(self.name, LifecycleVerb(verb))
            else:
                getattr(workspaces, verb)(self.name)

    def settle(self):
        """Lets time pass; only the loop of workspaces runs."""
        for _ in range(8):
            self.daemon.loop.mark_due()
            while self.daemon.loop.once():
                pass
            if self.watches:
                self.look()
            self.clock.advance(seconds=2)

    def clear(self):
        """Terminates the workspace, so that the next one is the only one."""
        self.watches = False
        self.ask("terminate")
        self.settle()


@pytest.fixture
def observed_workspace(make_daemon, cloud, clock, monkeypatch):
    workspace = ObservedWorkspace(make_daemon, cloud, clock, monkeypatch)
    yield workspace
    workspace.reader.shutdown()


def is_in_order(states, order):
    """Whether these states, without repeats, are part of that order."""
    rest = iter(order)
    changes = [state for at, state in enumerate(states) if not at or states[at - 1] is not state]
    return all(state in rest for state in changes)


def check(observed, order, *about):
    """All shown states were true, in the order of the verb, and reached its end."""
    assert observed.untrue == [], about
    assert is_in_order(observed.shown, order), (*about, observed.shown)
    assert observed.shown[-1] is order[-1], (*about, observed.shown)


def run_once(observed, verb):
    """Runs the verb without a crash; returns its points."""
    observed.prepare("whole", verb)
    observed.ask(verb)
    observed.settle()
    assert {"commit"} < {*observed.points}, "there are commits and calls to the provider"
    check(observed, WAYS[verb])
    return observed.points


def every_verb(test):
    """All verbs, with a provider that is done at once and with a slow one."""
    for mark in (
        pytest.mark.parametrize("url", ["sqlite"], indirect=True),
        pytest.mark.parametrize("slow", SLOW, ids=["at once", "slow"]),
        pytest.mark.parametrize("verb", WAYS),
    ):
        test = mark(test)
    return test


@every_verb
def test_shown_states_are_true_and_in_order(observed_workspace, cloud, verb, slow):
    cloud.faults.slow = slow
    run_once(observed_workspace, verb)


@pytest.mark.slow
@every_verb
def test_shown_states_are_true_and_in_order_after_a_kill_at_any_point(
    observed_workspace, cloud, verb, slow
):
    cloud.faults.slow = slow
    for at, point in enumerate(run_once(observed_workspace, verb)):
        observed_workspace.clear()
        observed_workspace.prepare(f"at-{at}", verb)
        observed_workspace.die_at = at
        with pytest.raises(Killed):
            observed_workspace.ask(verb)
            observed_workspace.settle()
        dead = observed_workspace.daemon
        observed_workspace.begin()
        dead.close()
        observed_workspace.watches, observed_workspace.die_at = True, None
        observed_workspace.look()
        if not at:  # the request itself was lost
            observed_workspace.ask(verb)
        observed_workspace.settle()
        check(observed_workspace, WAYS[verb], at, point)


def test_states_that_go_backwards_are_not_in_order():
    order = WAYS["stop"]
    assert is_in_order(
        [WorkspaceState.RUNNING, WorkspaceState.RUNNING, WorkspaceState.STOPPED], order
    )
    assert not is_in_order(
        [
            WorkspaceState.RUNNING,
            WorkspaceState.STOPPING,
            WorkspaceState.RUNNING,
            WorkspaceState.STOPPED,
        ],
        order,
    )
    assert not is_in_order([WorkspaceState.RUNNING, WorkspaceState.FAILED], order)
