"""On a machine with private homes, everything runs as the working user."""

import os
import subprocess

import pytest

from tests.providers.aws.machine.test_reach_daemon import (  # noqa: F401  the daemon and its commands
    cloud,
    port,
    prism,
    url,
)
from tests.providers.aws.ssh_machine import ACCOUNTS, ID, PoolOfOneMachine, PrivateHomes

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: only root can make other accounts"
)


@pytest.fixture
def sshd(tmp_path):
    tmp_path.chmod(0o755)
    homes = PrivateHomes(tmp_path / "machine")
    homes.start()
    yield homes
    homes.stop()


@pytest.fixture
def machine_pool(tmp_path, sshd):
    machine = PoolOfOneMachine(tmp_path / "home", sshd, user="researcher")
    yield machine
    machine.close()


def run_ssh(sshd, user, command):
    """OpenSSH's own client with the machine's key, as the account `user`."""
    argv = ["ssh", "-F", "none", "-i", sshd.key, "-p", str(sshd.port), "-o", "BatchMode=yes"]
    argv += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    return subprocess.run(
        [*argv, f"{user}@127.0.0.1", command], capture_output=True, text=True, timeout=60
    )


def test_homes_are_private(sshd):
    for name in ACCOUNTS:
        [other] = ACCOUNTS.keys() - {name}
        assert run_ssh(sshd, name, f"stat -c %a /home/{name}").stdout == "750\n"
        assert "Permission denied" in run_ssh(sshd, name, f"ls /home/{other}").stderr


def test_commands_and_shells_run_as_the_working_user(prism):  # noqa: F811
    assert prism("exec", "mine", "--", "id", "-un") == "researcher\n"
    assert (
        prism("exec", "mine", "--", "sh", "-c", "echo own > ~/note; pwd") == "/home/researcher\n"
    )
    assert prism("ssh", "mine", "--", "cat ~/note") == "own\n"


def test_files_are_copied_to_and_from_the_home_of_the_working_user(prism, tmp_path):  # noqa: F811
    (tmp_path / "data").write_text("precious")
    prism("cp", str(tmp_path / "data"), "mine:data")
    assert prism("exec", "mine", "--", "stat", "-c", "%U", "data") == "researcher\n"
    prism("cp", "mine:data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "precious"


def test_ssh_config_names_the_working_user(prism, tmp_path):  # noqa: F811
    (tmp_path / "config").write_text(prism("ssh-config"))
    argv = ["ssh", "-F", tmp_path / "config", "-o", "BatchMode=yes", "mine.prism", "id -un; pwd"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.stdout == "researcher\n/home/researcher\n", done.stderr


def test_login_of_the_image_is_possible(sshd):
    assert run_ssh(sshd, "ubuntu", "id -un").stdout == "ubuntu\n"


def test_daemon_runs_scripts_as_the_working_user(machine_pool):
    assert machine_pool.pool.run(ID, "id -un; pwd").out == b"researcher\n/home/researcher\n"
