"""Runs programs inside a local machine: a shell, a copy, a command."""

import contextlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from prism.agent.protocol import (
    EXEC_SOCKET,
    ExecAnswer,
    ExecMessage,
    ExecRequest,
    framed,
    send_descriptors,
    socket_address,
)
from prism.errors import Unavailable

LONGEST_LINE, HIGHEST_CODE = 65536, 255
MAX_ATTEMPTS = 5


class ExecSession:
    """A program that runs inside; `terminal` is our end of its terminal, if it has one."""

    def __init__(
        self, connection: socket.socket, pid: int, terminal: int | None, rest: bytes
    ) -> None:
        self._connection, self.pid, self.terminal, self._rest = connection, pid, terminal, rest

    def fileno(self) -> int:
        """Readable when the program has ended."""
        return self._connection.fileno()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._send({"signal": number})

    def moved(self) -> None:
        """Report that bytes were transferred, which counts as activity."""
        with contextlib.suppress(OSError):  # it has just ended
            self._send({"moved": True}, socket.MSG_DONTWAIT)

    def wait(self, seconds: float | None = None) -> int:
        """The exit code, after the end of the program; negative for the signal that ended it."""
        self._connection.settimeout(seconds)
        while b"\n" not in self._rest:
            if not (piece := self._connection.recv(4096)) or len(self._rest) > LONGEST_LINE:
                raise Unavailable("The machine ended the connection")
            self._rest += piece
        code = _decode_answer(self._rest.partition(b"\n")[0]).get("exit")
        if code is None or abs(code) > HIGHEST_CODE:
            raise Unavailable("The machine does not say how the program ended")
        return code

    def _send(self, message: ExecMessage, flags: int = 0) -> None:
        self._connection.send(json.dumps(message).encode() + b"\n", flags)

    def close(self) -> None:
        """Disconnect; a program that still runs gets SIGHUP."""
        self._connection.close()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None


def enter(
    folder: Path,
    argv: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    tty: tuple[int, int] | None = None,
    streams: Sequence[int] = (),
    copies: bool = False,
) -> ExecSession:
    """Run `argv`, or a login shell, in a terminal of that size or with three `streams`.

    `copies` marks a file server: unlike a command, it is idle unless bytes are transferred.
    """
    request: ExecRequest = {
        "argv": None if argv is None else list(argv),
        "environment": dict(environment or {}),
        "tty": tty,
        "copies": copies,
    }
    connection, head, ends = _exchange(folder, framed(request), streams)
    line, _, rest = head.partition(b"\n")
    answer = _decode_answer(line)
    # The machine sends the other end, and may send any file instead of a terminal.
    is_right = all(map(os.isatty, ends)) and bool(ends) == bool(tty)
    if (pid := answer.get("pid")) is None or not is_right:
        connection.close()
        for end in ends:
            os.close(end)
        raise Unavailable(answer.get("error", "The machine ended the connection"))
    return ExecSession(connection, pid, ends[0] if ends else None, rest)


def _exchange(
    folder: Path, request: bytes, streams: Sequence[int]
) -> tuple[socket.socket, bytes, list[int]]:
    """Send a request; returns the connection, the first bytes of the answer, and descriptors.

    A supervisor disconnects clients that send nothing for two seconds, which happens on a very
    busy computer. It has not read the request then, so a repeated one runs nothing twice.
    """
    for remaining in reversed(range(MAX_ATTEMPTS)):
        connection = _connect(folder)
        try:
            send_descriptors(connection, request, list(streams))
            head, ends, _, _ = socket.recv_fds(connection, 4096, 1)
        except OSError as error:
            connection.close()
            if remaining and isinstance(error, BrokenPipeError | ConnectionResetError):
                continue
            raise Unavailable(f"The machine does not answer: {error}") from error
        return connection, head, ends
    raise AssertionError("the last try returns or raises")


def _decode_answer(line: bytes) -> ExecAnswer:
    """The answer in a line; empty if the line is malformed."""
    try:
        return msgspec.json.decode(line, type=ExecAnswer)
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _connect(folder: Path) -> socket.socket:
    """A connection to the machine of a folder."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    try:
        with socket_address(folder, EXEC_SOCKET) as address:
            connection.connect(address)
    except OSError as error:
        connection.close()
        raise Unavailable(f"The machine is not on: {error}") from error
    return connection
