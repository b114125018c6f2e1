"""Run the real command in a real process, against a scripted server."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import pytest

from tests.client.conftest import home, server, wire  # noqa: F401  fixtures
from tests.daemons import run_command
from tests.waiting import eventually

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = (sys.executable, "-m", "prism.cli.main")


@pytest.fixture
def environ(home: Path) -> dict[str, str]:  # noqa: F811  the fixture
    """An environment without the variables and the home of this computer."""
    keep = {"PATH", "LD_LIBRARY_PATH", "LANG"} & os.environ.keys()
    quiet = {name: os.environ[name] for name in keep}
    where = {"PRISM_HOME": str(home), "HOME": str(home), "PRISM_PORT": "1"}
    return quiet | where | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def prism(environ: dict[str, str]) -> Callable[..., CompletedProcess[str]]:
    """Run a command to its end."""

    def run(
        *words: str, input: str = "", command: Sequence[str] = COMMAND, **more: Any
    ) -> CompletedProcess[str]:
        starts_as_usual = not any(name.startswith("PYTHON") for name in more)
        if command == COMMAND and starts_as_usual:
            return run_command([*command, *words], environ | more, input, 120)
        return subprocess.run(
            [*command, *words],
            input=input,
            capture_output=True,
            text=True,
            timeout=120,
            env=environ | more,
        )

    return run


@pytest.fixture
def begin_command(environ: dict[str, str]) -> Iterator[Callable[..., Popen[str]]]:
    """Start a command that does not end by itself."""
    running = []

    def begin(*words: str, **more: Any) -> Popen[str]:
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        child = subprocess.Popen([*COMMAND, *words], text=True, env=environ | more, **pipes)
        running.append(child)
        return child

    yield begin
    for child in running:
        child.kill()
        child.communicate()


@pytest.fixture
def run_on_terminal(environ: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Run a command on a terminal and type `keys`; return the exit code and the screen."""

    def run(*words: str, keys: str = "", columns: int = 80, **more: Any) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)

        termios.tcsetwinsize(theirs, (24, columns))
        if keys:
            os.write(ours, keys.encode())
        env = environ | {"TERM": "xterm"} | more
        ends: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        child = subprocess.Popen([*COMMAND, *words], env=env, start_new_session=True, **ends)
        os.close(theirs)
        screen = bytearray()

        def over() -> bool:
            try:
                screen.extend(os.read(ours, 65536))
            except BlockingIOError:
                pass
            except OSError:  # the other end is closed
                return True
            return False

        eventually(over, 120)
        os.close(ours)
        return child.wait(120), screen.decode().replace("\r\n", "\n")

    return run
