"""Storage on this computer, killed at each point: each volume exists once, and no data is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prism.errors import Problem
from prism.providers.local.storage.mounted_folders import DISK_MARKER
from tests.daemons import started
from tests.proofs import record
from tests.storage.killable_storage import MACHINES, KillableStorage
from tests.waiting import eventually

PROGRAM = Path(__file__).with_name("killable_storage.py")
NEVER = -1
FEW = 97
PATIENCE = 900  # seconds, for a busy computer
SHOWN = 400  # characters of an error


def run_until(home, die_at):
    """The points that were passed, and the exit code."""
    home.mkdir()
    program, log = (sys.executable, PROGRAM, home, "0", die_at), home.with_suffix(".log")
    code = started([str(word) for word in program], os.environ, log).wait(PATIENCE)
    assert code in {0, -signal.SIGKILL}, log.read_text()
    return (home / "points").read_text().split("\n")[:-1], code


def outcome_after_restart(home):
    """Starts storage again with the last request; returns the outcome."""
    requests = (home / "requests").read_text().split()
    storage = KillableStorage(home, datetime(2026, 1, 2, tzinfo=UTC))
    try:
        storage.run(int(requests[-1]) if requests else 0)
        back, shared = storage.data("back"), storage.data("all")
        outcome = {
            "volumes": sorted(entry.name for entry in every(storage)),
            "failures": [entry.failure for entry in every(storage) if entry.failure],
            "snapshots": [snapshot.name for snapshot in storage.service.snapshots()],
            "back": (back / "thesis").read_text(),
            "all": (shared / "thesis").read_text(),
        }
        folders = {back.parent.name, shared.parent.name}
        eventually(lambda: {*listed(home / "storage" / "volumes")} == folders, PATIENCE)
        eventually(lambda: listed(home / "storage" / "snapshots") == [], PATIENCE)
        mounted = {mount["name"] for mount in mounts(home, "y")}
        return outcome, mounted, mounts(home, "x")
    finally:
        storage.close()


def every(storage):
    listed = storage.service.every()
    return [*listed.ebs_volumes, *listed.efs_volumes]


def listed(folder):
    """The entries of a folder without the mark by which Prism knows that its disk is there."""
    return [name for name in os.listdir(folder) if name != DISK_MARKER]


def mounts(home, machine):
    file = home / "workspaces" / f"{MACHINES[machine]}.mounts.json"
    return json.loads(file.read_bytes())["volumes"] if file.exists() else []


WHOLE: tuple[object, ...] = (
    {
        "volumes": ["all", "back"],
        "failures": [],
        "snapshots": [],
        "back": "precious",
        "all": "shared",
    },
    {"all", "back"},
    [],
)


def run_killed_at(folder, at):
    """Whether the process was killed at this point, and what is wrong after it."""
    home = folder / f"at{at}"
    try:
        points, code = run_until(home, at)
        result = outcome_after_restart(home)
    except (AssertionError, OSError, Problem, subprocess.SubprocessError) as error:
        return False, [f"point {at}: {type(error).__name__}: {str(error)[:SHOWN]}"]
    wrong = [
        f"point {at}, {points[-1]}: {str(actual)[:SHOWN]}, not {str(expected)[:SHOWN]}"
        for actual, expected in zip(result, WHOLE, strict=True)
        if actual != expected
    ]
    if not wrong:
        shutil.rmtree(home)
    return code != 0, wrong


def kill_at_points(tmp_path, step):
    points, code = run_until(tmp_path / "never", NEVER)
    assert (code, outcome_after_restart(tmp_path / "never")) == (0, WHOLE)
    assert {"before commit", "after commit", "before os.mkdir", "before os.rename"} <= {*points}
    with ThreadPoolExecutor(2) as hands:
        chosen = range(0, len(points), step)
        results = list(hands.map(lambda at: run_killed_at(tmp_path, at), chosen))
    if wrong := [line for _, lines in results for line in lines]:
        pytest.fail("\n".join(wrong), pytrace=False)
    kills = sum(killed for killed, _ in results)
    assert kills > 0.8 * len(results), "copies run in parallel, so some points may be missing"
    return kills


def test_storage_survives_kills_at_some_points(tmp_path):
    kill_at_points(tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_storage_survives_a_kill_at_every_point(tmp_path):
    kills = kill_at_points(tmp_path, 1)
    record(
        "Storage on this computer, killed",
        f"The process was killed once at each of {kills} points in the life of volumes and "
        "snapshots: before and after each commit, and before each change of a file and each "
        "start of a program. In the end each volume exists once and is complete, and nothing is "
        "left over.",
    )
