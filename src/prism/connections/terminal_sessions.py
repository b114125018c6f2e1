"""Keeps shells when their browser disconnects, so that a reload finds them again.

A shell with a session id is kept for ten minutes without a browser. A browser that connects with
the same id gets the last part of the output, and continues. Only the newest browser is connected
to a shell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prism.connections.terminal import (
    NORMAL,
    OUTPUT_CHUNK,
    Size,
    forward_input,
    send_exit,
    send_message,
)

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHClientProcess

    from prism.kit.gate import Receive, Send

KEPT_BYTES = 256 * 1024  # of a shell's output
KEPT_SECONDS = 600.0  # that a shell is kept without a browser
MOST_DETACHED = 64  # shells without a browser; the oldest one ends if there are more

Key = tuple[str, str, str]  # user, workspace, session
OpenShell = Callable[[], Awaitable[tuple["SSHClientConnection", "SSHClientProcess[bytes]"]]]


@dataclass(slots=True)
class TerminalClient:
    """A browser at a shell: how much it has read, and whether another has replaced it."""

    offset: int
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class ShellSession:
    """A shell, its last output, and the connected browser, if any."""

    def __init__(self, ssh: SSHClientConnection, shell: SSHClientProcess[bytes]) -> None:
        self._ssh, self._shell = ssh, shell
        self._output, self._total = bytearray(), 0
        self._client: TerminalClient | None = None
        self._changed = asyncio.Condition()
        self.ended = False
        self._reading = asyncio.create_task(self._read())

    @property
    def attached(self) -> bool:
        """Whether a browser is connected."""
        return self._client is not None

    async def attach(self, receive: Receive, send: Send, *, resumed: bool) -> int | None:
        """Accept a browser, send the last output again, then forward until one side ends.

        Returns the code to close with; None if the browser has left by itself.
        """
        if self._client is not None:
            self._client.replaced.set()
        replay = len(self._output)
        self._client = client = TerminalClient(self._total - replay)
        try:
            await send({"type": "websocket.accept"})
            await send_message(send, {"type": "attached", "resumed": resumed, "replay": replay})
            return await self._forward(client, receive, send)
        finally:
            async with self._changed:
                if self._client is client:
                    self._client = None
                self._changed.notify_all()

    async def _forward(self, client: TerminalClient, receive: Receive, send: Send) -> int | None:
        input_task = asyncio.create_task(forward_input(receive, self._shell))
        output_task = asyncio.create_task(self._forward_output(client, send))
        replaced = asyncio.create_task(client.replaced.wait())
        tasks: set[asyncio.Task[Any]] = {input_task, output_task, replaced}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if replaced.done():
                await send_message(send, {"type": "replaced"})
                return NORMAL
            return input_task.result() if input_task.done() else output_task.result()
        finally:
            for task in tasks:
                task.cancel()

    def resize(self, size: Size) -> None:
        """Make the terminal as large as the browser's."""
        if not self.ended:
            self._shell.change_terminal_size(size.cols, size.rows)

    def close(self) -> None:
        """End the shell."""
        self._reading.cancel()
        self._ssh.abort()

    async def _read(self) -> None:
        """Store the output; if a browser is connected, no faster than it reads."""
        try:
            while piece := await self._shell.stdout.read(OUTPUT_CHUNK):
                async with self._changed:
                    await self._changed.wait_for(self._has_room)
                    self._output += piece
                    self._total += len(piece)
                    self._forget()
                    self._changed.notify_all()
            await self._shell.wait_closed()
        finally:
            self.ended = True
            async with self._changed:
                self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._client is None or self._total - self._client.offset < KEPT_BYTES

    def _forget(self) -> None:
        """Drop old output that was read; the rest begins at a line, if there is one."""
        if len(self._output) <= KEPT_BYTES + OUTPUT_CHUNK:
            return
        cut = len(self._output) - KEPT_BYTES
        line = self._output.find(b"\n", cut, cut + OUTPUT_CHUNK)
        cut = cut if line < 0 else line + 1
        if self._client is not None:
            cut = min(cut, self._client.offset - (self._total - len(self._output)))
        del self._output[:cut]

    async def _forward_output(self, client: TerminalClient, send: Send) -> int:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._total > client.offset or self.ended)
                start = client.offset - (self._total - len(self._output))
                piece = bytes(self._output[start : start + OUTPUT_CHUNK])
            if not piece:
                return await send_exit(self._shell, send)
            await send({"type": "websocket.send", "bytes": piece})
            async with self._changed:
                client.offset += len(piece)
                self._changed.notify_all()


class ShellSessions:
    """All shells with a session id, by user, workspace and id."""

    def __init__(self, seconds: float = KEPT_SECONDS, most: int = MOST_DETACHED) -> None:
        self._seconds, self._most = seconds, most
        self._sessions: dict[Key, ShellSession] = {}
        self._ends: dict[Key, asyncio.TimerHandle] = {}  # without a browser, oldest first

    async def serve(
        self, key: Key, open_shell: OpenShell, receive: Receive, send: Send, size: Size
    ) -> None:
        """Connect a browser to the shell with this key, a new one if there is none."""
        session = self._running(key)
        resumed = session is not None
        if session is None:
            ssh, shell = await open_shell()
            if other := self._running(key):  # another browser has used the id meanwhile
                ssh.abort()
                session = other
            else:
                session = self._sessions[key] = ShellSession(ssh, shell)
        session.resize(size)
        if timer := self._ends.pop(key, None):
            timer.cancel()
        try:
            code = await session.attach(receive, send, resumed=resumed)
            if code is not None:
                await send({"type": "websocket.close", "code": code})
        finally:
            self._schedule_end(key, session)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run while the daemon serves; then end every shell."""
        try:
            yield
        finally:
            for key in [*self._sessions]:
                self._end(key)

    def _running(self, key: Key) -> ShellSession | None:
        session = self._sessions.get(key)
        if session is not None and session.ended:
            self._end(key)
            return None
        return session

    def _schedule_end(self, key: Key, session: ShellSession) -> None:
        if session.attached or self._sessions.get(key) is not session:
            return
        if session.ended:
            self._end(key)
            return
        loop = asyncio.get_running_loop()
        self._ends[key] = loop.call_later(self._seconds, self._end, key)
        while len(self._ends) > self._most:
            self._end(next(iter(self._ends)))

    def _end(self, key: Key) -> None:
        if timer := self._ends.pop(key, None):
            timer.cancel()
        if session := self._sessions.pop(key, None):
            session.close()
