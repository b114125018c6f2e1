"""Kill the real daemon at every commit and every outside call of a launch; count machines."""

import contextlib
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.client.errors import DaemonUnreachable
from prism.workspaces.model import NameTaken, State
from tests.project.living import MORTAL, Home
from tests.waiting import eventually

NEVER = -1
TEMPLATE = "Plain Shell"


def ask(home):
    """What a person does who got no answer the first time: ask again."""
    with contextlib.suppress(DaemonUnreachable, NameTaken):
        home.client.workspaces.launch(TEMPLATE, "mine")


def is_running(home):
    return home.states() == [State.RUNNING]


def killed_at(folder, die_at):
    """Launch, die, come back, ask again: the points passed, and what there is in the end."""
    home, crash = Home(folder), {"DIE_AT": str(die_at), "POINTS": str(folder / "points")}
    try:
        with home.living(MORTAL, **crash) as process:
            ask(home)
            if die_at == NEVER:
                eventually(lambda: is_running(home), 300)
            else:
                assert process.wait(300) == -signal.SIGKILL
        with home.living():
            ask(home)
            eventually(lambda: is_running(home), 300)
            points = (folder / "points").read_text().splitlines()
            folders = sorted(path.name for path in (folder / "workspaces").glob("local-*"))
            ids = [workspace.id for workspace in home.client.workspaces.list()]
            return points, (len(home.machines()), folders == ids)
    finally:
        home.clear()


def points_of_a_launch(folder):
    """How many points a launch passes until its workspace runs, and their names."""
    points, outcome = killed_at(folder, NEVER)
    assert outcome == (1, True)
    end = len(points) - points[::-1].index("after commit")
    assert {"before commit", "after commit", "before os.mkdir", "before open"} <= {*points}
    assert {"before subprocess.Popen", "before os.posix_spawn"} & {*points}
    return points[:end]


def survive(tmp_path, points, at):
    """The name of the point, and whether exactly one machine and its one folder were there."""
    passed, outcome = killed_at(tmp_path / f"at{at}", at)
    return f"{at}: killed {passed[at]}", outcome


def unlike(points):
    """The order is kept, a file of the machine half made, and its supervisor not yet begun."""
    names = {
        "after commit",
        "before os.rename",
        "before subprocess.Popen",
        "before os.posix_spawn",
    }
    return sorted(points.index(name) for name in names & {*points})


def survives(tmp_path, choose):
    points = points_of_a_launch(tmp_path / "never")
    with ThreadPoolExecutor(4) as threads:
        results = dict(threads.map(lambda at: survive(tmp_path, points, at), choose(points)))
    assert len(results) >= 3
    assert results == dict.fromkeys(results, (1, True))


@pytest.mark.timeout(900)
def test_a_launch_survives_death_at_points_that_differ(tmp_path):
    survives(tmp_path, unlike)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_launch_survives_death_at_every_point(tmp_path):
    survives(tmp_path, lambda points: range(len(points)))
