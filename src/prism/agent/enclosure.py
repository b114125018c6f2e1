"""The place where a machine's programs run: reached from outside, over a socket.

Its first program (`inside.py`) starts all others. On Linux, with bubblewrap, it is a sandbox
(`sandbox.py`); where that is missing or forbidden the same program runs without one, and the
reason is told.
"""

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prism.agent.grafts import graft, prune
from prism.agent.processes import LINUX, MARK, Start, descendants, spawn
from prism.agent.recipe import SYSTEM
from prism.agent.safe_paths import remove_tree
from prism.agent.sandbox import bubblewrap, enclosed, volumes_of
from prism.agent.words import Log, last_words

PROGRAM = Path(__file__).resolve().with_name("inside.py")
PATIENCE = 20.0


class Enclosure:
    """A running place; `pid` is its first process as seen from outside."""

    def __init__(
        self,
        folder: Path,
        order: Mapping[str, Any],
        volumes: list[str],
        prepare: Callable[[], None],
    ) -> None:
        self._folder, self.volumes, self._prepare = folder, volumes, prepare
        self._hopeless: set[str] = set()  # volumes that cannot come in while it is open
        self._reachable: list[str] = order.get("reachable", [])
        self._wished = bool(order.get("sandbox", True))
        self.log = Log(folder / "logs" / "inside.log")
        self.kind, self.words = "", -1
        self._rest = b""
        self._open()

    def fileno(self) -> int:
        """Readable when there is an answer."""
        return self._socket.fileno()

    def ask(self, request: Mapping[str, Any], given: list[int]) -> None:
        """Have a program started or signalled; raises where nobody lives inside any more."""
        body = json.dumps(request).encode()
        socket.send_fds(self._socket, [struct.pack("!I", len(body)) + body], given)

    def answers(self) -> tuple[list[dict[str, Any]], list[int]] | None:
        """What was answered, with the descriptors that came along; none at the end."""
        try:
            said, given, _, _ = socket.recv_fds(self._socket, 65536, 8)
        except BlockingIOError:
            return [], []
        except OSError:
            return None
        if not said:
            return None
        *lines, self._rest = (self._rest + said).split(b"\n")
        return [_plain(line) for line in lines], given

    def admit(self, volumes: list[str]) -> None:
        """Let volumes in that came since, and out that are gone; where that may be done."""
        if self.kind != "bubblewrap":
            return
        here, wanted = set(self.volumes), set(volumes)
        self._hopeless &= wanted
        if not (come := wanted - here - self._hopeless) and here <= wanted:
            return
        if (within := _first_of(self.pid)) is None:
            return
        place = volumes_of(self._folder)
        let_in = {path for path in come if graft(within, path, place)}
        let_out = {path for path in here - wanted if prune(within, path)}
        self.volumes = sorted((here | let_in) - let_out)
        self._hopeless |= come - let_in

    def close(self) -> None:
        """Hang up; whoever is inside first then ends."""
        self._socket.close()

    def _open(self) -> None:
        bwrap, refusal = bubblewrap() if self._wished else None, ""
        if bwrap and (refusal := self._begin(bwrap)) == "":
            self.kind = "bubblewrap"
            return
        self.kind = f"none: {refusal or (_missing() if self._wished else 'switched off')}"
        if why := self._begin(None):
            raise OSError(f"nothing can be started inside of {self._folder.name}: {why}")

    def _begin(self, bwrap: str | None) -> str:
        """Start it; empty when it is ready, else why it is not."""
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", str(PROGRAM), str(theirs.fileno())]
        if bwrap:
            remove_tree(self._folder / "tmp")
            reachable = [*self._reachable, str(PROGRAM)]
            argv = enclosed(bwrap, argv, self._folder, reachable, self.volumes)
        environment = {"PATH": SYSTEM, "LANG": "C.UTF-8", MARK: str(self._folder)}

        def prepare() -> None:
            os.set_inheritable(theirs.fileno(), True)
            self._prepare()

        self.pid, self.words = spawn(Start(argv, environment, Path("/"), prepare))
        theirs.close()
        ours.settimeout(PATIENCE)
        try:
            ready = ours.recv(4096)
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            ready = b""
        if not ready:
            ours.close()
            os.set_blocking(self.words, True)
            with os.fdopen(self.words, "rb") as words:
                return last_words(words.read().decode(errors="replace")) or "it ends at once"
        # Requests may be large and are sent whole; nobody waits for an answer.
        ours.settimeout(PATIENCE)
        self._socket = ours
        return ""


def _first_of(pid: int) -> int | None:
    """The first process within, by the one that made its place."""
    children = [one for one in descendants(pid) if one.parent == pid]
    return min(children, key=lambda one: one.began).pid if children else None


def _missing() -> str:
    return "bubblewrap is not installed" if LINUX else "this system has no bubblewrap"


def _plain(line: bytes) -> dict[str, Any]:
    """An answer as far as it can be believed: whoever is inside may say anything."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, int)}
