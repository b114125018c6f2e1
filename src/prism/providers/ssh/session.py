"""One SSH session of a client of a workspace, carried on to the lab server where it runs.

The client's connection is in the daemon's event loop, and that to the server in the loop of its
connection; each calls the other only through `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
from typing import TYPE_CHECKING, Any

import asyncssh

from prism.errors import Problem, Unavailable
from prism.providers.ssh import commands, shipment
from prism.providers.ssh.framing import HEAD, LONGEST, skip_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prism.providers.ssh.server import LabServer

MOST_WAITING = 1 << 18  # bytes of input after which the client has to wait
NOT_BEGUN, KILLED = 255, 128  # exit codes, as OpenSSH and shells have them
MAX_WINDOW_SIZE = 0x7FFF
ACCEPTED = ("LANG", "LC_", "COLORTERM")  # the only variables that a client may set
START_SECONDS = 40.0
SESSION_FAILURES = (asyncssh.Error, OSError, TimeoutError, ValueError, EOFError)
# OpenSSH's own program, where distributions have it; it runs inside, as any other program.
SFTP_SERVERS = (
    *("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server"),
    *("/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/sftp-server"),
)
NO_SFTP = "The server has no sftp-server; `prism cp` and `scp -O` do not need it"
RUN_SFTP = (
    f"for p in {' '.join(SFTP_SERVERS)}; do [ -x $p ] && exec $p; done; "
    f"echo '{NO_SFTP}' >&2; exit 127"
)


class LabSession(asyncssh.SSHServerSession[bytes]):
    """Carries bytes between a client's channel and a program inside a workspace."""

    def __init__(self, server: LabServer, id: str) -> None:
        self._server, self._id = server, id
        self._request: dict[str, Any] = {"argv": None, "environment": {}, "tty": None}
        self._to_server: asyncio.Queue[bytes | None] | None = None
        self._waiting: list[bytes] = []  # messages before the program has started
        self._unsent, self._is_full = 0, False
        self._server_loop: asyncio.AbstractEventLoop | None = None
        self._may_write: asyncio.Event | None = None
        self._serving: Any = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel, self._loop = chan, asyncio.get_running_loop()

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        """Note that the session has a terminal, of this size."""
        columns, rows = term_size[:2]
        self._request["tty"] = [_length(columns or 80), _length(rows or 24)]
        self._request["environment"]["TERM"] = term_type or "xterm-256color"
        return True

    def shell_requested(self) -> bool:
        """A login shell."""
        return True

    def exec_requested(self, command: str) -> bool:
        """A command, which a shell inside reads."""
        self._request["argv"] = ["/bin/sh", "-c", command]
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """SFTP only."""
        self._request["argv"] = ["/bin/sh", "-c", RUN_SFTP]
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Begin."""
        requested = self._channel.get_environment()
        own = {k: v for k, v in requested.items() if isinstance(k, str) and k.startswith(ACCEPTED)}
        self._request["environment"].update(own)
        with contextlib.suppress(Unavailable):
            self._serving = self._server.background.start(self._serve())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """The client has sent bytes."""
        self._unsent += len(data)
        self._send(b"D", data)
        if self._unsent > MOST_WAITING and not self._is_full:
            self._is_full = True
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        """Close the program's input; its output may still follow."""
        self._send(b"E", b"")
        return True

    def terminal_size_changed(
        self, width: int, height: int, pixwidth: int, pixheight: int
    ) -> None:
        """The window has another size."""
        self._send(b"W", json.dumps([_length(height), _length(width)]).encode())

    def signal_received(self, signal_name: str) -> None:
        """A signal for the program."""
        number = getattr(signal, f"SIG{signal_name}", None)
        if isinstance(number, signal.Signals):
            self._send(b"K", str(int(number)).encode())

    def pause_writing(self) -> None:
        """The client is slow: let the program wait."""
        if self._may_write is not None:
            self._call_server(self._may_write.clear)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._may_write is not None:
            self._call_server(self._may_write.set)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session there, which sends SIGHUP to the program."""
        if self._serving is not None:
            self._serving.cancel()

    # ------------------------------------------------------------ in the client's loop
    def _send(self, kind: bytes, body: bytes) -> None:
        message = HEAD.pack(kind, len(body)) + body
        if self._to_server is None or self._server_loop is None:
            self._waiting.append(message)
        else:
            self._call_server(self._to_server.put_nowait, message)

    def _started(
        self, loop: asyncio.AbstractEventLoop, messages: asyncio.Queue[bytes | None]
    ) -> None:
        """The program is there: send what waited."""
        self._server_loop, self._to_server = loop, messages
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._call_server(messages.put_nowait, message)

    def _was_sent(self, size: int) -> None:
        self._unsent -= size
        if self._is_full and self._unsent < MOST_WAITING // 2:
            self._is_full = False
            self._channel.resume_reading()

    def _output(self, body: bytes, kind: int | None) -> None:
        if not self._channel.is_closing():
            self._channel.write(body, kind)

    def _ended(self, code: int, why: str) -> None:
        if self._channel.is_closing():
            return
        if why:
            self._channel.write_stderr(f"{why}\r\n".encode())
        try:
            name = signal.Signals(-code).name.removeprefix("SIG")
        except ValueError:
            self._channel.exit(code if code >= 0 else KILLED - code)
        else:
            self._channel.exit_with_signal(name)

    def _call_server(self, call: Callable[..., None], *words: Any) -> None:
        if self._server_loop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._server_loop.call_soon_threadsafe(call, *words)

    # ------------------------------------------------------------ in the server's loop
    async def _serve(self) -> None:
        code, why = NOT_BEGUN, ""
        try:
            code, why = await self._carry()
        except Problem as problem:
            why = problem.message
        except SESSION_FAILURES as error:
            why = f"The connection to {self._server.name} ended: {error}".rstrip(": ")
        finally:
            with contextlib.suppress(RuntimeError):  # the daemon is ending
                self._loop.call_soon_threadsafe(self._ended, code, why)

    async def _carry(self) -> tuple[int, str]:
        """Run the program; its exit code, or why it did not start."""
        link, nonce = self._server.link(self._server), secrets.token_hex(16)
        with link.used():
            command = commands.run_command(shipment.agent().name, "", nonce, "session")
            process = await self._server.start_process(command)
            sending: asyncio.Task[None] | None = None
            try:
                async with asyncio.timeout(START_SECONDS):
                    if not await skip_noise(process.stdout, nonce):
                        raise commands.AnswerInvalid("The server did not start Prism's program")
                start = json.dumps({"id": self._id, "exec": self._request}).encode()
                process.stdin.write(HEAD.pack(b"S", len(start)) + start)
                messages: asyncio.Queue[bytes | None] = asyncio.Queue()
                self._may_write = may_write = asyncio.Event()
                may_write.set()
                sending = asyncio.create_task(self._send_on(process, messages))
                loop = asyncio.get_running_loop()
                self._loop.call_soon_threadsafe(self._started, loop, messages)
                return await self._receive(process, may_write)
            finally:
                if sending is not None:
                    sending.cancel()
                process.close()

    async def _receive(self, process: Any, may_write: asyncio.Event) -> tuple[int, str]:
        while True:
            kind, length = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
            if length > LONGEST:
                raise ValueError("it sent a message that is too long")
            body = await process.stdout.readexactly(length)
            if kind in {b"O", b"R"}:
                stream = asyncssh.EXTENDED_DATA_STDERR if kind == b"R" else None
                await may_write.wait()
                self._loop.call_soon_threadsafe(self._output, body, stream)
            elif kind == b"X":
                code = json.loads(body)
                return (code if isinstance(code, int) and abs(code) < 256 else NOT_BEGUN), ""
            else:
                return NOT_BEGUN, body.decode(errors="replace")[:500]

    async def _send_on(self, process: Any, messages: asyncio.Queue[bytes | None]) -> None:
        while (message := await messages.get()) is not None:
            process.stdin.write(message)
            await process.stdin.drain()
            self._loop.call_soon_threadsafe(self._was_sent, len(message) - HEAD.size)


def _length(number: int) -> int:
    return max(1, min(number, MAX_WINDOW_SIZE))
