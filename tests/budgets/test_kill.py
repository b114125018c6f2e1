"""Kill the real daemon at every write of a paid launch; count money and machines afterwards."""

import contextlib
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.budgets.model import BudgetExceeded
from prism.client.errors import DaemonUnreachable
from prism.projects.model import NewBudget
from prism.workspaces.model import NameTaken, WorkspaceState
from tests.optional import not_none
from tests.project.home import KILLABLE_DAEMON, Home
from tests.proofs import record
from tests.waiting import eventually

NEVER = -1
PRICES = {"PRISM_LOCAL_PRICES": "aws"}
COMMITS = {"before commit", "after commit"}
CAP = 2.0  # one small machine with its disk, never two
OPEN = "SELECT count(*) FROM segments WHERE ended IS NULL AND kind = "
BOOKS = {
    "compute that is counted": f"{OPEN}'compute'",
    "disks that are counted": f"{OPEN}'root'",
    "what is set aside": "SELECT count(*) FROM reservations WHERE running AND kept",
    "workspaces": "SELECT count(*) FROM workspaces",
}


def launch(home, name="mine"):
    """Launch, as a user does again who got no answer."""
    with contextlib.suppress(DaemonUnreachable, NameTaken):
        home.client.workspaces.launch("Plain Shell", name, project="lab", disk_gb=20)


def is_running(home):
    return [workspace.state for workspace in home.client.workspaces.list()] == [
        WorkspaceState.RUNNING
    ]


def kill_at(folder, die_at):
    """Launch, kill, restart, launch again: the points passed, and the sums of `BOOKS`."""
    home, crash = Home(folder), {"DIE_AT": str(die_at), "POINTS": str(folder / "points")}
    try:
        with home.run_daemon(KILLABLE_DAEMON, **crash, **PRICES) as process:
            home.client.projects.create("lab", budget=NewBudget(total_allocated=CAP))
            launch(home)
            if die_at == NEVER:
                eventually(lambda: is_running(home), 120)
            else:
                assert process.wait(120) == -signal.SIGKILL
        with home.run_daemon(**PRICES):
            launch(home)
            eventually(lambda: is_running(home), 120)
            with pytest.raises(BudgetExceeded):
                launch(home, "another")
            money = home.client.projects.budget("lab")
            assert 0 < money.reserved + not_none(money.current_spend) <= CAP
            assert len(home.machines()) == 1
        with contextlib.closing(sqlite3.connect(folder / "state.db")) as books:
            sums = {name: books.execute(query).fetchone()[0] for name, query in BOOKS.items()}
        return (folder / "points").read_text().splitlines(), sums
    finally:
        home.clear()


def commits_of_a_launch(folder):
    """The points before and after each commit until the workspace runs."""
    points, sums = kill_at(folder, NEVER)
    assert sums == dict.fromkeys(BOOKS, 1)
    end = len(points) - points[::-1].index("after commit")
    return [at for at, name in enumerate(points[:end]) if name in COMMITS]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_budgets_survive_sigkill_at_every_write_of_a_paid_launch(tmp_path):
    commits = commits_of_a_launch(tmp_path / "never")

    def survive(at):
        return at, kill_at(tmp_path / f"at{at}", at)[1]

    with ThreadPoolExecutor(2) as threads:
        results = dict(threads.map(survive, commits))
    assert results == dict.fromkeys(commits, dict.fromkeys(BOOKS, 1))
    record(
        "SIGKILL at every write of a paid launch",
        f"The real daemon was killed at each of {len(commits)} points before and after its "
        "commits, from the request until the workspace ran. Each time there was one machine, one "
        "open segment for compute, one open segment for its disk and one reservation, and a "
        "second launch that did not fit was refused.",
    )
