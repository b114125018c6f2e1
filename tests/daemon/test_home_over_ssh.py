"""A home moves to another computer by the commands of `docs/home.md`, over a real SSH server.

The other computer is a namespace in which the first home does not exist, with its own machine id.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.daemons import BIN
from tests.project.home import Home
from tests.providers.aws.ssh_machine import Sshd
from tests.waiting import eventually

DOCS = Path(__file__).parents[2] / "docs" / "home.md"
COMMAND = re.compile(r"^    (rsync .*) ~/\.prism/ HOST:\.prism/$", re.MULTILINE)


class OtherComputer(Sshd):
    """An SSH server on a computer without the first home."""

    def __init__(self, folder, hidden):
        super().__init__(folder)
        (folder / "machine-id").write_text("0" * 32 + "\n")
        self.hidden = hidden

    def within(self):
        mounts = f"mount --bind {self.folder}/machine-id /etc/machine-id; "
        mounts += f"mount -t tmpfs none {self.hidden}"
        own = ["unshare", "--mount", "--propagation", "private"]
        return [*own, "sh", "-ec", f'{mounts}; exec "$0" "$@"']

    @property
    def shell(self):
        """The SSH client's command, with the options of this server."""
        options = f"-F none -p {self.port} -i {self.key} -o StrictHostKeyChecking=no"
        return f"ssh {options} -o UserKnownHostsFile={self.folder}/known -o LogLevel=ERROR"


@pytest.mark.slow
@pytest.mark.needs("rsync", "ssh", "sshd")
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes another computer")
def test_home_moves_to_another_computer_by_the_documented_commands(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    home, moved = Home(tmp_path / "here" / "home"), tmp_path / "there" / "home"
    computer = OtherComputer(tmp_path / "ssh", tmp_path / "here")

    def remote(*words):
        line = f"env PRISM_HOME={moved} PRISM_PORT=0 {BIN}/prism {' '.join(words)}"
        command = [*computer.shell.split(), "127.0.0.1", line]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    try:
        home.cli_json("volume", "create", "data", "--size", "1")
        home.cli_json("launch", "plain-shell", "mine", "--volume", "data")
        write = 'echo here > "$HOME"/file; echo there > "$HOME"/volumes/data/file'
        assert home.cli("exec", "mine", "--", "sh", "-c", write).returncode == 0
        for words in (("stop", "--all", "--yes"), ("daemon", "stop")):
            done = home.cli(*words)
            assert done.returncode == 0, (words, done.stderr)
        eventually(lambda: not home.processes())
        computer.start()
        [rsync] = COMMAND.findall(DOCS.read_text())
        copy = [*rsync.split(), f"{home.folder}/", f"127.0.0.1:{moved}/"]
        done = subprocess.run(
            copy, env=os.environ | {"RSYNC_RSH": computer.shell}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        done = remote("start", "mine")
        assert done.returncode == 0, done.stderr
        done = remote("exec", "mine", "--", "cat", "file", "volumes/data/file")
        assert (done.returncode, done.stdout) == (0, "here\nthere\n"), done.stderr
        status = remote("daemon", "status", "--json").stdout
        assert '"healthy"' in status, status
        assert f"the home was {home.folder} on another computer" in log_of(moved)
        for line in ("terminate mine --yes", "volume delete data --yes"):
            done = remote(*line.split())
            assert done.returncode == 0, (line, done.stderr)
    finally:
        if computer.process is not None:
            remote("daemon", "stop")
            computer.stop()
        home.cli("daemon", "stop")
        home.clear()
        home.at(moved).clear()


def log_of(folder):
    return (folder / "daemon.log").read_text()
