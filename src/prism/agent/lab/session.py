"""A program inside a workspace, for a client at the other end of standard input and output.

Each message is a kind and a length, and then as many bytes. The client first sends `S` with an
`ExecRequest` and the machine as JSON; then `D`: input, `E`: the end of the input, `W`: a window
size, `K`: a signal. The answers are `O`: output, `R`: output for errors, `X`: the exit code, and
`F`: why it did not start. They follow a line with the nonce.
"""

import fcntl
import json
import os
import re
import selectors
import socket
import struct
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

from prism.agent.lab.messages import begin, receive, send
from prism.agent.protocol import EXEC_SOCKET, framed, send_descriptors, socket_address

SESSION_CHUNK = 1 << 15
START_ANSWER_SECONDS = 20
MACHINE_ID = re.compile(r"ssh-[0-9a-f]{17}")


def serve_session(workspaces: Path, nonce: str) -> int:
    """Run what the first message requests, until it ends or the client has gone."""
    begin(nonce)
    kind, body = receive()
    if kind != b"S":
        return 2
    request = json.loads(body)
    try:
        if not MACHINE_ID.fullmatch(request["id"]):
            raise OSError("no such machine")
        _Session(workspaces / request["id"], request["exec"]).run()
    except OSError as error:
        send(b"F", str(error).encode())
        return 1
    return 0


class _Session:
    """The program, its descriptors, and the client's messages."""

    def __init__(self, folder: Path, request: "dict[str, Any]") -> None:
        self._door = socket.socket(socket.AF_UNIX)
        self._door.settimeout(START_ANSWER_SECONDS)
        with socket_address(folder, EXEC_SOCKET) as address:
            self._door.connect(address)
        self._outputs: dict[int, bytes] = {}
        self._input, theirs = -1, []
        if not request.get("tty"):
            theirs = self._pipes()
        send_descriptors(self._door, framed(request), theirs)
        for end in theirs:
            os.close(end)
        head, ends, _, _ = socket.recv_fds(self._door, 4096, 1)
        line, _, self._rest = head.partition(b"\n")
        answer = json.loads(line or b"{}")
        if "pid" not in answer:
            raise OSError(str(answer.get("error", "the machine ended the connection")))
        if ends:
            self._input = ends[0]
            self._outputs = {ends[0]: b"O"}
        self._is_terminal = bool(ends)
        self._selector = selectors.DefaultSelector()
        self._waiting = bytearray()
        self._has_ended = False

    def _pipes(self) -> "list[int]":
        (stdin, into), (out, stdout), (err, stderr) = (os.pipe() for _ in range(3))
        self._input, self._outputs = into, {out: b"O", err: b"R"}
        return [stdin, stdout, stderr]

    def run(self) -> None:
        """Pass on bytes until the program has ended."""
        os.set_blocking(self._input, False)
        for output in self._outputs:
            self._selector.register(output, selectors.EVENT_READ, self._pass_on)
        self._selector.register(self._door, selectors.EVENT_READ, self._end)
        self._selector.register(0, selectors.EVENT_READ, self._receive)
        code = self._exit_code()  # a short program may have ended with the first answer
        while code is None:
            for key, _ in self._selector.select(0.05 if self._waiting else None):
                code = key.data(key.fd) if code is None else code
            self._write_input()
        for output, kind in list(self._outputs.items()):
            self._drain(output, kind)
        send(b"X", json.dumps(code).encode())

    def _pass_on(self, output: int) -> "int | None":
        try:
            piece = os.read(output, SESSION_CHUNK)
        except OSError:  # a terminal whose last program has gone
            piece = b""
        if piece:
            send(self._outputs[output], piece)
        else:
            self._selector.unregister(output)
            del self._outputs[output]
        return None

    def _drain(self, output: int, kind: bytes) -> None:
        os.set_blocking(output, False)
        with suppress(OSError):
            while piece := os.read(output, SESSION_CHUNK):
                send(kind, piece)

    def _end(self, _: int) -> "int | None":
        piece = self._door.recv(4096)
        self._rest += piece
        return 255 if (code := self._exit_code()) is None and not piece else code

    def _exit_code(self) -> "int | None":
        """The exit code of the program, if it has been received."""
        line, end, _ = self._rest.partition(b"\n")
        return int(json.loads(line).get("exit", 255)) if end else None

    def _receive(self, _: int) -> "int | None":
        try:
            kind, body = receive()
        except (EOFError, ValueError):  # the client has gone: its program gets SIGHUP
            return 255
        if kind == b"D":
            self._waiting += body
            self._door.send(b'{"moved": true}\n')
        elif kind == b"E":
            self._has_ended = True
        elif kind == b"W" and self._is_terminal:
            rows, columns = json.loads(body)
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, size)
        elif kind == b"K":
            self._door.send(json.dumps({"signal": int(body)}).encode() + b"\n")
        return None

    def _write_input(self) -> None:
        try:
            while self._waiting and self._input >= 0:
                del self._waiting[: os.write(self._input, self._waiting[:SESSION_CHUNK])]
        except BlockingIOError:
            return
        except OSError:  # the program reads no more
            self._waiting.clear()
        if self._has_ended and not self._waiting and not self._is_terminal and self._input >= 0:
            os.close(self._input)
            self._input = -1
