"""What `Cleaner` removes from a home, and what it keeps because it is in use."""

import fcntl
import json
import os
import subprocess
import sys
import time

import pytest

from prism.providers.local.cleaning import KEPT_LOG_BYTES, Cleaner
from tests.optional import not_none

OLD = time.time() - 3600
HOLDER = (
    "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,2); print(1,flush=True); input()"
)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "cache" / "slots").mkdir(parents=True)
    for slot in "01":
        (tmp_path / "cache" / "slots" / slot).touch()
    (tmp_path / "cache" / "wheels").mkdir()
    (tmp_path / "cache" / "wheels" / "wheel").write_bytes(b"x" * 2**20)
    return tmp_path


def machine(home, number, phase, *, done):
    folder = home / "workspaces" / f"local-{number:017x}"
    (folder / "venv").mkdir(parents=True)
    (folder / "venv" / "package").write_bytes(b"x" * 2**20)
    (folder / "environment.done").touch()
    if done:
        (folder / "packages.done").touch()
    (folder / "lock").touch()
    report = {"key": "k", "name": "mine", "phase": phase, "run": 1}
    (folder / "seen.json").write_text(json.dumps(report))
    return folder


def found(home, kind, **how):
    cleaner = Cleaner(home, **how)
    [item] = [candidate for candidate in cleaner.clean(dry_run=False) if candidate.kind == kind]
    return item


def test_package_cache_is_removed_unless_an_installation_uses_it(home):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, home / "cache" / "slots" / "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        not_none(other.stdout).readline()
        busy = found(home, "package cache")
        other.kill()
    assert (busy.bytes, busy.items) == (0, 0)
    assert "being installed" in busy.in_use[0]
    assert (home / "cache" / "wheels" / "wheel").exists()
    assert found(home, "package cache").bytes >= 2**20
    assert os.listdir(home / "cache") == ["slots"]
    with (home / "cache" / "slots" / "1").open("r+b") as slot:
        fcntl.lockf(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the lock is free


def test_package_cache_is_kept_while_a_workspace_is_set_up(home):
    folder = machine(home, 1, "starting", done=False)
    assert folder.name in found(home, "package cache").in_use[0]
    assert (home / "cache" / "wheels" / "wheel").exists()


def test_environment_is_removed_only_if_the_next_start_rebuilds_it(home):
    unused = machine(home, 1, "failed", done=False)
    machines = [
        machine(home, 2, "off", done=True),
        machine(home, 3, "on", done=True),
        machine(home, 4, "on", done=False),
    ]
    assert found(home, "unused environments").items == 1
    assert sorted(os.listdir(unused)) == ["lock", "seen.json"]
    assert all((machine / "venv" / "package").exists() for machine in machines)


def test_leftovers_of_an_interrupted_cleaning_are_removed(home):
    folder = machine(home, 1, "off", done=True)
    (folder / ".venv.cleaned-01234567").mkdir()
    (home / "cache" / ".wheels.cleaned-01234567").mkdir()
    found(home, "package cache")
    assert not (folder / ".venv.cleaned-01234567").exists()
    assert os.listdir(home / "cache") == ["slots"]


def test_daemon_log_is_shortened_to_its_end(home):
    own = home / "daemon.log"
    lines = b"".join(b"line %09d\n" % number for number in range(200_000))
    own.write_bytes(lines)
    assert found(home, "old logs").bytes == len(lines) - KEPT_LOG_BYTES
    left = own.read_bytes()
    assert len(left) <= KEPT_LOG_BYTES
    assert lines.endswith(left)
    assert left.startswith(b"line ")
    assert found(home, "old logs").bytes == 0


@pytest.mark.parametrize("alone", [True, False])
def test_leftover_database_copy_of_a_killed_restore_is_removed(home, alone):
    left = home / "state.db.restore-a1_b2c3d"
    left.mkdir()
    (left / "state.db").write_bytes(b"x" * 2**20)
    (home / "state.db.before-restore-20260101T000000-a1b2c3").touch()
    os.utime(left, (OLD, OLD))
    assert found(home, "leftover drafts", alone=alone).items == 1
    assert not left.exists()
    assert (home / "state.db.before-restore-20260101T000000-a1b2c3").exists()


def test_storage_drafts_are_removed_only_while_no_daemon_runs(home):
    draft = home / "storage" / "volumes" / ".vol-0123456789abcdef0-00000000"
    aside = home / "storage" / "snapshots" / ".snap-0123456789abcdef0.deleted-00000000"
    volume = home / "storage" / "volumes" / "vol-0123456789abcdef0"
    for path in (draft, aside, volume):
        path.mkdir(parents=True)
        os.utime(path, (OLD, OLD))
    found(home, "leftover drafts")
    assert draft.exists() and aside.exists()
    found(home, "leftover drafts", alone=True)
    assert not draft.exists() and not aside.exists()
    assert volume.exists()
