"""Fifty launches at once, for real: all run or say why not, and nothing is left of them."""

import json
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from threading import Event
from time import perf_counter

import pytest

from prism.client.wire import Wire
from prism.errors import Problem
from tests.project.living import Home
from tests.waiting import eventually

MANY = 50
UNDER_WAY = {"launching", "starting", "terminating"}
STUCK = 20.0  # seconds after which an answer is none any more


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def launch(home, number):
    """The state it was launched in, or the refusal, which must say what to do."""
    try:
        return home.client.workspaces.launch("Plain Shell", f"w{number}").state
    except Problem as refusal:
        assert refusal.code != "INTERNAL_ERROR"
        assert refusal.remediation, refusal.message
        return refusal.code


def looks(home, over):
    """How long answers took for somebody who looks meanwhile, in seconds."""
    wire, took = Wire(home.client._wire.place), []
    while not over.wait(0.02):
        for path in ("/instances", "/daemon/status", "/templates"):
            began = perf_counter()
            wire.ask("GET", path)
            took.append(perf_counter() - began)
    return took


def settled(home, listed):
    """Every state, once nothing is under way any more."""
    states = home.states()
    return states if len(states) == listed and not UNDER_WAY & set(states) else None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_launches_at_once(home):
    with home.living(), ThreadPoolExecutor(MANY + 1) as people:
        over = Event()
        watching = people.submit(looks, home, over)
        try:
            answers = list(people.map(lambda number: launch(home, number), range(MANY)))
            listed = answers.count("launching")
            states = eventually(lambda: settled(home, listed), 400)
        finally:
            over.set()
        assert set(states) == {"running"}, states
        # One supervisor each; a second one that finds the lock held needs a moment to leave.
        eventually(lambda: len(home.machines()) == listed)
        assert listed == MANY, "this machine is large enough for shells"
        took = watching.result(30)
        assert max(took) < STUCK, "nothing waits for a launch"
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
