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
from collections.abc import Callable
from typing import Any

from prism.agent.crew import Broken, Crew, Program
from prism.agent.processes import which
from prism.agent.recipe import Recipe
from prism.agent.visits import Visit, Visits
from prism.agent.words import Ears

PATIENCE = 2.0


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
        except (OSError, ValueError, KeyError, TypeError):  # who cannot speak is not listened to
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
            "tty": [int(size[0]), int(size[1])] if size else None,
            "copies": bool(request.get("copies")),
        }

    def _let_in(self, guest: socket.socket, request: dict[str, Any], given: list[int]) -> None:
        if not request["tty"] and len(given) != 3:
            raise Broken("NO_DESCRIPTORS", "without a terminal, three descriptors are needed")
        visit = Visit(is_command=not request["tty"] and not request["copies"])

        def told(news: dict[str, Any], master: list[int]) -> None:
            _say(guest, {k: news[k] for k in ("pid", "exit") if k in news}, master)
            visit.pid = news.get("pid", visit.pid)
            if "exit" in news:
                self._visits.end(visit)
                self._ears.ignore(guest.fileno())
                guest.close()

        program = self._crew.enter(request, [] if request["tty"] else given, told)
        self._visits.begin(visit)
        self._ears.attend(guest.fileno(), lambda: self._heard(guest, program, visit))

    def _heard(self, guest: socket.socket, program: Program, visit: Visit) -> bool:
        """A signal to pass on, bytes that moved; or the guest has hung up."""
        try:
            lines = guest.recv(4096).splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                if "moved" in (said := json.loads(line)):
                    self._visits.touch()
                else:
                    self._crew.hang_up(program, signal.Signals(said["signal"]), group=True)
            except (ValueError, KeyError, TypeError):
                continue
        if not lines:
            self._crew.hang_up(program, signal.SIGHUP, group=True)
            program.told = lambda news, given: None
            self._visits.end(visit)
            self._ears.ignore(guest.fileno())
            guest.close()
        return True


def _read(guest: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, given, _, _ = socket.recv_fds(guest, 4, 3)
    (length,) = struct.unpack("!I", head)
    body = b""
    while len(body) < length:
        if not (more := guest.recv(length - len(body))):
            raise ValueError("it ends in the middle")
        body += more
    return json.loads(body), given


def _say(guest: socket.socket, answer: dict[str, Any], given: list[int] | None = None) -> None:
    try:
        socket.send_fds(guest, [json.dumps(answer).encode() + b"\n"], given or [])
    except OSError:
        return
