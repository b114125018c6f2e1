"""Supervisors: started, poked, and given to machines that have lost theirs."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from prism.errors import Unavailable
from prism.providers.local.folder import holder

log = logging.getLogger(__name__)
PROGRAM = Path(__file__).parents[2] / "agent" / "supervisor.py"
PATIENCE = 30
AT_ONCE = 4
NOTHING: Mapping[str, str] = {}


def ensure(folder: Path, told: Mapping[str, str] = NOTHING) -> None:
    """Make sure that a supervisor reads what is wanted now; starts one if there is none.

    `told` are the settings that a supervisor needs, as environment variables.
    """
    if not poke(folder):
        _end(folder, _begin(folder, told))


def poke(folder: Path) -> bool:
    """Tell its supervisor that there is news; false where there is none."""
    while pid := holder(str(folder)):
        if sys.platform != "linux":
            os.kill(pid, signal.SIGUSR1)
            return True
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if holder(str(folder)) == pid:  # the handle is his, and not his successor's
                signal.pidfd_send_signal(handle, signal.SIGUSR1)
                return True
        except ProcessLookupError:
            continue
        finally:
            os.close(handle)
    return False


def revive(folders: Sequence[Path], seconds: float, told: Mapping[str, str] = NOTHING) -> None:
    """Give as many of these a supervisor as time allows; the next call goes on."""
    until = time.monotonic() + seconds
    for first in range(0, len(folders), AT_ONCE):
        if time.monotonic() > until:
            return
        begun = [
            (path, _begin(path, told))
            for path in folders[first : first + AT_ONCE]
            if path.is_dir()
        ]
        for folder, process in begun:
            try:
                _end(folder, process)
            except Unavailable as why:  # one broken folder keeps nobody else from being seen
                log.warning("%s", why.message)


def _begin(folder: Path, told: Mapping[str, str]) -> subprocess.Popen[bytes]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("PRISM_")}
    quiet = subprocess.DEVNULL
    argv = [sys.executable, "-I", "-S", str(PROGRAM), str(folder)]
    return subprocess.Popen(
        argv, env=known | dict(told), cwd="/", stdin=quiet, stdout=quiet, stderr=quiet
    )


def _end(folder: Path, process: subprocess.Popen[bytes]) -> None:
    try:
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code:
        said = (folder / "supervisor.log").read_text()[-300:] if folder.exists() else ""
        raise Unavailable(f"The supervisor of {folder.name} does not start: {said.strip()}")
