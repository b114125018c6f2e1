"""The way in from outside: whoever owns the folder may have a program run inside.

Over the Unix socket `door` in the folder: a length and JSON (`argv`, or none for a login
shell; `environment`; `tty` as columns and rows; `copies` for a server of files), with three
descriptors beside it where there is no terminal. The answer is a line with the pid, and the
terminal's other end; when the program has ended, a line with its exit code. A line
`{"signal": 2}` signals it and those it works with, `{"moved": true}` tells that bytes came,
hanging up hangs them up. What runs through the door sleeps and ends with the machine.
"""

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from prism.agent.crew import Broken, Crew, Program
from prism.agent.processes import which
from prism.agent.recipe import Recipe
from prism.agent.visits import Visit, Visits
from prism.agent.words import Ears, Lines

PATIENCE = 2.0
LONGEST_REQUEST, LONGEST_LINE = 4 << 20, 4096  # bytes
NOT_STARTED = (
    "it was not started: there are too many processes in this workspace or terminals on this "
    "computer, or the workspace has just ended"
)
# What it comes to when a guest says what no guest of ours says; `json` may recur too deep.
GUEST_ERRORS = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(struct.error, RecursionError),
)


class Door:
    """Lets in while the machine is on."""

    def __init__(
        self,
        recipe: Recipe,
        crew: Crew,
        ears: Ears,
        is_open: Callable[[], bool],
        visits: Visits,
    ) -> None:
        """`visits` is told who comes and goes, for those who watch for idleness."""
        self._recipe, self._crew, self._ears, self._is_open = recipe, crew, ears, is_open
        self._visits = visits
        self._socket: socket.socket | None = None

    def hang(self) -> None:
        """Be there to be knocked on; a path that is too long for a socket is avoided."""
        if self._socket:
            return
        here = os.getcwd()
        os.chdir(self._recipe.folder.path)
        try:
            if os.path.lexists("door"):
                os.unlink("door")
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind("door")
        finally:
            os.chdir(here)
        self._socket.listen()
        self._ears.attend(self._socket.fileno(), self._knocked)

    def _knocked(self) -> bool:
        assert self._socket, "who was knocked on hangs"
        guest, _ = self._socket.accept()
        guest.settimeout(PATIENCE)
        given: list[int] = []
        try:
            request, given = _read(guest)
            if not self._is_open():
                raise Broken("NOT_ON", "the machine is not on")
            self._let_in(guest, self._filled(request), given)
        except Broken as why:
            _say(guest, {"error": why.message})
            guest.close()
        except (OSError, *GUEST_ERRORS):  # who cannot speak is not listened to
            guest.close()
        for one in given:
            os.close(one)
        return True

    def _filled(self, request: dict[str, Any]) -> dict[str, Any]:
        own = {str(name): str(value) for name, value in request.get("environment", {}).items()}
        environment = self._recipe.surroundings() | own
        argv = [str(word) for word in request.get("argv") or (environment["SHELL"], "-l")]
        program = which(argv[0], environment["PATH"])
        if program is None:
            raise Broken("COMMAND_NOT_FOUND", f"there is no program `{argv[0]}`")
        size = request.get("tty")
        return {
            "argv": [program, *argv[1:]],
            "environment": environment,
            "folder": str(self._recipe.folder.home),
            "tty": [_length(size[0]), _length(size[1])] if size else None,
            "copies": bool(request.get("copies")),
        }

    def _let_in(self, guest: socket.socket, request: dict[str, Any], given: list[int]) -> None:
        if not request["tty"] and len(given) != 3:
            raise Broken("NO_DESCRIPTORS", "without a terminal, three descriptors are needed")
        visit = Visit(is_command=not request["tty"] and not request["copies"])

        def told(news: dict[str, Any], master: list[int]) -> None:
            answer: dict[str, Any] = {k: news[k] for k in ("pid", "exit") if k in news}
            if visit.pid is None and "pid" not in news:
                answer["error"] = NOT_STARTED
            _say(guest, answer, master)
            visit.pid = news.get("pid", visit.pid)
            if "exit" in news:
                self._visits.end(visit)
                self._ears.ignore(guest.fileno())
                guest.close()

        program = self._crew.enter(request, [] if request["tty"] else given, told)
        self._visits.begin(visit)
        lines = Lines(LONGEST_LINE)
        self._ears.attend(guest.fileno(), lambda: self._heard(guest, program, visit, lines))

    def _heard(self, guest: socket.socket, program: Program, visit: Visit, said: Lines) -> bool:
        """A signal to pass on, bytes that moved; or the guest has hung up.

        A guest who says anything else is let go, and what runs for it goes on.
        """
        try:
            heard = guest.recv(4096)
        except OSError:
            heard = b""
        try:
            for line in said.add(heard):
                self._obey(program, line)
        except GUEST_ERRORS:
            self._let_go(guest, program, visit)
            return True
        if not heard:
            self._crew.hang_up(program, signal.SIGHUP, group=True)
            self._let_go(guest, program, visit)
        return True

    def _obey(self, program: Program, line: bytes) -> None:
        said = json.loads(line)
        if said == {"moved": True}:
            self._visits.touch()
        else:
            self._crew.hang_up(program, signal.Signals(said["signal"]), group=True)

    def _let_go(self, guest: socket.socket, program: Program, visit: Visit) -> None:
        program.told = lambda news, given: None
        self._visits.end(visit)
        self._ears.ignore(guest.fileno())
        guest.close()


def _length(said: Any) -> int:
    """Columns or rows, as a terminal may have them."""
    if not 0 <= int(said) < 1 << 16:
        raise ValueError("no terminal is of that size")
    return int(said)


def _read(guest: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, given, _, _ = socket.recv_fds(guest, 4, 3)
    try:
        (length,) = struct.unpack("!I", head)
        if length > LONGEST_REQUEST:
            raise ValueError("nobody asks for so much")
        body, until = b"", time.monotonic() + PATIENCE
        while len(body) < length:
            guest.settimeout(max(until - time.monotonic(), 0.001))
            if not (more := guest.recv(length - len(body))):
                raise ValueError("it ends in the middle")
            body += more
        guest.settimeout(PATIENCE)
        request = json.loads(body)
    except BaseException:
        for one in given:
            os.close(one)
        raise
    if not isinstance(request, dict):
        raise TypeError("this is no request")
    return request, given


def _say(guest: socket.socket, answer: dict[str, Any], given: list[int] | None = None) -> None:
    try:
        socket.send_fds(guest, [json.dumps(answer).encode() + b"\n"], given or [])
    except OSError:
        return
