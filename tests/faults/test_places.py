"""Faults in random order on each file system, as root and as a user, wherever the home lies."""

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.attacks.ordinary import NOBODY, as_ordinary, can_be_ordinary, with_tun
from tests.disks import MEBIBYTES, loop_disk, mounted
from tests.faults.checker import NO, UNANSWERED, YES
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


@contextlib.contextmanager
def disk_for(kind, user):
    """A folder of a user on a small disk of its own."""
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    if user == "user" and not can_be_ordinary():
        pytest.skip("needs an ordinary user who can run Prism from here")
    folder = Path(tempfile.mkdtemp(prefix="prism-place-", dir="/var/tmp"))
    folder.chmod(0o755)
    place = folder / "disk"
    place.mkdir()
    try:
        if kind == "tmpfs":
            disk = mounted(place, f"size={MEBIBYTES['ext4']}m,mode=755")
        else:
            disk = loop_disk(folder / "image", place, kind)
        with disk:
            if user == "user":
                os.chown(place, NOBODY, NOBODY)
            yield place
    finally:
        shutil.rmtree(folder)


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
