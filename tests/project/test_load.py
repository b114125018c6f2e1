"""Fifty real launches at once: each runs or is refused with a reason, and nothing is left."""

import json
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from threading import Event
from time import perf_counter

import pytest

from prism.client.transport.wire import Wire
from prism.errors import Problem
from tests.project.home import Home
from tests.waiting import eventually

MANY = 50
UNDER_WAY = {"launching", "starting", "terminating"}
STUCK = 20.0  # seconds after which an answer is too late


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def launch(home, number):
    """The state after the request, or the code of the refusal, which must have a remediation."""
    try:
        return home.client.workspaces.launch("Plain Shell", f"w{number}").state
    except Problem as refusal:
        assert refusal.code != "INTERNAL_ERROR"
        assert refusal.remediation, refusal.message
        return refusal.code


def measure_reads(home, over):
    """The durations of reads during the launches, in seconds."""
    wire, took = Wire(home.client._wire.address), []
    while not over.wait(0.02):
        for path in ("/instances", "/daemon/status", "/templates"):
            began = perf_counter()
            wire.ask("GET", path)
            took.append(perf_counter() - began)
    return took


def settled(home, listed):
    """All states, once no change is in progress."""
    states = home.states()
    return states if len(states) == listed and not UNDER_WAY & set(states) else None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_concurrent_launches_run_and_leave_nothing(home):
    with home.run_daemon(), ThreadPoolExecutor(MANY + 1) as people:
        over = Event()
        watching = people.submit(measure_reads, home, over)
        try:
            answers = list(people.map(lambda number: launch(home, number), range(MANY)))
            listed = answers.count("launching")
            states = eventually(lambda: settled(home, listed), 400)
        finally:
            over.set()
        assert set(states) == {"running"}, states
        # One supervisor each; a second one that cannot get the lock needs a moment to end.
        eventually(lambda: len(home.machines()) == listed)
        assert listed == MANY, "no launch was refused"
        took = watching.result(30)
        assert max(took) < STUCK, "reads do not wait for launches"
        assert quantiles(took, n=100)[49] < 1.0

        for name in range(MANY):
            home.client.workspaces.terminate(f"w{name}")
        eventually(lambda: set(settled(home, listed) or ()) == {"terminated"}, 400)
        assert home.processes() == []
    left = [
        path for path in (home.folder / "workspaces").glob("local-*") if (path / "home").exists()
    ]
    assert left == []
    log_entries = [json.loads(line) for line in (home.folder / "log").read_text().splitlines()]
    assert [entry for entry in log_entries if entry["level"] == "error"] == []
