"""Runs programs in the workspace for the owner of its folder, over a Unix socket there.

`ExecRequest` and the structs after it are the messages. The programs hibernate and end with the
machine.
"""

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, cast

from prism.agent.idle.ssh_sessions import SshSession, SshSessions
from prism.agent.machine.machine_config import MachineConfig
from prism.agent.machine.output_logs import LineBuffer, Selector
from prism.agent.machine.process_group import ProcessGroup, Program, ProgramFailed
from prism.agent.protocol import EXEC_SOCKET, LENGTH, ExecAnswer, ExecRequest

ANSWER_TIMEOUT = 2.0
LONGEST_REQUEST, LONGEST_LINE = 4 << 20, 4096  # bytes
NOT_STARTED = (
    "it was not started: there are too many processes in this workspace or terminals on this "
    "computer, or the workspace has just ended"
)
# The errors of reading an invalid message; `json` may recur too deep.
CLIENT_ERRORS = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(struct.error, RecursionError),
)


class ExecSocket:
    """Accepts requests while the machine is on."""

    def __init__(
        self,
        config: MachineConfig,
        process_group: ProcessGroup,
        selector: Selector,
        is_open: Callable[[], bool],
        sessions: SshSessions,
    ) -> None:
        """`sessions` records each session for the idle watch."""
        self._config, self._process_group, self._selector = config, process_group, selector
        self._is_open, self._sessions = is_open, sessions
        self._socket: socket.socket | None = None

    def listen(self) -> None:
        """Listen at a relative path, since the path of a socket must be short."""
        if self._socket:
            return
        cwd = os.getcwd()
        os.chdir(self._config.folder.path)
        try:
            if os.path.lexists(EXEC_SOCKET):
                os.unlink(EXEC_SOCKET)
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(EXEC_SOCKET)
        finally:
            os.chdir(cwd)
        self._socket.listen()
        self._selector.attend(self._socket.fileno(), self._accept)

    def _accept(self) -> bool:
        assert self._socket, "a socket that accepts has been opened"
        client, _ = self._socket.accept()
        client.settimeout(ANSWER_TIMEOUT)
        fds: list[int] = []
        try:
            request, fds = _read(client)
            if not self._is_open():
                raise ProgramFailed("NOT_ON", "the machine is not on")
            self._start(client, self._program_request(request), fds)
        except ProgramFailed as why:
            _send(client, {"error": why.message})
            client.close()
        except (OSError, *CLIENT_ERRORS):  # an invalid request gets no answer
            client.close()
        for descriptor in fds:
            os.close(descriptor)
        return True

    def _program_request(self, request: ExecRequest) -> dict[str, Any]:
        own = {str(name): str(value) for name, value in request.get("environment", {}).items()}
        environment = self._config.program_environment() | own
        argv = [str(word) for word in request.get("argv") or (environment["SHELL"], "-l")]
        program = self._config.find_program(argv[0], environment["PATH"])
        if program is None:
            raise ProgramFailed("COMMAND_NOT_FOUND", f"there is no program `{argv[0]}`")
        size = request.get("tty")
        return {
            "argv": [program, *argv[1:]],
            "environment": environment,
            "folder": str(self._config.folder.home),
            "tty": [_terminal_length(size[0]), _terminal_length(size[1])] if size else None,
            "copies": bool(request.get("copies")),
        }

    def _start(self, client: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        if not request["tty"] and len(fds) != 3:
            raise ProgramFailed(
                "NO_DESCRIPTORS", "without a terminal, three descriptors are needed"
            )
        session = SshSession(is_command=not request["tty"] and not request["copies"])

        def report(event: dict[str, Any], master: list[int]) -> None:
            answer: ExecAnswer = {}
            if "pid" in event:
                answer["pid"] = event["pid"]
            if "exit" in event:
                answer["exit"] = event["exit"]
            if session.pid is None and "pid" not in event:
                answer["error"] = NOT_STARTED
            _send(client, answer, master)
            session.pid = event.get("pid", session.pid)
            if "exit" in event:
                self._sessions.end(session)
                self._selector.ignore(client.fileno())
                client.close()

        program = self._process_group.enter(request, [] if request["tty"] else fds, report)
        self._sessions.begin(session)
        lines = LineBuffer(LONGEST_LINE)
        self._selector.attend(
            client.fileno(), lambda: self._receive(client, program, session, lines)
        )

    def _receive(
        self, client: socket.socket, program: Program, session: SshSession, lines: LineBuffer
    ) -> bool:
        """Read what the client sends: a signal to pass on, or how many bytes have moved.

        If the client disconnects, its program gets SIGHUP; anything else is ignored.
        """
        try:
            received = client.recv(4096)
        except OSError:
            received = b""
        try:
            for line in lines.add(received):
                self._handle(program, line)
        except CLIENT_ERRORS:
            self._disconnect(client, program, session)
            return True
        if not received:
            self._process_group.send_signal(program, signal.SIGHUP, group=True)
            self._disconnect(client, program, session)
        return True

    def _handle(self, program: Program, line: bytes) -> None:
        message = json.loads(line)
        if message == {"moved": True}:
            self._sessions.touch()
        else:
            self._process_group.send_signal(program, signal.Signals(message["signal"]), group=True)

    def _disconnect(self, client: socket.socket, program: Program, session: SshSession) -> None:
        program.on_event = lambda event, fds: None
        self._sessions.end(session)
        self._selector.ignore(client.fileno())
        client.close()


def _terminal_length(number: Any) -> int:
    """Columns or rows, in the range that a terminal allows."""
    if not 0 <= int(number) < 1 << 16:
        raise ValueError("the size of the terminal is invalid")
    return int(number)


def _read(client: socket.socket) -> tuple[ExecRequest, list[int]]:
    head, descriptors, _, _ = socket.recv_fds(client, 4, 3)
    try:
        (length,) = LENGTH.unpack(head)
        if length > LONGEST_REQUEST:
            raise ValueError("the request is too long")
        body, until = b"", time.monotonic() + ANSWER_TIMEOUT
        while len(body) < length:
            client.settimeout(max(until - time.monotonic(), 0.001))
            if not (more := client.recv(length - len(body))):
                raise ValueError("the request is incomplete")
            body += more
        client.settimeout(ANSWER_TIMEOUT)
        request = json.loads(body)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    if not isinstance(request, dict):
        raise TypeError("the request is invalid")
    return cast(ExecRequest, request), descriptors


def _send(client: socket.socket, answer: ExecAnswer, fds: list[int] | None = None) -> None:
    try:
        socket.send_fds(client, [json.dumps(answer).encode() + b"\n"], fds or [])
    except OSError:
        return
