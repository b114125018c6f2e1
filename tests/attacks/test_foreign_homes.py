"""Attacks by another user on a home that he can replace, or in which he left links.

Root's script for the start at boot is in the home. Who can replace the home, or a folder above it,
would run programs as root.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prism.cli.checks.context import CheckContext
from prism.cli.checks.folder import home as check_home
from prism.client.transport.address import DaemonAddress
from prism.home import HomeNotTrusted, check_folders_above, check_owner

STRANGER = 54321
CRONTAB = '#!/bin/sh\n[ "$1" = -l ] && exec cat {table}\nexec cat > {table}\n'
as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: only root can give a folder to somebody else"
)


@pytest.fixture
def folder(tmp_path):
    """A folder above homes."""
    above = tmp_path / "above"
    above.mkdir(mode=0o755)
    return above


@pytest.fixture
def command(tmp_path):
    """Run a command with this home, and with a crontab of the test."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "table").touch()
    crontab = tmp_path / "bin" / "crontab"
    crontab.write_text(CRONTAB.format(table=tmp_path / "table"))
    crontab.chmod(0o755)

    def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PRISM_HOME": str(home),
            "PRISM_PORT": "0",
        }
        program = [sys.executable, "-m", "prism.cli.main", *words]
        return subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60)

    return run


def own(folder, name="home"):
    home = folder / name
    home.mkdir(mode=0o700)
    return home


@as_root
def test_nothing_starts_at_boot_from_a_home_in_the_folder_of_another_user(
    folder, command, tmp_path
):
    home = own(folder)
    os.chown(folder, STRANGER, STRANGER)
    done = command(home, "daemon", "install")
    assert done.returncode == 1
    assert f"{folder} belongs to the user {STRANGER}" in done.stderr
    assert "prism move-home" in done.stderr
    assert (tmp_path / "table").read_text() == ""
    assert os.listdir(home) == []


def test_nothing_starts_at_boot_from_a_folder_in_which_every_user_may_rename(
    folder, command, tmp_path
):
    home = own(folder)
    folder.chmod(0o777)
    done = command(home, "daemon", "install")
    assert done.returncode == 1
    assert f"Every user may rename what is in {folder}" in done.stderr
    assert (tmp_path / "table").read_text() == ""
    folder.chmod(0o1777)
    done = command(home, "daemon", "install")
    assert done.returncode == 0, done.stderr
    assert f"{home}/start-at-boot" in (tmp_path / "table").read_text()


@as_root
def test_daemon_writes_nothing_into_a_home_of_another_user(folder, command, tmp_path):
    home, victim = own(folder), tmp_path / "victim"
    for name in ("daemon.log", "daemon.lock", "home.json", "state.db.lock"):
        (home / name).symlink_to(victim)
    os.chown(home, STRANGER, STRANGER)
    for words in (("daemon", "start"), ("daemon", "install"), ("list",)):
        done = command(home, *words)
        assert done.returncode == 1, (words, done.stdout)
        assert f"{home} belongs to the user {STRANGER}" in done.stderr, words
    with pytest.raises(HomeNotTrusted):
        check_owner(str(home))
    prismd = [sys.executable, "-m", "prism.daemon.start"]
    environ = {"PRISM_HOME": str(home), "PATH": "/usr/bin:/bin", "PRISM_PORT": "0"}
    daemon = subprocess.run(prismd, env=environ, capture_output=True, text=True, timeout=60)
    assert daemon.returncode == 1
    assert f"{home} belongs to the user {STRANGER}" in daemon.stderr
    assert not victim.exists()


@as_root
def test_doctor_warns_of_a_home_in_the_folder_of_another_user(folder):
    home = own(folder)
    assert check_home(CheckContext(address=DaemonAddress(str(home)), environ={})).level == "ok"
    os.chown(folder, STRANGER, STRANGER)
    finding = check_home(CheckContext(address=DaemonAddress(str(home)), environ={}))
    assert finding.level == "warning"
    assert f"belongs to the user {STRANGER} who could put something else" in finding.message


def test_own_home_in_an_own_folder_is_trusted(folder):
    check_owner(str(folder / "home"))  # which is made later
    check_folders_above(str(own(folder) / "deeper" / "home"))
