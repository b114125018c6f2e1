"""The first program inside of a machine: starts all others there, and tells how they ended.

    python -I -S inside.py SOCKET

It lives within the sandbox and within what is frozen; its supervisor, outside, speaks to it
over a socket. A request is a length and JSON, with the program's descriptors beside it; an
answer is a line of JSON. It imports nothing but the standard library: the rest of Prism
cannot be seen from here.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1


class Inside:
    """What runs here, by the number its supervisor gave it."""

    def __init__(self, outside: socket.socket) -> None:
        self._outside = outside
        self._running: dict[int, int] = {}  # number by pid
        self._poked, poke = os.pipe()
        for end in (self._poked, poke):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it goes when its supervisor hangs up

    def live(self) -> None:
        """Until the supervisor hangs up."""
        self._say({"ready": os.getpid()})
        while True:
            ready, _, _ = select.select([self._outside.fileno(), self._poked], [], [])
            if self._poked in ready:
                os.read(self._poked, 4096)
                self._reap()
            if self._outside.fileno() in ready and not self._obey():
                return

    def _obey(self) -> bool:
        head, given, _, _ = socket.recv_fds(self._outside, 4, 3)
        if len(head) < 4:
            return False
        (length,) = struct.unpack("!I", head)
        body = b""
        while len(body) < length:
            body += self._outside.recv(length - len(body))
        request = json.loads(body)
        if "signal" in request:
            self._signal(request)
        else:
            self._start(request, given)
        for one in given:
            os.close(one)
        return True

    def _signal(self, request: dict[str, Any]) -> None:
        for pid, number in self._running.items():
            if number == request["id"]:
                with contextlib.suppress(ProcessLookupError):
                    to = -pid if request.get("group") else pid
                    os.kill(to, request["signal"])

    def _start(self, request: dict[str, Any], given: list[int]) -> None:
        hand_over: list[int] = []
        ends = list(given)
        if request.get("tty"):
            hand_over, ends = _terminal(request["tty"])
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            _become(request, ends, parent)
        self._running[pid] = request["id"]
        self._say({"id": request["id"], "pid": pid}, hand_over)
        for one in {*hand_over, *(ends if hand_over else ())}:
            os.close(one)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (number := self._running.pop(pid, None)) is not None:
                self._say({"id": number, "exit": os.waitstatus_to_exitcode(status)})

    def _say(self, answer: dict[str, Any], given: list[int] | None = None) -> None:
        socket.send_fds(self._outside, [json.dumps(answer).encode() + b"\n"], given or [])


def _terminal(size: list[int]) -> tuple[list[int], list[int]]:
    """A terminal of this place: the end to hand over, and the three ends of the program."""
    master, slave = os.openpty()
    columns, rows = size
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return [master], [slave, slave, slave]


def _become(request: dict[str, Any], ends: list[int], parent: int) -> NoReturn:
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked to die with it
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():  # what we ignore, a program would ignore after us
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        for target, source in enumerate(ends):
            os.dup2(source, target)
        if request.get("tty"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(request["folder"])
        os.execve(request["argv"][0], request["argv"], request["environment"])
    except OSError as error:
        os.write(2, f"cannot run {request['argv'][0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


if __name__ == "__main__":
    os.umask(0o077)
    Inside(socket.socket(fileno=int(sys.argv[1]))).live()
