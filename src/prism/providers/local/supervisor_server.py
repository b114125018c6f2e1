"""The process that forks supervisors for this daemon (`agent/supervisor_server.py`).

A supervisor that is started as a program imports for 70 ms of CPU time. A fork of this process
imports nothing, and shares memory with all others. If the process cannot be used, supervisors are
started as programs.
"""

import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)
SERVER_PROGRAM = Path(__file__).parents[2] / "agent" / "supervisor_server.py"
SUPERVISOR_PROGRAM = SERVER_PROGRAM.with_name("supervisor.py")
LONGER_NAME = len(SERVER_PROGRAM.name) - len(SUPERVISOR_PROGRAM.name)
END_TIMEOUT = 5.0
MAX_REQUEST_BYTES = 1 << 17
FAILED = 1


class ForkedStart:
    """A supervisor that is being started; the part of `subprocess.Popen` that its start needs."""

    def __init__(self, answer: int) -> None:
        self._answer = answer
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code of the start; raises `subprocess.TimeoutExpired`."""
        if self._code is None:
            if not select.select([self._answer], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(SERVER_PROGRAM.name, timeout or 0)
            code = os.read(self._answer, 1)
            self._finish(code[0] if code else FAILED)
        return FAILED if self._code is None else self._code

    def kill(self) -> None:
        """Wait no longer: it counts as failed."""
        if self._code is None:
            self._finish(FAILED)

    def _finish(self, code: int) -> None:
        os.close(self._answer)
        self._code = code


class SupervisorServer:
    """Starts the process at the first request, and ends it."""

    def __init__(self, machines: Path, longest_name: int) -> None:
        """`machines` is the folder of all machines, whose names have at most that length."""
        self._room = len(os.fsencode(machines)) + 1 + longest_name - LONGER_NAME
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = sys.platform != "linux"

    def start(self, folder: Path, environ: Mapping[str, str]) -> ForkedStart | None:
        """Start a supervisor with these variables; None if that has to be done otherwise."""
        request = json.dumps({"folder": str(folder), "environment": dict(environ)}).encode()
        read_end, write_end = os.pipe()
        try:
            with self._lock:
                if self._is_closed or len(request) > MAX_REQUEST_BYTES:
                    raise OSError("it is closed, or there are too many variables")
                if self._requests is None:
                    self._open()
                assert self._requests is not None
                socket.send_fds(self._requests, [request], [write_end])
        except OSError as error:
            os.close(read_end)
            log.debug("a supervisor is started as a program: %s", error)
            with self._lock:
                self._end()
            return None
        finally:
            os.close(write_end)
        return ForkedStart(read_end)

    def close(self) -> None:
        """End the process, which supervisors outlive."""
        with self._lock:
            self._is_closed = True
            self._end()

    def _open(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-I", "-S", str(SERVER_PROGRAM), "-" * max(self._room, 1)]
        with theirs:
            self._process = subprocess.Popen(
                argv,
                env={"PATH": os.defpath},
                cwd="/",
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._requests = ours

    def _end(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            try:
                self._process.wait(END_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
