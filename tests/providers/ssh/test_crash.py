"""Kills the daemon, or the whole lab server, at each commit and each request of a verb."""

import contextlib
import json
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from prism.errors import Problem
from tests import proofs
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.lab import Lab
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

pytestmark = [*LAB, pytest.mark.timeout(3000)]
MORTAL = (sys.executable, Path(__file__).with_name("mortal_daemon.py"))
NEVER, MOST_POINTS = -1, 60
# What is requested first; the verb; the method with which its points begin; the goal.
VERBS = {
    "launch": ((), "launch", "running"),
    "stop": (("launch",), "ask", "stopped"),
    "start": (("launch", "stop"), "start", "running"),
    "hibernate": (("launch",), "ask", "hibernated"),
    "terminate": (("launch",), "terminate", "terminated"),
}
GOALS = {verb: goal for verb, (_, _, goal) in VERBS.items()}


class Run:
    """One home, whose daemon or server dies at one point of a verb."""

    def __init__(self, folder: Path, lab: Lab, verb: str) -> None:
        self.home, self.lab, self.verb = LabHome(folder, lab), lab, verb
        self.before, self.armed, self.goal = VERBS[verb]
        self.points = folder / "points"

    def ask(self, verb: str) -> bool:
        """Whether a request was acknowledged; one without an answer is repeated later."""
        workspaces = self.home.client.workspaces
        try:
            if verb == "launch":
                workspaces.launch("plain-shell", "box")
            else:
                getattr(workspaces, verb)("box")
        except Problem:
            return False
        return True

    def state(self) -> str:
        """The state, also of a terminated workspace; empty if nobody knows it or the daemon."""
        with contextlib.suppress(Problem):
            return str(self.home.client.workspaces.get("box").state)
        return ""

    def reaches(self, goal: str) -> None:
        """Wait for a state."""
        eventually(lambda: self.state() == goal, 200)

    def prepare(self) -> None:
        """The profile, and what comes before the verb."""
        with self.home.run_daemon():
            self.home.begin()
            for verb in self.before:
                assert self.ask(verb)
                self.reaches(GOALS[verb])

    def dies(self, at: int, how: str) -> bool:
        """Let the verb die at a point; returns whether its request was acknowledged."""
        assert self.lab.process
        crash = {"DIE_AT": str(at), "HOW": how, "POINTS": str(self.points), "ARMED": self.armed}
        crash["SERVER"] = f"{self.lab.process.pid} {self.lab.uid}"
        with self.home.run_daemon(MORTAL, **crash) as daemon:
            acknowledged = self.ask(self.verb)
            if at == NEVER:
                self.reaches(self.goal)
            elif how == "daemon":
                assert daemon.wait(200) == -signal.SIGKILL
            else:
                eventually(lambda: self.lab.process and self.lab.process.poll() is not None, 200)
        return acknowledged

    def recovers(self, acknowledged: bool) -> None:
        """Everything comes back, the request is repeated, and the goal is reached."""
        if self.lab.process is None or self.lab.process.poll() is not None:
            self.lab.process = None
            self.lab.reboot()
        with self.home.run_daemon():
            if acknowledged:
                assert self.state(), "an acknowledged request was lost"
            with contextlib.suppress(AssertionError):
                eventually(lambda: self.state() == self.goal, 15)
            while self.state() != self.goal:
                self.ask(self.verb)
                if self.goal == "running" and self.state() == "stopped":
                    self.ask("start")
                if self.goal == "hibernated" and self.state() == "stopped":
                    self.ask("start")
                    eventually(lambda: self.state() == "running", 100)
                with contextlib.suppress(AssertionError):
                    eventually(lambda: self.state() == self.goal, 15)
            self.count()
            if self.goal != "terminated":
                self.ask("terminate")
                self.reaches("terminated")

    def count(self) -> None:
        """No orphan, no double, no live workspace forgotten."""
        lives = {"running", "hibernated"}
        eventually(lambda: self.supervisors() == (self.goal in lives), 60)
        folders = {
            path.parent.name
            for path in self.lab.home.glob(".prism-server/workspaces/ssh-*/seen.json")
            if json.loads(path.read_text())["phase"] != "gone"
        }
        assert len(folders) == (self.goal != "terminated"), folders

    def supervisors(self) -> int:
        """How many supervisors run on the server."""
        lines = (" ".join(each.cmdline()) for each in self.lab.programs())
        return sum("supervisor.py" in line for line in lines)


def points_of(folder: Path, lab: Lab, verb: str) -> list[str]:
    """The points that a verb passes until its last commit before the goal."""
    run = Run(folder, lab, verb)
    run.prepare()
    run.dies(NEVER, "daemon")
    names = run.points.read_text().splitlines()
    end = len(names) - names[::-1].index("after commit")
    run.recovers(True)
    run.home.clear()
    return names[:end][:MOST_POINTS]


def chosen(points: list[str], how: str, every: bool) -> list[int]:
    """All points, or the first of each name; a server dies at its requests only."""
    numbers = [n for n, name in enumerate(points) if how == "daemon" or "commit" not in name]
    return numbers if every else [n for n in numbers if points.index(points[n]) == n]


def check(tmp_path: Path, lab: Lab, verb: str, how: str, *, every: bool) -> Counter[str]:
    """Let one of them die at points of a verb; counts the deaths by the point's name."""
    points = points_of(tmp_path / "never", lab, verb)
    deaths = Counter[str]()
    for at in chosen(points, how, every):
        run = Run(tmp_path / f"at{at}", lab, verb)
        try:
            run.prepare()
            run.recovers(run.dies(at, how))
        finally:
            run.home.clear()
        passed = run.points.read_text().splitlines()
        deaths[passed[at]] += 1
    return deaths


@pytest.mark.parametrize("how", ["daemon", "server"])
def test_launch_survives_deaths_at_different_points(tmp_path, lab, how):
    deaths = check(tmp_path, lab, "launch", how, every=False)
    assert {"before launch", "after launch"} <= {*deaths}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["daemon", "server"])
@pytest.mark.parametrize("verb", VERBS)
def test_verb_survives_deaths_at_every_point(tmp_path, lab, verb, how):
    deaths = check(tmp_path, lab, verb, how, every=True)
    assert deaths
    words = ", ".join(f"{count} {name}" for name, count in sorted(deaths.items()))
    result = f"{deaths.total()} points ({words}): 0 orphans, 0 doubles, none forgotten or lost"
    proofs.record(f"Killed on a lab server: {verb}, the {how} dies", result)
