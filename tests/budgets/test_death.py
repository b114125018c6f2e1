"""Kill a daemon at every commit and every call of every verb; check its balances."""

import itertools
import json
import shutil
import subprocess
import sys

import pytest

from tests.budgets.lives import LIVES
from tests.proofs import record


class ForkingDaemon:
    """A daemon process that forks for each life (see `mortal.py`)."""

    def __init__(self, folder):
        self.folder, self.numbers = folder, itertools.count()
        self.log = (folder / "log").open("w")
        self.mortal = subprocess.Popen(
            (sys.executable, "-m", "tests.budgets.mortal"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def close(self):
        assert self.mortal.stdin and self.mortal.stdout
        self.mortal.stdin.close()
        self.mortal.wait(120)
        self.mortal.stdout.close()
        self.log.close()

    def ask(self, do, life, home, **job):
        print(
            json.dumps({"do": do, "life": life, "home": str(home), **job}), file=self.mortal.stdin
        )
        assert self.mortal.stdin and self.mortal.stdout
        self.mortal.stdin.flush()
        answer = json.loads(self.mortal.stdout.readline())
        assert "broke" not in answer, answer["broke"]
        return answer

    def prepared(self, life):
        home = self.folder / f"{life}-{next(self.numbers)}"
        self.ask("prepare", life, home)
        return home

    def run_life(self, life, prepared, at=-1):
        """Run a life; if the daemon is killed at point `at`, start the next one."""
        home = self.folder / f"{life}-{next(self.numbers)}"
        shutil.copytree(prepared, home)
        lived = self.ask("live", life, home, at=at)
        outcome = self.ask("come back", life, home) if lived["killed"] else lived
        shutil.rmtree(home)
        return lived["passed"], lived["killed"], outcome["wrong"]


@pytest.fixture(scope="module")
def forking_daemon(tmp_path_factory):
    daemon = ForkingDaemon(tmp_path_factory.mktemp("stage"))
    try:
        yield daemon
    finally:
        daemon.close()


def summary_of_kills(stage, life, choose):
    """Kill one daemon at each of these points, and return a summary."""
    prepared = stage.prepared(life)
    points, killed, faults = stage.run_life(life, prepared)
    assert not killed
    assert faults == []
    assert points.count("after commit") >= 1
    deaths, failures, chosen = 0, [], [*choose(points)]
    for at in chosen:
        passed, killed, faults = stage.run_life(life, prepared, at)
        deaths += killed
        failures += [f"{at} {passed[-1]}: {fault}" for fault in faults]
    assert not failures, "\n".join(failures)
    assert deaths >= len(chosen) - 1 > 0, "each run passes nearly the same points"
    calls = sum(point.startswith("before ") and point != "before commit" for point in points)
    commits = points.count("after commit")
    those = f"commits: {commits}, calls that change something: {calls}"
    return f"{len(points)} points ({those}), killed {deaths} times"


def every_point(points):
    return range(len(points))


def points_after_changes(points):
    """The points after each kind of change that follows a different kind."""
    first: dict[tuple[str, str], int] = {}
    before = ""
    for at, name in enumerate(points):
        if name.startswith("after "):
            first.setdefault((before, name), at)
            before = name
    return first.values()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("life", ["launch", pytest.param("renewal", marks=pytest.mark.slow)])
def test_budgets_survive_sigkill_after_each_kind_of_change(forking_daemon, life):
    """A kill before a change leaves the same state as a kill after the previous change."""
    summary_of_kills(forking_daemon, life, points_after_changes)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("life", LIVES)
def test_budgets_survive_sigkill_at_every_write_and_call(forking_daemon, life):
    record(
        f"SIGKILL at every write and call: {life}",
        summary_of_kills(forking_daemon, life, every_point),
    )
