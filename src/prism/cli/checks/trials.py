"""The slow checks, each in a fork of this process: one of the database, two of the sandbox.

A fork needs no interpreter of its own. Each begins before what it does not need is imported.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple

from prism.annotations import TYPE_CHECKING

if TYPE_CHECKING:
    from prism.agent.protocol import IsolationProbe, SandboxProbe

TRIAL_TIMEOUT = 10.0  # seconds that checks wait for a program, a trial or the daemon
MAX_DATABASE_BYTES = 200 * 2**20  # bytes of the largest database that the check reads
# Files that may be outside the home, and whose content the check must not print.
FILE_VARIABLES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "XAUTHORITY")


class ProgramResult(NamedTuple):
    """The exit code and output of a program; `code` is None if it could not be started."""

    code: int | None
    output: str


class ForkedTrial:
    """A function that runs in a fork; its output and exit code."""

    def __init__(self, main: Callable[[Any], int], probe: object) -> None:
        self._reader, writer = os.pipe()
        self._until = time.monotonic() + TRIAL_TIMEOUT
        self._pid = os.fork()
        if not self._pid:
            code = 1
            try:
                code = _run_in_fork(main, probe, writer)
            finally:  # the fork must never continue with its parent's code
                os._exit(code)
        os.close(writer)

    def result(self) -> ProgramResult:
        """The output and exit code, after the fork has ended."""
        output, ended = b"", select.poll()
        ended.register(self._reader, select.POLLIN)
        with os.fdopen(self._reader, "rb", buffering=0) as words:
            while ended.poll(max(0.0, self._until - time.monotonic()) * 1000):
                if not (piece := words.read(65536)):
                    _, status = os.waitpid(self._pid, 0)
                    code = os.waitstatus_to_exitcode(status)
                    return ProgramResult(code, output.decode(errors="replace").strip())
                output += piece
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        return ProgramResult(None, f"it did not end within {TRIAL_TIMEOUT:.0f} seconds")


def _run_in_fork(main: Callable[[Any], int], probe: object, output: int) -> int:
    """Run `main` in the fork; its output, and that of its programs, goes to `output`."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((nothing, output, output)):
        os.dup2(source, target)
    with open(1, "w", closefd=False) as sys.stdout:
        try:
            return main(probe)
        finally:
            if error := sys.exception():  # any error is printed as the reason
                print(f"{type(error).__name__}: {error}")


def start_trials(home: str, environ: Mapping[str, str]) -> dict[str, ForkedTrial]:
    """Start the trials that work on this system; the result is by the name of the check."""
    trials: dict[str, ForkedTrial] = {}
    database = database_path(home, environ)
    if database and os.path.isfile(database) and os.path.getsize(database) <= MAX_DATABASE_BYTES:
        trials["database"] = ForkedTrial(integrity, database)
    if sys.platform == "linux":
        trials |= _sandbox_trials(home, environ, database)
    return trials


def _sandbox_trials(
    home: str, environ: Mapping[str, str], database: str | None
) -> dict[str, ForkedTrial]:
    from shutil import which  # noqa: PLC0415  cold start: the database first

    from prism.agent.sandbox import isolation, sandbox_probe  # noqa: PLC0415  cold start: the same
    from prism.providers.local.sandbox_paths import reachable  # noqa: PLC0415  cold start: the same

    isolated: IsolationProbe = {"reachable": reachable(), "told": dict(environ), "home": home}
    trials = {"isolation": ForkedTrial(isolation.main, isolated)}
    if program := which("bwrap"):
        private = [file for name in FILE_VARIABLES if (file := environ.get(name))]
        if database and "PRISM_DATABASE_URL" in environ:
            private.append(database)
        probe: SandboxProbe = {
            "bwrap": program,
            "home": home,
            "private": private,
            "reachable": [*reachable(), sandbox_probe.__file__],
        }
        trials["bubblewrap"] = ForkedTrial(sandbox_probe.main, probe)
    return trials


def database_path(home: str, environ: Mapping[str, str]) -> str | None:
    """The file of SQLite; None if the database is PostgreSQL."""
    url = environ.get("PRISM_DATABASE_URL", "")
    if not url:
        return os.path.join(home, "state.db")
    if not url.startswith("sqlite:///"):
        return None
    from urllib.parse import unquote  # noqa: PLC0415  cold start: it brings `ipaddress`

    return os.path.abspath(unquote(url.removeprefix("sqlite:///").partition("?")[0]))


def integrity(database: str, mapped: int = MAX_DATABASE_BYTES) -> int:
    """In a fork: print SQLite's verdict on its file, `ok` if it is undamaged.

    A memory map of at most `mapped` bytes halves the time; but a file that cannot be read, or
    becomes shorter meanwhile, then ends the process.
    """
    import sqlite3  # noqa: PLC0415  cold start: in the fork alone
    from pathlib import Path  # noqa: PLC0415  cold start: in the fork alone

    with closing(sqlite3.connect(f"{Path(database).as_uri()}?mode=ro", uri=True)) as file:
        file.execute(f"PRAGMA mmap_size={mapped}")
        print(*file.execute("PRAGMA quick_check(1)").fetchone())
    return 0


def unmapped_integrity(database: str) -> int:
    """`integrity` without memory mapping: an error of the disk is printed."""
    return integrity(database, 0)
