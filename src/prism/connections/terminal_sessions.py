"""Keeps shells when their browser disconnects, so that a reload finds them again.

A shell with a session id is kept for ten minutes without a browser. A browser that connects with
the same id gets the last part of the output, and continues. Only the newest browser is connected
to a shell. Guests of a shared terminal watch: they get the same output, and what they send is
dropped here. A guest who reads slowly misses output, and never holds up the shell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

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
        self._size = Size()
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
        input_task = asyncio.create_task(forward_input(receive, self._shell, self._resized))
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
        self._size = size
        if not self.ended:
            self._shell.change_terminal_size(size.cols, size.rows)

    async def _resized(self, size: Size) -> None:
        """Tell guests how large the owner's terminal is now."""
        async with self._changed:
            self._size = size
            self._changed.notify_all()

    async def show(self, send: Send) -> None:
        """Send the last output and what follows to a guest, until the shell ends."""
        start, size = self._total - len(self._output), None
        while True:
            async with self._changed:
                await self._changed.wait_for(
                    partial(self._has_news, start, size)  # the guest has seen up to `start`
                )
                begin = self._total - len(self._output)
                start = max(start, begin)
                piece = bytes(self._output[start - begin : start - begin + OUTPUT_CHUNK])
            if self._size != size:
                size = self._size
                await send_message(send, to_builtins(size))
            if piece:
                await send({"type": "websocket.send", "bytes": piece})
                start += len(piece)
            elif self.ended:
                return

    def _has_news(self, start: int, size: Size | None) -> bool:
        return self._total > start or self.ended or size != self._size

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
        self._begun = asyncio.Condition()  # notified when there is a new shell

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
                async with self._begun:
                    self._begun.notify_all()
        session.resize(size)
        if timer := self._ends.pop(key, None):
            timer.cancel()
        try:
            code = await session.attach(receive, send, resumed=resumed)
            if code is not None:
                await send({"type": "websocket.close", "code": code})
        finally:
            self._schedule_end(key, session)

    async def watch(self, user: str, workspace: str, receive: Receive, send: Send) -> None:
        """Show a guest the newest shell of a person, and the next one when it ends.

        The guest gets `watching` at the beginning of each, and `waiting` while there is none.
        """
        await send({"type": "websocket.accept"})
        showing = asyncio.create_task(self._show_each(user, workspace, send))
        leaving = asyncio.create_task(_until_left(receive))
        try:
            await asyncio.wait({showing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (showing, leaving):
                task.cancel()

    async def _show_each(self, user: str, workspace: str, send: Send) -> None:
        while True:
            if (session := self._newest(user, workspace)) is None:
                await send_message(send, {"type": "waiting"})
                async with self._begun:
                    await self._begun.wait_for(lambda: self._newest(user, workspace) is not None)
                continue
            await send_message(send, {"type": "watching"})
            await session.show(send)

    def _newest(self, user: str, workspace: str) -> ShellSession | None:
        """The newest shell of a person in a workspace, if possible one with a browser."""
        sessions = [
            session
            for key, session in self._sessions.items()
            if key[0].lower() == user.lower() and key[1] == workspace and not session.ended
        ]
        attached = [session for session in sessions if session.attached]
        newest = attached or sessions
        return newest[-1] if newest else None

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


async def _until_left(receive: Receive) -> None:
    """Drop everything that a guest sends, until they leave."""
    while (await receive())["type"] != "websocket.disconnect":
        pass
