"""Kills the real daemon at each commit and each outside effect of a launch; counts machines."""

import contextlib
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.client.errors import DaemonUnreachable
from prism.workspaces.model import NameTaken, WorkspaceState
from tests.project.home import KILLABLE_DAEMON, Home
from tests.waiting import eventually

NEVER = -1
TEMPLATE = "Plain Shell"


def ask(home):
    """Requests the launch; a request without an answer is repeated later."""
    with contextlib.suppress(DaemonUnreachable, NameTaken):
        home.client.workspaces.launch(TEMPLATE, "mine")


def is_running(home):
    return home.states() == [WorkspaceState.RUNNING]


def killed_at(folder, die_at):
    """Launches, is killed, restarts and launches again; returns the points and the outcome."""
    home, crash = Home(folder), {"DIE_AT": str(die_at), "POINTS": str(folder / "points")}
    try:
        with home.run_daemon(KILLABLE_DAEMON, **crash) as process:
            ask(home)
            if die_at == NEVER:
                eventually(lambda: is_running(home), 300)
            else:
                assert process.wait(300) == -signal.SIGKILL
        with home.run_daemon():
            ask(home)
            eventually(lambda: is_running(home), 300)
            points = (folder / "points").read_text().splitlines()
            folders = sorted(path.name for path in (folder / "workspaces").glob("local-*"))
            ids = [workspace.id for workspace in home.client.workspaces.list()]
            return points, (len(home.machines()), folders == ids)
    finally:
        home.clear()


def points_of_a_launch(folder):
    """The names of the points that a launch passes until its workspace runs."""
    points, outcome = killed_at(folder, NEVER)
    assert outcome == (1, True)
    end = len(points) - points[::-1].index("after commit")
    assert {"before commit", "after commit", "before os.mkdir", "before open"} <= {*points}
    starts = {"before socket.sendmsg", "before subprocess.Popen", "before os.posix_spawn"}
    assert starts & {*points}
    return points[:end]


def kill_once(tmp_path, points, at):
    """The name of the point, and whether there were exactly one machine and its folder."""
    passed, outcome = killed_at(tmp_path / f"at{at}", at)
    return f"{at}: killed {passed[at]}", outcome


def different_points(points):
    """Points after the row is stored, in the middle of a file, before the supervisor starts."""
    names = {
        "after commit",
        "before os.rename",
        "before socket.sendmsg",
        "before subprocess.Popen",
        "before os.posix_spawn",
    }
    return sorted(points.index(name) for name in names & {*points})


def check_kills(tmp_path, choose):
    points = points_of_a_launch(tmp_path / "never")
    with ThreadPoolExecutor(4) as threads:
        results = dict(threads.map(lambda at: kill_once(tmp_path, points, at), choose(points)))
    assert len(results) >= 3
    assert results == dict.fromkeys(results, (1, True))


@pytest.mark.timeout(900)
def test_launch_survives_a_kill_at_different_points(tmp_path):
    check_kills(tmp_path, different_points)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_launch_survives_a_kill_at_every_point(tmp_path):
    check_kills(tmp_path, lambda points: range(len(points)))
