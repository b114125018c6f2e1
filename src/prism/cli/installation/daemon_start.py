"""Starting a daemon, and waiting until it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from prism.annotations import Any
from prism.cli.installation.daemon_log import last_lines, readable
from prism.cli.output.terminal import say
from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from prism.errors import Problem
from prism.home import check_owner

SLOW = 10.0  # seconds before a message says that the start takes long
DEADLINE = 60.0  # seconds in which it has to answer, even on a busy computer
RESTART_SECONDS = 1.0  # seconds until a new attempt, if the daemon exited because another one runs
GAVE_WAY = "already runs"  # in the message of a second daemon, which exits
START_POLL_INTERVAL = 0.02
LAST_WORDS = 8  # lines
LEAST = 2**20  # bytes of free disk space; with less, a start fails for that reason


def start_daemon(address: DaemonAddress) -> None:
    """Start a daemon that outlives this command; returns when its socket answers.

    Two clients may do this at once, or while the previous daemon is ending: a daemon that finds
    another one exits, and this function waits until one of them answers.
    """
    check_owner(address.home)  # before the daemon's log is opened in it
    os.makedirs(address.home, mode=0o700, exist_ok=True)
    say("Starting the daemon")
    begun = time.monotonic()
    until, slow = begun + DEADLINE, begun + SLOW
    child, before = _spawn(address)
    retry_at = time.monotonic() + RESTART_SECONDS
    while not _is_listening_or_ends(address, child):
        late = time.monotonic() > until
        code = child.poll()
        gave_way = code is not None and GAVE_WAY in "\n".join(_new_log_lines(address, before))
        if late or (code is not None and not gave_way):
            raise _start_failure(address, before, code)
        if gave_way and time.monotonic() > retry_at:
            child, before = _spawn(address)
            retry_at = time.monotonic() + RESTART_SECONDS
        if time.monotonic() > slow:
            say("It is still starting")
            slow = until
        time.sleep(START_POLL_INTERVAL)
    child.returncode = child.returncode or 0  # so that `Popen` does not warn about a running child


def is_listening(address: DaemonAddress) -> bool:
    """Whether the daemon accepts connections."""
    try:
        Wire(address).connect().close()
    except OSError:
        return False
    return True


def _is_listening_or_ends(address: DaemonAddress, child: subprocess.Popen[bytes]) -> bool:
    """Whether the daemon accepts connections; if another program does, ours is ended first."""
    try:
        return is_listening(address)
    except Problem:  # such as `DaemonNotTrusted`: no command could use this daemon
        child.terminate()
        child.wait()
        raise


def daemon_info(address: DaemonAddress) -> dict[str, Any]:
    """The content of this home's lock file; empty if the daemon has ended.

    Use it only if the daemon answers: a killed daemon leaves the file behind, and its process id
    may belong to another program by now.
    """
    try:
        with open(os.path.join(address.home, "daemon.lock"), encoding="utf-8") as lock:
            about: dict[str, Any] = json.load(lock)
        os.kill(about["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return about


def _spawn(address: DaemonAddress) -> tuple[subprocess.Popen[bytes], int]:
    """Start a daemon; the process, and the offset in the log where its lines begin."""
    log = os.open(address.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.fstat(log).st_size
        child = subprocess.Popen(
            daemon_command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=address.home,
            env=os.environ | {"PRISM_HOME": address.home},
            start_new_session=True,  # it outlives the terminal, and its Ctrl-C
        )
        return child, before
    finally:
        os.close(log)


def daemon_command() -> list[str]:
    """The command that starts the daemon of the same installation."""
    script = os.path.join(os.path.dirname(sys.executable), "prismd")
    return [script] if os.access(script, os.X_OK) else [sys.executable, "-m", "prism.daemon.start"]


def _new_log_lines(address: DaemonAddress, before: int) -> list[str]:
    return last_lines(address.log, LAST_WORDS, before)[0]


def _is_full(address: DaemonAddress) -> bool:
    filesystem = os.statvfs(address.home)
    return filesystem.f_bavail * filesystem.f_frsize < LEAST


def _start_failure(address: DaemonAddress, before: int, code: int | None) -> DaemonUnreachable:
    outcome = "does not answer" if code is None else f"ended with exit code {code}"
    if _is_full(address):  # too full for the daemon to log it
        return DaemonUnreachable(
            f"The daemon was started and {outcome}",
            details=f"the disk is full: {address.home} has no room for a daemon to start in",
            remediation="Free some space: `prism clean`",
        )
    words = "\n".join(map(readable, _new_log_lines(address, before))).splitlines()[-LAST_WORDS:]
    return DaemonUnreachable(
        f"The daemon was started and {outcome}",
        details="\n  ".join(words),
        remediation="Its whole log: `prism daemon logs`",
    )
