"""No verb shows a state that is not so, at whichever point the daemon is killed.

At each commit and at each call to the provider, before and after, the test reads the state as
people see it. A state that claims what the machine is (`running`, `stopped`, `hibernated`,
`terminated`) must be true at that moment, and what is shown one after the other must be the
verb's own way, never back. Then the daemon is killed at each of these points, and another one
goes on with the same database and the same machines.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import event

from prism.errors import Conflict
from prism.workspaces.model import (
    Launch,
    LifecycleVerb,
    Observed,
    State,
    Termination,
    WorkspaceNotFound,
)
from prism.workspaces.plan import state_of
from tests.conftest import ML

CALLS = ("launch", "start", "stop", "hibernate", "terminate")
TRUTH = {
    State.RUNNING: {Observed.ON},
    State.STOPPED: {Observed.OFF},
    State.HIBERNATED: {Observed.ASLEEP},
    State.TERMINATED: {Observed.GONE},
}
WAYS = {
    "launch": [State.LAUNCHING, State.RUNNING],
    "stop": [State.RUNNING, State.STOPPING, State.STOPPED],
    "start": [State.STOPPED, State.STARTING, State.RUNNING],
    "hibernate": [State.RUNNING, State.HIBERNATING, State.HIBERNATED],
    "resume": [State.HIBERNATED, State.RESUMING, State.RUNNING],
    "restart": [State.RUNNING, State.STOPPING, State.STARTING, State.RUNNING],
    "terminate": [State.RUNNING, State.TERMINATING, State.TERMINATED],
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
    """A daemon, one workspace in it, and whoever looks at it all the time."""

    def __init__(self, make_daemon, cloud, clock, monkeypatch):
        self.make_daemon, self.cloud, self.clock = make_daemon, cloud, clock
        self.watches, self.points, self.die_at, self.shown = False, [], None, []
        self.untrue = []  # a loop would take an assertion for a reason to try again
        self.reader = ThreadPoolExecutor(1)  # it is in nobody's transaction
        for call in CALLS:
            monkeypatch.setattr(cloud, call, self._watched(call, getattr(cloud, call)))
        self.begin()

    def begin(self):
        """A daemon that is alone, and so need not wait for the lease of one that is dead."""
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
        """A workspace in the state that the verb starts from."""
        self.watches, self.name = False, name
        for earlier in FIRST[verb]:
            self.ask(earlier)
            self.settle()
        self.watches, self.points, self.shown, self.die_at = True, [], [], None

    def pass_point(self, name):
        """Look; and die, if it is to be here."""
        if not self.watches:
            return
        self.points.append(name)
        self.look()
        if len(self.points) - 1 == self.die_at:
            self.watches = False
            raise Killed(name)

    def look(self):
        """What people see now is true now."""
        self.reader.submit(self._look).result()

    def _look(self):
        try:
            workspace = self.daemon.workspaces.named(self.name)
        except WorkspaceNotFound:
            return
        self.shown.append(state := state_of(workspace))
        if state in TRUTH:
            machine = self.cloud.machine(workspace.machine_id or workspace.expected_id)
            if machine.seen not in TRUTH[state]:
                self.untrue.append((state, machine.seen, self.points[-1:]))

    def ask(self, verb):
        """Ask for a verb, as a person does who does not know whether it was heard before."""
        workspaces = self.daemon.workspaces
        with suppress(Conflict):
            if verb == "launch":
                workspaces.launch(Launch(name=self.name, template=ML))
            elif verb == "terminate":
                workspaces.terminate(self.name, Termination(confirm="DELETE"))
            elif verb in LifecycleVerb:
                workspaces.ask(self.name, LifecycleVerb(verb))
            else:
                getattr(workspaces, verb)(self.name)

    def settle(self):
        """Let pass what takes time; only the loop of workspaces works here."""
        for _ in range(8):
            self.daemon.loop.patrol()
            while self.daemon.loop.once():
                pass
            if self.watches:
                self.look()
            self.clock.advance(seconds=2)

    def clear(self):
        """End it, so that the next one is alone."""
        self.watches = False
        self.ask("terminate")
        self.settle()


@pytest.fixture
def observed_workspace(make_daemon, cloud, clock, monkeypatch):
    workspace = ObservedWorkspace(make_daemon, cloud, clock, monkeypatch)
    yield workspace
    workspace.reader.shutdown()


def is_way(states, way):
    """Whether these states, one after the other, are a part of that way in its order."""
    rest = iter(way)
    changes = [state for at, state in enumerate(states) if not at or states[at - 1] is not state]
    return all(state in rest for state in changes)


def check(scene, way, *about):
    """All that was shown was true, and went its way to the end."""
    assert scene.untrue == [], about
    assert is_way(scene.shown, way), (*about, scene.shown)
    assert scene.shown[-1] is way[-1], (*about, scene.shown)


def watched(scene, verb):
    """Do it once, without a crash; the points that it passes."""
    scene.prepare("whole", verb)
    scene.ask(verb)
    scene.settle()
    assert {"commit"} < {*scene.points}, "it passed commits, and calls to the provider"
    check(scene, WAYS[verb])
    return scene.points


def every_verb(test):
    """All verbs, with a provider that is at once done and with one that takes its time."""
    for mark in (
        pytest.mark.parametrize("url", ["sqlite"], indirect=True),
        pytest.mark.parametrize("slow", SLOW, ids=["at once", "slow"]),
        pytest.mark.parametrize("verb", WAYS),
    ):
        test = mark(test)
    return test


@every_verb
def test_what_is_shown_is_so(observed_workspace, cloud, verb, slow):
    cloud.faults.slow = slow
    watched(observed_workspace, verb)


@pytest.mark.slow
@every_verb
def test_what_is_shown_is_so_wherever_the_daemon_dies(observed_workspace, cloud, verb, slow):
    cloud.faults.slow = slow
    for at, point in enumerate(watched(observed_workspace, verb)):
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


def test_a_way_back_is_none():
    way = WAYS["stop"]
    assert is_way([State.RUNNING, State.RUNNING, State.STOPPED], way)
    assert not is_way([State.RUNNING, State.STOPPING, State.RUNNING, State.STOPPED], way)
    assert not is_way([State.RUNNING, State.FAILED], way)
