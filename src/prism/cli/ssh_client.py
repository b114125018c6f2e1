"""A program that is used instead of `ssh` where OpenSSH's client is not installed.

    python -P -m prism.cli.ssh_client SETTINGS [-t | -tt | -T] [--] HOST [COMMAND …]

SETTINGS is the JSON of `SshSettings`, which includes the host; HOST is there because `rsync` adds
it. Options, standard streams and exit codes are those of `ssh`. It reads no configuration file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Coroutine, Iterator
from typing import NamedTuple, TypedDict

import asyncssh

CHUNK_BYTES = 1 << 16
KEEP_ALIVE_SECONDS = 15
LOGIN_SECONDS = 30
FAILED_EXIT_CODE = 255
"""The exit code if there was no connection, or the program has none."""
PASSED_ON_VARIABLES = ("LANG", "LC_", "COLORTERM")
TERMINAL_SIZE = (80, 24)
IUTF8 = 0x4000  # Python has no name for this flag of a terminal


class SshSettings(TypedDict):
    """How to reach a workspace by SSH; a key or a file that is empty is OpenSSH's default."""

    host: str
    port: int
    user: str
    key: str
    known_hosts: str
    by: list[str]  # the command that carries the bytes; empty for a connection of one's own


class SshRequest(NamedTuple):
    """What a command line of `ssh` asks for."""

    settings: SshSettings
    command: str | None
    terminal: bool


def parsed(argv: list[str], *, on_terminal: bool) -> SshRequest:
    """The request of a command line; `on_terminal` says what standard input is."""
    settings, *words = argv
    options = []
    while words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        options.append(option)
    _, *command = words
    wants = "-t" in options or (not command and "-T" not in options)
    terminal = "-tt" in options or (wants and on_terminal)
    return SshRequest(json.loads(settings), " ".join(command) or None, terminal)


async def connect(settings: SshSettings) -> asyncssh.SSHClientConnection:
    """A connection to a host whose key is known; raises one of `FAILURES`."""
    return await asyncssh.connect(
        settings["host"],
        settings["port"],
        username=settings["user"],
        client_keys=[settings["key"]] if settings["key"] else (),
        known_hosts=settings["known_hosts"] or (),
        config=None,
        proxy_command=settings.get("by") or (),
        agent_path=None if settings["key"] else (),
        connect_timeout=LOGIN_SECONDS,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEP_ALIVE_SECONDS,
    )


FAILURES = (asyncssh.Error, asyncssh.KeyImportError, OSError, TimeoutError)


async def _carry_out(request: SshRequest) -> int:
    """Run the command or the shell to its end; returns the exit code."""
    environment = {
        name: os.environ[name] for name in os.environ if name.startswith(PASSED_ON_VARIABLES)
    }
    async with await connect(request.settings) as connection:
        process = await connection.create_process(
            request.command,
            env=environment,
            encoding=None,
            request_pty=request.terminal,
            term_type=os.environ.get("TERM") if request.terminal else None,
            term_size=_terminal_size() if request.terminal else (0, 0),
            term_modes=_terminal_modes() if request.terminal else {},
        )
        loop = asyncio.get_running_loop()
        if request.terminal:
            resize = lambda: process.change_terminal_size(*_terminal_size())  # noqa: E731
            loop.add_signal_handler(signal.SIGWINCH, resize)
        threading.Thread(target=_send_input, args=(process, loop), daemon=True).start()
        with _raw_terminal() if request.terminal else contextlib.nullcontext():
            await asyncio.gather(_print(process.stdout, 1), _print(process.stderr, 2))
            await process.wait_closed()
    return FAILED_EXIT_CODE if process.exit_status is None else process.exit_status


def _send_input(
    process: asyncssh.SSHClientProcess[bytes], loop: asyncio.AbstractEventLoop
) -> None:
    """Send standard input until it ends.

    A thread can read files, pipes and terminals alike, without changing their flags, which other
    programs share.
    """
    with contextlib.suppress(*FAILURES, RuntimeError):  # the connection or the loop has ended
        while piece := _read_input():
            asyncio.run_coroutine_threadsafe(_write(process, piece), loop).result()
        loop.call_soon_threadsafe(process.stdin.write_eof)


def _read_input() -> bytes:
    while True:
        try:
            return os.read(0, CHUNK_BYTES)
        except BlockingIOError:  # whoever started us shares it, and does not wait for it
            select.select([0], [], [])


async def _write(process: asyncssh.SSHClientProcess[bytes], piece: bytes) -> None:
    process.stdin.write(piece)
    await process.stdin.drain()


async def _print(stream: asyncssh.SSHReader[bytes], descriptor: int) -> None:
    """Write a stream of the program to one of ours; a slow reader makes the program wait."""
    loop = asyncio.get_running_loop()
    while piece := await stream.read(CHUNK_BYTES):
        await loop.run_in_executor(None, _write_all, descriptor, piece)


def _write_all(descriptor: int, piece: bytes) -> None:
    while piece:
        try:
            piece = piece[os.write(descriptor, piece) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def _terminal_size() -> tuple[int, int]:
    try:
        columns, lines = os.get_terminal_size(0)
    except OSError:
        return TERMINAL_SIZE
    return columns, lines


def _terminal_modes() -> dict[int, int]:
    try:
        flags = termios.tcgetattr(0)[0]
    except termios.error:
        return {}
    return {asyncssh.PTY_IUTF8: int(bool(flags & IUTF8))}


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Leave keys and their meaning to the terminal in the workspace."""
    try:
        before = termios.tcgetattr(0)
    except termios.error:  # not a terminal
        yield
        return
    tty.setraw(0, termios.TCSADRAIN)  # what was typed already is for the workspace
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def run(start: Callable[[], Coroutine[None, None, int]]) -> int:
    """Run a client to its end; a failed connection is printed, as `ssh` does."""
    asyncssh.set_log_level("CRITICAL")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    async def interruptible() -> int:
        task = asyncio.current_task()
        assert task is not None, "this runs in a task"
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await start()

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        return FAILED_EXIT_CODE
    except asyncssh.HostKeyNotVerifiable:
        _print_failure("the host key is not the one that is known for this address")
    except FAILURES as error:
        _print_failure(str(error) or type(error).__name__)
    return FAILED_EXIT_CODE


def _print_failure(text: str) -> None:
    """Print a reason, which the other side may have sent, without control characters."""
    sys.stderr.write(f"ssh: {''.join(c if c.isprintable() else '?' for c in text)}\r\n")


def main(argv: list[str]) -> int:
    """Do what the command line asks for; the exit code."""
    request = parsed(argv, on_terminal=os.isatty(0))
    return run(lambda: _carry_out(request))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
