"""Running a program inside of a local machine: a shell, a copy, a command."""

import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from prism.errors import Unavailable


class Visit:
    """A program that runs inside; `terminal` is our end of its terminal, if it has one."""

    def __init__(self, door: socket.socket, pid: int, terminal: int | None, rest: bytes) -> None:
        self._door, self.pid, self.terminal, self._rest = door, pid, terminal, rest

    def fileno(self) -> int:
        """Readable when the program has ended."""
        return self._door.fileno()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._door.sendall(json.dumps({"signal": number}).encode() + b"\n")

    def moved(self) -> None:
        """Say that bytes came or went: whoever watches for idleness holds it for use."""
        with contextlib.suppress(OSError):  # it has just ended
            self._door.send(b'{"moved": true}\n', socket.MSG_DONTWAIT)

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, when it has ended; negative for the signal that ended it."""
        self._door.settimeout(seconds)
        while b"\n" not in self._rest:
            if not (said := self._door.recv(4096)):
                raise Unavailable("The machine went away")
            self._rest += said
        code: int = json.loads(self._rest)["exit"]
        return code

    def close(self) -> None:
        """Hang up; a program that still runs is hung up too."""
        self._door.close()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None


def enter(
    folder: Path,
    argv: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    tty: tuple[int, int] | None = None,
    given: Sequence[int] = (),
    copies: bool = False,
) -> Visit:
    """Run `argv`, or a login shell, in a terminal of that size or with the three `given`.

    `copies` is said of a server for files: unlike a command, it may be there and do nothing.
    """
    door = _door(folder)
    own = dict(environment or {})
    asked = {"argv": argv, "environment": own, "tty": tty, "copies": copies}
    body = json.dumps(asked).encode()
    try:
        socket.send_fds(door, [struct.pack("!I", len(body)) + body], list(given))
        said, ends, _, _ = socket.recv_fds(door, 4096, 1)
    except OSError as error:
        door.close()
        raise Unavailable(f"The machine does not answer: {error}") from error
    line, _, rest = said.partition(b"\n")
    answer = json.loads(line or b"{}")
    if "pid" not in answer:
        door.close()
        raise Unavailable(answer.get("error", "The machine went away"))
    return Visit(door, answer["pid"], ends[0] if ends else None, rest)


def _door(folder: Path) -> socket.socket:
    """A connection; on Linux through a descriptor, since a socket's path must be short."""
    door = socket.socket(socket.AF_UNIX)
    door.settimeout(20)
    here = os.open(folder, os.O_RDONLY)
    try:
        place = f"/proc/self/fd/{here}" if sys.platform == "linux" else str(folder)
        door.connect(f"{place}/door")
    except OSError as error:
        door.close()
        raise Unavailable(f"The machine is not on: {error}") from error
    finally:
        os.close(here)
    return door
