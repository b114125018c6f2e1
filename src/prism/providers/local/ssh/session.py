"""One SSH session: a shell, a command or a file transfer, run inside the machine."""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import asyncssh

from prism.errors import Unavailable
from prism.providers.local.exec_client import ExecSession, enter

SFTP = Path(__file__).with_name("transfer.py").read_text("utf-8")
CHUNK = 1 << 16
MOST_LEFT = 1 << 20  # bytes that a pipe can hold: more is output of other programs
NOT_BEGUN, KILLED = 255, 128  # exit codes, as OpenSSH and shells have them
MAX_WINDOW_SIZE = 0x7FFF
REPORT_EVERY = 1.0  # seconds between two reports of activity
IUTF8 = 0x4000  # on Linux and macOS alike; Python has no name for it
ACCEPTED = ("LANG", "LC_", "COLORTERM")  # the only variables that a client may set


class Session(asyncssh.SSHServerSession[bytes]):
    """Carries bytes between a channel and a program that `enter` has started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._argv: list[str] | None = None
        self._size: tuple[int, int] | None = None  # columns and rows of its terminal
        self._is_utf8 = False
        self._environment: dict[str, str] = {}
        self._exec_session: ExecSession | None = None
        self._input = -1
        self._outputs: dict[int, int | None] = {}
        self._waiting = bytearray()
        self._ended = False  # the client sends no more
        self._full = False  # the program is slow: the client has to wait
        self._slow = False  # the client is slow: the program has to wait
        self._copies = False  # it serves files, and nothing else
        self._reported_at = 0.0  # when activity was last reported

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan
        self._loop = asyncio.get_running_loop()

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        """Note that the session has a terminal, of this size."""
        columns, rows = term_size[:2]
        self._size = _size(columns or 80, rows or 24)
        self._is_utf8 = bool(term_modes.get(asyncssh.PTY_IUTF8))
        self._environment["TERM"] = term_type or "xterm-256color"
        return True

    def shell_requested(self) -> bool:
        """A login shell."""
        return True

    def exec_requested(self, command: str) -> bool:
        """A command, as the person's shell understands it."""
        self._argv = ["/bin/sh", "-c", 'exec "$SHELL" -c "$1"', "sh", command]
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """File transfer, with the rights of programs inside."""
        self._argv, self._copies = [sys.executable, "-I", "-c", SFTP], True
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Begin."""
        self._beginning = self._loop.create_task(self._start_and_attach())

    async def _start_and_attach(self) -> None:
        requested = self._channel.get_environment()
        own = {k: v for k, v in requested.items() if isinstance(k, str) and k.startswith(ACCEPTED)}
        self._environment |= own
        try:
            started = await self._loop.run_in_executor(None, self._start_program)
        except (Unavailable, OSError) as error:
            why = error.message if isinstance(error, Unavailable) else str(error)
            if not self._channel.is_closing():
                self._channel.write_stderr(f"{why}\r\n".encode())
                self._channel.exit(NOT_BEGUN)
            return
        self._exec_session, self._input, self._outputs = started
        if self._channel.is_closing():
            self._close()
            return
        for number in {self._input, *self._outputs}:
            os.set_blocking(number, False)
        self._loop.add_reader(self._exec_session.fileno(), self._program_ended)
        self._update_readers()
        self._write_input()

    def _start_program(self) -> tuple[ExecSession, int, dict[int, int | None]]:
        """Start the program: its session, its input, and its outputs with their kinds."""
        own = self._environment
        if self._size:
            visit = enter(self._folder, self._argv, environment=own, tty=self._size)
            assert visit.terminal is not None, "a terminal was asked for"
            if self._is_utf8:
                _delete_whole_letters(visit.terminal)
            return visit, visit.terminal, {visit.terminal: None}
        with contextlib.ExitStack() as ends, contextlib.ExitStack() as ours:
            (stdin, into), (out, stdout), (err, stderr) = (os.pipe() for _ in range(3))
            for number in (stdin, stdout, stderr):
                ends.callback(os.close, number)
            for number in (into, out, err):
                ours.callback(os.close, number)
            streams = (stdin, stdout, stderr)
            visit = enter(
                self._folder, self._argv, environment=own, streams=streams, copies=self._copies
            )
            ours.pop_all()
        return visit, into, {out: None, err: asyncssh.EXTENDED_DATA_STDERR}

    def _update_readers(self) -> None:
        """Read the program's output unless the client is slow."""
        for number in self._outputs:
            if self._slow:
                self._loop.remove_reader(number)
            else:
                self._loop.add_reader(number, self._pass_on_output, number)

    def _pass_on_output(self, number: int) -> None:
        """Send output to the client; close the output at its end."""
        try:
            piece = os.read(number, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last program has gone
            piece = b""
        if piece:
            if self._copies:
                self._report_activity()
            self._channel.write(piece, self._outputs[number])
            return
        self._loop.remove_reader(number)
        del self._outputs[number]
        if number != self._input:
            os.close(number)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """The client has sent bytes."""
        self._report_activity()
        self._waiting += data
        self._write_input()

    def _report_activity(self) -> None:
        """Report activity to the machine, at most once a second."""
        if self._exec_session and self._loop.time() - self._reported_at >= REPORT_EVERY:
            self._reported_at = self._loop.time()
            self._exec_session.moved()

    def _write_input(self) -> None:
        """Write to the program; if it is slow, the client waits."""
        if self._input >= 0:
            try:
                while self._waiting:
                    del self._waiting[: os.write(self._input, self._waiting[:CHUNK])]
            except BlockingIOError:
                self._loop.add_writer(self._input, self._write_input)
            except OSError:
                self._waiting.clear()  # the program does not read any more
            if not self._waiting:
                self._loop.remove_writer(self._input)
        if len(self._waiting) > CHUNK and not self._full:
            self._full = True
            self._channel.pause_reading()
        elif not self._waiting and self._full:
            self._full = False  # first: the call below receives the bytes that waited
            self._channel.resume_reading()
        if self._ended and not self._waiting and not self._size and self._input >= 0:
            os.close(self._input)
            self._input = -1

    def eof_received(self) -> bool:
        """Close the program's input; its output may still follow."""
        self._ended = True
        self._write_input()
        return True

    def pause_writing(self) -> None:
        """The client is slow: let the program wait."""
        self._slow = True
        self._update_readers()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._slow = False
        self._update_readers()

    def terminal_size_changed(
        self, width: int, height: int, pixwidth: int, pixheight: int
    ) -> None:
        """The window has another size."""
        self._size = _size(width, height) if self._size else None
        if self._size and self._input >= 0:
            columns, rows = self._size
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, size)

    def signal_received(self, signal_name: str) -> None:
        """A signal for the program."""
        number = getattr(signal, f"SIG{signal_name}", None)
        if self._exec_session and isinstance(number, signal.Signals):
            with contextlib.suppress(OSError):
                self._exec_session.signal(number)

    def connection_lost(self, exc: Exception | None) -> None:
        """Send SIGHUP to what runs in the foreground."""
        self._close()

    def _program_ended(self) -> None:
        """The program ended: pass on its last output and exit code; background jobs go on."""
        assert self._exec_session, "who has ended was there"
        try:
            code = self._exec_session.wait(0)
        except BlockingIOError:
            return
        except (Unavailable, OSError):
            code = NOT_BEGUN
        for number, kind in self._outputs.items():
            self._drain(number, kind)
        self._close()
        try:
            name = signal.Signals(-code).name.removeprefix("SIG")
        except ValueError:
            self._channel.exit(code if code >= 0 else KILLED - code)
        else:
            self._channel.exit_with_signal(name)

    def _drain(self, number: int, kind: int | None) -> None:
        left = MOST_LEFT
        with contextlib.suppress(OSError):
            while left > 0 and (piece := os.read(number, CHUNK)):
                self._channel.write(piece, kind)
                left -= len(piece)

    def _close(self) -> None:
        """Close all our descriptors; the session closes its terminal."""
        if self._exec_session is None:
            return
        for number in {self._input, *self._outputs} - {-1}:
            self._loop.remove_reader(number)
            self._loop.remove_writer(number)
            if number != self._exec_session.terminal:
                os.close(number)
        self._loop.remove_reader(self._exec_session.fileno())
        self._exec_session.close()
        self._exec_session, self._input, self._outputs = None, -1, {}


def _size(columns: int, rows: int) -> tuple[int, int]:
    return min(columns, MAX_WINDOW_SIZE), min(rows, MAX_WINDOW_SIZE)


def _delete_whole_letters(terminal: int) -> None:
    """Backspace takes a letter, not a byte of one."""
    modes = termios.tcgetattr(terminal)
    modes[0] |= IUTF8
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
