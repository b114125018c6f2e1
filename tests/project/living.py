"""One home, in which real daemons live and die."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import psutil

from prism.client import Client
from prism.client.errors import DaemonUnreachable
from tests.daemons import BIN, DAEMON, Fork, started
from tests.waiting import eventually

LONGEST = 600  # seconds: a command that has not ended by then will not
MORTAL = (sys.executable, Path(__file__).with_name("mortal.py"))


class Home:
    """The folder, the client that talks to whoever lives there, and the machines it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
        ours = {
            "PRISM_HOME": str(folder),
            "PRISM_PORT": "0",
            "PRISM_USER": "ada@example.org",
            "PRISM_DATABASE_TIMEOUT": "120",  # a busy computer is no busy database
            "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        }
        # One cache of packages for all homes of a test run: a product would have one home.
        self.environ = inherited | ours

    @property
    def client(self) -> Client:
        """Talks to the daemon that lives here now."""
        return Client(home=self.folder)

    @contextlib.contextmanager
    def living(
        self, program: Sequence[str | Path] = DAEMON, **environ: str
    ) -> Iterator[Fork | Popen[bytes]]:
        """A daemon, until the block ends."""
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
        """What the real command says, with a daemon or without one."""
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
    def begun(self, *words: str) -> Iterator[Popen[str]]:
        """A command that does not end by itself, until the block ends."""
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

    def said(self, *words: str) -> Any:
        """What a command that must succeed answers as JSON."""
        done = self.cli(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def states(self) -> list[str]:
        """The state of each workspace."""
        return [it.state for it in self.client.workspaces.list()]

    def machines(self) -> list[psutil.Process]:
        """The supervisors that run, whatever anybody wrote down about them."""
        return self._with("supervisor.py")

    def processes(self) -> list[psutil.Process]:
        """Every process that has to do with a machine of this home."""
        return self._with("")

    def clear(self) -> None:
        """End what a failed test has left behind, and a daemon that a command has started."""
        for process in (*self._daemons(), *self.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _daemons(self) -> Iterator[psutil.Process]:
        """Those of this home; a command that is not answered in time starts one."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                here = process.environ().get("PRISM_HOME") == str(self.folder)
                if here and "prismd" in " ".join(process.cmdline()):
                    yield process

    def _with(self, word: str) -> list[psutil.Process]:
        place = str(self.folder / "workspaces")
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                said = " ".join(process.cmdline())
                theirs = f"{said} {process.environ().get('PRISM_MACHINE', '')}"
                if place in theirs and word in said and process.status() != "zombie":
                    found.append(process)
        return found
