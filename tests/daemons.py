"""Daemons and commands as forks of a process that has already imported most of the code.

A fork runs the same code as `prismd` or `prism`, or one of the programs of the tests around it. In
`/proc` it has the command line and the environment of the process that it was forked from.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
COMMANDS = ROOT / "src" / "prism" / "cli"
DAEMON = (str(BIN / "prismd"),)
# The imports of a daemon, some of which it makes only at its start or its first answer.
IMPORTED = (
    "prism.daemon.main",
    "alembic.command",
    "cryptography.hazmat.primitives.serialization",
    "litestar.exceptions.responses",
    "litestar.middleware._internal.exceptions",
    "psycopg",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)


class Fork:
    """The part of `subprocess.Popen` that tests use."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self.pid, self.returncode = pid, None
        self._server, self._fd = server, os.pidfd_open(pid)
        self._lock = threading.Lock()

    returncode: int | None

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it has ended; returns its exit code."""
        with self._lock:
            if self.returncode is None:
                if not select.select([self._fd], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(f"daemon {self.pid}", timeout or 0)
                self.returncode = self._server.ask(ended=self.pid)
                os.close(self._fd)
            return self.returncode

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that daemons or commands are forked from."""

    def __init__(self, imported: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            (sys.executable, "-m", __name__, *imported),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environ,
        )

    def ask(self, **job: Any) -> int:
        """The id of a new process, or the exit code of an ended one."""
        with self._lock:
            assert self._process.stdin and self._process.stdout
            print(json.dumps(job, default=str), file=self._process.stdin, flush=True)
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """Closes the server; its daemons continue, as those of a shell do."""
        with self._process:
            pass


@cache
def fork_server() -> ForkServer:
    server = ForkServer(IMPORTED)
    atexit.register(server.close)
    return server


@cache
def command_server() -> ForkServer:
    files = [file.relative_to(COMMANDS) for file in COMMANDS.rglob("[a-z]*.py")]
    modules = sorted(".".join(("prism.cli", *file.with_suffix("").parts)) for file in files)
    modules.remove("prism.cli.main")  # it is run
    python = {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    server = ForkServer(modules, os.environ | python)
    atexit.register(server.close)
    return server


def run_command(
    program: Sequence[str], environ: Mapping[str, str], input: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Does what `subprocess.run` does, for `prism`, in a fork with the imports already made."""
    with tempfile.TemporaryDirectory() as folder:
        stdin, output, errors = (Path(folder) / name for name in ("in", "out", "err"))
        stdin.write_text(input)
        output.touch()
        errors.touch()
        job = {
            "program": program,
            "environ": dict(environ),
            "log": errors,
            "folder": Path.cwd(),
            "stdin": stdin,
            "output": output,
        }
        server = command_server()
        fork = Fork(server, server.ask(**job))
        try:
            code = fork.wait(timeout)
        except subprocess.TimeoutExpired:
            fork.kill()
            fork.wait()
            raise
        return subprocess.CompletedProcess(program, code, output.read_text(), errors.read_text())


def started(
    program: Sequence[str | Path],
    environ: Mapping[str, str],
    log: Path,
    folder: Path | None = None,
) -> Fork | subprocess.Popen[bytes]:
    """A fork that runs `prismd` or a program of Python; a new process for any other program."""
    log.touch()
    if str(program[0]) not in (*DAEMON, sys.executable):
        with log.open("a") as end:
            return subprocess.Popen(program, env=environ, stderr=end, cwd=folder)
    server = fork_server()
    job = {
        "program": program,
        "environ": dict(environ),
        "log": log,
        "folder": folder or Path.cwd(),
    }
    return Fork(server, server.ask(**job))


def serve() -> None:
    """Forks for each job; returns in the forks."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        if pid := job.get("ended"):
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        elif not (answer := os.fork()):
            return become(**job)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def become(
    program: list[str],
    environ: dict[str, str],
    log: str,
    folder: str,
    stdin: str = os.devnull,
    output: str = os.devnull,
) -> None:
    """Runs the program in this process."""
    ways = [os.open(stdin, os.O_RDONLY)]
    ways += [os.open(file, os.O_WRONLY | os.O_APPEND) for file in (output, log)]
    for number, file in enumerate(ways):
        os.dup2(file, number)
    os.closerange(min(ways), max(ways) + 1)
    if stdin != os.devnull:  # the program must not get what the server has read ahead
        sys.stdin = os.fdopen(0, errors="surrogateescape", closefd=False)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(folder)
    if program[0] == DAEMON[0]:
        sys.argv = program
        raise SystemExit(sys.modules["prism.daemon.main"].main())
    if program[1] == "-m":
        sys.argv = program[2:]
        runpy.run_module(program[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program[1:]
        runpy.run_path(program[1], run_name="__main__")


if __name__ == "__main__":
    serve()
