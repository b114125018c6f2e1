"""Kills the daemon at each commit and each request to a lab server."""

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
NEVER, MOST_POINTS = ("never", 0), 60
Point = tuple[str, int]  # its name, and which of the points with this name
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
    """One home, whose daemon dies at one point of a verb."""

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

    def dies(self, at: Point) -> bool:
        """Let the verb die at a point; returns whether its request was acknowledged."""
        crash = {
            "DIE_AT": at[0],
            "TIME": str(at[1]),
            "POINTS": str(self.points),
            "ARMED": self.armed,
        }
        with self.home.run_daemon(MORTAL, **crash) as daemon:
            acknowledged = self.ask(self.verb)
            if at == NEVER:
                self.reaches(self.goal)
            else:
                assert daemon.wait(200) == -signal.SIGKILL
        return acknowledged

    def recovers(self, acknowledged: bool) -> None:
        """A daemon comes back, the request is repeated, and the goal is reached."""
        with self.home.run_daemon():
            if acknowledged:
                assert self.state(), "an acknowledged request was lost"
            with contextlib.suppress(AssertionError):
                eventually(lambda: self.state() == self.goal, 15)
            while self.state() != self.goal:
                self.ask(self.verb)
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
    run.dies(NEVER)
    names = run.points.read_text().splitlines()
    end = len(names) - names[::-1].index("after commit")
    run.recovers(True)
    run.home.clear()
    return names[:end][:MOST_POINTS]


def chosen(names: list[str], every: bool) -> list[Point]:
    """All points, or the first of each name."""
    points = [(name, names[: n + 1].count(name)) for n, name in enumerate(names)]
    return [point for point in points if every or point[1] == 1]


def check(tmp_path: Path, lab: Lab, verb: str, *, every: bool) -> Counter[str]:
    """Let the daemon die at points of a verb; counts the deaths by the point's name."""
    names = points_of(tmp_path / "never", lab, verb)
    deaths = Counter[str]()
    for number, at in enumerate(chosen(names, every)):
        run = Run(tmp_path / f"at{number}", lab, verb)
        try:
            run.prepare()
            run.recovers(run.dies(at))
        finally:
            run.home.clear()
        deaths[at[0]] += 1
    assert deaths
    return deaths


def record(verb: str, deaths: Counter[str]) -> None:
    """Write the counts into the page of proofs."""
    words = ", ".join(f"{count} {name}" for name, count in sorted(deaths.items()))
    result = f"{deaths.total()} points ({words}): 0 orphans, 0 doubles, none forgotten or lost"
    proofs.record(f"Killed on a lab server: {verb}, the daemon dies", result)


def test_launch_survives_deaths_at_different_points(tmp_path, lab):
    deaths = check(tmp_path, lab, "launch", every=False)
    assert {"before launch", "after launch"} <= {*deaths}
    record("launch", deaths)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_verb_survives_deaths_at_every_point(tmp_path, lab, verb):
    record(verb, check(tmp_path, lab, verb, every=True))
