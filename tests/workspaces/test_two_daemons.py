"""Two daemons work on one PostgreSQL and one provider: one machine for each workspace."""

import random
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest

from prism.errors import InvalidState
from prism.kit.clock import WallClock
from prism.workspaces.model import LaunchRequest, LifecycleVerb, Observed, WorkspaceState
from prism.workspaces.plan import IN_BETWEEN, state_of
from tests.conftest import LOCATION
from tests.doubles.memory import MemoryCompute
from tests.rows import every_workspace
from tests.waiting import eventually

QUICK, RUNS, MANY = 5, 25, 12


@contextmanager
def at_work(daemon):
    """Runs the loop of the daemon, woken only by its own commits; it polls for other commits."""
    thread = threading.Thread(target=daemon.loop.run, kwargs={"every": 0.05, "gather": 0.01})
    with daemon.db.bus.listening(daemon.loop.wake):
        thread.start()
        try:
            yield
        finally:
            daemon.loop.stop()
            thread.join()


def settled(daemon):
    return all(state_of(entry) not in IN_BETWEEN for entry in every_workspace(daemon.db))


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "seed", [*range(QUICK), *(pytest.param(n, marks=pytest.mark.slow) for n in range(QUICK, RUNS))]
)
def test_two_daemons_make_one_machine_for_each_workspace(make_daemon, seed):
    rng, cloud = random.Random(seed), MemoryCompute(WallClock())
    daemons = [make_daemon(computes={LOCATION: cloud}, time=WallClock()) for _ in range(2)]
    with ExitStack() as stack:
        for daemon in daemons:
            stack.enter_context(at_work(daemon))
        for n in range(MANY):
            rng.choice(daemons).workspaces.launch(
                LaunchRequest(name=f"w{n}", template="Plain Shell")
            )
        for _ in range(MANY):
            name, verb = (
                f"w{rng.randrange(MANY)}",
                rng.choice([LifecycleVerb.STOP, LifecycleVerb.HIBERNATE]),
            )
            try:
                rng.choice(daemons).workspaces.ask(name, verb)
            except InvalidState:
                continue  # not running yet; the verb is refused
        eventually(lambda: settled(daemons[0]), 120)
    launches = Counter(call for call in cloud.calls if call.startswith("launch"))
    assert launches <= Counter({f"launch w{n}": 1 for n in range(MANY)})
    machines = Counter(machine.key for machine in cloud.survey())
    for entry in every_workspace(daemons[0].db):
        machine = entry.machine_id  # None if it was stopped before there was one
        assert machines[entry.id] == (0 if machine is None else 1)
        assert state_of(entry) in {
            WorkspaceState.RUNNING,
            WorkspaceState.STOPPED,
            WorkspaceState.HIBERNATED,
        }
        assert entry.observed is (
            Observed.NONE if machine is None else cloud.machine(machine).observed
        )
