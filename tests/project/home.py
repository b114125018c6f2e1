"""A home in which tests start and kill real daemons."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import psutil

from prism.client import Client
from prism.client.errors import DaemonUnreachable
from tests.daemons import BIN, DAEMON, Fork, started
from tests.waiting import eventually

LONGEST = 600  # seconds; a command that takes longer has hung
KILLABLE_DAEMON = (sys.executable, Path(__file__).with_name("killable_daemon.py"))


class Home:
    """The folder, a client of its daemon, and its machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
        ours = {
            "PRISM_HOME": str(folder),
            "PRISM_PORT": "0",
            "PRISM_USER": "ada@example.org",
            "PRISM_DATABASE_TIMEOUT": "120",  # the computer may be busy
            "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        }
        # All homes of a test run share one cache of packages, as one home would.
        self.environ = inherited | ours

    def at(self, folder: Path) -> "Home":
        """This home in another folder, where it was moved, copied or linked."""
        other = copy(self)
        other.folder = folder
        other.environ = self.environ | {"PRISM_HOME": str(folder)}
        return other

    @property
    def client(self) -> Client:
        """A client of the current daemon."""
        return Client(home=self.folder)

    @contextlib.contextmanager
    def run_daemon(
        self, program: Sequence[str | Path] = DAEMON, **environ: str
    ) -> Iterator[Fork | Popen[bytes]]:
        """Runs a daemon until the block ends."""
        process = started(program, self.environ | environ, self.folder / "log")
        try:
            eventually(lambda: self.answers() or process.poll() is not None, 120)
            yield process
        finally:
            process.terminate()
            process.wait(120)

    def answers(self) -> bool:
        """Whether a daemon answers."""
        with contextlib.suppress(DaemonUnreachable):
            self.client.daemon.status()
            return True
        return False

    def cli(self, *words: str, input: str | None = None, **environ: str) -> CompletedProcess[str]:
        """Runs the real command, with or without a daemon."""
        command = [str(BIN / "prism"), *words]
        return subprocess.run(
            command,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            input=input,
            timeout=LONGEST,
        )

    @contextlib.contextmanager
    def run_command(self, *words: str) -> Iterator[Popen[str]]:
        """Runs a command that does not end by itself, until the block ends."""
        pipes: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        command = [str(BIN / "prism"), *words]
        with subprocess.Popen(command, env=self.environ, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    def cli_json(self, *words: str) -> Any:
        """Runs a command that must succeed; returns its JSON."""
        done = self.cli(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def states(self) -> list[str]:
        """The state of each workspace."""
        return [workspace.state for workspace in self.client.workspaces.list()]

    def machines(self) -> list[psutil.Process]:
        """The supervisors that run."""
        return self._processes_with("supervisor.py")

    def processes(self) -> list[psutil.Process]:
        """All processes of the machines of this home."""
        return self._processes_with("")

    def clear(self) -> None:
        """Ends the processes that a failed test left, and a daemon that a command started."""
        for process in (*self._daemons(), *self.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _daemons(self) -> Iterator[psutil.Process]:
        """The daemons of this home; a command that gets no answer in time starts one."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.environ().get("PRISM_HOME") == str(self.folder)
                if is_ours and "prismd" in " ".join(process.cmdline()):
                    yield process

    def _processes_with(self, word: str) -> list[psutil.Process]:
        place = str(self.folder.resolve() / "workspaces")  # supervisors know no links
        matching = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                text = f"{command} {process.environ().get('PRISM_MACHINE', '')}"
                if place in text and word in command and process.status() != "zombie":
                    matching.append(process)
        return matching
