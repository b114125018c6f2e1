"""Faults in random order on each file system, as root and as a user, wherever the home lies."""

import json
import os
import pwd
import subprocess
import sys
from collections import Counter

import pytest

from tests.attacks.ordinary import NOBODY, as_ordinary, with_tun
from tests.faults.checker import NO, UNANSWERED, YES
from tests.faults.places import disk_for
from tests.faults.site import ROOT
from tests.proofs import record

DISKS = ("ext4", "xfs", "btrfs", "tmpfs")
USERS = ("root", "user")
KINDS = ("plain", "linked", "moved", "copied", "restored")
SHORT, LONG = 3, 4  # steps before the home is moved, and after
# Each disk, each user and each kind of home at least once.
COVERING = [
    ("ext4", "user", "moved"),
    ("xfs", "root", "copied"),
    ("btrfs", "user", "restored"),
    ("tmpfs", "root", "linked"),
    ("ext4", "root", "plain"),
]
FAULTS = ("killed", "ended", "stopped", "torn", "locked", "full", "emptied")


def run_cell(disk, user, kind, seed, steps):
    """Run a schedule on a new disk; return its counts."""
    with disk_for(disk, user) as place:
        words = (str(place), kind, str(seed), str(steps))
        command = [sys.executable, "-m", "tests.faults.cell", *words]
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        if user == "user":
            command = with_tun(as_ordinary(command))
            name = pwd.getpwuid(NOBODY).pw_name
            environ |= {"HOME": str(place), "USER": name, "LOGNAME": name}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, (disk, user, kind, seed, done.stdout, done.stderr)
        return Counter(json.loads(done.stdout.splitlines()[-1]))


def seed_of(disk, user, kind):
    return DISKS.index(disk) * 100 + USERS.index(user) * 10 + KINDS.index(kind)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("disk", "user", "kind"), COVERING)
def test_answered_writes_survive_faults_wherever_the_home_lies(disk, user, kind):
    counts = run_cell(disk, user, kind, seed_of(disk, user, kind), SHORT)
    assert counts[YES] and counts["full"] >= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("disk", DISKS)
def test_answered_writes_survive_long_schedules_wherever_the_home_lies(disk, user, kind):
    counts = run_cell(disk, user, kind, 1000 + seed_of(disk, user, kind), LONG)
    went_wrong = ", ".join(f"{counts[fault]} {fault}" for fault in FAULTS if counts[fault])
    record(
        f"Faults wherever the home lies: {disk}, {user}, {kind}",
        f"{2 * LONG} steps ({went_wrong}): {counts[YES]} requests acknowledged, {counts[NO]} "
        f"refused, {counts[UNANSWERED]} unanswered at first; {counts['machines']} machines, "
        f"{counts['events']:,} events, {counts['checks']} checks",
    )
