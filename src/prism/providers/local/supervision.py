"""Starts and notifies supervisors, and replaces those that died."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from prism.agent.protocol import poke
from prism.errors import Unavailable
from prism.providers.local.supervisor_server import (
    SUPERVISOR_PROGRAM,
    ForkedStart,
    SupervisorServer,
)

log = logging.getLogger(__name__)
START_TIMEOUT = 30
MAX_STARTS_AT_ONCE = 4
NO_VARIABLES: Mapping[str, str] = {}


def ensure(
    folder: Path,
    environ: Mapping[str, str] = NO_VARIABLES,
    server: SupervisorServer | None = None,
) -> None:
    """Make sure that a supervisor reads the current intent; starts one if there is none.

    `environ` has the settings that a supervisor needs; `server` forks it, if it can.
    """
    if not poke(folder):
        _wait_until_started(folder, _start(folder, environ, server))


def revive(
    folders: Sequence[Path],
    seconds: float,
    environ: Mapping[str, str] = NO_VARIABLES,
    server: SupervisorServer | None = None,
) -> None:
    """Start supervisors for these, as many as time allows; the next call continues."""
    until = time.monotonic() + seconds
    for first in range(0, len(folders), MAX_STARTS_AT_ONCE):
        if time.monotonic() > until:
            return
        started = [
            (path, _start(path, environ, server))
            for path in folders[first : first + MAX_STARTS_AT_ONCE]
            if path.is_dir()
        ]
        for folder, process in started:
            try:
                _wait_until_started(folder, process)
            except Unavailable as why:  # a broken folder must not hide other machines
                log.warning("%s", why.message)


def _start(
    folder: Path, environ: Mapping[str, str], server: SupervisorServer | None
) -> subprocess.Popen[bytes] | ForkedStart:
    known = {name: value for name, value in os.environ.items() if not name.startswith("PRISM_")}
    known |= environ
    if server and (forked := server.start(folder, known)):
        return forked
    quiet = subprocess.DEVNULL
    argv = [sys.executable, "-I", "-S", str(SUPERVISOR_PROGRAM), str(folder)]
    return subprocess.Popen(argv, env=known, cwd="/", stdin=quiet, stdout=quiet, stderr=quiet)


def _wait_until_started(folder: Path, process: subprocess.Popen[bytes] | ForkedStart) -> None:
    try:
        code = process.wait(START_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code:
        why = _last_words(folder / "supervisor.log") or f"it ended with exit code {code}"
        raise Unavailable(f"The supervisor of {folder.name} does not start: {why}")


def _last_words(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-300:].strip()
    except OSError:  # it ended before it could make the file, as on a full disk
        return ""
